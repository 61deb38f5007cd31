// subscriptions-transport-ws while the server is restarted: the test does that when it reads `> restart`.
import { SubscriptionClient } from 'subscriptions-transport-ws';
import WebSocket from 'ws';
import * as demo from './demo.mjs';
import { Heard, step, within } from './demo.mjs';

const client = new SubscriptionClient(demo.url, { reconnect: true }, WebSocket);
const gone = within(60, new Promise((resolve) => client.onDisconnected(resolve)));
const back = within(60, new Promise((resolve) => client.onReconnected(resolve)));
const prices = new Heard();
client.request(demo.price).subscribe(prices);

await step('a server that stops closes the socket', async () => {
  await prices.twoPrices();
  console.log('> restart');
  await gone;
});

await step('the client comes back by itself, and is told the price again', async () => {
  await back;
  prices.rest.length = 0;
  await prices.twoPrices();
  client.close();
});
