// The demo as a script sees it: where it is, what it is asked, and how its answers are waited for.
import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { Kind, parse, visit } from 'graphql';
import WebSocket from 'ws';

const told = (name) => process.env[name] ?? assert.fail(`${name} is not set: see ../it/clients.rs`);

export const url = told('TIDINGS_WS_URL');
export const httpUrl = told('TIDINGS_HTTP_URL');
export const key = told('TIDINGS_KEY');
export const invoice = told('TIDINGS_INVOICE');
/** Where screenshots are left for people. */
export const artifacts = told('TIDINGS_ARTIFACTS');

/** What a client is told that has the account's key. */
export const credentials = { 'X-API-KEY': key };
/** A key of the right form that nobody made. */
export const badCredentials = { 'X-API-KEY': `blink_${'x'.repeat(64)}` };

/** Where a client of Fast Track Rewards looks for it, and what it is told that is the demo's user there. */
export const rewardsUrl = told('TIDINGS_REWARDS_WS_URL');
export const rewardsParams = JSON.parse(told('TIDINGS_REWARDS_PARAMS'));

/** All that is set for clients: Node has a WebSocket of its own from version 22 on. */
export { WebSocket as webSocketImpl };

export const price = {
  query: `subscription price($input: RealtimePriceInput!) {
    realtimePrice(input: $input) {
      errors { message }
      realtimePrice { timestamp btcSatPrice { base offset } }
    }
  }`,
  variables: { input: { currency: 'EUR' } },
};
export const updates = {
  query: `subscription {
    myUpdates {
      errors { message }
      update {
        __typename
        ... on LnUpdate { transaction { ...settled } }
        ... on OnChainUpdate { transaction { ...settled } }
        ... on IntraLedgerUpdate { transaction { ...settled } }
      }
    }
  }
  fragment settled on Transaction { settlementAmount settlementCurrency status }`,
};
export const payment = {
  query: `subscription ($input: LnInvoicePaymentStatusByPaymentRequestInput!) {
    lnInvoicePaymentStatusByPaymentRequest(input: $input) {
      errors { message }
      status
      paymentPreimage
    }
  }`,
  variables: { input: { paymentRequest: invoice } },
};
export const statusUpdate = { query: 'subscription { StatusUpdate { Type Timestamp UserID Data } }' };
/** A document that the server cannot read. */
export const syntaxError = { query: 'subscription { realtimePrice(input: {}) {' };
export const unknownField = { query: 'subscription { fakePrice }' };
/** The same for clients that insist on reading it first: a tree that is printed as none may be written. */
export function unreadable() {
  const tree = parse(unknownField.query, { noLocation: true });
  return visit(tree, { Name: () => ({ kind: Kind.NAME, value: '2fake' }) });
}

/** What a subscription tells, to be taken one by one. It is the observer that all these clients ask for. */
export class Heard {
  #told = [];
  #listener = () => {};

  next = (value) => this.#tell({ value });
  error = (error) => this.#tell({ error });
  complete = () => this.#tell({ complete: true });

  #tell(what) {
    this.#told.push(what);
    this.#listener();
  }

  /** All that was told and is not taken yet. */
  get rest() {
    return this.#told;
  }

  async take() {
    const heard = new Promise((resolve) => (this.#listener = resolve));
    if (this.#told.length === 0) await within(30, heard);
    return this.#told.shift();
  }

  async value() {
    const told = await this.take();
    assert.ok('value' in told, `a value was expected, not ${inspect(told)}`);
    return told.value;
  }

  /** The first value that fits. */
  async until(fits) {
    for (;;) {
      const value = await this.value();
      if (fits(value)) return value;
    }
  }

  async failure() {
    const told = await this.take();
    assert.ok('error' in told, `an error was expected, not ${inspect(told)}`);
    return told.error;
  }

  async completion() {
    assert.deepEqual(await this.take(), { complete: true });
  }

  /** The completion, after whatever values were on their way. */
  async end() {
    while ('value' in (await this.take()));
  }

  /** Takes two prices that differ, of results with `data`. */
  async twoPrices() {
    const base = ({ data, errors, error }) => {
      assert.equal(errors ?? error, undefined);
      const { errors: own, realtimePrice } = data.realtimePrice;
      assert.deepEqual(own, []);
      assert.equal(realtimePrice.btcSatPrice.offset, 12);
      return realtimePrice.btcSatPrice.base;
    };
    const first = base(await this.value());
    assert.ok(first > 0);
    await this.until((result) => base(result) !== first);
  }

  /** Takes results of `myUpdates` until one is a payment. */
  async payment() {
    const paid = await this.until(({ data }) => data.myUpdates.update.transaction);
    const { transaction } = paid.data.myUpdates.update;
    assert.ok(transaction.settlementAmount > 0);
    assert.equal(transaction.settlementCurrency, 'BTC');
  }

  /** Takes what is told of an invoice until it is paid. The test pays when it reads `> pay`. */
  async pendingThenPaid() {
    const status = async () => (await this.value()).data.lnInvoicePaymentStatusByPaymentRequest;
    const pending = await status();
    assert.deepEqual([pending.status, pending.paymentPreimage], ['PENDING', null]);
    console.log('> pay');
    const paid = await status();
    assert.equal(paid.status, 'PAID');
    assert.match(paid.paymentPreimage, /^[0-9a-f]{64}$/);
  }
}

/** One fact, by its name. */
export async function step(name, prove) {
  console.log(`- ${name}`);
  await prove();
}

/** Insists that a promise is kept in time. */
export async function within(seconds, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing came for ${seconds} s`)), seconds * 1000);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Counts the sockets that a client of graphql-ws opens and loses; `closed` is the first one's end. */
export function watched() {
  const sockets = { connected: 0, closes: [] };
  let close;
  const closed = new Promise((resolve) => (close = resolve));
  const on = {
    connected: () => (sockets.connected += 1),
    closed: (event) => {
      sockets.closes.push(event.code);
      close(event);
    },
  };
  return { sockets, on, closed: within(60, closed) };
}
