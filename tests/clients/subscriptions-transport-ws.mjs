// subscriptions-transport-ws, the client of the subprotocol `graphql-ws`: still what older apps are built with.
import assert from 'node:assert/strict';
import { SubscriptionClient } from 'subscriptions-transport-ws';
import WebSocket from 'ws';
import * as demo from './demo.mjs';
import { Heard, step, within } from './demo.mjs';

const { url, credentials: connectionParams } = demo;

/** The types of the messages that sockets were told. */
const told = new Set();
class Watched extends WebSocket {
  constructor(...all) {
    super(...all);
    this.on('message', (message) => told.add(JSON.parse(message).type));
  }
}

/** Whether the server took the credentials is told to a callback: nothing for yes, or what it said. */
function connect(options) {
  let answered;
  const answer = within(30, new Promise((resolve) => (answered = resolve)));
  const connectionCallback = (error) => answered(error ?? 'acknowledged');
  const client = new SubscriptionClient(url, { connectionCallback, ...options }, Watched);
  return { client, answer };
}
const { client, answer } = connect({ connectionParams, reconnect: true });
const connected = { count: 0 };
client.onConnected(() => (connected.count += 1));

const start = (request, from = client) => {
  const heard = new Heard();
  const { unsubscribe } = from.request(request).subscribe(heard);
  heard.stop = unsubscribe;
  return heard;
};

// It does not wait for the acknowledgement before it starts these.
const kept = start(demo.price);
const updates = start(demo.updates);

await step('the credentials are taken, and the connection is kept alive by messages', async () => {
  assert.equal(await answer, 'acknowledged');
  await kept.value();
  assert.deepEqual([...told], ['connection_ack', 'ka', 'data']);
});

await step('prices move until they are no longer wanted', async () => {
  const prices = start(demo.price);
  await prices.twoPrices();
  prices.stop();
  await kept.twoPrices();
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
    [demo.syntaxError, /Syntax Error/],
    [demo.unknownField, /fakePrice/],
  ]) {
    const error = await start(request).failure();
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

await step('all of that took one socket', async () => {
  await kept.twoPrices();
  assert.equal(connected.count, 1);
  client.close();
});

await step('without a key there are no payments', async () => {
  const { client: anonymous } = connect();
  const { errors } = await start(demo.updates, anonymous).value();
  assert.equal(errors[0].extensions.code, 'NOT_AUTHENTICATED');
  anonymous.close();
});

await step('a bad key is refused before anything is started', async () => {
  const { client: refused, answer } = connect({ connectionParams: demo.badCredentials });
  const updates = start(demo.updates, refused);
  assert.deepEqual(await answer, { message: 'Forbidden' });
  assert.deepEqual(updates.rest, []);
  refused.close();
});
