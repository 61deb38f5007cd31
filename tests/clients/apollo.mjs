// Apollo Client over GraphQLWsLink.
import assert from 'node:assert/strict';
import { ApolloClient, CombinedGraphQLErrors, InMemoryCache, gql } from '@apollo/client';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { createClient } from 'graphql-ws';
import * as demo from './demo.mjs';
import { Heard, step, watched } from './demo.mjs';

const { url, webSocketImpl, credentials: connectionParams } = demo;
// The link looks at it when it tells an error of GraphQL from one of the socket.
globalThis.WebSocket ??= webSocketImpl;

const { sockets, closed, on } = watched();
const connect = (options) =>
  new ApolloClient({
    link: new GraphQLWsLink(createClient({ url, webSocketImpl, ...options })),
    cache: new InMemoryCache(),
  });
const client = connect({ connectionParams, on });

const start = ({ query, variables }, from = client) => {
  const heard = new Heard();
  const document = typeof query === 'string' ? gql(query) : query;
  const subscription = from.subscribe({ query: document, variables }).subscribe(heard);
  heard.stop = () => subscription.unsubscribe();
  return heard;
};

// It keeps the socket open, which this client opens for the first subscription and closes after the last.
const kept = start(demo.price);
const updates = start(demo.updates);

await step('prices move until they are no longer wanted', async () => {
  const prices = start(demo.price);
  await prices.twoPrices();
  prices.stop();
  const before = prices.rest.length;
  await kept.twoPrices();
  assert.equal(prices.rest.length, before);
});

await step('an invoice is pending, then paid, then there is no more to say', async () => {
  const invoice = start(demo.payment);
  await invoice.pendingThenPaid();
  await invoice.completion();
});

await step('a syntax error and an unknown field are errors of one subscription', async () => {
  for (const [request, message] of [
    [{ query: demo.unreadable() }, /Syntax Error/],
    [demo.unknownField, /fakePrice/],
  ]) {
    const { error } = await start(request).value();
    assert.ok(CombinedGraphQLErrors.is(error), `GraphQL errors, not ${error}`);
    assert.match(error.message, message);
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
  assert.ok(CombinedGraphQLErrors.is(error), `GraphQL errors, not ${error}`);
  assert.equal(error.errors[0].extensions.code, 'NOT_AUTHENTICATED');
  await updates.completion();
});
