# For scripts that read it in: a server with a demo owner, on a free port and a new file, until the script ends. Wants the
# program's path in $orgd; says in $work the folder of the file and of the log, in $host the address, in $key the key.
work=$(mktemp -d)
: >"$work/log"
"$orgd" serve --dev --listen 127.0.0.1:0 --data "$work/orgd.redb" >"$work/log" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null; wait "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
tries=0
until grep -q 'listening on' "$work/log"; do
    tries=$((tries + 1))
    if [ "$tries" -gt 100 ] || ! kill -0 "$server" 2>/dev/null; then
        cat "$work/log" >&2
        exit 1
    fi
    sleep 0.1
done
host=$(sed -n 's/.*listening on \(http:[^ ]*\).*/\1/p' "$work/log")
key=$(sed -n 's/^API key: //p' "$work/log")
