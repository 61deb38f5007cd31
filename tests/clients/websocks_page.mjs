// Webhooks in a page of another origin, by Chromium's own `EventSource` and `WebSocket`.
import { createServer } from 'node:http';
import { launch } from './browser.mjs';

const page = `<!doctype html>
<title>Webhooks</title>
<script>
  const eventSource = new EventSource(${JSON.stringify(process.env.TIDINGS_STREAM_URL)});
  eventSource.onopen = () => console.log('> open');
  eventSource.onmessage = (event) => {
    const data = JSON.parse(event.data);
    if (data.type === 'webhook') console.log('Webhook received:', JSON.stringify(data.payload));
  };
  eventSource.onerror = () => console.log(eventSource.readyState === EventSource.CLOSED ? '> refused' : '> away');

  const ws = new WebSocket(${JSON.stringify(process.env.TIDINGS_SOCKET_URL)});
  ws.onopen = () => console.log('> socket open');
  ws.onmessage = (event) => console.log('On the socket:', JSON.stringify(JSON.parse(event.data).payload));
  ws.onclose = () => console.log('> socket closed');
</script>`;
const pages = createServer((_, response) => response.writeHead(200, { 'Content-Type': 'text/html' }).end(page));
await new Promise((listening) => pages.listen(0, '127.0.0.1', listening));

const browser = await launch();
const tab = await browser.newPage();
tab.on('console', (message) => console.log(message.text()));
// Of the name `localhost`, so that no address is the same either.
await tab.goto(`http://localhost:${pages.address().port}/`);
