"""The samples of BlockDB's pages with websocket-client: blocks, and transfers of ether, with its own pings."""

import json
import os

import websocket

URL = os.environ["TIDINGS_BLOCKDB_URL"]
HEADER = {"Authorization": f"Bearer {os.environ['TIDINGS_KEY']}"}
BLOCKS = {"chain_id": 1, "dataset_id": "0101"}
TRANSFERS = {"chain_id": 1, "dataset_id": "0304"}

told, pongs, closed = [], [], []


def on_open(ws):
    ws.send(json.dumps({"action": "subscribe", **BLOCKS, "params": {}}))
    ws.send(json.dumps({"action": "subscribe", **TRANSFERS, "params": {"transfer_types": ["native"]}}))


def on_message(ws, text):
    told.append(json.loads(text))
    datasets = {message["dataset_id"] for message in told if "data" in message}
    if datasets == {"0101", "0304"} and pongs:
        ws.close(status=1000, reason=b"enough")


app = websocket.WebSocketApp(
    URL,
    header=HEADER,
    on_open=on_open,
    on_message=on_message,
    on_pong=lambda ws, payload: pongs.append(payload),
    on_error=lambda ws, error: print("error", repr(error)),
    on_close=lambda ws, code, reason: closed.append((code, reason)),
)
app.run_forever(ping_interval=1, ping_timeout=0.9)

acks = [message for message in told if "action" in message]
assert acks == [{"action": "subscribe", **asked, "status": "success"} for asked in (BLOCKS, TRANSFERS)], acks
for message in told:
    if message["dataset_id"] == "0304" and "data" in message:
        assert message["data"]["transfer_type"] == 0, message
        assert isinstance(message["data"]["amount_raw"], str), message
assert closed == [(1000, "enough")], closed

try:
    websocket.create_connection(URL)
except websocket.WebSocketBadStatusException as error:
    assert error.status_code == 401, error
    assert json.loads(error.resp_body)["error"]["code"] == "UNAUTHORIZED", error
else:
    raise AssertionError("it is let in without a key")
print("ok")
