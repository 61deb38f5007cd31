// Webhooks by the `eventsource` of npm, in the shape of WebSocks' own sample.
import { EventSource } from 'eventsource';

const eventSource = new EventSource(process.env.TIDINGS_STREAM_URL);

eventSource.onopen = () => console.log('> open');
eventSource.onmessage = (event) => {
  const data = JSON.parse(event.data);
  if (data.type === 'webhook') console.log('Webhook received:', JSON.stringify(data.payload));
};
// The sample closes here. Without that it comes back by itself, unless it is told that its token is bad.
eventSource.onerror = ({ code }) => console.log(code ? `> refused ${code}` : '> away');
