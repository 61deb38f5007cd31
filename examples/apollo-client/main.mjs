// The script of index.html, which says how it is run:
//
//     open http://127.0.0.1:8080/?server=http://127.0.0.1:4000/graphql
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, Observable, gql } from "@apollo/client";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { print } from "graphql";
import { createClient as createSseClient } from "graphql-sse";
import { createClient as createWsClient } from "graphql-ws";

const url = new URLSearchParams(location.search).get("server") ?? "http://127.0.0.1:4000/graphql";

const PRICES = `subscription { realtimePrice(input: { currency: "EUR" }) { realtimePrice { btcSatPrice { base offset } } } }`;
const PAYMENTS = `subscription {
  myUpdates {
    update {
      ... on LnUpdate { transaction { id settlementAmount settlementCurrency } }
      ... on OnChainUpdate { transaction { id settlementAmount settlementCurrency } }
      ... on IntraLedgerUpdate { transaction { id settlementAmount settlementCurrency } }
    }
  }
}`;

const UNITS = { BTC: "sat", USD: "US cents" };

/** As the recipes of graphql-sse have it. */
class SseLink extends ApolloLink {
  constructor(options) {
    super();
    this.client = createSseClient(options);
  }
  request({ query, variables, operationName, extensions }) {
    const request = { query: print(query), variables, operationName, extensions };
    return new Observable((sink) =>
      this.client.subscribe(request, {
        next: (result) => sink.next(result),
        error: (error) => sink.error(error),
        complete: () => sink.complete(),
      }),
    );
  }
}

/** Credentials go into the first message of a socket, and into the headers of a request. */
const links = {
  websocket: (credentials) =>
    new GraphQLWsLink(createWsClient({ url: url.replace(/^http/, "ws"), connectionParams: credentials })),
  // A browser opens six connections at most to one server over HTTP/1.1: one for all operations is enough.
  sse: (credentials) => new SseLink({ url, singleConnection: true, headers: () => ({ ...credentials }) }),
  multipart: (credentials) => new HttpLink({ uri: url, headers: credentials }),
};

function show(row, column, text) {
  document.querySelector(`#${row} .${column}`).textContent = text;
}

function showResult(row, { data, error }) {
  const price = data?.realtimePrice?.realtimePrice?.btcSatPrice;
  const payment = data?.myUpdates?.update?.transaction;
  if (price) show(row, "price", (price.base / 10 ** price.offset).toFixed(6));
  if (payment) show(row, "payment", `${payment.settlementAmount} ${UNITS[payment.settlementCurrency]}`);
  if (error) show(row, "price", error.message);
}

function connect(row, query, credentials) {
  const client = new ApolloClient({ link: links[row](credentials), cache: new InMemoryCache() });
  client.subscribe({ query: gql(query) }).subscribe((result) => showResult(row, result));
}

for (const row in links) connect(row, PRICES);
document.querySelector("#key").addEventListener("change", ({ target }) => {
  for (const row in links) connect(row, PAYMENTS, { "X-API-KEY": target.value });
});

// It comes back by itself. It can send no headers, so it can ask for what is public alone.
const events = new EventSource(`${url}?${new URLSearchParams({ query: PRICES })}`);
events.addEventListener("next", ({ data }) => showResult("eventsource", JSON.parse(data)));
events.addEventListener("complete", () => events.close());
