// What happens to a user of a reward program, with a token that is kept fresh:
//
//     npm install graphql-ws ws
//     TIDINGS_TOKEN=$(tidings token --user-id 42) node rewards.mjs
import { randomUUID } from "node:crypto";
import { createClient } from "graphql-ws";
import WebSocket from "ws";

// A front end asks its back end: each time for a newer one.
const newToken = async () => process.env.TIDINGS_TOKEN;

// The same for as long as this page lives: when it comes back, it takes the place of its old connection.
const connectionId = randomUUID();
let refreshing;

const client = createClient({
  url: process.env.TIDINGS_WS_URL ?? "ws://127.0.0.1:4000/rewards-graphql-api/",
  webSocketImpl: WebSocket,
  connectionParams: async () => ({
    connection_id: connectionId,
    // The acknowledgement shall say until when the token is good.
    connection_info: true,
    Authorization: `Bearer ${await newToken()}`,
  }),
  on: {
    connected: (socket, { expiresAt }) => refreshBefore(expiresAt, socket),
    closed: ({ code, reason }) => {
      clearTimeout(refreshing);
      console.log("closed", code, reason);
    },
  },
});

/** Brings a newer token when half of the time is over: in a ping, which the server answers in its pong. */
function refreshBefore(expiresAt, socket) {
  refreshing = setTimeout(async () => {
    const answer = client.on("pong", (received, payload) => {
      if (payload?.authenticated === undefined) return;
      answer();
      console.log("token refreshed:", payload);
      // The same token again is no longer one: it would be sent faster and faster.
      if (payload.authenticated && payload.expiresAt > expiresAt) refreshBefore(payload.expiresAt, socket);
    });
    const payload = { Authorization: `Bearer ${await newToken()}` };
    socket.send(JSON.stringify({ type: "ping", payload }));
  }, Math.min((expiresAt * 1000 - Date.now()) / 2, 2 ** 31 - 1));
}

const updates = client.iterate({
  query: "subscription StatusUpdate { StatusUpdate { Type Timestamp UserID Data } }",
});
for await (const { data, errors } of updates) {
  console.log(errors ?? [data.StatusUpdate.Type, JSON.parse(data.StatusUpdate.Data)]);
}
