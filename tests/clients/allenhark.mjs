// The published sample of AllenHark's API: `auth` and all subscriptions when the socket opens, without waiting. In Node
// with npm's ws, or in Chromium with its own WebSocket, as the first argument says.
import assert from 'node:assert/strict';
import WebSocket from 'ws';
import { launch } from './browser.mjs';
import { step, within } from './demo.mjs';

const [where] = process.argv.slice(2);
const { TIDINGS_ALLENHARK_URL: url, TIDINGS_KEY: apiKey, TIDINGS_WALLET: wallet } = process.env;
const mint = 'EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v';
const botId = 'bot_abc123';

/** What is told until one of each of these types was, or the socket is closed. Runs in a page, too. */
function session({ url, says, until }, Socket = globalThis.WebSocket) {
  return new Promise((resolve, reject) => {
    const ws = new Socket(url);
    const told = [];
    const missing = new Set(until);
    ws.onopen = () => says.forEach((message) => ws.send(JSON.stringify(message)));
    ws.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      told.push(message);
      missing.delete(message.type);
      if (missing.size === 0) ws.close(1000, 'enough');
    };
    ws.onerror = () => reject(new Error(`no connection; told ${JSON.stringify(told)}`));
    ws.onclose = ({ code, reason }) => resolve({ told, code, reason });
  });
}

const browser = where === 'chromium' ? await launch() : undefined;
try {
  const page = await browser?.newPage();
  const run = (asked) => within(60, page ? page.evaluate(session, asked) : session(asked, WebSocket));

  await step('commands right behind an auth are answered in order, and events follow', async () => {
    const subscribe = (channel, field) => ({ type: 'subscribe', channel, ...field });
    const says = [
      { type: 'auth', apiKey },
      subscribe('bot', { botId }),
      subscribe('price', { mint }),
      subscribe('transactions', { wallet }),
      { type: 'ping' },
    ];
    const until = ['pong', 'bot_update', 'price_update', 'transaction_confirmed'];
    const { told, code, reason } = await run({ url, says, until });
    assert.deepEqual([code, reason], [1000, 'enough']);
    const of = (type) => told.filter((message) => message.type === type);
    assert.deepEqual(told[0], { type: 'auth_success' });
    assert.deepEqual(of('subscribed'), [
      { type: 'subscribed', channel: 'bot', botId },
      { type: 'subscribed', channel: 'price', mint },
      { type: 'subscribed', channel: 'transactions', wallet },
    ]);
    const when = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;
    const [update] = of('bot_update');
    assert.equal(update.botId, botId);
    assert.match(update.event, /^trade_/);
    assert.equal(typeof update.data.signature, 'string');
    const [price] = of('price_update');
    assert.deepEqual(Object.keys(price), ['type', 'mint', 'price', 'volume', 'timestamp']);
    assert.equal(price.mint, mint);
    assert.ok(Math.abs(price.price - 1) < 0.2, `a dollar costs ${price.price} dollars`);
    assert.match(price.timestamp, when);
    const [transaction] = of('transaction_confirmed');
    assert.deepEqual(Object.keys(transaction), ['type', 'signature', 'status', 'slot', 'wallet']);
    assert.equal(transaction.wallet, wallet);
    assert.match(of('pong')[0].timestamp, when);
    assert.deepEqual(of('error'), []);
  });

  await step('a bad key is told so, and closed with a code that says so', async () => {
    const says = [
      { type: 'auth', apiKey: `blink_${'x'.repeat(64)}` },
      { type: 'subscribe', channel: 'price', mint },
    ];
    const { told, code } = await run({ url, says, until: ['subscribed'] });
    assert.deepEqual(told, [{ type: 'error', code: 'AUTH_FAILED', message: 'Invalid API key' }]);
    assert.equal(code, 4401);
  });
} finally {
  await browser?.close();
}
