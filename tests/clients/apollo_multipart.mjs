// Apollo Client over its HttpLink alone: subscriptions are multipart responses.
import assert from 'node:assert/strict';
import { ApolloClient, CombinedGraphQLErrors, HttpLink, InMemoryCache, ServerError, gql } from '@apollo/client';
import * as demo from './demo.mjs';
import { Heard, step } from './demo.mjs';

const answers = [];
const watchingFetch = async (...asked) => {
  const response = await fetch(...asked);
  answers.push(response.headers.get('content-type'));
  return response;
};
const connect = (headers) =>
  new ApolloClient({
    link: new HttpLink({ uri: demo.httpUrl, headers, fetch: watchingFetch }),
    cache: new InMemoryCache(),
  });
const client = connect(demo.credentials);

const start = ({ query, variables }, from = client) => {
  const heard = new Heard();
  const document = typeof query === 'string' ? gql(query) : query;
  const subscription = from.subscribe({ query: document, variables }).subscribe(heard);
  heard.stop = () => subscription.unsubscribe();
  return heard;
};

// Of another currency: Apollo Client shares what is asked twice.
const kept = start({ ...demo.price, variables: { input: { currency: 'USD' } } });
const updates = start(demo.updates);

await step('prices move until they are no longer wanted', async () => {
  const prices = start(demo.price);
  await prices.twoPrices();
  prices.stop();
  const before = prices.rest.length;
  await kept.twoPrices();
  assert.equal(prices.rest.length, before);
});

await step('each is a multipart response', () => {
  assert.equal(answers.length, 3);
  for (const answer of answers) assert.match(answer, /^multipart\/mixed; *boundary="?graphql"?; *subscriptionSpec="?1\.0"?$/);
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
    const refused = start(request);
    const { error } = await refused.value();
    assert.ok(CombinedGraphQLErrors.is(error), `GraphQL errors, not ${error}`);
    assert.match(error.message, message);
    await refused.completion();
  }
});

await step('a query is answered in the same place, as JSON', async () => {
  const { data } = await client.query({ query: gql('{ me { id } }') });
  assert.match(data.me.id, /^[0-9a-f-]{36}$/);
  assert.match(answers.at(-1), /^application\/graphql-response\+json/);
});

await step('payments arrive', async () => {
  await updates.payment();
  updates.stop();
  kept.stop();
});

await step('without a key there are no payments', async () => {
  const updates = start(demo.updates, connect());
  const { error } = await updates.value();
  assert.ok(CombinedGraphQLErrors.is(error), `GraphQL errors, not ${error}`);
  assert.equal(error.errors[0].extensions.code, 'NOT_AUTHENTICATED');
  await updates.completion();
});

await step('a bad key is answered 401', async () => {
  const { error } = await start(demo.updates, connect(demo.badCredentials)).value();
  assert.ok(ServerError.is(error), `an error of the server, not ${error}`);
  assert.equal(error.statusCode, 401);
});
