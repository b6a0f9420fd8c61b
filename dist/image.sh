#!/usr/bin/env bash
# Makes the context of the container image from a static program:   dist/image.sh PROGRAM FOLDER [--test]
# With --test, that of a test server.
# Then:   podman build --format docker -t orgd FOLDER      (or docker build -f FOLDER/Containerfile -t orgd FOLDER)
set -euo pipefail
cd "$(dirname "$0")/.."
program=$1 folder=$2 containerfile=dist/Containerfile
[ "${3:-}" != --test ] || containerfile=dist/test/Containerfile
rm -rf "$folder"
mkdir -p "$folder/data"
install -m 755 "$program" "$folder/orgd"
# What exports and plugins check certificates of other servers with.
install -m 644 /etc/ssl/certs/ca-certificates.crt "$folder/ca-certificates.crt"
cp "$containerfile" "$folder/Containerfile"
cp LICENSE "$folder/"
