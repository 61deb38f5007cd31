-- Takes a webhook in, whole: nothing else runs on this Redis meanwhile.
--
-- KEYS: how many the account has had this month; its history, the sizes in it, and their sum; the ids of what was
-- entered by its idempotency key, and when that was.
local used_key, history, sizes, bytes_key, ids, times = unpack(KEYS)
-- Empty are: a limit, where there is none, and a key, where the delivery says none. Times are in milliseconds.
local channel, payload, limit, used_for, most, most_bytes, kept_for, key, window, keys = unpack(ARGV)

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

if key ~= '' then
    local at = redis.call('ZSCORE', times, key)
    if at and tonumber(at) > now - window then
        return {'before', redis.call('HGET', ids, key)}
    end
end
if limit ~= '' and tonumber(redis.call('GET', used_key) or '0') >= tonumber(limit) then
    return {'over', ''}
end

redis.call('INCR', used_key)
redis.call('PEXPIRE', used_key, used_for)

local id = redis.call('XADD', history, '*', 'payload', payload)
redis.call('RPUSH', sizes, id .. ' ' .. #payload)
local bytes = redis.call('INCRBY', bytes_key, #payload)
local count = redis.call('LLEN', sizes)
-- The newest stays, however long it is.
while count > 1 do
    local oldest = redis.call('LINDEX', sizes, 0)
    local oldest_id, size = string.match(oldest, '^(%S+) (%d+)$')
    local told = tonumber(string.match(oldest_id, '^%d+'))
    if count <= tonumber(most) and bytes <= tonumber(most_bytes) and told > now - kept_for then
        break
    end
    redis.call('LPOP', sizes)
    redis.call('XDEL', history, oldest_id)
    bytes = redis.call('DECRBY', bytes_key, size)
    count = count - 1
end
for _, kept in ipairs({history, sizes, bytes_key}) do
    redis.call('PEXPIRE', kept, kept_for)
end

if key ~= '' then
    -- A few more than were added, so that what is over gets less.
    for _, over in ipairs(redis.call('ZRANGEBYSCORE', times, '-inf', now - window, 'LIMIT', 0, 16)) do
        redis.call('ZREM', times, over)
        redis.call('HDEL', ids, over)
    end
    redis.call('ZADD', times, now, key)
    redis.call('HSET', ids, key, id)
    if redis.call('ZCARD', times) > tonumber(keys) then
        redis.call('HDEL', ids, redis.call('ZPOPMIN', times)[1])
    end
    redis.call('PEXPIRE', times, window)
    redis.call('PEXPIRE', ids, window)
end

redis.call('PUBLISH', channel, '{"id":"' .. id .. '","payload":' .. payload .. '}')
return {'new', id}
