// The page of examples/apollo-client in Chromium, from an origin that is not the server's.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { PATIENCE, launch } from './browser.mjs';
import * as demo from './demo.mjs';
import { step } from './demo.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const example = here('../../examples/apollo-client/');

const { outputFiles } = await build({
  entryPoints: [`${example}main.mjs`],
  nodePaths: [here('node_modules')],
  bundle: true,
  write: false,
});
const files = {
  '/': ['text/html', readFileSync(`${example}index.html`)],
  '/main.js': ['text/javascript', outputFiles[0].contents],
};
const pages = createServer((request, response) => {
  const [type, content] = files[new URL(request.url, 'http://page').pathname] ?? [];
  response.writeHead(type ? 200 : 404, { 'Content-Type': type ?? 'text/plain' }).end(content);
});
await new Promise((listening) => pages.listen(0, '127.0.0.1', listening));

const browser = await launch();
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE);
  const complaints = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    const missing = message.location().url.endsWith('/favicon.ico');
    if (message.type() === 'error' && !missing) complaints.push(message.text());
  });

  /** What a cell shows, once that is something else than it was. */
  const changed = async (cell, was = '') => {
    const shown = page.locator(cell);
    try {
      await page.waitForFunction(([cell, was]) => document.querySelector(cell).textContent !== was, [cell, was]);
    } catch (cause) {
      throw new Error(`${cell} stays ${JSON.stringify(was)}: ${complaints}`, { cause });
    }
    return shown.textContent();
  };

  // Of the name `localhost`, so that no address is the same either.
  const from = `http://localhost:${pages.address().port}/`;
  await page.goto(`${from}?server=${encodeURIComponent(demo.httpUrl)}`);

  // The demo pays its invoice after 15 seconds.
  const invoice = page.evaluate(told, `${demo.httpUrl}?${new URLSearchParams(asked(demo.payment))}`);
  // Where something else fails first, that is what is wrong.
  invoice.catch(() => {});

  for (const row of ['websocket', 'sse', 'multipart', 'eventsource']) {
    await step(`prices move over ${row}`, async () => {
      const cell = `#${row} .price`;
      const first = await changed(cell);
      const second = await changed(cell, first);
      for (const price of [first, second]) assert.match(price, /^\d+\.\d{6}$/);
    });
  }

  await page.fill('#key', demo.key);
  await page.press('#key', 'Enter');
  for (const row of ['websocket', 'sse', 'multipart']) {
    await step(`payments arrive over ${row}`, async () => {
      assert.match(await changed(`#${row} .payment`), /^\d+ (sat|US cents)$/);
    });
  }

  await step('an EventSource hears that there is no more to say', async () => {
    const statuses = (await invoice).map(({ data }) => data.lnInvoicePaymentStatusByPaymentRequest.status);
    // On a busy machine it is paid before the page asks.
    assert.ok(['PAID', 'PENDING,PAID'].includes(statuses.join()), `${statuses}`);
  });

  await step('nothing went wrong on the way', () => assert.deepEqual(complaints, []));
  await page.screenshot({ path: join(demo.artifacts, 'apollo-client.png') });
} finally {
  await browser.close();
  pages.close();
}

/** A request, as the parameters of its URL. */
function asked({ query, variables }) {
  return { query, variables: JSON.stringify(variables) };
}

/** What an EventSource is told until that is all. */
function told(url) {
  const events = new EventSource(url);
  const results = [];
  events.addEventListener('next', ({ data }) => results.push(JSON.parse(data)));
  return new Promise((resolve) =>
    events.addEventListener('complete', () => {
      events.close();
      resolve(results);
    }),
  );
}
