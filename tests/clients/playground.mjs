// The playground in a browser, as somebody uses it who has just started the demo. Nothing but the server is reached.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { PATIENCE, launch } from './browser.mjs';

const told = (name) => process.env[name] ?? assert.fail(`${name} is not set: see ../it/playground.rs`);
const url = told('TIDINGS_PLAYGROUND_URL');
const key = told('TIDINGS_KEY');
const artifacts = told('TIDINGS_ARTIFACTS');

const server = new URL(url);
// A closed network: no other name leads anywhere.
const browser = await launch(`--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE ${server.hostname}`);

/** What must not happen: errors in the console, and requests to anybody else. */
const wrong = [];
const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme: 'light' });
context.setDefaultTimeout(PATIENCE);
/** While it is away, a browser says of each attempt that it failed. */
let isRestarting = false;
context.on('console', (message) => {
  const isWrong = ['error', 'warning'].includes(message.type()) && !isRestarting;
  if (isWrong) wrong.push(`console: ${message.text()}`);
});
context.on('weberror', (error) => wrong.push(`uncaught: ${error.error()}`));
context.on('request', (request) => {
  const { protocol, host } = new URL(request.url());
  if (protocol.startsWith('http') && host !== server.host) wrong.push(`asked elsewhere: ${request.url()}`);
});
context.on('requestfailed', (request) => {
  // What a page asked for that was left before it came.
  const isLeft = request.failure().errorText === 'net::ERR_ABORTED';
  if (!isLeft) wrong.push(`failed: ${request.url()}`);
});
const page = await context.newPage();
const sockets = [];
page.on('websocket', (socket) => sockets.push(socket.url()));

/** One fact, by its name. */
async function step(name, prove) {
  console.log(`- ${name}`);
  try {
    await prove();
  } catch (error) {
    await page.screenshot({ path: join(artifacts, 'playground-failed.png') });
    console.error(wrong);
    throw error;
  }
}

/** The text of a part of the page. Editors show spaces that do not break. */
const text = (selector) => async () => (await page.textContent(selector)).replaceAll('\u00a0', ' ');
const document = text('.graphiql-query-editor .view-lines');
const result = text('.result-window .view-lines');
const results = text('[aria-label^="Results"]');
const status = text('[role="status"]');
const payloadEditor = '[aria-label="Init payload"] .view-lines';
/** Without spaces: long lines are wrapped, and indented. */
const payload = async () => (await text(payloadEditor)()).replaceAll(/\s/g, '');

/** Waits until what is shown fits. */
async function until(show, pattern) {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const shown = await show();
    if (pattern.test(shown)) return shown;
    assert.ok(Date.now() < deadline, `${pattern} is not in: ${shown}`);
    await page.evaluate(() => new Promise(requestAnimationFrame));
  }
}

const open = (name) => page.click(`.graphiql-tab button:text-is("${name}")`);
const run = () => page.click('[aria-label^="Execute query"]');
const stop = () => page.click('[aria-label^="Stop query"]');

async function type(text) {
  await page.click(payloadEditor);
  await page.keyboard.press('Control+A');
  // Brackets that are typed over a selection are put around it.
  await page.keyboard.press('Delete');
  await page.keyboard.type(text);
}

await step('the page opens at the first example', async () => {
  const response = await page.goto(url);
  assert.equal(response.status(), 200);
  assert.match(await page.title(), /Tidings/);
  await until(document, /subscription realtimePrice/);
});

await step('realtimePrice runs by the keyboard, and values move', async () => {
  await page.click('.graphiql-query-editor .view-lines');
  await page.keyboard.press('Control+Enter');
  const base = async () => (await until(result, /"base": \d+/)).match(/"base": (\d+)/)[1];
  const first = await base();
  await until(result, new RegExp(`"base": (?!${first},)`));
  await until(status, /^Running: \d+ results$/);
  await page.screenshot({ path: join(artifacts, 'playground-prices.png') });
});

await step('it can be stopped', async () => {
  await stop();
  await until(status, /^Stopped after/);
});

await step('a wrong init payload is said, and kept', async () => {
  await open('myUpdates');
  await page.click('button:has-text("Init payload")');
  await type('{ "X-API-KEY": ');
  await page.waitForSelector('.init-payload [role="alert"]:has-text("not JSON")');
  await run();
  await until(result, /Not subscribed\. The init payload is not JSON/);
  assert.match(await payload(), /"X-API-KEY":/);
});

await step('a wrong key is refused with a code that is shown', async () => {
  await type(JSON.stringify({ 'X-API-KEY': `blink_${'x'.repeat(64)}` }));
  await run();
  await until(result, /The socket was closed: 4403 Forbidden/);
  await until(status, /4403 Forbidden/);
});

await step('with an API key in the init payload, myUpdates tells of a payment', async () => {
  await type(JSON.stringify({ 'X-API-KEY': key }));
  const before = sockets.length;
  await run();
  await until(results, /"settlementAmount":\d+/);
  await until(status, /^Running: \d+ results$/);
  assert.equal(sockets.length, before + 1);
  await page.screenshot({ path: join(artifacts, 'playground.png') });
  await stop();
});

await step('what was typed is there after a reload, and nowhere in a URL', async () => {
  // GraphiQL keeps a tab a moment after it was changed. Other tabs have the key as well, but not in these words.
  const isKept = (payload) => {
    const { tabs, activeTabIndex } = JSON.parse(localStorage.getItem('tidings:/graphql:graphiql:tabState'));
    return JSON.stringify(tabs[activeTabIndex]).includes(JSON.stringify(payload));
  };
  await page.waitForFunction(isKept, JSON.stringify({ 'X-API-KEY': key }));
  await page.reload();
  await page.click('button:has-text("Init payload")');
  await until(payload, new RegExp(key));
  await until(document, /subscription myUpdates/);
  for (const asked of [...sockets, page.url()]) assert.ok(!asked.includes(key), asked);
});

for (const [name, shown] of [
  ['realtimePrice', /"base"/],
  ['price', /"formattedAmount"/],
  ['invoiceByRequest', /"(PENDING|PAID)"/],
  ['invoiceByHash', /"(PENDING|PAID)"/],
  ['invoice', /"(PENDING|PAID)"/],
  ['StatusUpdate', /"connected"/],
  ['query', /"wallets"/],
]) {
  await step(`the example ${name} runs at once`, async () => {
    await open(name);
    await run();
    await until(result, shown);
  });
}

await step('a demo that is started again has other names, and the examples know them', async () => {
  await open('myUpdates');
  await run();
  await until(status, /^Running: \d+ results?$/);
  isRestarting = true;
  // The test restarts it when it reads this.
  console.log('> restart');
  await until(status, /^The socket was closed: 10.*Connecting again/);
  await until(result, /The socket was closed: 4403 Forbidden/);
  isRestarting = false;
  await run();
  await until(status, /^Running: \d+ results?$/);
  assert.ok(!(await payload()).includes(key));
});

await step('the docs are there', async () => {
  await page.click('[aria-label="Show Documentation Explorer"]');
  await page.click('.graphiql-doc-explorer a:text-is("Subscription")');
  await page.waitForSelector('.graphiql-doc-explorer :text-is("myUpdates")');
});

await step('it is dark where that is liked', async () => {
  await page.emulateMedia({ colorScheme: 'dark' });
  await page.reload();
  await open('price');
  await run();
  await until(status, /^Running: [^1]\d* results$/);
  const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  assert.equal(background, 'rgb(33, 42, 59)');
  await page.screenshot({ path: join(artifacts, 'playground-dark.png') });
});

await step('nothing went wrong unseen', async () => assert.deepEqual(wrong, []));

await browser.close();
