// graphql-ws, of the major version that the first argument says.
import assert from 'node:assert/strict';
import * as demo from './demo.mjs';
import { Heard, step, watched } from './demo.mjs';

const { createClient } = await import(`graphql-ws-${process.argv[2]}`);

const { url, webSocketImpl, credentials: connectionParams } = demo;
const { sockets, closed, on } = watched();
const client = createClient({ url, webSocketImpl, connectionParams, on });

const start = (request, from = client) => {
  const heard = new Heard();
  heard.stop = from.subscribe(request, heard);
  return heard;
};

// It keeps the socket open, which this client opens for the first subscription and closes after the last.
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
    const errors = await start(request).failure();
    assert.ok(Array.isArray(errors), `GraphQL errors, not ${errors}`);
    assert.match(errors[0].message, message);
  }
  const after = start(demo.price);
  await after.twoPrices();
  after.stop();
});

await step('payments arrive', async () => {
  await updates.payment();
  updates.stop();
});

await step('all of that took one socket, which the client closes in peace', async () => {
  await kept.twoPrices();
  assert.deepEqual(sockets, { connected: 1, closes: [] });
  kept.stop();
  const { code, wasClean } = await closed;
  assert.deepEqual([code, wasClean], [1000, true]);
});

await step('without a key there are no payments', async () => {
  const anonymous = createClient({ url, webSocketImpl });
  const updates = start(demo.updates, anonymous);
  const { errors } = await updates.value();
  assert.equal(errors[0].extensions.code, 'NOT_AUTHENTICATED');
  await updates.completion();
});

await step('a bad key closes with 4403', async () => {
  // By default it would try five times more.
  const options = { url, webSocketImpl, connectionParams: demo.badCredentials, retryAttempts: 0 };
  const close = await start(demo.updates, createClient(options)).failure();
  assert.deepEqual([close.code, close.reason], [4403, 'Forbidden']);
});
