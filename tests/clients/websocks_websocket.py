"""Webhooks by websocket-client, in the shape of WebSocks' own sample."""

import json
import os

import websocket


def on_message(_, message):
    webhook = json.loads(message)
    print("Webhook received:", json.dumps(webhook["payload"], separators=(",", ":")))


websocket.WebSocketApp(
    os.environ["TIDINGS_SOCKET_URL"],
    on_open=lambda _: print("> open"),
    on_message=on_message,
    on_error=lambda _, error: print(f"> refused {getattr(error, 'status_code', error)}"),
    on_close=lambda _, code, reason: print(f"> closed {code}"),
).run_forever()
