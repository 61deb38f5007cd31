// The stack that the original runs: graphql-ws over ws, and graphql-redis-subscriptions. Resolvers do what the original's
// do for each subscriber and event; what it asks other services for (prices, who a key belongs to) is known here.
//
//   node server.mjs LISTEN_ADDRESS REDIS_ADDRESS

import { createHash, randomUUID } from "node:crypto";
import {
  GraphQLBoolean,
  GraphQLID,
  GraphQLInputObjectType,
  GraphQLInt,
  GraphQLList,
  GraphQLNonNull,
  GraphQLObjectType,
  GraphQLScalarType,
  GraphQLSchema,
  GraphQLString,
  GraphQLUnionType,
} from "graphql";
import redisSubscriptions from "graphql-redis-subscriptions";
import { useServer } from "graphql-ws/lib/use/ws";
import { Redis } from "ioredis";
import { WebSocketServer } from "ws";

const [listen, redis] = process.argv.slice(2);
const [host, port] = listen.split(":");
const [redisHost, redisPort] = redis.split(":");

// As the original does it: what a new subscriber is told first goes through Redis, this much later.
const FIRST_MESSAGE_DELAY_MS = 10;
const PING_INTERVAL_MS = 12_000;

const connect = () => new Redis({ host: redisHost, port: Number(redisPort), maxRetriesPerRequest: null });
const pubsub = new redisSubscriptions.RedisPubSub({ publisher: connect(), subscriber: connect() });

let lastPrice = null;
await pubsub.subscribe("PRICE_UPDATE_USD", (price) => {
  lastPrice = price;
});

const publishDelayed = (channel, body) =>
  setTimeout(() => pubsub.publish(channel, body), FIRST_MESSAGE_DELAY_MS);

// Asked of the formatter for every price of every subscriber, as in the original.
const currencyExponent = (currency) =>
  new Intl.NumberFormat("en-US", { style: "currency", currency }).resolvedOptions().minimumFractionDigits;

const minorUnits = (amount, currency) => amount * 10 ** currencyExponent(currency);

const uuidByText = (text) => {
  const digest = createHash("sha1").update(text).digest();
  digest[6] = (digest[6] & 0x0f) | 0x50;
  digest[8] = (digest[8] & 0x3f) | 0x80;
  const hex = digest.toString("hex", 0, 16);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
};

const realtimePrice = ({ timestamp, displayCurrency, pricePerSat, pricePerUsdCent }) => {
  const at = new Date(timestamp);
  return {
    id: uuidByText(`${at}-${displayCurrency}`),
    timestamp: at,
    denominatorCurrency: displayCurrency,
    btcSatPrice: {
      base: Math.round(minorUnits(pricePerSat, displayCurrency) * 10 ** 12),
      offset: 12,
      currencyUnit: "MINOR",
    },
    usdCentPrice: {
      base: Math.round(minorUnits(pricePerUsdCent, displayCurrency) * 10 ** 6),
      offset: 6,
      currencyUnit: "MINOR",
    },
  };
};

const scalar = (name, serialize) => new GraphQLScalarType({ name, ...(serialize && { serialize }) });
const SafeInt = scalar("SafeInt", (value) => {
  if (!Number.isSafeInteger(value)) throw new Error(`SafeInt cannot represent non 53-bit signed integer value: ${value}`);
  return value;
});
const Timestamp = scalar("Timestamp", (value) => Math.floor(new Date(value).getTime() / 1000));
const DisplayCurrency = scalar("DisplayCurrency");
const SignedAmount = scalar("SignedAmount");
const PaymentHash = scalar("PaymentHash");
const WalletId = scalar("WalletId");
const Memo = scalar("Memo");

const required = (type) => new GraphQLNonNull(type);
const object = (name, fields) => new GraphQLObjectType({ name, fields });

const GraphQLError = object("GraphQLApplicationError", {
  message: { type: required(GraphQLString) },
  code: { type: GraphQLString },
  path: { type: new GraphQLList(GraphQLString) },
});
const errors = { type: required(new GraphQLList(required(GraphQLError))) };

const minorPrice = (name) =>
  object(name, {
    base: { type: required(SafeInt) },
    offset: { type: required(GraphQLInt) },
    currencyUnit: { type: required(GraphQLString) },
  });
const RealtimePrice = object("RealtimePrice", {
  id: { type: required(GraphQLID) },
  timestamp: { type: required(Timestamp) },
  denominatorCurrency: { type: required(DisplayCurrency) },
  btcSatPrice: { type: required(minorPrice("PriceOfOneSatInMinorUnit")) },
  usdCentPrice: { type: required(minorPrice("PriceOfOneUsdCentInMinorUnit")) },
});
const Price = object("Price", { base: { type: required(SafeInt) }, offset: { type: required(GraphQLInt) } });

const Transaction = object("Transaction", {
  id: { type: required(GraphQLID) },
  status: { type: required(GraphQLString), resolve: ({ status }) => status.toUpperCase() },
  direction: {
    type: required(GraphQLString),
    resolve: ({ settlementAmount }) => (settlementAmount > 0 ? "RECEIVE" : "SEND"),
  },
  memo: { type: Memo },
  settlementAmount: { type: required(SignedAmount) },
  settlementCurrency: { type: required(GraphQLString) },
  createdAt: { type: required(Timestamp) },
});
const LnUpdate = object("LnUpdate", {
  paymentHash: { type: required(PaymentHash) },
  status: { type: required(GraphQLString) },
  walletId: { type: required(WalletId) },
  transaction: { type: required(Transaction) },
});
const UserUpdate = new GraphQLUnionType({
  name: "UserUpdate",
  types: [LnUpdate, Price, RealtimePrice],
  resolveType: ({ resolveType }) => resolveType,
});

const account = object("User", { id: { type: required(GraphQLID) } });

const myUpdates = (source, { account }) => {
  if (source.invoice) {
    const { invoice } = source;
    return {
      errors: [],
      me: account,
      update: { resolveType: "LnUpdate", ...invoice, status: invoice.status.toUpperCase() },
    };
  }
  if (source.price) {
    const base = Math.round(minorUnits(source.price.pricePerSat, "USD") * 10 ** 12);
    return { errors: [], me: null, update: { resolveType: "Price", base, offset: 12 } };
  }
  return {
    errors: [],
    me: account,
    update: { resolveType: "RealtimePrice", ...realtimePrice(source.realtimePrice) },
  };
};

const Subscription = object("Subscription", {
  realtimePrice: {
    type: required(object("RealtimePricePayload", { errors, realtimePrice: { type: RealtimePrice } })),
    args: {
      input: {
        type: required(
          new GraphQLInputObjectType({
            name: "RealtimePriceInput",
            fields: { currency: { type: DisplayCurrency, defaultValue: "USD" } },
          }),
        ),
      },
    },
    resolve: (source, args) => {
      if (source.errors) return { errors: source.errors };
      if (source.displayCurrency !== args.input.currency) throw new Error("Got 'invalid' payload.");
      return { errors: [], realtimePrice: realtimePrice(source) };
    },
    subscribe: () => {
      const own = `PRICE_UPDATE_${randomUUID()}`;
      if (lastPrice) publishDelayed(own, lastPrice);
      return pubsub.asyncIterator([own, "PRICE_UPDATE_USD"]);
    },
  },
  myUpdates: {
    type: required(object("MyUpdatesPayload", { errors, me: { type: account }, update: { type: UserUpdate } })),
    resolve: (source, _, context) => myUpdates(source, context),
    subscribe: (_, __, { account }) => {
      const own = `ACCOUNT_UPDATE_${account.id}`;
      if (lastPrice) {
        publishDelayed(own, { price: lastPrice });
        publishDelayed(own, { realtimePrice: lastPrice });
      }
      return pubsub.asyncIterator([own, "USER_PRICE_UPDATE_USD"]);
    },
  },
});

const schema = new GraphQLSchema({
  query: object("Query", { isAlive: { type: GraphQLBoolean, resolve: () => true } }),
  subscription: Subscription,
});

const accountOf = (key) => {
  const number = Number(key?.replace(/^blink_/, "") ?? 0)
    .toString(16)
    .padStart(12, "0");
  return { id: `${number.slice(-8)}-0000-4000-8000-${number}` };
};

const server = new WebSocketServer({ host, port: Number(port), path: "/graphql", backlog: 1024 });
useServer(
  {
    schema,
    context: ({ connectionParams }) => ({ account: accountOf(connectionParams?.["X-API-KEY"]) }),
  },
  server,
  PING_INTERVAL_MS,
);
