// docs/postman_collection.json, request by request as Postman sends them, each with the tests that it brings along; and
// the WebSocket session that its description tells to type.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import WebSocket from 'ws';
import * as demo from './demo.mjs';
import { Heard, step, within } from './demo.mjs';

const collection = JSON.parse(readFileSync(new URL('../../docs/postman_collection.json', import.meta.url), 'utf8'));
const variables = new Map(collection.variable.map(({ key, value }) => [key, value]));
variables.set('url', new URL(demo.httpUrl).origin);
variables.set('apiKey', demo.key);
variables.set('token', demo.rewardsParams.Authorization.replace('Bearer ', ''));

function filled(text) {
  return text.replace(/{{(\w+)}}/g, (_, name) => variables.get(name) ?? assert.fail(`there is no variable ${name}`));
}

async function send({ method, header, url, body }) {
  const { raw, query = [], path } = url;
  // Postman goes by the parts, people by the whole.
  assert.equal(raw.split('?')[0], `{{url}}/${path.join('/')}`);
  assert.equal(raw.split('?')[1] ?? '', query.map(({ key, value }) => `${key}=${value}`).join('&'));
  const headers = Object.fromEntries(header.map(({ key, value }) => [key, filled(value)]));
  const aborted = new AbortController();
  const response = await fetch(filled(raw), { method, headers, body: body && filled(body.raw), signal: aborted.signal });
  return { response, abort: () => aborted.abort() };
}

/** A response that does not end is told apart by its type, as Postman does. */
function isStream(response) {
  return /^(text\/event-stream|multipart\/mixed)/.test(response.headers.get('content-type'));
}

/** Reads a stream until it tells a result, and leaves it open. */
async function firstResult(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = ''; !/"data":\{.+\}/.test(text); ) {
    const { value, done } = await reader.read();
    assert.ok(!done, `the stream ended: ${text}`);
    text += value;
  }
}

/** As much of Postman's `pm` as the collection's tests use. */
function sandbox(response, text) {
  const have = {
    status: (status) => assert.equal(response.status, status, text),
    jsonBody: (path) => {
      const found = path.split('.').reduce((value, name) => value?.[name], JSON.parse(text));
      assert.ok(found ?? false, `${path} in ${text}`);
    },
  };
  return {
    test: (_, prove) => prove(),
    response: { to: { have }, text: () => text },
    collectionVariables: { set: (name, value) => variables.set(name, value) },
  };
}

for (const folder of collection.item) {
  const streams = [];
  for (const { name, event, request } of folder.item) {
    await step(`${folder.name}: ${name}`, async () => {
      const { response, abort } = await send(request);
      const text = isStream(response) ? '' : await response.text();
      for (const { script } of event) new Function('pm', script.exec.join('\n'))(sandbox(response, text));
      if (isStream(response)) streams.push({ told: firstResult(response), abort });
      // What was asked over one stream is told in another.
      if (response.status === 202) await within(30, Promise.all(streams.map(({ told }) => told)));
    });
  }
  await within(30, Promise.all(streams.map(({ told }) => told)));
  for (const { abort } of streams) abort();
}

const sessions = [...collection.info.description.matchAll(/```json\n(.+?)\n```/gs)].map(([, lines]) => lines.split('\n'));
assert.equal(sessions.length, 2);
for (const lines of sessions) {
  await step(`WebSocket: ${lines[1]}`, async () => {
    const socket = new WebSocket(demo.url, 'graphql-transport-ws');
    const heard = new Heard();
    socket.on('message', (text) => heard.next(JSON.parse(text)));
    await within(30, new Promise((open) => socket.on('open', open)));
    for (const line of lines) socket.send(filled(line));
    assert.deepEqual(await heard.value(), { type: 'connection_ack' });
    if (lines.length === 2) {
      const { type, payload } = await heard.value();
      assert.equal(type, 'next');
      assert.ok(payload.data.myUpdates.update);
    }
    socket.close();
  });
}
