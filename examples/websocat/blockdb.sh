#!/usr/bin/env bash
# Blocks, and transfers of ether, as BlockDB tells them:
#
#     TIDINGS_KEY=blink_… examples/websocat/blockdb.sh
set -euo pipefail

exec websocat --no-close -H="Authorization: Bearer ${TIDINGS_KEY:?is not set: tidings serve --demo prints a key}" \
    "${TIDINGS_BLOCKDB_URL:-ws://127.0.0.1:4000/v1/evm/}" <<END
{"action":"subscribe","chain_id":1,"dataset_id":"0101","params":{}}
{"action":"subscribe","chain_id":1,"dataset_id":"0304","params":{"transfer_types":["native"]}}
END
