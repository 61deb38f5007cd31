// graphql-sse, in the mode that the first argument says: `distinct` connections, or a `single` one for all operations.
import assert from 'node:assert/strict';
import { createClient } from 'graphql-sse';
import * as demo from './demo.mjs';
import { Heard, step } from './demo.mjs';

const singleConnection = process.argv[2] === 'single';
const { httpUrl: url, credentials: headers } = demo;

/** What was refused: the client lets go of an answer before anybody could read it. */
const refusals = [];
/** How often each kind of request was made. */
const asked = {};
async function fetchFn(input, init) {
  const kind = `${init.method}${init.headers.accept ? ' stream' : ''}`;
  asked[kind] = (asked[kind] ?? 0) + 1;
  const response = await fetch(input, init);
  if (!response.ok) refusals.push(await response.clone().json());
  return response;
}
const connect = (options) => createClient({ url, singleConnection, fetchFn, ...options });
// Each time new ones: the client adds its own to them.
const client = connect({ headers: () => ({ ...headers }) });

const start = (request, from = client) => {
  const heard = new Heard();
  heard.stop = from.subscribe(request, heard);
  return heard;
};

// It keeps the stream of a single connection open, which this client opens for the first subscription and closes after
// the last.
const kept = start(demo.price);
const updates = start(demo.updates);

await step('prices move until they are no longer wanted', async () => {
  const prices = start(demo.price);
  await prices.twoPrices();
  prices.stop();
  await prices.end();
  await kept.twoPrices();
  assert.deepEqual(prices.rest, []);
});

await step('an invoice is pending, then paid, then there is no more to say', async () => {
  const invoice = start(demo.payment);
  await invoice.pendingThenPaid();
  await invoice.completion();
});

await step('a query is answered once', async () => {
  const who = start({ query: '{ me { id } }' });
  const { data } = await who.value();
  assert.match(data.me.id, /^[0-9a-f-]{36}$/);
  await who.completion();
});

await step('payments arrive', async () => {
  await updates.payment();
  updates.stop();
});

await step(singleConnection ? 'all of that took one stream' : 'each of that took a stream of its own', async () => {
  await kept.twoPrices();
  kept.stop();
  await kept.end();
  if (singleConnection) {
    // Those that were stopped were ended with a DELETE; the others ended by themselves.
    assert.deepEqual(asked, { PUT: 1, 'GET stream': 1, POST: 5, DELETE: 3 });
  } else {
    assert.deepEqual(asked, { 'POST stream': 5 });
  }
  client.dispose();
});

await step('a syntax error and an unknown field are errors of one subscription', async () => {
  // With one stream for all, the protocol has it that what cannot be begun is answered 400, which this client takes for
  // trouble on the way: by default it would try five times more.
  const other = connect({ retryAttempts: 0 });
  for (const [request, message] of [
    [demo.syntaxError, /Syntax Error/],
    [demo.unknownField, /fakePrice/],
  ]) {
    const refused = start(request, other);
    const { data, errors } = singleConnection ? await answered(400, refused) : await refused.value();
    assert.equal(data, undefined);
    assert.match(errors[0].message, message);
    if (!singleConnection) await refused.completion();
  }
  const after = start(demo.price, other);
  await after.twoPrices();
  after.stop();
});

await step('without a key there are no payments', async () => {
  const anonymous = connect();
  const updates = start(demo.updates, anonymous);
  const { errors } = await updates.value();
  assert.equal(errors[0].extensions.code, 'NOT_AUTHENTICATED');
  await updates.completion();
  anonymous.dispose();
});

await step('a bad key is answered 401', async () => {
  // By default it would try five times more.
  const refused = connect({ headers: () => ({ ...demo.badCredentials }), retryAttempts: 0 });
  const { errors } = await answered(401, start(demo.updates, refused));
  assert.deepEqual(errors, [{ message: 'Unauthorized' }]);
});

/** The JSON that a subscription was refused with. */
async function answered(status, subscription) {
  const { response } = await subscription.failure();
  assert.equal(response.status, status);
  return refusals.at(-1);
}
