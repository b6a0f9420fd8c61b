"""Stands between a client and a server, and makes of it one that stores what it gets twice, or loses some of it, so that
whoever judges the outcome can be tried.

    spoil.py twice|lost URL         prints its own address; ends with its standard input
"""

import gzip
import http.client
import http.server
import json
import re
import sys
import threading
import urllib.parse
import uuid

KIND, TO = sys.argv[1], urllib.parse.urlsplit(sys.argv[2])
CAPTURE = re.compile(r"/(e|batch|capture|i/v0/e|i/v1/analytics/events)/?$")
ROWS = re.compile(r"/(proxy_records|batch_exports)/([^/]+/)?$")
BETWEEN_TWO = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}


def events_in(body):
    """The events of a request, and how they are packed again."""
    packed = body[:2] == b"\x1f\x8b"
    whole = json.loads(gzip.decompress(body) if packed else body)
    pack = gzip.compress if packed else bytes
    if isinstance(whole, dict) and "batch" in whole:
        return whole["batch"], lambda events: pack(json.dumps({**whole, "batch": events}).encode())
    return whole if isinstance(whole, list) else [whole], lambda events: pack(json.dumps(events).encode())


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def ask(self, method, path, body):
        connection = http.client.HTTPConnection(TO.netloc, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in BETWEEN_TWO}
        # Behind a proxy that says so, orgd would show itself by another name.
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.getheaders(), answer.read()

    def spoilt(self, method, body):
        """The answer, after more or less was done than was asked for."""
        path = urllib.parse.urlsplit(self.path).path
        # What prepares a run and looks at its outcome is no client.
        if self.headers.get("user-agent") == "look":
            return self.ask(method, self.path, body)
        if method == "POST" and CAPTURE.search(path):
            events, pack = events_in(body)
            if KIND == "lost":
                return self.ask(method, self.path, pack(events[:-1]))
            self.ask(method, self.path, pack([{**event, "uuid": str(uuid.uuid4())} for event in events]))
        elif method in ("POST", "PATCH", "DELETE") and ROWS.search(path):
            if KIND == "twice" and method != "DELETE":
                other = {name: f"2.{value}" if name in ("name", "domain") else value for name, value in json.loads(body).items()}
                self.ask(method, self.path, json.dumps(other).encode())
            elif KIND == "lost" and method == "POST":
                made = self.ask(method, self.path, body)
                self.ask("DELETE", f"{path}{json.loads(made[2])['id']}/", None)
                return made
            elif KIND == "lost":
                return self.ask("GET", self.path, None) if method == "PATCH" else (204, [], b"")
        return self.ask(method, self.path, body)

    def pass_on(self):
        length = int(self.headers.get("content-length") or 0)
        status, headers, text = self.spoilt(self.command, self.rfile.read(length) if length else None)
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in BETWEEN_TWO | {"date", "server"}:
                self.send_header(name, value)
        if status != 204:
            self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = pass_on


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(f"http://127.0.0.1:{server.server_port}", flush=True)
sys.stdin.read()
