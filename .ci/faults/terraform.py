"""What the Terraform provider sends for an apply, a plan and a destroy, with its rules for repeating: 3 times, after 0.2, 0.4
and 0.8 seconds or what Retry-After says, 5 at most; a 429 always, 500 to 504 and broken connections only where the method may
be repeated (not POST, not PATCH). An answer that breaks off is an error.
"""

import http.client
import json
import time
import urllib.parse

from steps import FAULTS, try_all

REPEATED = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"}
ORGANIZATION = "/api/organizations/@current/"


class Failed(Exception):
    pass


class Provider:
    def __init__(self, server, agent="posthog/terraform-provider; version: 1.0"):
        self.host = urllib.parse.urlsplit(server.url).netloc
        self.headers = {
            "Authorization": f"Bearer {server.key}",
            "Content-Type": "application/json",
            "User-Agent": agent,
        }

    def call(self, method, path, body=None):
        text = None if body is None else json.dumps(body)
        for attempt in range(4):
            wait = 0.2 * 2**attempt
            connection = http.client.HTTPConnection(self.host, timeout=30)
            try:
                connection.request(method, path, text, self.headers)
                answer = connection.getresponse()
            except OSError:
                may_repeat, failed = method in REPEATED, Failed(f"{method}: the connection broke")
            else:
                if answer.status < 300:
                    return self.read(method, answer)
                if answer.status == 404 and method in ("GET", "DELETE"):
                    return None
                failed = Failed(f"{method}: {answer.status}")
                may_repeat = answer.status == 429 or (answer.status in (500, 502, 503, 504) and method in REPEATED)
                if answer.status == 429:
                    wait = min(5, max(wait, float(answer.headers.get("Retry-After", 0))))
            if not may_repeat or attempt == 3:
                raise failed
            time.sleep(wait)

    @staticmethod
    def read(method, answer):
        try:
            text = answer.read()
            return json.loads(text) if text else None
        except (OSError, http.client.HTTPException, ValueError) as cause:
            raise Failed(f"{method}: the answer broke off") from cause


# Resources in their order: name, kind, where they are made, what is sent. Names in braces are identifiers of earlier ones.
RESOURCES = [
    ("project", "POST", ORGANIZATION + "projects/", {"name": "Shop", "timezone": "Europe/Lisbon"}, "/api/projects/{project}/"),
    ("role", "POST", ORGANIZATION + "roles/", {"name": "Operators"}, ORGANIZATION + "roles/{role}/"),
    ("membership", "POST", ORGANIZATION + "roles/{role}/role_memberships/", {"user_uuid": "{me}"}, ORGANIZATION + "roles/{role}/role_memberships/{membership}/"),
    ("settings", "PATCH", "/api/environments/{project}/", {"surveys_opt_in": True}, "/api/environments/{project}/"),
    ("access", "PUT", "/api/projects/{project}/access_controls/", {"access_level": "member"}, "/api/projects/{project}/access_controls/"),
    ("proxy", "POST", ORGANIZATION + "proxy_records/", {"domain": "e.example.com"}, ORGANIZATION + "proxy_records/{proxy}/"),
]


def filled(value, state):
    return json.loads(json.dumps(value).replace("{me}", state["me"])) if isinstance(value, dict) else value.format(**state)


def apply(provider, state):
    for name, method, path, body, _ in RESOURCES:
        if name not in state:
            made = provider.call(method, filled(path, state), filled(body, state))
            state[name] = made.get("id") or "-"


def plan(provider, state):
    """How many resources are not there."""
    return sum(provider.call("GET", filled(at, state)) is None for *_, at in RESOURCES)


def destroy(provider, state):
    for name, method, _, _, at in reversed(RESOURCES):
        if method == "POST":
            provider.call("DELETE", filled(at, state))


def counts(server):
    """How many there are of each that was to be made."""
    look = Provider(server, "look")
    projects = look.call("GET", ORGANIZATION + "projects/")["results"]
    roles = look.call("GET", ORGANIZATION + "roles/")["results"]
    records = look.call("GET", ORGANIZATION + "proxy_records/")["results"]
    shops = [project["id"] for project in projects if project["name"] == "Shop"]
    rules = [look.call("GET", f"/api/projects/{shop}/access_controls/")["access_controls"] for shop in shops]
    settings = [look.call("GET", f"/api/environments/{shop}/") for shop in shops]
    return {
        "project": len(shops),
        "settings": sum(bool(shown["surveys_opt_in"]) for shown in settings),
        "access": sum(map(len, rules)),
        "role": sum(role["name"] == "Operators" for role in roles),
        "membership": sum(len(role["members"]) for role in roles if role["name"] == "Operators"),
        "proxy": len(records),
    }


def run(server):
    state = {"me": server.owner_id}
    provider = Provider(server)
    try:
        apply(provider, state)
    except Failed as failed:
        return f"apply fails ({failed}){again(server, provider, state)}"
    found = counts(server)
    if set(found.values()) != {1}:
        return f"LOST OR TWICE: {found}"
    try:
        missing = plan(provider, state)
    except Failed as failed:
        return f"plan fails ({failed}), nothing is written"
    if missing:
        return f"LOST: {missing}"
    try:
        destroy(provider, state)
    except Failed as failed:
        return f"destroy fails ({failed})"
    left = counts(server)
    return f"LEFT: {left}" if set(left.values()) != {0} else "applied once, planned, destroyed"


def again(server, provider, state):
    """What a second apply makes of it."""
    before = counts(server)
    if max(before.values()) > 1:
        return f": TWICE: {before}"
    written = sorted(name for name, count in before.items() if count and name not in state)
    said = f", {written[0]} is there all the same" if written else ", nothing is written"
    try:
        apply(provider, state)
    except Failed as failed:
        return f"{said}; a second apply is refused ({failed})"
    after = counts(server)
    double = sorted(name for name, count in after.items() if count > 1)
    if double:
        return f"{said}; a second apply makes another {double[0]}"
    return f"{said}; a second apply makes it" if set(after.values()) == {1} else f"{said}: LOST: {after}"


def run_with_owner(server):
    server.owner_id = Provider(server, "look").call("GET", "/api/users/@me/")["uuid"]
    return run(server)


# As often as it repeats.
THRICE = {"429 three times": {"status": 429, "retry_after": 1, "times": 3}}
try_all("terraform", run_with_owner, workers=12, faults={**FAULTS, **THRICE}, only=lambda request: request.agent.startswith("posthog/terraform"))
