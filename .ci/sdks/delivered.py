"""Has the server export everything over HTTP, and compares the names of what arrives with what clients say they sent.

    delivered.py HOST KEY FILE...     each file holds a JSON list of names
"""

import collections
import datetime
import gzip
import http.server
import json
import sys
import threading
import time
import urllib.request

host, key, *files = sys.argv[1:]
received = []


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        received.extend(json.loads(body)["batch"])
        self.send_response(200)
        self.send_header("Content-Length", "13")
        self.end_headers()
        self.wfile.write(b'{"status": 1}')

    def log_message(self, *_):
        pass


receiver = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=receiver.serve_forever, daemon=True).start()


def call(method, path, body=None):
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(host + path, data, headers, method=method)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


exports = "/api/organizations/@current/batch_exports/"
url = f"http://127.0.0.1:{receiver.server_port}/batch/"
destination = {"type": "HTTP", "config": {"url": url, "token": "phc_receiver"}}
export = call("POST", exports, {"name": "all", "interval": "hour", "paused": True, "destination": destination})
time.sleep(1)
end = datetime.datetime.now(datetime.timezone.utc)
span = {"start_at": (end - datetime.timedelta(hours=1)).isoformat(), "end_at": end.isoformat()}
call("POST", f"{exports}{export['id']}/backfill/", span)
for _ in range(300):
    run = (call("GET", f"{exports}{export['id']}/")["latest_runs"] or [{}])[0]
    if run.get("status") in ("Completed", "Failed"):
        break
    time.sleep(0.1)
if run.get("status") != "Completed":
    sys.exit(f"the export has not completed: {run}")

sent = collections.Counter()
for file in files:
    with open(file, encoding="utf-8") as lines:
        sent.update(json.load(lines))
arrived = collections.Counter(event["event"] for event in received)
for name in sorted(sent | arrived):
    print(f"{'ok ' if sent[name] == arrived[name] else 'BAD'} {name}: {sent[name]} sent, {arrived[name]} delivered")
uuids = len({event["uuid"] for event in received})
if sent != arrived or uuids != len(received):
    sys.exit(f"what was delivered is not what was sent; {uuids} identifiers of {len(received)} events")
print(f"all {len(received)} events were delivered once")
