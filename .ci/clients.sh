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

[ -x "$orgd" ] || { echo "there is no $orgd: build it first" >&2; exit 1; }
. .ci/node.sh
packages "@posthog/cli@$version" || { skip "@posthog/cli" "$why"; exit 0; }
cli=$folder/node_modules/@posthog/cli/lib/posthog-api-cli.mjs

. .ci/server.sh
POSTHOG_CLI_HOST=$host
POSTHOG_CLI_API_KEY=$key
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

# A tool that must be refused, with an answer that holds this text.
refused() {
    if node "$cli" call --json "$1" "$2" >"$work/answer" 2>&1 || ! grep -q "$3" "$work/answer"; then
        echo "$1 $2: it was not refused with '$3':" >&2
        cat "$work/answer" >&2
        exit 1
    fi
    echo "ok  $1: refused: $3"
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

# Sends something that no tool of the package sends: method, path below the API, body.
send() {
    curl -sS --fail-with-body -X "$1" -H "Authorization: Bearer $key" -H 'Content-Type: application/json' \
        -d "$3" "$host/api/$2" >"$work/answer"
}

# Makes something in the organization.
make() { send POST "organizations/@current/$1" "$2"; }

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
ask proxy-diagnose "{\"id\": \"$record\"}"
holds 'a.summary.status && a.checks.length === 6 && a.checks[0].id === "cname"'
refused proxy-retry "{\"id\": \"$record\"}" 'Cannot retry proxy in waiting state'
ask proxy-delete "{\"id\": \"$record\"}" --confirm
ask proxy-list '{}'
holds 'a.count === 0'

# The tool that makes exports knows destinations with an integration only, of which there are none here.
refused batch-export-create '{"name": "Nightly", "model": "events", "interval": "day", "destination": {"type": "BigQuery",
    "integration_id": 1, "config": {"dataset_id": "d"}}}' integration
send POST projects/1/batch_exports/ '{"name": "Nightly", "model": "events", "interval": "day", "paused": true,
    "destination": {"type": "HTTP", "config": {"url": "https://e.example.com/batch/", "token": "phc_secret"}}}'
export=$(field 'a.id')
ask batch-exports-list '{}'
holds 'a.count === 1 && a.results[0].name === "Nightly" && a.results[0].paused === true'
ask batch-export-get "{\"id\": \"$export\"}"
holds 'a.destination.type === "HTTP" && a.destination.config.token === undefined && a.timezone === "UTC"'
ask batch-export-update "{\"id\": \"$export\", \"name\": \"Hourly\", \"interval\": \"hour\"}"
holds 'a.name === "Hourly" && a.interval === "hour"'
ask batch-export-delete "{\"id\": \"$export\"}" --confirm
ask batch-exports-list '{}'
holds 'a.count === 0'

send PUT projects/1/access_controls/ "{\"access_level\": \"admin\", \"role\": \"$role\"}"
send PUT projects/1/resource_access_controls/ '{"access_level": "viewer", "resource": "dashboard"}'
ask access-control-defaults-get '{}'
holds 'a.project_access_level && a.resource_access_levels.dashboard.access_level === "viewer"'
ask access-control-roles-list '{}'
holds 'a.results[0].role_name === "Product" && a.results[0].project.effective_access_level === "admin"'
ask access-control-roles-list "{\"role_id\": \"$role\"}"
holds 'a.results.length === 1'
ask access-control-members-list '{}'
holds 'a.results[0].user.email === "demo@example.com" && a.results[0].project.inherited_access.source === "org_admin"'
member=$(field 'a.results[0].organization_membership_id')
for of in objects properties; do
    ask "access-control-default-$of-list" '{}'
    holds 'a.results.length === 0'
    ask "access-control-role-$of-list" "{\"role_id\": \"$role\"}"
    holds 'a.results.length === 0'
    ask "access-control-member-$of-list" "{\"member_id\": \"$member\"}"
    holds 'a.results.length === 0'
done

ask advanced-activity-logs-list '{"page_size": 5, "scopes": ["BatchExport"]}'
holds 'a.results[0].activity === "deleted" && a.results.every(entry => entry.scope === "BatchExport")'
holds 'a.results[0].detail.name === "Hourly" && !JSON.stringify(a).includes("phc_secret")'
ask advanced-activity-logs-filters '{}'
holds 'a.static_filters.scopes.some(scope => scope.value === "AccessControl")'

ask org-member-get-github-login '{"user__uuid": "@me"}'
holds 'a.github_login === null'
ask user-home-settings-get '{"uuid": "@me"}'
holds 'a.homepage === null'

echo "@posthog/cli $(node -p 'require(process.argv[1]).version' "./$folder/node_modules/@posthog/cli/package.json"): every tool works"
