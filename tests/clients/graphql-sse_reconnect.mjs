// graphql-sse, in the mode that the first argument says, while the server is restarted: the test does that when it reads
// `> restart`.
import { createClient } from 'graphql-sse';
import * as demo from './demo.mjs';
import { Heard, step, within } from './demo.mjs';

let told;
const retrying = within(60, new Promise((resolve) => (told = resolve)));
const client = createClient({
  url: demo.httpUrl,
  singleConnection: process.argv[2] === 'single',
  on: { connecting: (again) => again && told() },
});
const prices = new Heard();
const stop = client.subscribe(demo.price, prices);

await step('a server that stops ends the stream, but not the subscription', async () => {
  await prices.twoPrices();
  console.log('> restart');
  await retrying;
});

await step('the client comes back by itself, and is told the price again', async () => {
  prices.rest.length = 0;
  await prices.twoPrices();
  stop();
});
