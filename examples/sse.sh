#!/usr/bin/env bash
# Prices as server-sent events, with nothing but curl; and with a key, the payments of its account instead:
#
#     examples/sse.sh
#     TIDINGS_KEY=blink_… examples/sse.sh
set -euo pipefail

query='subscription { realtimePrice(input: { currency: \"EUR\" }) { errors { message } realtimePrice { timestamp btcSatPrice { base offset } } } }'
set --
if [[ -n ${TIDINGS_KEY:-} ]]; then
    query='subscription { myUpdates { errors { message } update { __typename ... on LnUpdate { transaction { settlementAmount } } } } }'
    set -- --header "X-API-KEY: $TIDINGS_KEY"
fi

# Without --no-buffer curl would wait until it has 4 KB to show. What is refused is answered in JSON: it is shown, too.
exec curl --no-buffer --silent --show-error --fail-with-body "${TIDINGS_HTTP_URL:-http://127.0.0.1:4000/graphql}" \
    --header 'Accept: text/event-stream' --header 'Content-Type: application/json' "$@" \
    --data "{\"query\":\"$query\"}"
