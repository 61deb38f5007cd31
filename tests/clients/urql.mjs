// urql, whose subscriptions are left to graphql-ws.
import assert from 'node:assert/strict';
import { CombinedError, Client, cacheExchange, fetchExchange, subscriptionExchange } from '@urql/core';
import { createClient } from 'graphql-ws';
import { onEnd, pipe, subscribe } from 'wonka';
import * as demo from './demo.mjs';
import { Heard, step, watched } from './demo.mjs';

const { url, webSocketImpl, credentials: connectionParams } = demo;
const { sockets, closed, on } = watched();

/** As urql's documentation has it. */
function connect(options) {
  const socket = createClient({ url, webSocketImpl, ...options });
  const forwardSubscription = (request) => ({
    subscribe: (sink) => ({
      unsubscribe: socket.subscribe({ ...request, query: request.query ?? '' }, sink),
    }),
  });
  return new Client({
    url: demo.httpUrl,
    exchanges: [cacheExchange, fetchExchange, subscriptionExchange({ forwardSubscription })],
  });
}
const client = connect({ connectionParams, on });

const start = ({ query, variables = {} }, from = client) => {
  const heard = new Heard();
  const results = from.subscription(query, variables);
  heard.stop = pipe(results, onEnd(heard.complete), subscribe(heard.next)).unsubscribe;
  return heard;
};

// It keeps the socket open, which the client opens for the first subscription and closes after the last. Of another
// currency: urql shares what is asked twice.
const kept = start({ ...demo.price, variables: { input: { currency: 'USD' } } });
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
  // urql tells the last result again, with `hasNext: false`.
  await invoice.end();
});

await step('a syntax error and an unknown field are errors of one subscription', async () => {
  for (const [request, message] of [
    [{ query: demo.unreadable() }, /Syntax Error/],
    [demo.unknownField, /fakePrice/],
  ]) {
    const { error } = await start(request).value();
    assert.ok(error instanceof CombinedError);
    assert.match(error.graphQLErrors[0].message, message);
    assert.equal(error.networkError, undefined);
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
  const updates = start(demo.updates, connect({}));
  const { error } = await updates.value();
  assert.ok(error instanceof CombinedError);
  assert.equal(error.graphQLErrors[0].extensions.code, 'NOT_AUTHENTICATED');
  await updates.end();
});
