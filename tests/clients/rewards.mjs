// graphql-ws, of the major version that the first argument says, as a client of Fast Track Rewards uses it.
import assert from 'node:assert/strict';
import * as demo from './demo.mjs';
import { Heard, rewardsParams, rewardsUrl, step, watched } from './demo.mjs';

const { createClient } = await import(`graphql-ws-${process.argv[2]}`);

const { webSocketImpl } = demo;
const { sockets, closed, on } = watched();
const client = createClient({ url: rewardsUrl, webSocketImpl, connectionParams: rewardsParams, on });
const statuses = new Heard();
const stop = client.subscribe(demo.statusUpdate, statuses);

const status = async () => {
  const { data, errors } = await statuses.value();
  assert.equal(errors, undefined);
  return data.StatusUpdate;
};

await step('it is told at once that it is connected', async () => {
  const { Type, Timestamp, UserID, Data } = await status();
  assert.deepEqual([Type, UserID, Data], ['connected', 42, '{}']);
  assert.ok(Math.abs(Date.parse(Timestamp) - Date.now()) < 60_000, Timestamp);
});

await step('it is told what happens to its user', async () => {
  let update = await status();
  while (update.Type !== 'loyalty_update') update = await status();
  const { user_id, level, xp } = JSON.parse(update.Data);
  assert.deepEqual([update.UserID, user_id], [42, 42]);
  assert.ok(Number.isInteger(level) && typeof xp === 'number', update.Data);
  stop();
  assert.equal((await closed).code, 1000);
  assert.deepEqual(sockets, { connected: 1, closes: [1000] });
});

await step('who is no rewards user is told so', async () => {
  const options = { url: rewardsUrl, webSocketImpl, connectionParams: demo.credentials };
  const refused = new Heard();
  createClient(options).subscribe(demo.statusUpdate, refused);
  const { errors } = await refused.value();
  assert.equal(errors[0].extensions.code, 'NOT_AUTHENTICATED');
  await refused.completion();
});
