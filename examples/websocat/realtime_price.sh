#!/usr/bin/env bash
# What one sat costs in a currency, now and at each change:
#
#     examples/websocat/realtime_price.sh [EUR]
set -euo pipefail

exec websocat --no-close --protocol graphql-transport-ws "${TIDINGS_WS_URL:-ws://127.0.0.1:4000/graphql}" <<END
{"type":"connection_init","payload":{}}
{"id":"1","type":"subscribe","payload":{"query":"subscription (\$input: RealtimePriceInput!) { realtimePrice(input: \$input) { errors { message } realtimePrice { timestamp btcSatPrice { base offset } } } }","variables":{"input":{"currency":"${1:-EUR}"}}}}
END
