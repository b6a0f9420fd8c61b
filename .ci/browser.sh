#!/bin/sh
# Walks and uses the console in headless Chromium, against a real server: tests/browser/ says what must hold.
#
#   .ci/browser.sh [path of the orgd binary] [all | walk | flows [names with commas] | looks FOLDER]
#
# `looks` makes screenshots, for people. Whatever cannot be installed is skipped, loudly.
set -eu
cd "$(dirname "$0")/.."

orgd=${1:-target/release/orgd}
[ $# -eq 0 ] || shift
folder=$PWD/target/browser
mkdir -p "$folder"
[ -x "$orgd" ] || { echo "there is no $orgd: build it first" >&2; exit 1; }
. .ci/node.sh
packages puppeteer-core@25.16.0 axe-core@4.14.1 && find_chromium || { skip "the console in a browser" "$why"; exit 0; }

# Packages are looked for beside the scripts.
cp -R tests/browser/. "$folder/"
exec node "$folder/main.mjs" "$(realpath "$orgd")" "$chromium" "$@"
