"""The samples of BlockDB's pages with websockets: subscribe, hear a block and its correction, unsubscribe."""

import asyncio
import json
import os

import websockets

URL = os.environ["TIDINGS_BLOCKDB_URL"]
HEADERS = {"Authorization": f"Bearer {os.environ['TIDINGS_KEY']}"}
BLOCKS = {"chain_id": 1, "dataset_id": "0101"}


async def main():
    async with websockets.connect(URL, additional_headers=HEADERS) as ws:
        await ws.send(json.dumps({"action": "subscribe", **BLOCKS, "params": {}}))
        assert json.loads(await ws.recv()) == {"action": "subscribe", **BLOCKS, "status": "success"}
        seen = {}
        async for text in ws:
            message = json.loads(text)
            block = message["data"]
            assert block["_tracing_id"] not in seen.values(), message
            if message["is_reorg"]:
                # It takes the place of the block that was told before.
                assert block["_is_reorg"] and block["block_number"] in seen, message
                break
            seen[block["block_number"]] = block["_tracing_id"]
        await ws.send(json.dumps({"action": "unsubscribe", **BLOCKS}))
        assert json.loads(await ws.recv()) == {"action": "unsubscribe", **BLOCKS, "status": "success"}
    try:
        await websockets.connect(URL)
    except websockets.InvalidStatus as error:
        assert error.response.status_code == 401, error
    else:
        raise AssertionError("it is let in without a key")


asyncio.run(asyncio.wait_for(main(), 60))
print("ok")
