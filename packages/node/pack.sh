#!/usr/bin/env bash
# Makes the npm packages of a program that was built already: orgd, and @orgd/linux-x64 or -arm64 with the program.
#
#   packages/node/pack.sh PROGRAM FOLDER
set -euo pipefail
program=$(realpath "$1")
mkdir -p "$2"
out=$(realpath "$2")
cd "$(dirname "$0")"

# The field e_machine of ELF, little endian.
case $(od -An -tx1 -j18 -N2 "$program" | tr -d ' ') in
    3e00) machine=x64 ;;
    b700) machine=arm64 ;;
    *) echo "$program is no program for Linux on a machine that is known here" >&2; exit 1 ;;
esac
version=$(sed -n 's/^version = "\(.*\)"/\1/p' ../../Cargo.toml | head -1)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir -p "$work/platform/bin" "$work/orgd"
install -m 755 "$program" "$work/platform/bin/orgd"
cp ../../LICENSE "$work/platform/"
cat > "$work/platform/package.json" << JSON
{
  "name": "@orgd/linux-$machine",
  "version": "$version",
  "description": "The program of the package orgd, for Linux on $machine",
  "license": "MIT",
  "os": ["linux"],
  "cpu": ["$machine"],
  "preferUnplugged": true,
  "files": ["bin/orgd"]
}
JSON
cp -r ./*.js ./*.d.ts bin package.json README.md ../../LICENSE "$work/orgd/"
sed -i "s/\"0\.0\.0\"/\"$version\"/" "$work/orgd/package.json"
for folder in platform orgd; do
    (cd "$work/$folder" && npm pack --offline --silent --pack-destination "$out")
done
