# For scripts that read it in and that have said in $folder where things are installed. What cannot be installed is
# skipped, loudly; where ORGD_TESTS_NEED_ALL is set, that fails.
skip() {
    echo "!!! SKIPPED: $1 was not run: $2" >&2
    [ -z "${ORGD_TESTS_NEED_ALL:-}" ] || exit 1
}

# Installs packages from npm below $folder, unless this list of them is there: packages NAME@VERSION…
packages() {
    command -v node >/dev/null && command -v npm >/dev/null || { why="there is no node or npm"; return 1; }
    [ "$(cat "$folder/packages" 2>/dev/null)" != "$*" ] || return 0
    npm install --prefix "$folder" --ignore-scripts --no-audit --no-fund "$@" >"$folder/npm.log" 2>&1 ||
        { why="npm could not fetch it, see $folder/npm.log"; return 1; }
    echo "$*" >"$folder/packages"
}

# Says in $chromium where a Chromium is, and installs Debian's where there is none.
find_chromium() {
    chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
    [ -z "$chromium" ] || return 0
    as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }
    { as_root apt-get update && as_root apt-get install --yes --no-install-recommends chromium; } \
        >"$folder/apt.log" 2>&1 || true
    chromium=$(command -v chromium || true)
    [ -n "$chromium" ] || { why="there is no Chromium, see $folder/apt.log"; return 1; }
}
