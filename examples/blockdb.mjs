// Logs of two contracts, as BlockDB tells them:
//
//     npm install ws
//     TIDINGS_KEY=blink_… node blockdb.mjs
import WebSocket from 'ws';

const { TIDINGS_BLOCKDB_URL = 'ws://127.0.0.1:4000/v1/evm/', TIDINGS_KEY } = process.env;
const seen = new Set();

const socket = new WebSocket(TIDINGS_BLOCKDB_URL, { headers: { Authorization: `Bearer ${TIDINGS_KEY}` } });

socket.on('open', () => {
  const contract_addresses = [
    'a0b86991c6218b36c1d19d4a2e9eb0ce3606eb48',
    'c02aaa39b223fe8d0a0e5c4f27ead9083c756cc2',
  ];
  socket.send(JSON.stringify({ action: 'subscribe', chain_id: 1, dataset_id: '0103', params: { contract_addresses } }));
});

socket.on('message', (text) => {
  const { action, status, error, data } = JSON.parse(text);
  if (action) return console.log(action, status, error ?? '');
  // A record may be told again: it has the same id then.
  if (seen.has(data._tracing_id)) return;
  seen.add(data._tracing_id);
  console.log('log', data.block_number, data.log_index, 'of', data.contract_address);
});

socket.on('close', (code, reason) => console.log('closed', code, String(reason)));
