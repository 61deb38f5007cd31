#!/usr/bin/env bash
# Prices over the older subprotocol, graphql-ws: what clients of subscriptions-transport-ws say.
#
#     examples/websocat/legacy.sh
set -euo pipefail

exec websocat --no-close --protocol graphql-ws "${TIDINGS_WS_URL:-ws://127.0.0.1:4000/graphql}" <<'END'
{"type":"connection_init","payload":{}}
{"id":"1","type":"start","payload":{"query":"subscription { realtimePrice(input: { currency: \"EUR\" }) { errors { message } realtimePrice { timestamp btcSatPrice { base offset } } } }"}}
END
