-- Counts a newcomer against the limits, over all nodes that live, and gives it its name, unless that is
-- empty; in one step, so that of two who come at once to two nodes the second one finds the first.
--
-- It returns {"user"} or {"key"} for who is one too many, {"older", turn} for one that has lost its
-- name to another meanwhile, and {"in", turn}: turn 0 for who has no name.
local own, lease, user, of_user, per_user, key, of_key, per_key, name, id, turn, orders, orders_for = unpack(ARGV)
of_user, of_key, turn = tonumber(of_user), tonumber(of_key), tonumber(turn)

-- What nodes that are gone have told has expired.
local rival = 0
for _, node in ipairs(redis.call('SMEMBERS', 'tidings:nodes')) do
  if node ~= own then
    local held = redis.call('HMGET', 'tidings:counts:' .. node, user, key, name)
    of_user = of_user + (tonumber(held[1]) or 0)
    of_key = of_key + (tonumber(held[2]) or 0)
    if held[3] then
      -- The newcomer takes the place of this one.
      local its_turn, its_key = string.match(held[3], '^(%d+) (.*)$')
      rival = math.max(rival, tonumber(its_turn))
      if user ~= '' then of_user = of_user - 1 end
      if key ~= '' and its_key == key then of_key = of_key - 1 end
    end
  end
end
if user ~= '' and of_user > tonumber(per_user) then return {'user', '0'} end
if key ~= '' and of_key > tonumber(per_key) then return {'key', '0'} end

if name == '' then
  turn = 0
elseif not turn then
  local clock = redis.call('TIME')
  local last = tonumber(redis.call('GET', 'tidings:turn') or '0')
  turn = math.max(clock[1] * 1000000 + clock[2], last + 1, rival + 1)
  redis.call('SET', 'tidings:turn', string.format('%.0f', turn), 'PX', orders_for)
elseif turn < rival then
  return {'older', string.format('%.0f', turn)}
end

local counts, given = 'tidings:counts:' .. own, string.format('%.0f', turn)
if user ~= '' and ARGV[4] ~= '0' then redis.call('HSET', counts, user, ARGV[4]) end
if key ~= '' and ARGV[7] ~= '0' then redis.call('HSET', counts, key, ARGV[7]) end
if name ~= '' then redis.call('HSET', counts, name, given .. ' ' .. key) end
redis.call('PEXPIRE', counts, lease)
-- Others may have given the node up meanwhile, and it is here.
redis.call('SADD', 'tidings:nodes', own)
if rival > 0 then
  redis.call('XADD', 'tidings:orders', 'MAXLEN', '~', orders, '*',
    'order', 'replace', 'name', name, 'id', id, 'turn', given)
  redis.call('PEXPIRE', 'tidings:orders', orders_for)
end
return {'in', given}
