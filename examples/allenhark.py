# What a bot does, what a token costs, and the transactions of a wallet:
#
#     pip install websocket-client
#     TIDINGS_KEY=blink_… python allenhark.py
import json
import os

import websocket

URL = os.environ.get("TIDINGS_ALLENHARK_URL", "ws://127.0.0.1:4000/v1/ws")


def on_open(ws):
    for message in [
        {"type": "auth", "apiKey": os.environ["TIDINGS_KEY"]},
        # Without waiting for the answer: it is answered in order.
        {"type": "subscribe", "channel": "bot", "botId": "bot_abc123"},
        {"type": "subscribe", "channel": "price", "mint": "So11111111111111111111111111111111111111112"},
        {"type": "subscribe", "channel": "transactions", "wallet": "9MTZHEdfTSHTe8fBAn2APuPBrjjEFMorD6Tj5ExesS79"},
    ]:
        ws.send(json.dumps(message))


def on_message(ws, text):
    message = json.loads(text)
    print(message.pop("type"), message, flush=True)


def on_close(ws, code, reason):
    print("closed", code, reason, flush=True)


app = websocket.WebSocketApp(URL, on_open=on_open, on_message=on_message, on_close=on_close)
# Its pings are frames of WebSocket, which count as much as {"type":"ping"}.
app.run_forever(ping_interval=30)
