#!/bin/sh
# Runs posthog-python, posthog-node and, in headless Chromium, posthog-js, unmodified, against a real server: none of
# them may log a warning or an error, and what the server exports must be what they sent.
#
#   .ci/sdks.sh [path of the orgd binary]
#
# Whatever of it cannot be installed is skipped, loudly.
set -eu
cd "$(dirname "$0")/.."

orgd=${1:-target/release/orgd}
folder=$PWD/target/sdks
mkdir -p "$folder"
[ -x "$orgd" ] || { echo "there is no $orgd: build it first" >&2; exit 1; }
. .ci/node.sh

python=$folder/python/bin/python
if ! "$python" -c 'import posthog' 2>/dev/null; then
    python3 -m venv "$folder/python" && "$python" -m pip install --quiet 'posthog>=7.91,<8' >"$folder/pip.log" 2>&1 ||
        { skip posthog-python "pip could not fetch it, see $folder/pip.log"; python=; }
fi
node=
chromium=
if packages posthog-node@5 posthog-js@1 puppeteer-core@25; then
    node=yes
    find_chromium || skip "posthog-js" "$why"
else
    skip "posthog-node and posthog-js" "$why"
fi

export ORGD_SDK_FOLDER="$folder/node_modules/posthog-js/dist"
. .ci/server.sh
token=$(curl -sS --fail -H "Authorization: Bearer $key" "$host/api/projects/1/" | sed -n 's/.*"api_token":"\([^"]*\)".*/\1/p')

[ -z "$python" ] || "$python" .ci/sdks/client.py "$host" "$token" "$key" >"$work/python.json"
if [ -n "$node" ]; then
    # Packages are looked for beside the scripts.
    cp .ci/sdks/*.mjs "$folder/"
    node "$folder/client.mjs" "$host" "$token" "$key" >"$work/node.json"
    [ -z "$chromium" ] || node "$folder/page.mjs" "$host" "$token" "$chromium" >"$work/js.json"
fi
set -- "$work"/*.json
if [ ! -e "$1" ]; then
    skip "every SDK" "none could be installed"
    exit 0
fi
if grep -E ' (WARN|ERROR) ' "$work/log"; then
    echo "the server has logged a warning or an error" >&2
    exit 1
fi
python3 .ci/sdks/delivered.py "$host" "$key" "$@"
