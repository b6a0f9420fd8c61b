"""The tools of @posthog/cli that write: each is a process of its own."""

import json
import os
import subprocess
import sys
import tempfile
import urllib.request

from steps import try_all

TOOL = sys.argv[1]


def call(server, method, path, body=None):
    headers = {"Authorization": f"Bearer {server.key}", "Content-Type": "application/json", "User-Agent": "look"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(server.url + path, data, headers, method=method)
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read())


def tool(server, home, name, body, *options):
    """The answer of a tool, or None where it says that it failed."""
    variables = {
        **os.environ,
        "HOME": home,
        "POSTHOG_HOST": server.url,
        "POSTHOG_CLI_HOST": server.url,
        "POSTHOG_CLI_API_KEY": server.key,
        "POSTHOG_CLI_PROJECT_ID": str(server.project_id),
    }
    words = ["node", TOOL, "call", *options, "--json", name, json.dumps(body)]
    done = subprocess.run(words, env=variables, capture_output=True, text=True, timeout=120)
    try:
        return json.loads(done.stdout) if done.returncode == 0 else None
    except ValueError:
        return None


def records(server):
    return call(server, "GET", "/api/organizations/@current/proxy_records/")["results"]


def said_of(answer):
    return "it fails, and says so" if answer is None else "it succeeds"


def create(server):
    with tempfile.TemporaryDirectory() as home:
        made = tool(server, home, "proxy-create", {"domain": "e.example.com"})
    there = len(records(server))
    if there > 1 or (made and not there):
        return f"TWICE OR LOST: {there}"
    return f"{said_of(made)}; there is {'one' if there else 'none'}"


def delete(server):
    made = call(server, "POST", "/api/organizations/@current/proxy_records/", {"domain": "e.example.com"})
    with tempfile.TemporaryDirectory() as home:
        gone = tool(server, home, "proxy-delete", {"id": made["id"]}, "--confirm")
    there = len(records(server))
    if gone is not None and there:
        return "NOT DELETED"
    return f"{said_of(gone)}; there is {'one' if there else 'none'}"


# Each process first looks who calls, by way of five requests; one of them stands for all.
WHO = "/api/personal_api_keys/@current/"
try_all("@posthog/cli proxy-create", create, workers=3, only=lambda request: request.method == "POST" or request.row == WHO)
try_all("@posthog/cli proxy-delete", delete, workers=3, only=lambda request: request.method == "DELETE")
