"""AllenHark's API with websockets: a subscription ends, and what it says afterwards is that it has."""

import asyncio
import json
import os

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError

URL = os.environ["TIDINGS_ALLENHARK_URL"]
KEY = os.environ["TIDINGS_KEY"]
MINT = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"


async def say(socket, **message):
    await socket.send(json.dumps(message))


async def heard(socket, wanted):
    async with asyncio.timeout(60):
        while True:
            message = json.loads(await socket.recv())
            if message["type"] == wanted:
                return message


async def prices():
    async with connect(URL) as socket:
        await say(socket, type="auth", apiKey=KEY)
        await say(socket, type="subscribe", channel="price", mint=MINT)
        await heard(socket, "auth_success")
        first = await heard(socket, "price_update")
        while (await heard(socket, "price_update"))["price"] == first["price"]:
            pass
        await say(socket, type="unsubscribe", channel="price", mint=MINT)
        assert await heard(socket, "unsubscribed") == {"type": "unsubscribed", "channel": "price", "mint": MINT}
        await say(socket, type="unsubscribe", channel="price", mint=MINT)
        assert (await heard(socket, "error"))["code"] == "NOT_SUBSCRIBED"
        await (await socket.ping())


async def bad_key():
    async with connect(URL) as socket:
        await say(socket, type="auth", apiKey="wrong")
        assert (await heard(socket, "error"))["code"] == "AUTH_FAILED"
        try:
            await socket.recv()
        except ConnectionClosedError as closed:
            assert (closed.rcvd.code, closed.rcvd.reason) == (4401, "Forbidden"), closed
        else:
            raise AssertionError("it is still open")


asyncio.run(prices())
asyncio.run(bad_key())
print("ok")
