#!/usr/bin/env bash
# Makes the .deb of what dist/stage.sh has put into a folder:   dist/deb.sh STAGED TARGET OUT
set -euo pipefail
cd "$(dirname "$0")/.."
staged=$1 target=$2 out=$3
PATH="$PATH:$PWD/target/tools/bin"
# cargo-deb takes its files from fixed places.
rm -rf target/deb-stage
cp -r "$staged" target/deb-stage
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
date=$(date -R -u -d "@${SOURCE_DATE_EPOCH:-$(git show --no-patch --format=%ct HEAD)}")
cat > target/deb-stage/changelog << CHANGELOG
orgd ($version-1) stable; urgency=medium

  * What has changed stands in CHANGELOG.md of the sources.

 -- The orgd authors <orgd@localhost>  $date
CHANGELOG
cargo deb --quiet --no-build --no-strip --locked --target "$target" --output "$out"
rm -rf target/deb-stage
