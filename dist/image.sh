#!/usr/bin/env bash
# Makes the context of the container image from a static program:   dist/image.sh PROGRAM FOLDER
# Then:   podman build --format docker -t orgd FOLDER      (or docker build -f FOLDER/Containerfile -t orgd FOLDER)
set -euo pipefail
cd "$(dirname "$0")/.."
program=$1 folder=$2
rm -rf "$folder"
mkdir -p "$folder/data"
install -m 755 "$program" "$folder/orgd"
# What exports and plugins check certificates of other servers with.
install -m 644 /etc/ssl/certs/ca-certificates.crt "$folder/ca-certificates.crt"
cp dist/Containerfile LICENSE "$folder/"
