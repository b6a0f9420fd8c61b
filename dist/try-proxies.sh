#!/usr/bin/env bash
# Puts nginx and Caddy, with the snippets of dist/proxy/, in front of a program and compares what it believes of a
# request (/_whoami) with what is true, also where the caller lies:   dist/try-proxies.sh PROGRAM
# What is not installed is passed over and said so; on Debian: nginx-light, caddy.
set -euo pipefail
cd "$(dirname "$0")/.."
program=$(realpath "$1")
folder=$(mktemp -d)
running=()
finish() { for one in "${running[@]}"; do kill "$one" 2> /dev/null || true; done; wait; rm -rf "$folder"; }
trap finish EXIT

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=orgd.example.com \
    -addext subjectAltName=DNS:orgd.example.com -keyout "$folder/key.pem" -out "$folder/chain.pem" 2> /dev/null

# Behind one proxy, on this address, and nobody else's headers believed.
ORGD_TRUST_PROXY=127.0.0.1 "$program" serve --listen 127.0.0.1:18010 --data "$folder/orgd.redb" > "$folder/orgd.log" 2>&1 &
running+=($!)
until "$program" health http://127.0.0.1:18010 > /dev/null 2>&1; do sleep 0.1; done
code=$(sed -n 's/.*X-Setup-Code: \([A-Z0-9]*\).*/\1/p' "$folder/orgd.log")
port=18443

# The caller is 127.0.0.9, so that it differs from the proxy, and sends whatever could be believed.
whoami() {
    curl -sk --interface 127.0.0.9 --resolve "orgd.example.com:$port:127.0.0.1" -H "X-Setup-Code: $code" \
        -H 'X-Forwarded-For: 198.51.100.1' -H 'X-Forwarded-Host: evil.example' -H 'X-Forwarded-Proto: http' \
        -H 'Forwarded: for=198.51.100.2;host=evil.example;proto=http' "https://orgd.example.com:$port/_whoami"
}
judge() {
    answer=$(whoami)
    python3 - "$1" "$answer" << 'PYTHON'
import json, sys
name, answer = sys.argv[1], json.loads(sys.argv[2])
found = (answer["address"], answer["scheme"], answer["host"].split(":")[0])
if found != ("127.0.0.9", "https", "orgd.example.com"):
    sys.exit(f"{name}: the server believes {found}: {answer}")
print(f"{name}: the caller's address, https and the host are believed, and nothing that the caller wrote")
PYTHON
}
wait_for() { for _ in $(seq 100); do curl -sko /dev/null "https://127.0.0.1:$port/" && return; sleep 0.1; done; }

if command -v nginx > /dev/null; then
    sed -e "s|listen 443|listen 127.0.0.1:$port|; s|listen 80|listen 127.0.0.1:18080|; /listen \[::\]/d" \
        -e "s|/etc/letsencrypt/live/orgd.example.com/fullchain.pem|$folder/chain.pem|" \
        -e "s|/etc/letsencrypt/live/orgd.example.com/privkey.pem|$folder/key.pem|" \
        -e "s|127.0.0.1:8010|127.0.0.1:18010|" dist/proxy/nginx.conf > "$folder/site.conf"
    cat > "$folder/nginx.conf" << NGINX
daemon off; pid $folder/nginx.pid; error_log $folder/nginx.log;
events {}
http { access_log off; client_body_temp_path $folder; proxy_temp_path $folder; fastcgi_temp_path $folder;
       uwsgi_temp_path $folder; scgi_temp_path $folder; include $folder/site.conf; }
NGINX
    nginx -c "$folder/nginx.conf" 2> "$folder/nginx.out" &
    nginx=$!
    running+=($nginx)
    wait_for
    judge nginx
    kill "$nginx"
    wait "$nginx" || true
else
    echo "NOT TRIED: nginx is not installed"
fi

if command -v caddy > /dev/null; then
    { printf '{\n\tadmin off\n\tauto_https disable_redirects\n\thttps_port %s\n\thttp_port 18080\n}\n' "$port"
      sed -e "s|^{\$SITE.*{|https://orgd.example.com:$port {\n\ttls $folder/chain.pem $folder/key.pem|" dist/proxy/Caddyfile
    } > "$folder/Caddyfile"
    HOME=$folder UPSTREAM=127.0.0.1:18010 caddy run --config "$folder/Caddyfile" --adapter caddyfile 2> "$folder/caddy.log" &
    running+=($!)
    port_open() { curl -sko /dev/null --resolve "orgd.example.com:$port:127.0.0.1" "https://orgd.example.com:$port/"; }
    for _ in $(seq 100); do port_open && break; sleep 0.1; done
    judge caddy
else
    echo "NOT TRIED: caddy is not installed"
fi
echo "NOT TRIED: traefik is in no package of Debian"
