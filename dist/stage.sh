#!/usr/bin/env bash
# Puts a program, its manual pages and its completions into a folder:   dist/stage.sh PROGRAM FOLDER [RUNNER]
set -euo pipefail
program=$1 folder=$2 runner=${3:-}
run() { if [ -n "$runner" ]; then "$runner" "$program" "$@"; else "$program" "$@"; fi; }
rm -rf "$folder"
mkdir -p "$folder/man" "$folder/completions"
install -m 755 "$program" "$folder/orgd"
run man --dir "$folder/man"
gzip -9n "$folder"/man/*.1
run completions bash > "$folder/completions/orgd.bash"
run completions zsh > "$folder/completions/_orgd"
run completions fish > "$folder/completions/orgd.fish"
