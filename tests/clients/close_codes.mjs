// What graphql-ws, of the major version that the first argument says, does after each close code of docs/close-codes.md.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import WebSocket, { WebSocketServer } from 'ws';

const { createClient } = await import(`graphql-ws-${process.argv[2]}`);
const page = readFileSync(new URL('../../docs/close-codes.md', import.meta.url), 'utf8');

const promised = new Map();
for (const line of page.split('\n')) {
  const [code, , client] = line.split('|').slice(1).map((cell) => cell.trim());
  // Who has left by itself is not of graphql-ws.
  if (!/^\d{4}$/.test(code) || client === 'has left') continue;
  assert.ok((promised.get(code) ?? client) === client, `${code} has two answers`);
  promised.set(code, client);
}
assert.ok(promised.size >= 10, 'there is a table');

for (const [code, client] of promised) {
  const cameBack = await comesBack(Number(code));
  assert.equal(cameBack ? 'comes back' : 'gives up', client, code);
  console.log(`ok ${code} ${client}`);
}

/** Whether the client connects once more after its first connection was acknowledged and then closed with a code. */
async function comesBack(code) {
  const server = new WebSocketServer({ port: 0, handleProtocols: () => 'graphql-transport-ws' });
  let connections = 0;
  server.on('connection', (socket) => {
    connections += 1;
    socket.once('message', () => {
      socket.send('{"type":"connection_ack"}');
      // The second time, whoever has come back is sent away for good.
      socket.close(connections === 1 ? code : 4400, '');
    });
  });
  const client = createClient({
    url: `ws://127.0.0.1:${server.address().port}`,
    webSocketImpl: WebSocket,
    retryWait: async () => {},
  });
  await new Promise((ended) => {
    client.subscribe({ query: 'subscription { price }' }, { next() {}, error: ended, complete: ended });
  });
  await client.dispose();
  server.close();
  return connections > 1;
}
