"""gql over websockets, as it comes; with the subprotocol that the first argument says, if there is one."""

import asyncio
import os
import sys

from gql import Client, GraphQLRequest, gql
from gql.transport.exceptions import TransportConnectionFailed, TransportQueryError, TransportServerError
from gql.transport.websockets import WebsocketsTransport
from graphql import NameNode, Visitor, visit
from websockets.exceptions import ConnectionClosedError

URL = os.environ["TIDINGS_WS_URL"]
# By default it offers both, and takes what the server chooses.
SUBPROTOCOLS = sys.argv[1:] or None
CREDENTIALS = {"X-API-KEY": os.environ["TIDINGS_KEY"]}
BAD_CREDENTIALS = {"X-API-KEY": "blink_" + "x" * 64}

PRICE = gql("""
    subscription price($input: RealtimePriceInput!) {
        realtimePrice(input: $input) {
            errors { message }
            realtimePrice { timestamp btcSatPrice { base offset } }
        }
    }
""")
PRICE.variable_values = {"input": {"currency": "EUR"}}
UPDATES = gql("""
    subscription {
        myUpdates {
            errors { message }
            update {
                __typename
                ... on LnUpdate { transaction { settlementAmount } }
                ... on OnChainUpdate { transaction { settlementAmount } }
                ... on IntraLedgerUpdate { transaction { settlementAmount } }
            }
        }
    }
""")
PAYMENT = gql("""
    subscription ($input: LnInvoicePaymentStatusByPaymentRequestInput!) {
        lnInvoicePaymentStatusByPaymentRequest(input: $input) { status paymentPreimage }
    }
""")
PAYMENT.variable_values = {"input": {"paymentRequest": os.environ["TIDINGS_INVOICE"]}}
UNKNOWN_FIELD = gql("subscription { fakePrice }")


class Misspell(Visitor):
    """Names that may not be written: gql reads every document before it sends it."""

    def enter_name(self, *_):
        return NameNode(value="2fake")


SYNTAX_ERROR = GraphQLRequest(visit(UNKNOWN_FIELD.document, Misspell()))


def client(credentials=None):
    return Client(transport=WebsocketsTransport(url=URL, init_payload=credentials, subprotocols=SUBPROTOCOLS))


async def two_prices(session):
    first = None
    async for result in session.subscribe(PRICE):
        base = result["realtimePrice"]["realtimePrice"]["btcSatPrice"]["base"]
        if first not in (None, base):
            return
        first = base


async def payment(session):
    async for result in session.subscribe(UPDATES):
        transaction = result["myUpdates"]["update"].get("transaction")
        if transaction:
            assert transaction["settlementAmount"] > 0
            return


async def pending_then_paid(session):
    told = []
    async for result in session.subscribe(PAYMENT):
        told.append(result["lnInvoicePaymentStatusByPaymentRequest"])
        if len(told) == 1:
            # The test pays when it reads this.
            print("> pay", flush=True)
    assert [state["status"] for state in told] == ["PENDING", "PAID"], told
    assert told[0]["paymentPreimage"] is None
    assert len(told[1]["paymentPreimage"]) == 64


async def failure(session, request):
    try:
        async for result in session.subscribe(request):
            raise AssertionError(f"an error was expected, not {result}")
    except TransportQueryError as error:
        return error.errors[0]
    raise AssertionError("an error was expected, not the end")


async def main():
    async with client(CREDENTIALS) as session:
        print("- prices move, until they are no longer wanted")
        await two_prices(session)
        print("- payments arrive, while an invoice is pending, then paid, then there is no more to say")
        await asyncio.gather(payment(session), pending_then_paid(session))
        print("- a syntax error and an unknown field are errors of one subscription")
        assert "Syntax Error" in (await failure(session, SYNTAX_ERROR))["message"]
        assert "fakePrice" in (await failure(session, UNKNOWN_FIELD))["message"]
        await two_prices(session)

    print("- without a key there are no payments")
    async with client() as session:
        error = await failure(session, UPDATES)
        assert error["extensions"]["code"] == "NOT_AUTHENTICATED", error

    print("- a bad key is not let in")
    try:
        async with client(BAD_CREDENTIALS):
            raise AssertionError("a bad key was taken")
    except TransportServerError as error:
        # The older subprotocol has a message for it.
        assert "'message': 'Forbidden'" in str(error), error
        assert SUBPROTOCOLS == ["graphql-ws"]
    except TransportConnectionFailed as error:
        closed = error.__cause__
        assert isinstance(closed, ConnectionClosedError), closed
        assert (closed.rcvd.code, closed.rcvd.reason) == (4403, "Forbidden"), closed


asyncio.run(asyncio.wait_for(main(), 60))
