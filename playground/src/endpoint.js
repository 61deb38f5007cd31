/**
 * How the page asks: queries by POST, subscriptions over one WebSocket (graphql-transport-ws), both at the path that
 * the page was opened at. Credentials go into headers and into the init payload, never into a URL.
 */
import { parseJSONC } from '@graphiql/react';
import { Kind, parse } from 'graphql';
import { createClient } from 'graphql-ws';

/** How long a socket is kept that nobody subscribes on. */
const IDLE = 5_000;
/**
 * After these the client would come back and hear the same again (4403, bad credentials), or take the place of the
 * one that has taken its own (4410, the connection_id is used elsewhere): what comes next is for its user to say.
 */
const FINAL_CODES = [4403, 4410];
/** Results that are listed below the latest. */
const RECENT = 50;
/** How often it comes back in vain before it gives up, with longer and longer pauses: a quarter of an hour. */
const ATTEMPTS = 10;

export class Endpoint {
  #http = new URL(location.pathname, location.origin).href;
  #ws = this.#http.replace(/^http/, 'ws');
  #client = null;
  /** The payload that the client was made with, as text. */
  #clientPayload = null;
  #listeners = new Set();
  #status = { socket: 'none', run: 'none', results: 0, recent: [], close: null };

  /** The text of the active tab's init payload, */
  payload = '{}';
  /** and how another is put into its editor. */
  showPayload = (text) => (this.payload = text);
  /** Asked before each operation: how to bring a text up to date, the JSON of what is sent. */
  renewal = async () => (text) => text;

  get url() {
    return this.#ws;
  }

  /** For React's `useSyncExternalStore`. */
  watch = (listener) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };
  status = () => this.#status;

  /** What GraphiQL calls a fetcher. */
  fetch = async ({ query, variables, operationName }, { headers } = {}) => {
    const { name, isSubscription } = operationOf(query, operationName);
    const renew = await this.renewal();
    const renewed = (value) => value && JSON.parse(renew(JSON.stringify(value)));
    const request = { query, variables: renewed(variables), operationName: name };
    if (isSubscription) {
      // Before GraphiQL subscribes: of what fails while it does, it forgets the end.
      const client = this.#connected();
      return { subscribe: (observer) => this.#subscribe(client, request, observer) };
    }
    return this.#post(request, renewed(headers));
  };

  async #post(request, headers) {
    this.#say({ run: 'none', recent: [], close: null });
    const response = await fetch(this.#http, {
      method: 'POST',
      headers: {
        Accept: 'application/graphql-response+json, application/json;q=0.9',
        'Content-Type': 'application/json',
        ...headers,
      },
      body: JSON.stringify(request),
    });
    const text = await response.text();
    try {
      return JSON.parse(text);
    } catch {
      // What a proxy says, for example.
      throw plain(`${response.status} ${response.statusText}: ${text.slice(0, 500)}`);
    }
  }

  #subscribe(client, request, observer) {
    this.#say({ run: 'running', results: 0, recent: [], close: null });
    let isOver = false;
    const over = (status) => {
      if (!isOver) this.#say(status);
      isOver = true;
    };
    const dispose = client.subscribe(request, {
      next: (result) => {
        this.#heard(result);
        observer.next(result);
      },
      error: (error) => {
        over({ run: 'failed' });
        observer.error(said(error, this.#ws));
      },
      complete: () => {
        over({ run: 'completed' });
        observer.complete();
      },
    });
    return {
      unsubscribe: () => {
        over({ run: 'stopped' });
        dispose();
      },
    };
  }

  /** One socket. What was said in `connection_init` cannot be said again: other words need another socket. */
  #connected() {
    let payload;
    try {
      payload = readPayload(this.payload);
    } catch (error) {
      this.#say({ run: 'failed', results: 0, recent: [], close: null });
      throw plain(`Not subscribed. The init payload ${error.message}.`);
    }
    const text = JSON.stringify(payload);
    if (this.#client && this.#clientPayload === text) return this.#client;
    this.#client?.dispose();
    const client = createClient({
      url: this.#ws,
      connectionParams: payload,
      lazyCloseTimeout: IDLE,
      retryAttempts: ATTEMPTS,
      // A server that is away for a moment is no close, but an error without a code.
      shouldRetry: (event) => !FINAL_CODES.includes(event?.code),
    });
    // What an earlier client's socket does is no news any more.
    const say = (status) => this.#client === client && this.#say(status);
    client.on('connecting', () => say({ socket: 'connecting' }));
    client.on('connected', () => say({ socket: 'open' }));
    client.on('closed', (event) => say({ socket: 'closed', close: isOurs(event) ? null : event }));
    this.#client = client;
    this.#clientPayload = text;
    return client;
  }

  #heard(result) {
    const results = this.#status.results + 1;
    // A subscription has one field, and its name is said in the document.
    const told = result.errors ? result : Object.values(result.data ?? {})[0];
    const one = { number: results, at: new Date(), text: JSON.stringify(told) };
    this.#say({ results, recent: [one, ...this.#status.recent].slice(0, RECENT), close: null });
  }

  #say(status) {
    this.#status = { ...this.#status, ...status };
    for (const listener of this.#listeners) listener();
  }
}

/** The init payload that a text is. Comments are no mistake: the examples have some. */
export function readPayload(text) {
  let payload;
  try {
    payload = parseJSONC(text) ?? {};
  } catch (error) {
    throw new Error(`is not JSON: ${error.message}`);
  }
  if (typeof payload !== 'object' || Array.isArray(payload)) throw new Error('is not a JSON object');
  return payload;
}

/** `4403 Forbidden` */
export function closing({ code, reason }) {
  return `${code} ${reason}`.trim();
}

/** GraphiQL looks a moment late: just after a change of the tab it still has the name of the other one's operation. */
function operationOf(query, wanted) {
  try {
    const { definitions } = parse(query);
    const operations = definitions.filter(({ kind }) => kind === Kind.OPERATION_DEFINITION);
    const asked = operations.length === 1 ? operations[0] : operations.find(({ name }) => name?.value === wanted);
    return { name: asked?.name?.value ?? wanted, isSubscription: asked?.operation === 'subscription' };
  } catch {
    // The server says better what is wrong with it.
    return { name: wanted, isSubscription: false };
  }
}

/** What GraphiQL shows in the place of a result. */
function said(error, url) {
  if (Array.isArray(error)) return error;
  if (!isClose(error)) return plain(`Nothing was heard from ${url}: ${error?.message ?? 'it is not reached'}`);
  const hint = HINTS[error.code] ? ` ${HINTS[error.code]}` : '';
  return { ...plain(`The socket was closed: ${closing(error)}.${hint}`), code: error.code, reason: error.reason };
}

/** What the reason does not say. */
const HINTS = {
  1006: 'Is the server there?',
  4403: 'Mend the init payload, and run it again.',
};

function isClose(event) {
  return Boolean(event) && typeof event === 'object' && 'code' in event && 'reason' in event;
}

/** Whether a socket was closed by this page, because nothing is asked on it any more. */
function isOurs(event) {
  return isClose(event) && event.code === 1000;
}

/** An error without a stack, which GraphiQL would show. */
function plain(message) {
  return { message };
}
