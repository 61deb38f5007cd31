// What apps send that were built with Apollo's clients for iOS and Android when `graphql-ws` was the only subprotocol,
// frame by frame: those clients are not to be had for Node.
import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import WebSocket from 'ws';
import * as demo from './demo.mjs';
import { Heard, step, within } from './demo.mjs';

/** A socket whose messages can be waited for. Keep-alives are for the clock alone, as in the apps. */
async function connect(headers) {
  const socket = new WebSocket(demo.url, 'graphql-ws', { headers });
  const heard = new Heard();
  socket.on('message', (text) => {
    const message = JSON.parse(text);
    if (message.type !== 'ka') heard.next(message);
  });
  const closed = within(60, once(socket, 'close')).then(([code, reason]) => [code, String(reason)]);
  await within(30, once(socket, 'open'));
  const say = (message) => socket.send(JSON.stringify(message));
  return { socket, heard, say, closed };
}

/** The first message of an operation of this type, after whatever others are told. */
const told = (heard, id, type) => heard.until((message) => message.id === id && message.type === type);

await step('Apollo iOS waits for the acknowledgement, counts its operations, and leaves the closing to the server', async () => {
  const { heard, say, closed } = await connect({
    'apollographql-client-name': 'com.example.wallet-apollo-ios',
    'apollographql-client-version': '1.0-1',
  });
  say({ payload: demo.credentials, type: 'connection_init' });
  assert.deepEqual(await heard.value(), { type: 'connection_ack' });
  const { query, variables } = demo.price;
  say({ id: '1', payload: { operationName: 'price', query, variables }, type: 'start' });
  say({ id: '2', payload: { query: demo.unknownField.query, variables: {} }, type: 'start' });
  // What is no object it cannot read.
  const { payload } = await told(heard, '2', 'error');
  assert.match(payload.message, /fakePrice/);
  assert.ok((await told(heard, '1', 'data')).payload.data.realtimePrice);
  say({ id: '1', type: 'stop' });
  await told(heard, '1', 'complete');
  say({ type: 'connection_terminate' });
  assert.deepEqual(await closed, [1000, 'Terminated by the client']);
});

await step('Apollo Android asks for a stored document by its hash, and says goodbye in the reason of its close', async () => {
  const { socket, heard, say, closed } = await connect({ Cookie: '' });
  // Without credentials there is no payload.
  say({ type: 'connection_init' });
  assert.deepEqual(await heard.value(), { type: 'connection_ack' });
  const id = randomUUID();
  // A document of this run alone, so that nobody has asked it before.
  const query = `${demo.price.query} # ${id}`;
  const persistedQuery = { version: 1, sha256Hash: createHash('sha256').update(query).digest('hex') };
  const { variables } = demo.price;
  const payload = { variables, operationName: 'price', extensions: { persistedQuery } };
  say({ id, type: 'start', payload });
  const refused = await told(heard, id, 'error');
  assert.equal(refused.payload.message, 'PersistedQueryNotFound');
  say({ id, type: 'start', payload: { ...payload, query } });
  assert.ok((await told(heard, id, 'data')).payload.data.realtimePrice);
  const again = randomUUID();
  say({ id: again, type: 'start', payload });
  assert.ok((await told(heard, again, 'data')).payload.data.realtimePrice);
  socket.close(1001, '{"type":"connection_terminate"}');
  await closed;
});

await step('Apollo Kotlin takes the first message for the answer to its own', async () => {
  const { socket, heard, say, closed } = await connect();
  say({ type: 'connection_init', payload: demo.badCredentials });
  assert.deepEqual(await heard.value(), { type: 'connection_error', payload: { message: 'Forbidden' } });
  assert.deepEqual(await closed, [4403, 'Forbidden']);
  socket.terminate();
});
