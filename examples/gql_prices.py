# Prices, and the payments of the account that a key belongs to:
#
#     pip install 'gql[websockets]'
#     TIDINGS_KEY=blink_… python gql_prices.py
import asyncio
import os

from gql import Client, gql
from gql.transport.websockets import WebsocketsTransport

URL = os.environ.get("TIDINGS_WS_URL", "ws://127.0.0.1:4000/graphql")
# Without a key only what is public can be subscribed to.
KEY = os.environ.get("TIDINGS_KEY")
PRICES = gql("""
    subscription ($input: RealtimePriceInput!) {
        realtimePrice(input: $input) { errors { message } realtimePrice { timestamp btcSatPrice { base offset } } }
    }
""")
PRICES.variable_values = {"input": {"currency": "EUR"}}
UPDATES = gql("""
    subscription {
        myUpdates {
            errors { message }
            update {
                __typename
                ... on LnUpdate { status transaction { settlementAmount settlementCurrency } }
                ... on OnChainUpdate { txNotificationType transaction { status settlementAmount } }
                ... on IntraLedgerUpdate { transaction { settlementAmount memo } }
            }
        }
    }
""")


async def tell(session, request):
    async for result in session.subscribe(request):
        print(result, flush=True)


async def main():
    async with Client(transport=WebsocketsTransport(URL, init_payload={"X-API-KEY": KEY} if KEY else {})) as session:
        await asyncio.gather(*(tell(session, request) for request in ([PRICES, UPDATES] if KEY else [PRICES])))


asyncio.run(main())
