// Relay, whose network layer asks queries with fetch and leaves subscriptions to graphql-ws.
import assert from 'node:assert/strict';
import { createClient } from 'graphql-ws';
import relay from 'relay-runtime';
import * as demo from './demo.mjs';
import { compiled } from './relay_compiled.mjs';
import { Heard, step, watched } from './demo.mjs';

const { Environment, Network, Observable, RecordSource, Store, fetchQuery, requestSubscription } = relay;
const { url, webSocketImpl, credentials: connectionParams } = demo;
const { sockets, closed, on } = watched();

/** As Relay's documentation has it. */
function connect({ headers, ...options }) {
  const socket = createClient({ url, webSocketImpl, ...options });
  const fetchOrReject = async ({ text: query }, variables) => {
    const response = await fetch(demo.httpUrl, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', ...headers },
      body: JSON.stringify({ query, variables }),
    });
    return response.json();
  };
  const subscribe = ({ name: operationName, text: query }, variables) =>
    Observable.create((sink) => socket.subscribe({ operationName, query, variables }, sink));
  const environment = new Environment({
    network: Network.create(fetchOrReject, subscribe),
    store: new Store(new RecordSource()),
  });
  return { environment, socket };
}
const { environment } = connect({ connectionParams, headers: connectionParams, on });

const start = ({ query, variables = {} }, from = environment) => {
  const heard = new Heard();
  const { dispose } = requestSubscription(from, {
    subscription: compiled(query),
    variables,
    onNext: (data) => heard.next({ data }),
    onError: heard.error,
    onCompleted: heard.complete,
  });
  heard.stop = dispose;
  return heard;
};

// It keeps the socket open, which graphql-ws opens for the first subscription and closes after the last.
const kept = start(demo.price);
const updates = start(demo.updates);

await step('a query is answered over POST', async () => {
  const { me } = await fetchQuery(environment, compiled('query who { me { id username } }'), {}).toPromise();
  assert.match(me.id, /^[0-9a-f-]{36}$/);
});

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

await step('an unknown field is the error of one subscription', async () => {
  // Relay's compiler would not let it pass: a server that is older than its clients is how it comes about.
  const older = compiled(demo.price.query);
  older.params = { ...older.params, text: demo.unknownField.query, name: undefined };
  const heard = new Heard();
  requestSubscription(environment, {
    subscription: older,
    variables: demo.price.variables,
    onError: heard.error,
  });
  const [error] = await heard.failure();
  assert.match(error.message, /fakePrice/);
  await kept.twoPrices();
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
  const { environment: anonymous, socket } = connect({});
  const { source } = await start(demo.updates, anonymous).failure();
  assert.equal(source.errors[0].extensions.code, 'NOT_AUTHENTICATED');
  // Relay unsubscribes while it is told of the error; graphql-ws takes the completion right behind it for a second end,
  // and does not find out that it could close the socket.
  socket.dispose();
});
