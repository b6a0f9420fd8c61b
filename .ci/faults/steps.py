"""Runs a client once without a fault to learn its requests, then again with each fault at each of them, and says what
became of it. It runs under `orgd exec`; each run has a server of its own.

A line for each: client | request | fault | what became of it. `expected.txt` has them all. Two lines more try the
judge: that of a server which stores twice must say so, and that of one which loses something (`spoil.py`).
"""

import collections
import concurrent.futures
import os
import pathlib
import subprocess
import sys

import orgd

FAULTS = {
    "429": {"status": 429, "retry_after": 1},
    "503": {"status": 503},
    "reset": {"reset": True},
    # The request is carried out, and nobody hears of it.
    "lost answer": {"after_commit": True, "reset": True},
    "cut": {"cut_after_bytes": 1},
}

base = orgd.Server.at(os.environ["ORGD_URL"])


def steps_of(requests, only=lambda request: True):
    """Each request as a route and how often that was called before."""
    seen = collections.Counter()
    for request in requests:
        if request.row is None:
            raise SystemExit(f"the client asks what orgd does not have: {request}")
        route = f"{request.method} {request.row}"
        if only(request):
            yield route, seen[route]
        seen[route] += 1


def judged(client, run, kind):
    """The line of a server that is spoilt."""
    words = [sys.executable, pathlib.Path(__file__).with_name("spoil.py"), kind]
    with base.fork("start") as server:
        between = subprocess.Popen([*words, server.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        own, server.url = server.url, between.stdout.readline().strip()
        outcome = run(server)
        server.url = own
        between.communicate()
    return f"{client} | a server that {'stores twice' if kind == 'twice' else 'loses some'} | - | {outcome}"


def try_all(client, run, workers=8, only=lambda request: True, spoilt=("twice", "lost"), faults=FAULTS):
    """`run` gets a server, and says in few words what became of what it wrote there."""
    with base.fork("start") as server:
        clean = run(server)
        steps = list(dict.fromkeys(steps_of(server.requests(), only)))
    print(f"{client} | no fault | - | {clean}", flush=True)

    def attempt(step, name):
        route, before = step
        with base.fork("start") as server:
            fault = server.fail(route, **{"skip": before, "times": 1, **faults[name]})
            outcome = run(server)
            if fault.fired != faults[name].get("times", 1):
                outcome = f"THE FAULT DID NOT COME: {outcome}"
            number = f" #{before + 1}" if (route, 1) in steps else ""
            return f"{client} | {route}{number} | {name} | {outcome}"

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for line in pool.map(lambda pair: attempt(*pair), [(step, name) for step in steps for name in faults]):
            print(line, flush=True)
        for line in pool.map(lambda kind: judged(client, run, kind), spoilt):
            print(line, flush=True)


def events_outcome(server, wanted, troubles):
    """Whether every event that a client was given is there, once."""
    found = collections.Counter(event.properties.get("marker") for event in server.events(limit=1000))
    twice = [marker for marker, count in found.items() if marker is not None and count > 1]
    lost = [marker for marker in wanted if marker not in found]
    if twice:
        return f"TWICE: {twice}"
    if lost:
        return f"{len(lost)} of {len(wanted)} events lost, and {'said so' if troubles else 'NOTHING SAID'}"
    return "every event once"
