#!/usr/bin/env bash
# What 1,000 sats cost in US cents, now and at each change:
#
#     examples/websocat/price.sh
set -euo pipefail

# --no-close: what is said is said at once, but the answers go on.
exec websocat --no-close --protocol graphql-transport-ws "${TIDINGS_WS_URL:-ws://127.0.0.1:4000/graphql}" <<'END'
{"type":"connection_init","payload":{}}
{"id":"1","type":"subscribe","payload":{"query":"subscription { price(input: { amount: 1000, amountCurrencyUnit: BTCSAT, priceCurrencyUnit: USDCENT }) { errors { message } price { base offset currencyUnit formattedAmount } } }"}}
END
