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
skip() { echo "!!! SKIPPED: $1 was not run: $2" >&2; }

python=$folder/python/bin/python
if ! "$python" -c 'import posthog' 2>/dev/null; then
    python3 -m venv "$folder/python" && "$python" -m pip install --quiet 'posthog>=7.91,<8' >"$folder/pip.log" 2>&1 ||
        { skip posthog-python "pip could not fetch it, see $folder/pip.log"; python=; }
fi
node=
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    skip "posthog-node and posthog-js" "there is no node or npm"
elif [ -d "$folder/node_modules/puppeteer-core" ] ||
    npm install --prefix "$folder" --ignore-scripts --no-audit --no-fund posthog-node@5 posthog-js@1 puppeteer-core@25 \
        >"$folder/npm.log" 2>&1; then
    node=yes
else
    skip "posthog-node and posthog-js" "npm could not fetch them, see $folder/npm.log"
fi
chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
if [ -n "$node" ] && [ -z "$chromium" ]; then
    as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }
    { as_root apt-get update && as_root apt-get install --yes --no-install-recommends chromium; } >"$folder/apt.log" 2>&1 ||
        true
    chromium=$(command -v chromium || true)
    [ -n "$chromium" ] || skip "posthog-js" "there is no Chromium, see $folder/apt.log"
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
