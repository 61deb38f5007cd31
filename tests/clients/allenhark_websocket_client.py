"""AllenHark's API with websocket-client: `auth` and subscriptions when the socket opens, and its own pings."""

import json
import os

import websocket

URL = os.environ["TIDINGS_ALLENHARK_URL"]
MINT = "So11111111111111111111111111111111111111112"
SAYS = [
    {"type": "auth", "apiKey": os.environ["TIDINGS_KEY"]},
    {"type": "subscribe", "channel": "bot", "botId": "bot_abc123"},
    {"type": "subscribe", "channel": "price", "mint": MINT},
    {"type": "subscribe", "channel": "transactions", "wallet": os.environ["TIDINGS_WALLET"]},
    {"type": "subscribe", "channel": "bot", "botId": "bot_nobody"},
]
WANTED = {"bot_update", "price_update", "transaction_confirmed"}

told, pongs, closed = [], [], []


def on_open(ws):
    for message in SAYS:
        ws.send(json.dumps(message))


def on_message(ws, text):
    told.append(json.loads(text))
    if WANTED <= {message["type"] for message in told} and pongs:
        ws.close(status=1000, reason=b"enough")


app = websocket.WebSocketApp(
    URL,
    on_open=on_open,
    on_message=on_message,
    on_pong=lambda ws, payload: pongs.append(payload),
    on_error=lambda ws, error: print("error", repr(error)),
    on_close=lambda ws, code, reason: closed.append((code, reason)),
)
app.run_forever(ping_interval=1, ping_timeout=0.9)

# What was subscribed to first may be told before what is subscribed to next is acknowledged.
answers = [message for message in told if message["type"] not in WANTED]
assert [answer["type"] for answer in answers] == ["auth_success"] + 3 * ["subscribed"] + ["error"], answers
assert answers[-1]["code"] == "NOT_FOUND" and answers[-1]["botId"] == "bot_nobody", answers
prices = [message for message in told if message["type"] == "price_update"]
assert all(price["mint"] == MINT and isinstance(price["price"], float) for price in prices), prices
assert closed == [(1000, "enough")], closed
print("ok")
