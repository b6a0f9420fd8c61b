"""A test server: the program in a process of its own, one that runs already, and forks of either."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, fields
from datetime import datetime, timezone
from typing import Any, Mapping, Sequence, TypeVar

from ._binary import find_binary

__all__ = ["Advance", "Clock", "Event", "Fault", "Mail", "OrgdError", "Owner", "Refused", "Request", "Server"]

# pytest shows the test's own line and what the server says, not how that came here.
__tracebackhide__ = True

# Nothing of it may hang for ever; the server itself waits for a minute at the most.
_TIMEOUT_S = 90
_STOP_S = 30
_REPORTED_REQUESTS = 20
_FORK_TTL_S = 3600

Record = TypeVar("Record")


class OrgdError(Exception):
    """The server could not be started or reached, or lacks what was wanted of it."""


class Refused(OrgdError):
    """The server has refused a call that controls it."""

    def __init__(self, call: str, status: int, body: str):
        super().__init__(f"{call}: {status}: {_detail(body)}")
        self.status = status
        self.body = body


@dataclass(frozen=True)
class Owner:
    """Whose key `Server.key` is. Of a seed's owner the password is not known."""

    email: str
    id: str
    password: str | None = None


@dataclass(frozen=True)
class Mail:
    """A mail that would have gone out."""

    n: int
    at: str
    to: str
    subject: str
    text: str
    html: str | None
    links: list[str]
    invite_id: str | None = None


@dataclass(frozen=True)
class Event:
    """An event that was stored."""

    uuid: str
    event: str
    distinct_id: str
    timestamp: str
    project_id: int
    properties: dict[str, Any]


@dataclass(frozen=True)
class Request:
    """What a client has sent, and was answered: `status` is None until then."""

    n: int
    at: str
    method: str
    path: str
    row: str | None
    query: str
    status: int | None
    ms: int | None
    key: str | None
    agent: str | None
    headers: dict[str, str]
    json: Any = None
    body: dict[str, Any] | None = None
    fault: str | None = None
    repeats: int | None = None
    carried_out: int | None = None

    def __str__(self) -> str:
        target = self.path + (f"?{self.query}" if self.query else "")
        answer = "no answer" if self.status is None else str(self.status)
        line = f"{self.n:>4}  {self.method} {target} -> {answer}"
        if self.fault:
            line += f"  fault {self.fault}"
        if self.carried_out is not None:
            line += f" (carried out: {self.carried_out})"
        if self.repeats is not None:
            line += f"  repeats {self.repeats}"
        if self.json is not None:
            line += "  " + _shortened(json.dumps(self.json, ensure_ascii=False))
        return line


@dataclass(frozen=True)
class Advance:
    """What an advance of the clock did."""

    now: datetime
    settled: bool
    fired: list[dict[str, Any]]
    open: list[str]


class Clock:
    """The clock of one server."""

    def __init__(self, server: Server):
        self._server = server

    @property
    def now(self) -> datetime:
        return _time(self._server._control("GET", "clock")["now"])

    @property
    def frozen(self) -> bool:
        return bool(self._server._control("GET", "clock")["frozen"])

    def set(self, to: datetime | str, *, frozen: bool | None = None) -> datetime:
        """Jumps to a time. Back only as long as nothing was written."""
        if isinstance(to, datetime):
            if to.tzinfo is None:
                raise ValueError("a time with a zone is wanted, such as datetime(2026, 1, 1, tzinfo=timezone.utc)")
            to = to.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
        return self._change(set=to, frozen=frozen)

    def freeze(self) -> datetime:
        """Stops the clock where it is."""
        return self._change(frozen=True)

    def run(self) -> datetime:
        """Lets the clock run on from where it is."""
        return self._change(frozen=False)

    def advance(
        self,
        by: str | None = None,
        *,
        days: int = 0,
        hours: int = 0,
        minutes: int = 0,
        seconds: int = 0,
        wait_s: int | None = None,
    ) -> Advance:
        """Moves time on, with all that is due on the way: `advance("72h")`, `advance(days=4)`."""
        if by is None:
            by = f"{((days * 24 + hours) * 60 + minutes) * 60 + seconds}s"
        done = self._server._control("POST", "clock", _given(advance=by, wait_s=wait_s), timeout=None)
        return Advance(_time(done["now"]), done["settled"], done["fired"], done.get("open", []))

    def _change(self, **change: Any) -> datetime:
        return _time(self._server._control("POST", "clock", _given(**change))["now"])


class Fault:
    """A rule that was given to `Server.fail`."""

    def __init__(self, server: Server, id: str):
        self._server = server
        self.id = id

    @property
    def fired(self) -> int:
        """How often it has fired."""
        return int(self._server._control("GET", f"faults/{self.id}")["fired"])

    def remove(self) -> None:
        self._server._control("DELETE", f"faults/{self.id}")


class Server:
    """A server for tests, or a fork of one. `Server.start()` starts one; with `with`, it ends at the end."""

    url: str
    key: str
    project_id: int
    project_token: str
    organization_id: str
    owner: Owner | None
    clock: Clock

    def __init__(self, url: str, ready: Mapping[str, Any]):
        self.url = url.rstrip("/")
        self._ready = dict(ready)
        self.key = ready["api_key"]
        self.project_id = int(ready["project"]["id"])
        self.project_token = ready["project"]["api_token"]
        self.organization_id = ready["organization_id"]
        owner = ready.get("owner")
        self.owner = _record(Owner, owner) if owner else None
        self.clock = Clock(self)
        self._process: subprocess.Popen[bytes] | None = None
        self._forked_from: Server | None = None
        self.fork_id: str | None = None

    # Beginning and end

    @classmethod
    def start(
        cls,
        *,
        seed: str | os.PathLike[str] | None = None,
        args: Sequence[str] = (),
        binary: str | None = None,
    ) -> Server:
        """Starts a server in memory on a free port, which ends with this process at the latest. `seed` is a file that
        it begins with, `args` are further flags of `orgd serve`, such as `["--clock", "2026-01-01T00:00:00Z"]`."""
        command = [binary or find_binary(), "serve", "--test", "--exit-with-stdin"]
        if seed is not None:
            command += ["--seed", os.fspath(seed)]
        command += args
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said)
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                process.wait()
                said.seek(0)
                why = said.read().decode(errors="replace").strip()
                raise OrgdError(f"{' '.join(command)} has ended ({process.returncode}): {why}")
        ready = json.loads(line)
        server = cls(ready["url"], ready)
        server._process = process
        return server

    @classmethod
    def at(cls, url: str, key: str | None = None) -> Server:
        """A server that runs already, such as that of `orgd exec` or of a container. It is not ended by `stop`."""
        key = key or os.environ.get("ORGD_KEY")
        if not key:
            raise OrgdError(f"the server at {url} is known by ORGD_URL, but its key is not: set ORGD_KEY")
        organization = _call(url, "GET", "/api/organizations/@current/", key=key)
        projects = _call(url, "GET", f"/api/organizations/{organization['id']}/projects/", key=key)["results"]
        wanted = os.environ.get("ORGD_PROJECT_ID") or (projects[0]["id"] if projects else None)
        if wanted is None:
            raise OrgdError(f"the organization at {url} has no project")
        project = _call(url, "GET", f"/api/projects/{wanted}/", key=key)
        ready = {"api_key": key, "organization_id": organization["id"], "project": project}
        return cls(url, ready)

    def stop(self) -> None:
        """Ends a server that `start` has started, and removes a fork, whose data is checked."""
        if self._forked_from is not None:
            base, self._forked_from = self._forked_from, None
            base._control("DELETE", f"forks/{self.fork_id}?check=true")
        if self._process is not None:
            process, self._process = self._process, None
            _end(process)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # Copies

    def fork(self, of: str | None = None, *, ttl_s: int = _FORK_TTL_S) -> Server:
        """A server of its own that begins with what this one holds now, or with a snapshot. The snapshot `start` is
        what a server began with."""
        try:
            made = self._control("POST", "forks", _given(of=of, ttl_s=ttl_s))
        except Refused as refusal:
            if refusal.status == 404 and of in (None, "start"):
                raise OrgdError(f"{self.url} has no forks: a server with --test is wanted, of this version") from None
            raise
        fork = Server(_beside(self.url, made["url"]), self._ready)
        fork._forked_from = self
        fork.fork_id = made["id"]
        return fork

    def snapshot(self, name: str) -> None:
        """Keeps what there is now under a name, for `fork` and `reset`."""
        self._control("POST", "snapshots", {"name": name})

    def reset(self, to: str | None = None) -> None:
        """Makes everything as it was at the start, or as a snapshot says: data, clock, faults, journal, mails."""
        self._control("POST", "reset", _given(to=to))

    # What a client is to survive

    def fail(
        self,
        route: str | None = None,
        *,
        status: int | None = None,
        times: int | None = None,
        skip: int | None = None,
        retry_after: int | str | None = None,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        text: str | None = None,
        cut_after_bytes: int | None = None,
        reset: bool = False,
        silence_s: int | None = None,
        delay_ms: int | None = None,
        after_commit: bool = False,
        key: str | None = None,
        any_path: bool = False,
        mail: str | None = None,
        dns: str | None = None,
    ) -> Fault:
        """Makes requests of a route fail: `fail("POST /api/organizations/{id}/invites/", status=503, times=2)`.
        `after_commit` carries the request out and spoils its answer. `mail` and `dns` are patterns of addresses and
        names that fail instead of a route."""
        match = _given(key=key, mail=mail, dns=dns, **(_route(route) if route is not None else {}))
        answer = None
        if status is not None:
            said = dict(headers or {})
            if retry_after is not None:
                said["Retry-After"] = str(retry_after)
            answer = _given(status=status, headers=said or None, json=json, text=text)
        rule = _given(
            match=match,
            times=times,
            skip=skip,
            answer=answer,
            cut_after_bytes=cut_after_bytes,
            reset=reset or None,
            silence_s=silence_s,
            delay_ms=delay_ms,
            after_commit=after_commit or None,
            any_path=any_path or None,
        )
        return Fault(self, self._control("POST", "faults", rule)["id"])

    def faults(self) -> list[dict[str, Any]]:
        """The rules, with how often each has fired."""
        return list(self._control("GET", "faults")["faults"])

    def assert_faults_fired(self) -> None:
        """Every rule has fired."""
        verdict = self._control("POST", "faults/assert", {"all_fired": True})
        if not verdict["ok"]:
            raise AssertionError(verdict.get("why") or verdict)

    def dns(self, table: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        """Says what the DNS answers: `{"_posthog-challenge.example.com": {"TXT": ["…"]}}`."""
        self._control("PUT", "dns", dict(table))

    # What happened

    def mails(self, to: str | None = None, *, wait_count: int | None = None, wait_ms: int | None = None) -> list[Mail]:
        """The mails that would have gone out, the newest last."""
        found = self._look("mails", to=to, wait_count=wait_count, wait_ms=wait_ms)
        return [_record(Mail, mail) for mail in found]

    def events(
        self,
        event: str | None = None,
        *,
        distinct_id: str | None = None,
        token: str | None = None,
        limit: int | None = None,
        wait_count: int | None = None,
        wait_ms: int | None = None,
    ) -> list[Event]:
        """The events that were stored, the newest last."""
        found = self._look(
            "events",
            event=event,
            distinct_id=distinct_id,
            token=token,
            limit=limit,
            wait_count=wait_count,
            wait_ms=wait_ms,
        )
        return [_record(Event, one) for one in found["events"]]

    def requests(
        self,
        route: str | None = None,
        *,
        after: int | None = None,
        any_path: bool = False,
        wait_count: int | None = None,
        wait_ms: int | None = None,
    ) -> list[Request]:
        """What clients have sent, the newest last: `requests("POST /api/organizations/{id}/invites/")`."""
        query = _given(after=after, wait_count=wait_count, wait_ms=wait_ms, **(_route(route) if route else {}))
        if any_path:
            query["any_path"] = "true"
        return [_record(Request, one) for one in self._look("requests", **query)["requests"]]

    def assert_requests(
        self,
        route: str | None = None,
        *,
        count: int | None = None,
        at_least: int | None = None,
        never: bool = False,
        in_order: Sequence[str | Mapping[str, Any]] | None = None,
        json: Any = None,
        status: int | None = None,
        key: str | None = None,
        after: int | None = None,
        any_path: bool = False,
        wait_ms: int | None = None,
    ) -> None:
        """A route was called so often: `assert_requests("POST /api/organizations/{id}/invites/", count=1)`. `json` is
        what the body has at the least."""
        steps = [_route(step) if isinstance(step, str) else dict(step) for step in in_order or ()]
        claim = _given(
            count=count,
            at_least=at_least,
            never=never or None,
            in_order=steps or None,
            json=json,
            status=status,
            key=key,
            after=after,
            any_path=any_path or None,
            wait_ms=wait_ms,
            **(_route(route) if route is not None else {}),
        )
        verdict = self._control("POST", "requests/assert", claim)
        if verdict["ok"]:
            return
        nearest = verdict.get("nearest", [])
        lines = [str(request) for request in self.requests() if request.n in nearest]
        raise AssertionError("\n".join([f"{verdict['why']} ({claim})", *lines]))

    def forget(self) -> None:
        """Empties the journal and the mailbox."""
        self._control("DELETE", "requests")
        self._control("DELETE", "mails")

    def report(self) -> str:
        """The last requests, and the faults that have not fired: what one wants to know of a test that failed."""
        requests = self.requests()
        shown = requests[-_REPORTED_REQUESTS:]
        lines = [f"orgd at {self.url}, requests (the last {len(shown)} of {len(requests)}):"]
        lines += [str(request) for request in shown]
        for fault in self.faults():
            if fault["fired"] == 0:
                rule = json.dumps(fault["rule"], ensure_ascii=False)
                lines.append(f"fault {fault['id']} has not fired: {_shortened(rule)}")
        return "\n".join(lines)

    def _look(self, what: str, **query: Any) -> Any:
        given = urllib.parse.urlencode(_given(**query))
        return self._control("GET", what + (f"?{given}" if given else ""))

    def _control(self, method: str, what: str, body: Any = None, timeout: float | None = _TIMEOUT_S) -> Any:
        return _call(self.url, method, f"/_orgd/{what}", body, timeout=timeout)


# Proxies of the surroundings are for other addresses than this one.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _call(
    url: str, method: str, path: str, body: Any = None, key: str | None = None, timeout: float | None = _TIMEOUT_S
) -> Any:
    headers = {"User-Agent": "orgd-python"}
    data = None
    if body is not None:
        headers["Content-Type"] = "application/json"
        data = json.dumps(body).encode()
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    request = urllib.request.Request(url.rstrip("/") + path, data, headers, method=method)
    try:
        with _opener.open(request, timeout=timeout) as answer:
            content = answer.read()
    except urllib.error.HTTPError as refusal:
        raise Refused(f"{method} {path}", refusal.code, refusal.read().decode(errors="replace")) from None
    except (urllib.error.URLError, ConnectionError, TimeoutError) as cause:
        raise OrgdError(f"{method} {url.rstrip('/')}{path}: no answer: {cause}") from cause
    return json.loads(content) if content else None


def _end(process: subprocess.Popen[bytes]) -> None:
    """Closes its input, which ends it."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.close()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _route(route: str) -> dict[str, str]:
    """`"POST /path/"` and `"/path/"` as the server wants them."""
    method, space, path = route.partition(" ")
    return {"method": method, "path": path.strip()} if space else {"path": route}


def _record(kind: type[Record], values: Mapping[str, Any]) -> Record:
    """Without what a newer server says in addition."""
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in values.items() if name in known})


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _beside(url: str, fork: str) -> str:
    """The address of a fork as it is from here: a container is known by another name than the one it has for itself."""
    here, there = urllib.parse.urlsplit(url), urllib.parse.urlsplit(fork)
    host = f"[{here.hostname}]" if ":" in (here.hostname or "") else here.hostname
    return f"{here.scheme}://{host}:{there.port}"


def _detail(body: str) -> str:
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, KeyError, TypeError):
        return _shortened(body)


def _shortened(text: str, most: int = 300) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
