/** Below the result: whether a subscription runs, what came, the newest first, and why the socket is gone. */
import { useSyncExternalStore } from 'react';
import { closing } from './endpoint.js';

export function Status({ endpoint }) {
  const status = useSyncExternalStore(endpoint.watch, endpoint.status);
  const { tone, words } = describe(status, endpoint.url);
  return (
    <div className="status">
      <p className={tone} role="status">
        {words}
      </p>
      {status.recent.length > 0 && (
        <ol reversed start={status.results} aria-label="Results, the newest first">
          {status.recent.map(({ number, at, text }) => (
            <li key={number} title={text}>
              <time dateTime={at.toISOString()}>{at.toLocaleTimeString([], { hourCycle: 'h23' })}</time> {text}
            </li>
          ))}
        </ol>
      )}
    </div>
  );
}

function describe({ socket, run, results, close }, url) {
  const came = results === 1 ? '1 result' : `${results} results`;
  switch (run) {
    case 'running':
      if (close) return { tone: 'bad', words: `The socket was closed: ${closing(close)}. Connecting again …` };
      if (socket !== 'open') return { tone: 'waiting', words: `Connecting to ${url} …` };
      return { tone: 'good', words: `Running: ${came}` };
    case 'stopped':
      return { tone: 'quiet', words: `Stopped after ${came}` };
    case 'completed':
      return { tone: 'quiet', words: `Completed by the server after ${came}` };
    case 'failed':
      return { tone: 'bad', words: close ? `The socket was closed: ${closing(close)}` : `Failed after ${came}` };
    default:
      return { tone: 'quiet', words: url };
  }
}
