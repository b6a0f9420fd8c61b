#!/bin/sh
# Runs the npm package @posthog/cli, unmodified, against a real server.
#
#   .ci/clients.sh [path of the orgd binary]
#
# Skipped, loudly, where there is no node or npm cannot fetch the package.
set -eu
cd "$(dirname "$0")/.."

orgd=${1:-target/release/orgd}
version=0.18
folder=target/clients
mkdir -p "$folder"

skip() {
    echo "!!! SKIPPED: @posthog/cli was not run: $1" >&2
    exit 0
}
[ -x "$orgd" ] || { echo "there is no $orgd: build it first" >&2; exit 1; }
command -v node >/dev/null || skip "there is no node"
command -v npm >/dev/null || skip "there is no npm"
cli=$folder/node_modules/@posthog/cli/lib/posthog-api-cli.mjs
if [ ! -f "$cli" ]; then
    npm install --prefix "$folder" --ignore-scripts --no-audit --no-fund "@posthog/cli@$version" \
        >"$folder/npm.log" 2>&1 || skip "npm could not fetch it, see $folder/npm.log"
fi

work=$(mktemp -d)
: >"$work/log"
"$orgd" serve --dev --listen 127.0.0.1:0 --data "$work/orgd.redb" >"$work/log" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null; wait "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
tries=0
until grep -q 'listening on' "$work/log"; do
    tries=$((tries + 1))
    if [ "$tries" -gt 100 ] || ! kill -0 "$server" 2>/dev/null; then
        cat "$work/log" >&2
        exit 1
    fi
    sleep 0.1
done

POSTHOG_CLI_HOST=$(sed -n 's/.*listening on \(http:[^ ]*\).*/\1/p' "$work/log")
POSTHOG_CLI_API_KEY=$(sed -n 's/^API key: //p' "$work/log")
POSTHOG_CLI_PROJECT_ID=1
# The package keeps what it remembers in the home folder.
HOME=$work
export POSTHOG_CLI_HOST POSTHOG_CLI_API_KEY POSTHOG_CLI_PROJECT_ID HOME

# The answer of a tool; a word before the body is an option, such as --confirm.
ask() {
    tool=$1
    body=$2
    shift 2
    node "$cli" call "$@" --json "$tool" "$body" >"$work/answer" 2>"$work/error" || {
        echo "$tool $body failed:" >&2
        cat "$work/answer" "$work/error" >&2
        exit 1
    }
}

# Whether a JavaScript condition holds of the last answer, `a`.
holds() {
    node -e '
        const a = JSON.parse(require("fs").readFileSync(process.argv[1], "utf8"));
        if (!eval(process.argv[2])) { console.error(JSON.stringify(a)); process.exit(1); }
    ' "$work/answer" "$1" || {
        echo "$tool: this does not hold: $1" >&2
        exit 1
    }
    echo "ok  $tool: $1"
}

# A field of the last answer.
field() {
    node -e '
        const a = JSON.parse(require("fs").readFileSync(process.argv[1], "utf8"));
        console.log(eval(process.argv[2]));
    ' "$work/answer" "$1"
}

# Makes something that no tool of the package makes.
make() {
    curl -sS --fail-with-body -H "Authorization: Bearer $POSTHOG_CLI_API_KEY" -H 'Content-Type: application/json' \
        -d "$2" "$POSTHOG_CLI_HOST/api/organizations/@current/$1" >"$work/answer"
}

ask organizations-list '{}'
holds 'a.count === 1 && a.results[0].name === "Demo"'
organization=$(field 'a.results[0].id')
ask organization-get "{\"id\": \"$organization\"}"
holds 'a.slug === "demo" && a.membership_level === 15'

ask projects-get '{}'
holds 'a.length === 1 && a[0].id === 1'
ask project-get '{"id": 1}'
holds 'a.name === "Default project" && a.effective_membership_level === 15'

ask user-get '{"uuid": "@me"}'
holds 'a.email === "demo@example.com"'
user=$(field 'a.uuid')
ask org-members-list '{}'
holds 'a.count === 1 && a.results[0].level === 15'

ask roles-list '{}'
holds 'a.count === 0'
make roles/ '{"name": "Product"}'
role=$(field 'a.id')
make "roles/$role/role_memberships/" "{\"user_uuid\": \"$user\"}"
ask roles-list '{}'
holds 'a.count === 1 && a.results[0].name === "Product"'
ask role-get "{\"id\": \"$role\"}"
holds 'a.name === "Product" && a.created_by.email === "demo@example.com"'
ask role-members-list "{\"role_id\": \"$role\"}"
holds 'a.count === 1 && a.results[0].user.email === "demo@example.com"'

ask proxy-create '{"domain": "e.example.com"}'
holds 'a.domain === "e.example.com" && a.status === "waiting" && a.target_cname.endsWith(".proxy.localhost")'
record=$(field 'a.id')
ask proxy-list '{}'
holds 'a.count === 1 && a.results[0].domain === "e.example.com"'
ask proxy-get "{\"id\": \"$record\"}"
holds 'a.domain === "e.example.com"'
ask proxy-delete "{\"id\": \"$record\"}" --confirm
ask proxy-list '{}'
holds 'a.count === 0'

echo "@posthog/cli $(node -p 'require(process.argv[1]).version' "./$folder/node_modules/@posthog/cli/package.json"): every tool works"
