#!/usr/bin/env bash
# What a bot does, what a token costs, and the transactions of a wallet, as AllenHark tells them:
#
#     TIDINGS_KEY=blink_… examples/websocat/allenhark.sh
set -euo pipefail

exec websocat --no-close --ping-interval 30 "${TIDINGS_ALLENHARK_URL:-ws://127.0.0.1:4000/v1/ws}" <<END
{"type":"auth","apiKey":"${TIDINGS_KEY:?is not set: tidings serve --demo prints a key}"}
{"type":"subscribe","channel":"bot","botId":"bot_abc123"}
{"type":"subscribe","channel":"price","mint":"So11111111111111111111111111111111111111112"}
{"type":"subscribe","channel":"transactions","wallet":"9MTZHEdfTSHTe8fBAn2APuPBrjjEFMorD6Tj5ExesS79"}
END
