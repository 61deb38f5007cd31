// Prices, and the payments of the account that a key belongs to:
//
//     npm install graphql-ws ws
//     TIDINGS_KEY=blink_… node graphql-ws.mjs
import { createClient } from "graphql-ws";
import WebSocket from "ws";

const client = createClient({
  url: process.env.TIDINGS_WS_URL ?? "ws://127.0.0.1:4000/graphql",
  // Browsers have one of their own, and so has Node from version 22 on.
  webSocketImpl: WebSocket,
  // Without a key only what is public can be subscribed to.
  connectionParams: { "X-API-KEY": process.env.TIDINGS_KEY },
});

async function prices() {
  const results = client.iterate({
    query: `subscription ($input: RealtimePriceInput!) {
      realtimePrice(input: $input) {
        errors { message }
        realtimePrice { timestamp btcSatPrice { base offset } }
      }
    }`,
    variables: { input: { currency: "EUR" } },
  });
  for await (const { data, errors } of results) {
    console.log("price", errors ?? data.realtimePrice.realtimePrice);
  }
}

async function payments() {
  const results = client.iterate({
    query: `subscription {
      myUpdates {
        errors { message }
        update {
          __typename
          ... on LnUpdate { status transaction { settlementAmount settlementCurrency } }
          ... on OnChainUpdate { txNotificationType transaction { status settlementAmount } }
          ... on IntraLedgerUpdate { transaction { settlementAmount memo } }
        }
      }
    }`,
  });
  for await (const { data, errors } of results) {
    console.log("update", errors ?? data.myUpdates.update);
  }
}

// The client comes back by itself when the server is restarted; what ends it is an error that stays.
await Promise.all([prices(), payments()]);
