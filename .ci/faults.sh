#!/usr/bin/env bash
# Runs PostHog's clients under `orgd exec`, with a fault at every step in turn: 429, 503, a reset connection, an answer that is
# lost after the write, and one that breaks off. What became of what they wrote must be what .ci/faults/expected.txt says:
# never twice, and lost only where the client does not repeat. So that who says so is not blind, each client also meets a
# server that stores twice, and one that loses some: that must be in the table as well.
#
#   .ci/faults.sh [path of the orgd binary]          UPDATE_EXPECTED=1 writes the table
#
# Needs what .ci/sdks.sh and .ci/clients.sh have installed; whatever is missing is skipped, loudly.
set -euo pipefail
cd "$(dirname "$0")/.."
orgd=$(realpath "${1:-target/release/orgd}")
[ -x "$orgd" ] || { echo "there is no $orgd: build it first" >&2; exit 1; }
folder=$PWD/target/sdks
mkdir -p "$folder"
. .ci/node.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PYTHONPATH=$PWD/packages/python/src PYTHONDONTWRITEBYTECODE=1 ORGD_NODE=$PWD/packages/node/index.js ORGD_SPOIL=$PWD/.ci/faults/spoil.py

# Runs a client, and keeps its lines: client NAME FLAG… -- COMMAND…
client() {
    local name=$1 started=$SECONDS
    shift
    timeout 900 "$orgd" exec "$@" > "$work/$name" || {
        local code=$?
        cat "$work/$name" >&2
        echo "$name has ended with $code" >&2
        exit 1
    }
    echo "$name: $(wc -l < "$work/$name") runs in $((SECONDS - started)) s"
}

# Most of their time is waiting: they run beside each other. beside NAME FLAG… -- COMMAND…
running=()
beside() {
    client "$@" &
    running+=($!)
}

beside terraform -- python3 .ci/faults/terraform.py
if "$folder/python/bin/python" -c 'import posthog' 2> /dev/null; then
    beside posthog-python -- "$folder/python/bin/python" .ci/faults/posthog_python.py
else
    skip posthog-python ".ci/sdks.sh has not installed it"
fi
if [ -d "$folder/node_modules/posthog-node" ]; then
    cp .ci/faults/*.mjs "$folder/"
    beside posthog-node -- node "$folder/posthog_node.mjs"
    if find_chromium; then
        beside posthog-js --sdk-folder "$folder/node_modules/posthog-js/dist" -- node "$folder/posthog_js.mjs" "$chromium"
    else
        skip posthog-js "$why"
    fi
else
    skip "posthog-node and posthog-js" ".ci/sdks.sh has not installed them"
fi
cli=$PWD/target/clients/node_modules/@posthog/cli/lib/posthog-api-cli.mjs
if [ -f "$cli" ]; then
    beside posthog-cli -- python3 .ci/faults/cli.py "$cli"
else
    skip "@posthog/cli" ".ci/clients.sh has not installed it"
fi
for one in "${running[@]}"; do wait "$one"; done

# In the table, lines of clients that were skipped are left out of the comparison.
cat "$work"/* > "$work/found"
expected=.ci/faults/expected.txt
[ -z "${UPDATE_EXPECTED:-}" ] || grep -h '|' "$work/found" > "$expected"
sed 's/ | .*//' "$work/found" | sort -u > "$work/clients"
grep -Ff <(sed 's/$/ | /' "$work/clients") "$expected" | sort > "$work/wanted"
sort "$work/found" | diff "$work/wanted" - || { echo "that is not what $expected says (<)" >&2; exit 1; }
bad='TWICE|LOST|NOT DELETED|LEFT|DID NOT COME'
spoilt='[|] a server that (stores twice|loses some) [|]'
if grep -vE "$spoilt" "$expected" | grep -E "($bad)"; then
    echo "a write came twice, was lost, or a fault did not come" >&2
    exit 1
fi
if grep -E "$spoilt" "$expected" | grep -vE "($bad|NOTHING SAID)"; then
    echo "a server that stores twice or loses some was not found out" >&2
    exit 1
fi
echo "$(wc -l < "$work/found") runs: no write came twice, and none was lost that the client believes in, but for:"
grep -vE "$spoilt" "$work/found" | grep 'NOTHING SAID'
