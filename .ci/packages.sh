#!/usr/bin/env bash
# Makes the .deb of a program, has it judged, and lives with it in a clean Debian; puts nginx and Caddy in front of the
# program:   .ci/packages.sh PROGRAM
# With ORGD_CI_MUSL set, everything that is given away is built too (dist/build.sh: two more release builds, 15 minutes).
set -euo pipefail
cd "$(dirname "$0")/.."
program=$1
tools=$PWD/target/tools
PATH="$PATH:$tools/bin"

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
missing=()
for pair in debootstrap:debootstrap lintian:lintian nginx:nginx-light caddy:caddy openssl:openssl; do
    command -v "${pair%%:*}" > /dev/null || [ -x "/usr/sbin/${pair%%:*}" ] || missing+=("${pair##*:}")
done
if [ ${#missing[@]} -gt 0 ]; then
    as_root apt-get update --quiet
    as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install --quiet --yes --no-install-recommends "${missing[@]}"
fi
PATH="$PATH:/usr/sbin"
command -v cargo-deb > /dev/null || cargo install --locked --quiet --root "$tools" cargo-deb

out=target/packages
rm -rf "$out"
mkdir -p "$out"
dist/stage.sh "$program" "$out/stage"
for page in "$out"/stage/man/*.1.gz; do
    ! man --warnings=w -l "$page" 2>&1 > /dev/null | grep . || { echo "$page"; exit 1; }
done
bash -n "$out/stage/completions/orgd.bash"
dist/deb.sh "$out/stage" x86_64-unknown-linux-gnu "$out"
# Tags that do not fit: there is no address of maintainers; the settings may hold secrets.
lintian --allow-root --fail-on error --suppress-tags bogus-mail-host,bogus-mail-host-in-debian-changelog,non-standard-file-perm "$out"/*.deb
systemd-analyze --version > /dev/null 2>&1 && systemd-analyze security --offline=yes --threshold=20 dist/deb/orgd.service | tail -1
as_root env ROOT="$PWD/target/clean-root" dist/try-deb.sh "$out"/*.deb
dist/try-proxies.sh "$program"

if [ -n "${ORGD_CI_MUSL:-}" ]; then
    dist/build.sh
else
    echo "NOT BUILT: the static programs; ORGD_CI_MUSL=1 builds them"
fi
