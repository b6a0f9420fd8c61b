"""Reads the Parquet files of batch exports with two readers that are not ours.

    .ci/parquet.py [path of the orgd binary] [number of events]

Needs the packages pyarrow and duckdb.
"""

import http.server
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from urllib.parse import parse_qs, unquote, urlsplit

import duckdb
import pyarrow
import pyarrow.parquet

ORGD = sys.argv[1] if len(sys.argv) > 1 else "target/release/orgd"
COUNT = int(sys.argv[2]) if len(sys.argv) > 2 else 20_000
BATCH = 2000
ENDINGS = {None: "", "zstd": ".zst", "lz4": ".lz4", "snappy": ".sz", "gzip": ".gz", "brotli": ".br"}
TEXT, TIME = pyarrow.string(), pyarrow.timestamp("us", tz="UTC")
COLUMNS = {
    "uuid": TEXT, "timestamp": TIME, "_inserted_at": TIME, "created_at": TIME, "event": TEXT, "properties": TEXT,
    "distinct_id": TEXT, "elements_chain": TEXT, "person_properties": TEXT, "person_id": TEXT,
}

objects, parts = {}, {}


class Bucket(http.server.BaseHTTPRequestHandler):
    """As much of S3 as uploads need; it takes everybody's word."""

    protocol_version = "HTTP/1.1"

    def answer(self, body=b"", **headers):
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self):
        address = urlsplit(self.path)
        key, query = unquote(address.path), parse_qs(address.query)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if "partNumber" in query:
            parts[key][int(query["partNumber"][0])] = body
        else:
            objects[key] = body
        self.answer(ETag='"part"')

    def do_POST(self):
        address = urlsplit(self.path)
        key = unquote(address.path)
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "uploadId" in parse_qs(address.query):
            sent = parts.pop(key)
            objects[key] = b"".join(sent[number] for number in sorted(sent))
            return self.answer(b"<CompleteMultipartUploadResult/>")
        parts[key] = {}
        space = "http://s3.amazonaws.com/doc/2006-03-01/"
        xml = f'<InitiateMultipartUploadResult xmlns="{space}"><Bucket>b</Bucket><Key>k</Key><UploadId>u</UploadId>'
        xml += "</InitiateMultipartUploadResult>"
        self.answer(xml.encode())

    def log_message(self, *_):
        pass


def event(number):
    # What it says repeats itself as little, and as much, as that of a real page does.
    properties = {
        "number": number, "$current_url": f"https://example.com/{number % 97}/item/{number}", "$browser": "Firefox",
        "$session_id": f"{number * 2654435761 % 2**32:08x}", "note": "zoë — ✓", "$set": {"plan": "free"},
    }
    return {
        "event": "$pageview" if number % 3 else "bought", "distinct_id": f"person-{number % 500}",
        "timestamp": f"2021-01-01T10:{number // 1000 % 60:02}:00.{number % 1000:03}Z", "properties": properties,
    }


def main(folder):
    bucket = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Bucket)
    threading.Thread(target=bucket.serve_forever, daemon=True).start()
    log = open(os.path.join(folder, "log"), "w+")
    serve = [ORGD, "serve", "--dev", "--listen", "127.0.0.1:0", "--data", os.path.join(folder, "orgd.redb")]
    server = subprocess.Popen(serve, stdout=log, stderr=log)
    try:
        started = time.monotonic()
        while not (found := re.search(r"listening on (http:\S+)", open(log.name).read())):
            if server.poll() is not None or time.monotonic() - started > 30:
                sys.exit(open(log.name).read())
            time.sleep(0.05)
        key = re.search(r"^API key: (\S+)", open(log.name).read(), re.M)[1]
        check(found[1], key, f"http://127.0.0.1:{bucket.server_port}", server.pid)
    finally:
        server.kill()
        server.wait()


def check(host, key, endpoint, server):
    def ask(path, body=None):
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(host + path, data, headers)) as answer:
            return json.load(answer)

    token = ask("/api/organizations/@current/projects/1/")["api_token"]
    for first in range(0, COUNT, BATCH):
        batch = [event(number) for number in range(first, min(first + BATCH, COUNT))]
        ask("/batch/", {"api_key": token, "batch": batch})

    def export(prefix, more):
        config = {
            "bucket_name": "b", "region": "r", "prefix": prefix, "endpoint_url": endpoint,
            "aws_access_key_id": "key", "aws_secret_access_key": "secret", **more,
        }
        exports = "/api/organizations/@current/batch_exports/"
        destination = {"type": "S3", "config": config}
        made = ask(exports, {"name": prefix, "interval": "day", "paused": True, "destination": destination})
        one = f"{exports}{made['id']}/"
        ask(f"{one}backfill/", {"start_at": "2021-01-01T00:00:00Z", "end_at": "2021-01-02T00:00:00Z"})
        started = time.monotonic()
        while not (runs := ask(one)["latest_runs"]) or not runs[0]["finished_at"]:
            assert time.monotonic() - started < 600, "the run does not end"
            time.sleep(0.02)
        assert (runs[0]["status"], runs[0]["records_completed"]) == ("Completed", COUNT), runs[0]
        return time.monotonic() - started

    range_ = "2021-01-01T00:00:00+00:00-2021-01-02T00:00:00+00:00"
    export("lines", {})
    before = peak(server)
    lines = [json.loads(line) for line in objects[f"/b/lines/{range_}.jsonl"].splitlines()]
    uuids = sorted(line["uuid"] for line in lines)
    assert len(set(uuids)) == COUNT
    for compression, ending in ENDINGS.items():
        prefix = compression or "plain"
        seconds = export(prefix, {"file_format": "Parquet", "compression": compression})
        path = os.path.join(os.path.dirname(os.path.abspath(ORGD)), f"checked.parquet{ending}")
        with open(path, "wb") as file:
            file.write(objects[f"/b/{prefix}/{range_}.parquet{ending}"])
        file = pyarrow.parquet.ParquetFile(path)
        table = file.read()
        assert {field.name: field.type for field in table.schema} == COLUMNS, table.schema
        assert all(field.nullable for field in table.schema)
        assert file.metadata.created_by.startswith("orgd version "), file.metadata.created_by
        rows = table.to_pylist()
        for row, line in zip(rows, lines, strict=True):
            for name, value in row.items():
                known = line[name]
                assert value == known or name.endswith("properties") and json.loads(value) == known \
                    or value.isoformat(timespec="microseconds" if value.microsecond else "seconds") == known, (name, value, known)
        query = f"""SELECT count(*), count(DISTINCT uuid), sum(CAST(json_extract(properties, '$.number') AS BIGINT)),
            min(epoch_us("timestamp")), max(typeof("timestamp")) FROM read_parquet('{path}')"""
        counted = duckdb.sql(query).fetchall()[0]
        wanted = (COUNT, COUNT, COUNT * (COUNT - 1) // 2, 1609495200_000_000, "TIMESTAMP WITH TIME ZONE")
        assert counted == wanted, counted
        assert sorted(uuid for (uuid,) in duckdb.sql(f"SELECT uuid FROM read_parquet('{path}')").fetchall()) == uuids
        size = os.path.getsize(path)
        os.remove(path)
        groups = file.metadata.num_row_groups
        print(f"ok  {prefix:7} {COUNT} rows in {groups} groups, {size:,} bytes, {seconds:.1f} s", flush=True)
    print(f"pyarrow {pyarrow.__version__} and duckdb {duckdb.__version__} read every compression; the server's memory "
          f"peaked at {before} MiB with lines, at {peak(server)} MiB with Parquet")


def peak(server):
    with open(f"/proc/{server}/status") as status:
        return int(re.search(r"VmHWM:\s+(\d+)", status.read())[1]) // 1024


with tempfile.TemporaryDirectory() as folder:
    main(folder)
