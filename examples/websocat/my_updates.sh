#!/usr/bin/env bash
# The payments of the account that a key belongs to, and prices in its currency:
#
#     TIDINGS_KEY=blink_… examples/websocat/my_updates.sh
set -euo pipefail

exec websocat --no-close --protocol graphql-transport-ws "${TIDINGS_WS_URL:-ws://127.0.0.1:4000/graphql}" <<END
{"type":"connection_init","payload":{"X-API-KEY":"${TIDINGS_KEY:?is not set: tidings serve --demo prints a key}"}}
{"id":"1","type":"subscribe","payload":{"query":"subscription { myUpdates { errors { message } update { __typename ... on RealtimePrice { btcSatPrice { base offset } } ... on LnUpdate { status transaction { settlementAmount settlementCurrency } } ... on OnChainUpdate { txNotificationType transaction { status settlementAmount } } ... on IntraLedgerUpdate { transaction { settlementAmount memo } } } } }"}}
END
