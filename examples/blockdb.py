# Blocks, and their corrections, as BlockDB tells them:
#
#     pip install websocket-client
#     TIDINGS_KEY=blink_… python blockdb.py
import json
import os

import websocket

URL = os.environ.get("TIDINGS_BLOCKDB_URL", "ws://127.0.0.1:4000/v1/evm/")


def on_open(ws):
    ws.send(json.dumps({"action": "subscribe", "chain_id": 1, "dataset_id": "0101", "params": {}}))


def on_message(ws, text):
    message = json.loads(text)
    if "action" in message:
        print(message["action"], message["status"], message.get("error", ""), flush=True)
        return
    # A correction takes the place of the block of the same number.
    kind = "corrected" if message["is_reorg"] else "block"
    print(kind, message["data"]["block_number"], message["data"]["block_hash"], flush=True)


def on_close(ws, code, reason):
    print("closed", code, reason, flush=True)


header = {"Authorization": f"Bearer {os.environ['TIDINGS_KEY']}"}
app = websocket.WebSocketApp(URL, header=header, on_open=on_open, on_message=on_message, on_close=on_close)
app.run_forever()
