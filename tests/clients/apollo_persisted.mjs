// Apollo Client with PersistedQueryLink: over HTTP (POST, GET, multipart), over a socket, and with a manifest's ids.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, Observable, gql } from '@apollo/client';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { print } from 'graphql';
import { createClient } from 'graphql-ws';
import * as demo from './demo.mjs';
import { Heard, step } from './demo.mjs';

const { url, httpUrl, webSocketImpl, credentials: connectionParams } = demo;
globalThis.WebSocket ??= webSocketImpl;

const sha256 = (text) => createHash('sha256').update(text).digest('hex');
const connect = (link) => new ApolloClient({ link, cache: new InMemoryCache() });
const hear = (client, { query, variables }) => {
  const heard = new Heard();
  const subscription = client.subscribe({ query: gql(query), variables }).subscribe(heard);
  heard.stop = () => subscription.unsubscribe();
  return heard;
};

/** A client over HTTP, and what it sends: the method, and what is said of the document. */
function overHttp(options) {
  const sent = [];
  const watched = async (uri, init) => {
    const { searchParams } = new URL(uri);
    const body = init.method === 'GET' ? Object.fromEntries(searchParams) : JSON.parse(init.body);
    sent.push([init.method, 'query' in body, 'extensions' in body]);
    return fetch(uri, init);
  };
  const http = new HttpLink({ uri: httpUrl, headers: connectionParams, fetch: watched });
  const link = new PersistedQueryLink({ sha256, ...options }).concat(http);
  return { client: connect(link), sent };
}

const account = (name) => gql(`query ${name} { me { id } }`);
const toldAccount = ({ data }) => assert.match(data.me.id, /^[0-9a-f-]{36}$/);

await step('over HTTP a query is asked for by its hash, then sent once, then found', async () => {
  const first = overHttp();
  const query = account('OverHttp');
  toldAccount(await first.client.query({ query }));
  assert.deepEqual(first.sent, [
    ['POST', false, true],
    ['POST', true, true],
  ]);
  const second = overHttp();
  toldAccount(await second.client.query({ query }));
  assert.deepEqual(second.sent, [['POST', false, true]]);
});

await step('over a socket subscriptions run with their hashes beside their texts', async () => {
  const socket = createClient({ url, webSocketImpl, connectionParams });
  const persisted = new PersistedQueryLink({ sha256 });
  const prices = hear(connect(persisted.concat(new GraphQLWsLink(socket))), demo.price);
  await prices.twoPrices();
  prices.stop();
});

await step('and with their hashes alone, once the text was sent', async () => {
  const socket = createClient({ url, webSocketImpl, connectionParams });
  const sent = [];
  // GraphQLWsLink sends the text always; this one does what HttpLink does.
  const thrifty = new ApolloLink((operation) => {
    const { variables, operationName, extensions } = operation;
    const { includeQuery } = operation.getContext().http;
    const query = includeQuery ? print(operation.query) : '';
    sent.push(query !== '');
    return new Observable((observer) =>
      socket.subscribe(
        { query, variables, operationName, extensions },
        {
          next: (result) => observer.next(result),
          error: (errors) => (observer.next({ errors }), observer.complete()),
          complete: () => observer.complete(),
        },
      ),
    );
  });
  const link = () => new PersistedQueryLink({ sha256 }).concat(thrifty);
  const own = { ...demo.price, query: demo.price.query.replace('price(', 'byItsHash(') };
  for (const expected of [[false, true], [false]]) {
    const prices = hear(connect(link()), own);
    await prices.twoPrices();
    prices.stop();
    assert.deepEqual(sent.splice(0), expected);
  }
});

await step('a trusted document is asked for by the id that the manifest has for it', async () => {
  const { client, sent } = overHttp({ generateHash: async () => 'account-of-the-app' });
  toldAccount(await client.query({ query: account('Trusted') }));
  assert.deepEqual(sent, [['POST', false, true]]);
});

await step('hashes go by GET where the client wants them cached, and texts by POST', async () => {
  const first = overHttp({ useGETForHashedQueries: true });
  const query = account('ByGet');
  toldAccount(await first.client.query({ query }));
  assert.deepEqual(first.sent, [
    ['GET', false, true],
    ['POST', true, true],
  ]);
  const second = overHttp({ useGETForHashedQueries: true });
  toldAccount(await second.client.query({ query }));
  assert.deepEqual(second.sent, [['GET', false, true]]);
});

await step('a multipart subscription is asked for by its hash, too', async () => {
  const own = { ...demo.price, query: demo.price.query.replace('price(', 'inParts(') };
  for (const expected of [2, 1]) {
    const { client, sent } = overHttp();
    const prices = hear(client, own);
    await prices.twoPrices();
    prices.stop();
    assert.equal(sent.length, expected);
    assert.deepEqual(sent[0], ['POST', false, true]);
  }
});
