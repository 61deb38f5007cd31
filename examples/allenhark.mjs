// What a bot does, what a token costs, and the transactions of a wallet:
//
//     npm install ws
//     TIDINGS_KEY=blink_… node allenhark.mjs
import WebSocket from "ws";

// Browsers have one of their own, and so has Node from version 22 on: it is used in the same way.
const ws = new WebSocket(process.env.TIDINGS_ALLENHARK_URL ?? "ws://127.0.0.1:4000/v1/ws");
const send = (message) => ws.send(JSON.stringify(message));

ws.onopen = () => {
  send({ type: "auth", apiKey: process.env.TIDINGS_KEY });
  // Without waiting for the answer: it is answered in order.
  send({ type: "subscribe", channel: "bot", botId: "bot_abc123" });
  send({ type: "subscribe", channel: "price", mint: "So11111111111111111111111111111111111111112" });
  send({ type: "subscribe", channel: "transactions", wallet: "9MTZHEdfTSHTe8fBAn2APuPBrjjEFMorD6Tj5ExesS79" });
  setInterval(() => send({ type: "ping" }), 30_000);
};

ws.onmessage = ({ data }) => {
  const message = JSON.parse(data);
  switch (message.type) {
    case "bot_update":
      console.log("bot", message.botId, message.event, message.data);
      break;
    case "price_update":
      console.log("price", message.mint, message.price);
      break;
    case "transaction_confirmed":
      console.log("transaction", message.signature, message.status, "in", message.slot);
      break;
    default:
      // auth_success, subscribed, pong, error.
      console.log(message);
  }
};

ws.onclose = ({ code, reason }) => {
  console.log("closed", code, reason);
  process.exit();
};
