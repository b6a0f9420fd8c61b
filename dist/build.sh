#!/usr/bin/env bash
# Builds what is given away: for each target a static program (musl), a tarball with manual pages, completions and the
# systemd units, a .deb, the contexts of the container images, a wheel and npm packages; then a list of what is in it (CycloneDX) and SHA256SUMS.
#
#   dist/build.sh [TARGET …]          both targets unless some are named
#   PROFILE=dist-fast dist/build.sh   quicker to build, for trying this out
#   OUT=FOLDER                        target/dist unless set
#
# Needs the Rust toolchain, and on Debian: python3-venv, npm, dpkg-dev, qemu-user (pages and completions are printed by the
# program itself; that of another machine runs under it). The rest is installed below target/tools.
set -euo pipefail
cd "$(dirname "$0")/.."

PROFILE=${PROFILE:-release}
OUT=${OUT:-target/dist}
tools=$PWD/target/tools
[ $# -gt 0 ] || set -- x86_64-unknown-linux-musl aarch64-unknown-linux-musl

# The same sources make the same bytes.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git show --no-patch --format=%ct HEAD)}
export SOURCE_DATE_EPOCH TZ=UTC LC_ALL=C
RUSTFLAGS="${RUSTFLAGS:-} --remap-path-prefix=$PWD=orgd --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo"
export RUSTFLAGS
umask 022

has() { command -v "$1" > /dev/null || [ -x "$tools/bin/$1" ]; }
tool() { has "$1" || cargo install --locked --quiet --root "$tools" "$1"; }
PATH="$PATH:$tools/bin"
tool cargo-zigbuild
tool cargo-deb
tool cargo-cyclonedx
if ! command -v zig > /dev/null && ! python3 -c 'import ziglang' 2> /dev/null; then
    [ -d "$tools/zig" ] || python3 -m venv "$tools/zig"
    PATH="$tools/zig/bin:$PATH"
    python3 -c 'import ziglang' 2> /dev/null || pip install --quiet ziglang
fi

[ -x "$tools/wheel/bin/python" ] || python3 -m venv "$tools/wheel"
"$tools/wheel/bin/python" -c 'import hatchling' 2> /dev/null || "$tools/wheel/bin/pip" install --quiet 'hatchling>=1.26,<2'

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
mkdir -p "$OUT"
OUT=$(realpath "$OUT")

# How a program of this target is run here.
runner() {
    case $1 in
        "$(uname -m)"-*) ;;
        aarch64-*) echo "qemu-aarch64" ;;
        x86_64-*) echo "qemu-x86_64" ;;
    esac
}

for target; do
    rustup target add "$target" > /dev/null 2>&1 || true
    cargo zigbuild --locked --profile "$PROFILE" --target "$target" --bin orgd
    program=${CARGO_TARGET_DIR:-target}/$target/$PROFILE/orgd
    dist/stage.sh "$program" "$OUT/stage-$target" "$(runner "$target")"

    name=orgd-$version-${target%%-*}-linux
    rm -rf "${OUT:?}/$name"
    mkdir "$OUT/$name"
    cp -r "$OUT/stage-$target/." LICENSE README.md CHANGELOG.md "$OUT/$name/"
    cp dist/deb/orgd.service dist/deb/orgd.socket dist/orgd.sysusers dist/deb/orgd.conf "$OUT/$name/"
    tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" \
        -C "$OUT" -cf - "$name" | gzip -9n > "$OUT/$name.tar.gz"
    rm -rf "${OUT:?}/$name"

    dist/deb.sh "$OUT/stage-$target" "$target" "$OUT"
    dist/image.sh "$program" "$OUT/image-${target%%-*}"
    dist/image.sh "$program" "$OUT/image-test-${target%%-*}" --test
    (cd packages/python && WHEEL_PROGRAM=$(realpath "../../$program") "$tools/wheel/bin/python" -m hatchling build --target wheel --directory "$OUT")
    packages/node/pack.sh "$program" "$OUT"
    # What cargo-binstall looks for.
    ln -f "$OUT/$name.tar.gz" "$OUT/orgd-$target.tar.gz"
done

cargo cyclonedx --quiet --format json --target "$1" --override-filename orgd.cdx
mv orgd.cdx.json "$OUT/orgd-$version.cdx.json"
(cd "$OUT" && sha256sum -- *.tar.gz *.tgz *.whl *.deb *.cdx.json > SHA256SUMS && cat SHA256SUMS)
