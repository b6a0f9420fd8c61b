#!/usr/bin/env bash
# Runs a program for arm64 under qemu-user (Debian: qemu-user): bootstrap, serve, a request, a write, stop, check.
#   dist/try-arm64.sh PROGRAM
set -euo pipefail
program=$(realpath "$1")
folder=$(mktemp -d)
server=""
finish() { [ -z "$server" ] || kill "$server" 2> /dev/null || true; rm -rf "$folder"; }
trap finish EXIT
orgd() { qemu-aarch64 "$program" "$@"; }
file "$program" | grep -q 'ARM aarch64.*static' || { file "$program"; exit 1; }
orgd --version
key=$(orgd bootstrap --data "$folder/orgd.redb" --email ada@example.com --organization Acme | sed 's/.*"api_key":"\([^"]*\)".*/\1/')
qemu-aarch64 "$program" serve --listen 127.0.0.1:18130 --data "$folder/orgd.redb" > "$folder/log" 2>&1 &
server=$!
for _ in $(seq 300); do curl -sf http://127.0.0.1:18130/_readyz > /dev/null && break; sleep 0.1; done
api() { curl -sf -H "Authorization: Bearer $key" -H 'Content-Type: application/json' "$@"; }
api http://127.0.0.1:18130/api/organizations/@current/members/ | grep -o '"email":"[^"]*"'
api -d '{"name": "Website"}' http://127.0.0.1:18130/api/organizations/@current/projects/ | grep -o '"name":"[^"]*"' | head -1
kill -TERM "$server"
wait "$server"
server=""
orgd check --data "$folder/orgd.redb"
echo "the program for arm64 was set up, served, and stopped"
