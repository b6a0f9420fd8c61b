#!/bin/sh
# Lints the OpenAPI document with spectral, generates TypeScript from it, and type-checks a program that uses the
# generated names.
#
#   .ci/openapi.sh [path of the document]
#
# Skipped, loudly, where there is no node or npm cannot fetch the packages.
set -eu
cd "$(dirname "$0")/.."

document=${1:-target/openapi.json}
folder=target/openapi-tools
mkdir -p "$folder"

skip() {
    echo "!!! SKIPPED: the OpenAPI document was not linted: $1" >&2
    exit 0
}
command -v node >/dev/null || skip "there is no node"
command -v npm >/dev/null || skip "there is no npm"
programs=$folder/node_modules/.bin
if [ ! -x "$programs/spectral" ] || [ ! -x "$programs/openapi-typescript" ] || [ ! -x "$programs/tsc" ]; then
    npm install --prefix "$folder" --ignore-scripts --no-audit --no-fund \
        @stoplight/spectral-cli@6.16 openapi-typescript@7.13 typescript@5.9 \
        >"$folder/npm.log" 2>&1 || skip "npm could not fetch them, see $folder/npm.log"
fi

"$programs/spectral" lint --quiet --ruleset .ci/spectral.yaml --fail-severity=warn "$document"
"$programs/openapi-typescript" "$document" --output "$folder/orgd.d.ts" >"$folder/generator.log" 2>&1 || {
    cat "$folder/generator.log" >&2
    exit 1
}
cp .ci/client.ts "$folder/client.ts"
"$programs/tsc" --noEmit --strict --target es2022 --lib es2022,dom "$folder/client.ts"
echo "ok  linted without a warning; the generated client type-checks"
