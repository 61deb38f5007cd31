// graphql-sse, in the mode that the first argument says: `distinct` connections, or a `single` one for all operations.
import assert from 'node:assert/strict';
import { createClient } from 'graphql-sse';
import * as demo from './demo.mjs';
import { Heard, step } from './demo.mjs';

const singleConnection = process.argv[2] === 'single';
const { httpUrl: url, credentials: headers } = demo;

/** How often each kind of request was made. */
const asked = {};
const fetchFn = (input, init) => {
  const kind = `${init.method}${init.headers.accept ? ' stream' : ''}`;
  asked[kind] = (asked[kind] ?? 0) + 1;
  return fetch(input, init);
};
const connect = (options) => createClient({ url, singleConnection, fetchFn, ...options });
// The client fills in headers of its own.
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

await step('a syntax error and an unknown field are errors of one subscription', async () => {
  for (const [request, message] of [
    [demo.syntaxError, /Syntax Error/],
    [demo.unknownField, /fakePrice/],
  ]) {
    const refused = start(request);
    const { data, errors } = await refused.value();
    assert.equal(data, undefined);
    assert.match(errors[0].message, message);
    await refused.completion();
  }
  const after = start(demo.price);
  await after.twoPrices();
  after.stop();
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
    assert.deepEqual(asked, { PUT: 1, 'GET stream': 1, POST: 8, DELETE: 4 });
  } else {
    assert.deepEqual(asked, { 'POST stream': 8 });
  }
  client.dispose();
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
  const { response } = await start(demo.updates, refused).failure();
  assert.equal(response.status, 401);
});
