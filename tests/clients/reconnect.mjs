// graphql-ws, of the major version that the first argument says, while the server is restarted: the test does that
// when it reads `> restart`.
import assert from 'node:assert/strict';
import * as demo from './demo.mjs';
import { Heard, step, watched } from './demo.mjs';

const { createClient } = await import(`graphql-ws-${process.argv[2]}`);

const { url, webSocketImpl } = demo;
const { sockets, closed, on } = watched();
// It tries again five times by default, after some seconds.
const client = createClient({ url, webSocketImpl, on });
const prices = new Heard();
const stop = client.subscribe(demo.price, prices);

await step('a server that stops says so', async () => {
  await prices.twoPrices();
  console.log('> restart');
  assert.equal((await closed).code, 1001);
});

await step('the client comes back by itself, and is told the price again', async () => {
  prices.rest.length = 0;
  await prices.twoPrices();
  assert.equal(sockets.connected, 2);
  stop();
});
