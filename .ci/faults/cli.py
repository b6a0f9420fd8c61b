"""Tools of @posthog/cli: each is a process of its own, and costs seconds. All that write what orgd serves, some that read."""

import json
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

from steps import try_all

TOOL = sys.argv[1]
ORGANIZATION = "/api/organizations/@current/"
RECORDS = ORGANIZATION + "proxy_records/"
EXPORTS = "/api/projects/1/batch_exports/"
EXPORT = {
    "name": "Nightly",
    "model": "events",
    "interval": "day",
    "paused": True,
    "destination": {"type": "HTTP", "config": {"url": "https://e.example.com/batch/", "token": "phc_secret"}},
}


def call(server, method, path, body=None):
    headers = {"Authorization": f"Bearer {server.key}", "Content-Type": "application/json", "User-Agent": "look"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(server.url + path, data, headers, method=method)
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read())


def tool(server, name, body, *options):
    """The answer of a tool, or None where it says that it failed."""
    with tempfile.TemporaryDirectory() as home:
        variables = {
            **os.environ,
            "HOME": home,
            "POSTHOG_HOST": server.url,
            "POSTHOG_CLI_HOST": server.url,
            "POSTHOG_CLI_API_KEY": server.key,
            "POSTHOG_CLI_PROJECT_ID": str(server.project_id),
        }
        words = ["node", TOOL, "call", *options, "--json", name, json.dumps(body)]
        done = subprocess.run(words, env=variables, capture_output=True, text=True, timeout=240)
    try:
        return json.loads(done.stdout) if done.returncode == 0 else None
    except ValueError:
        return None


def said_of(answer):
    return "it fails, and says so" if answer is None else "it succeeds"


def record(server):
    return call(server, "POST", RECORDS, {"domain": "e.example.com"})["id"]


def failed_record(server):
    """One that has waited for its name for too long."""
    made = record(server)
    server.clock.advance(days=8)
    return made


def create(server):
    made = tool(server, "proxy-create", {"domain": "e.example.com"})
    there = call(server, "GET", RECORDS)["count"]
    if there > 1 or (made and not there):
        return f"TWICE OR LOST: {there}"
    return f"{said_of(made)}; there is {'one' if there else 'none'}"


def deletes(name, path, make):
    """A tool that deletes what `make` has made at the path."""

    def run(server):
        gone = tool(server, name, {"id": make(server)}, "--confirm")
        there = call(server, "GET", path)["count"]
        if gone is not None and there:
            return "NOT DELETED"
        return f"{said_of(gone)}; there is {'one' if there else 'none'}"

    return name, run, "DELETE"


def changes(name, body, path, is_changed, make=None, method="PATCH"):
    """A tool that changes what is at the path, which may name what `make` has made."""

    def run(server):
        made = make(server) if make else None
        entries = call(server, "GET", ORGANIZATION + "advanced_activity_logs/")["results"]
        changed = tool(server, name, body if made is None else {**body, "id": made}, "--confirm")
        there = is_changed(call(server, "GET", path.format(made)))
        more = call(server, "GET", ORGANIZATION + "advanced_activity_logs/")["results"]
        # What is changed to what it is already leaves no entry: one that comes twice does no more.
        if len(more) - len(entries) > 1:
            return f"TWICE: {len(more) - len(entries)} entries in the log"
        if changed is not None and not there:
            return "LOST"
        return f"{said_of(changed)}; it is {'changed' if there else 'as it was'}"

    return name, run, method


def shows(name, body, make, is_there):
    """A tool that shows what `make` has made."""

    def run(server):
        make(server)
        shown = tool(server, name, body)
        if shown is None:
            return "it fails, and says so"
        return "it shows what there is" if is_there(shown) else f"LOST: {shown}"

    return name, run, "GET"


def nothing(server):
    pass


TOOLS = [
    deletes("proxy-delete", RECORDS, record),
    changes("proxy-retry", {}, RECORDS + "{}/", lambda shown: shown["status"] == "waiting", failed_record, "POST"),
    changes(
        "batch-export-update",
        {"name": "Hourly"},
        EXPORTS + "{}/",
        lambda shown: shown["name"] == "Hourly",
        lambda server: call(server, "POST", EXPORTS, EXPORT)["id"],
    ),
    deletes("batch-export-delete", EXPORTS, lambda server: call(server, "POST", EXPORTS, EXPORT)["id"]),
    changes(
        "project-settings-update",
        {"id": 1, "timezone": "Europe/Lisbon"},
        "/api/projects/1/",
        lambda shown: shown["timezone"] == "Europe/Lisbon",
    ),
    changes(
        "user-settings-update",
        {"uuid": "@me", "first_name": "Ada"},
        "/api/users/@me/",
        lambda shown: shown["first_name"] == "Ada",
    ),
    changes(
        "user-home-settings-update",
        {"uuid": "@me", "homepage": {"pathname": "/project/1"}},
        "/api/user_home_settings/@me/",
        lambda shown: shown["homepage"] == {"pathname": "/project/1"},
    ),
    shows("proxy-list", {}, record, lambda shown: [one["domain"] for one in shown["results"]] == ["e.example.com"]),
    shows("org-members-list", {}, nothing, lambda shown: shown["count"] == 1),
]

# Each process first looks who calls, by the same requests: a fault at each of them is tried with one tool.
try_all("@posthog/cli proxy-create", create, workers=3, only=lambda request: request.agent != "look")
SPOILT = {"proxy-delete": ["lost"], "batch-export-update": ["twice", "lost"]}
OWN = {"proxy-list": "proxy_records/", "org-members-list": "members/"}
for name, run, method in TOOLS:
    last = OWN.get(name, "")

    def is_own(request, method=method, last=last):
        return request.agent != "look" and request.method == method and request.row.endswith(last)

    try_all(f"@posthog/cli {name}", run, workers=3, only=is_own, spoilt=SPOILT.get(name, []))
