// The samples of BlockDB's pages with npm's ws: the key as a bearer, and as a parameter.
import assert from 'node:assert/strict';
import WebSocket from 'ws';
import { step, within } from './demo.mjs';

const { TIDINGS_BLOCKDB_URL: url, TIDINGS_KEY: key } = process.env;
const blocks = { chain_id: 1, dataset_id: '0101' };

/** Says these things when the socket opens, and gives what is told until `enough` says so. */
function session({ socket, says, enough }) {
  return within(60, new Promise((resolve, reject) => {
    const told = [];
    socket.on('open', () => says.forEach((message) => socket.send(JSON.stringify(message))));
    socket.on('message', (data) => {
      told.push(JSON.parse(data));
      const next = enough(told);
      if (next === true) socket.close(1000, 'enough');
      else if (next) socket.send(JSON.stringify(next));
    });
    socket.on('error', reject);
    socket.on('close', (code) => resolve({ told, code }));
  }));
}

await step('blocks are acknowledged, told and left', async () => {
  const socket = new WebSocket(url, { headers: { Authorization: `Bearer ${key}` } });
  const { told, code } = await session({
    socket,
    says: [{ action: 'subscribe', ...blocks, params: {} }],
    enough: (told) => {
      if (told.length === 3) return { action: 'unsubscribe', ...blocks };
      return told.at(-1).action === 'unsubscribe';
    },
  });
  assert.equal(code, 1000);
  assert.deepEqual(told[0], { action: 'subscribe', ...blocks, status: 'success' });
  for (const block of told.slice(1, 3)) {
    assert.deepEqual(Object.keys(block), ['chain_id', 'dataset_id', 'is_reorg', 'data']);
    assert.match(block.data._tracing_id, /^0101[0-9a-f]{36}$/);
    assert.equal(block.data._is_reorg, block.is_reorg);
  }
  assert.deepEqual(told.at(-1), { action: 'unsubscribe', ...blocks, status: 'success' });
});

await step('what is wrong with the parameters is named, and the socket stays', async () => {
  const { told } = await session({
    socket: new WebSocket(`${url}?api_key=${key}`),
    says: [
      { action: 'subscribe', chain_id: 1, dataset_id: '0103', params: { topic_zeros: ['0xdd'] } },
      { action: 'subscribe', ...blocks, params: {} },
    ],
    enough: (told) => told.length === 3,
  });
  const [{ status, error }] = told;
  assert.equal(status, 'error');
  assert.deepEqual(error.details.invalid_parameters, [{ name: 'params.topic_zeros[0]', reason: 'invalid_format' }]);
  assert.equal(told[2].dataset_id, '0101');
});

await step('without a key the upgrade is refused with 401', async () => {
  const refused = await within(60, new Promise((resolve, reject) => {
    const socket = new WebSocket(url);
    socket.on('unexpected-response', (_, response) => resolve(response));
    socket.on('error', () => {});
    socket.on('open', () => reject(new Error('it is let in')));
  }));
  assert.equal(refused.statusCode, 401);
  let body = '';
  for await (const chunk of refused) body += chunk;
  assert.equal(JSON.parse(body).error.code, 'UNAUTHORIZED');
});
