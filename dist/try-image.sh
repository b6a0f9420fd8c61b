#!/usr/bin/env bash
# Builds the container image from a folder that dist/image.sh has made, and runs it: bootstrap, serve, health check, a
# request, stop.   dist/try-image.sh FOLDER      As root, with buildah; nothing is kept.
set -euo pipefail
context=$(realpath "$1")
folder=$(mktemp -d)
buildah() { command buildah --storage-driver vfs --root "$folder/store" --runroot "$folder/run" "$@"; }
finish() { buildah rm --all > /dev/null 2>&1 || true; buildah rmi --all --force > /dev/null 2>&1 || true; rm -rf "$folder"; }
trap finish EXIT

image=$(buildah bud --quiet --isolation chroot --format docker "$context")
buildah inspect --type image "$image" | python3 -c '
import json, sys
config = json.load(sys.stdin)["Docker"]["config"]
assert config["User"] == "65532:65532" and config["Healthcheck"]["Test"] == ["CMD", "/orgd", "health"], config
assert config["Entrypoint"] == ["/orgd"] and config["Cmd"] == ["serve"] and "/data" in config["Volumes"], config
print("the image runs", *config["Entrypoint"], *config["Cmd"], "as", config["User"])'
container=$(buildah from "$image")
inside() { buildah run --isolation chroot "$container" -- "$@"; }
key=$(inside /orgd bootstrap --email ada@example.com --organization Acme | sed 's/.*"api_key":"\([^"]*\)".*/\1/')
inside /orgd serve --listen 127.0.0.1:18120 > "$folder/log" 2>&1 &
serving=$!
for _ in $(seq 100); do inside /orgd health http://127.0.0.1:18120 2> /dev/null && break; sleep 0.1; done
curl -sf -H "Authorization: Bearer $key" http://127.0.0.1:18120/api/organizations/@current/members/ | grep -q ada@example.com
# The program itself, whatever the engine has put around it.
kill -TERM "$(pgrep -fx '/orgd serve --listen 127.0.0.1:18120')"
wait "$serving" || true
grep -q stopped "$folder/log" || { cat "$folder/log"; exit 1; }
echo "the image was set up, served, was healthy, and stopped"
