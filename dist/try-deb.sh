#!/usr/bin/env bash
# Proves in a clean Debian that a .deb can be lived with: installs it, sets it up by one command, starts it by the line
# of its unit, fills it, backs it up, destroys the data, restores it, compares the digests, removes it, purges it.
#
#   dist/try-deb.sh FILE.deb          as root; needs debootstrap
#   ROOT=FOLDER dist/try-deb.sh …     uses the clean Debian there, made by debootstrap --variant=minbase (for many runs)
set -euo pipefail
deb=$(realpath "$1")
folder=$(mktemp -d)
root=$folder/root
server=""
finish() {
    [ -z "$server" ] || kill "$server" 2> /dev/null || true
    umount "$root/proc" 2> /dev/null || true
    rm -rf "$folder"
}
trap finish EXIT
say() { printf '\n-- %s\n' "$*"; }
fail() { echo "FAILED: $*"; exit 1; }

say "a clean Debian"
if [ -n "${ROOT:-}" ] && [ -d "$ROOT/bin" ]; then
    cp -a "$ROOT" "$root"
else
    # One of the two kinds of lists is mostly not there.
    mirror=$({ cat /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2> /dev/null || true; } | sed -n 's/^URIs: *//p; s/^deb \(\[[^]]*\] \)\?\([^ ]*\) .*/\2/p' | head -1)
    suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
    debootstrap --variant=minbase "$suite" "$root" "$mirror" > "$folder/debootstrap.log" 2>&1 \
        || { tail -5 "$folder/debootstrap.log"; fail "no clean Debian could be made"; }
    [ -z "${ROOT:-}" ] || cp -a "$root" "$ROOT"
fi
mount -t proc proc "$root/proc" 2> /dev/null || echo "(without /proc)"
cp "$deb" "$root/orgd.deb"
in_root() { chroot "$root" "$@"; }
as_orgd() { chroot "$root" runuser -u orgd -- "$@"; }
! in_root test -e /usr/bin/orgd

say "install"
in_root dpkg -i /orgd.deb | grep -v '^(Reading'
in_root id orgd
[ "$(in_root stat -c '%U %a' /var/lib/orgd)" = "orgd 700" ] || fail "/var/lib/orgd"
[ "$(in_root stat -c '%U:%G %a' /etc/orgd/orgd.conf)" = "root:orgd 640" ] || fail "/etc/orgd/orgd.conf"
in_root dpkg -L orgd | grep -c man1 > /dev/null
in_root orgd --version
! pgrep -f "$root" > /dev/null
in_root test ! -e /etc/systemd/system/multi-user.target.wants/orgd.service || fail "it was enabled"

say "set up by one command"
data=/var/lib/orgd/orgd.redb
made=$(as_orgd orgd bootstrap --data $data --email ada@example.com --organization Acme)
key=$(echo "$made" | sed 's/.*"api_key":"\([^"]*\)".*/\1/')
token=$(echo "$made" | sed 's/.*"project_api_token":"\([^"]*\)".*/\1/')
echo "the first owner is ada@example.com"

# The command line of the unit, with its settings, as its user.
line=$(sed -n 's/^ExecStart=//p' "$root/usr/lib/systemd/system/orgd.service")
start() {
    (set -a; . "$root/etc/orgd/orgd.conf"; ORGD_LISTEN=127.0.0.1:18110
     # shellcheck disable=SC2086
     exec chroot "$root" setpriv --reuid=orgd --regid=orgd --clear-groups -- $line) > "$folder/server.log" 2>&1 &
    server=$!
    for _ in $(seq 100); do
        in_root orgd health http://127.0.0.1:18110 > /dev/null 2>&1 && return
        sleep 0.1
    done
    cat "$folder/server.log"
    fail "it does not start"
}
stop() { kill -TERM "$server"; wait "$server" || fail "it ended with $?"; server=""; }
api() { curl -sf -H "Authorization: Bearer $key" -H 'Content-Type: application/json' "$@"; }
base=http://127.0.0.1:18110/api/organizations/@current

say "start by the line of the unit: $line"
start
in_root orgd health http://127.0.0.1:18110

say "fill"
for n in $(seq 20); do api -d "{\"name\": \"Project $n\"}" $base/projects/ > /dev/null; done
api -d '{"target_email": "grace@example.com", "level": 8}' $base/invites/ > /dev/null
api -d '{"name": "Data team"}' $base/roles/ > /dev/null
for n in $(seq 50); do
    curl -sf http://127.0.0.1:18110/capture/ -H 'Content-Type: application/json' \
        -d "{\"api_key\": \"$token\", \"event\": \"signed up\", \"distinct_id\": \"p$n\"}" > /dev/null
done
before=$(api $base/projects/?limit=100)

say "back up while it runs"
as_orgd orgd backup /var/lib/orgd/backup.redb --data $data --with-key | tee "$folder/backup.txt"
mkdir "$folder/kept"
mv "$root"/var/lib/orgd/backup* "$folder/kept/"
stop

say "destroy the data, and restore it"
rm -f "$root"/var/lib/orgd/*
cp -a "$folder"/kept/* "$root/var/lib/orgd/"
in_root chown -R orgd:orgd /var/lib/orgd
as_orgd orgd restore /var/lib/orgd/backup.redb --data $data | tee "$folder/restore.txt"
digest() { grep -oE '\b[0-9a-f]{64}\b' "$1" | head -1; }
[ -n "$(digest "$folder/backup.txt")" ] || fail "no digest"
[ "$(digest "$folder/backup.txt")" = "$(digest "$folder/restore.txt")" ] || fail "the digests differ"
as_orgd orgd check --data $data | tee "$folder/check.txt"
grep -q "$(digest "$folder/backup.txt")" "$folder/check.txt" || fail "orgd check prints another digest"
start
after=$(api $base/projects/?limit=100)
[ "$before" = "$after" ] || fail "the projects differ"
stop
echo "the digests are equal, and so are the 21 projects"

say "remove, and purge"
in_root dpkg -r orgd > /dev/null 2>&1
in_root test ! -e /usr/bin/orgd && in_root test -e $data && in_root test -e /etc/orgd/orgd.conf || fail "removed too much or too little"
in_root dpkg -P orgd 2>&1 | grep 'orgd:'
in_root test -e $data || fail "purging has removed the data"
in_root test ! -e /etc/orgd/orgd.conf || fail "purging has left the settings"
echo
echo "everything is as it should be"
