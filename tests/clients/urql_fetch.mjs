// urql without a socket: it fetches subscriptions, too, as server-sent events.
import assert from 'node:assert/strict';
import { CombinedError, Client, fetchExchange } from '@urql/core';
import { onEnd, pipe, subscribe } from 'wonka';
import * as demo from './demo.mjs';
import { Heard, step } from './demo.mjs';

// When a subscription is stopped while urql reads its stream, nobody waits for the end of that: Node ends a process for it.
process.on('unhandledRejection', (error) => {
  if (error.name !== 'AbortError') throw error;
});

const connect = (headers) =>
  new Client({
    url: demo.httpUrl,
    fetchOptions: { headers },
    fetchSubscriptions: true,
    preferGetMethod: false,
    exchanges: [fetchExchange],
  });
const client = connect(demo.credentials);

const start = ({ query, variables = {} }, from = client) => {
  const heard = new Heard();
  const results = from.subscription(query, variables);
  heard.stop = pipe(results, onEnd(heard.complete), subscribe(heard.next)).unsubscribe;
  return heard;
};

const updates = start(demo.updates);

await step('prices move until they are no longer wanted', async () => {
  const prices = start(demo.price);
  await prices.twoPrices();
  prices.stop();
  await prices.end();
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
    const refused = start(request);
    const { error } = await refused.value();
    assert.ok(error instanceof CombinedError);
    assert.match(error.graphQLErrors[0].message, message);
    assert.equal(error.networkError, undefined);
    await refused.end();
  }
});

await step('payments arrive', async () => {
  await updates.payment();
  updates.stop();
});

await step('without a key there are no payments', async () => {
  const updates = start(demo.updates, connect());
  const { error } = await updates.value();
  assert.equal(error.graphQLErrors[0].extensions.code, 'NOT_AUTHENTICATED');
  await updates.end();
});

await step('a bad key is answered 401', async () => {
  const { error } = await start(demo.updates, connect(demo.badCredentials)).value();
  assert.ok(error instanceof CombinedError);
  assert.equal(error.response.status, 401);
});
