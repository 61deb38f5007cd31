// Webhooks by the `ws` of npm, in the shape of WebSocks' own sample.
import WebSocket from 'ws';

const ws = new WebSocket(process.env.TIDINGS_SOCKET_URL);

ws.on('open', () => console.log('> open'));
ws.on('message', (data) => {
  // Whatever comes is a webhook: the sample does not look at its type.
  const webhook = JSON.parse(data);
  console.log('Webhook received:', JSON.stringify(webhook.payload));
});
ws.on('error', (error) => console.log(`> refused ${error.message}`));
ws.on('close', (code) => console.log(`> closed ${code}`));
