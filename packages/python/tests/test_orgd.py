"""What the documentation says of the fixture, by way of a small client that repeats what was refused."""

import json
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from datetime import datetime, timezone

import pytest

from orgd import OrgdError, Refused, Server, find_binary

INVITES = "POST /api/organizations/{id}/invites/"


class Client:
    """A client under test: waits as long as a 429 says, and repeats."""

    def __init__(self, url, key):
        self.url, self.key = url, key

    def call(self, method, path, body=None):
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        for _ in range(5):
            request = urllib.request.Request(self.url + path, data, headers, method=method)
            try:
                with urllib.request.urlopen(request) as answer:
                    return answer.status, json.loads(answer.read() or b"null")
            except urllib.error.HTTPError as refusal:
                if refusal.code != 429:
                    return refusal.code, json.loads(refusal.read())
                time.sleep(float(refusal.headers["Retry-After"]))
        raise AssertionError("it was refused to the end")

    def invite(self, email):
        return self.call("POST", "/api/organizations/@current/invites/", {"target_email": email})

    def roles(self):
        return [role["name"] for role in self.call("GET", "/api/organizations/@current/roles/")[1]["results"]]

    def make_role(self, name):
        status, _ = self.call("POST", "/api/organizations/@current/roles/", {"name": name})
        assert status == 201


@pytest.fixture
def client(orgd):
    return Client(orgd.url, orgd.key)


def test_an_invite_is_a_mail_with_a_link(orgd, client):
    status, invite = client.invite("grace@example.com")
    assert status == 201
    [mail] = orgd.mails(to="grace@example.com")
    assert mail.invite_id == invite["id"]
    assert "/signup/" in mail.links[0]
    assert orgd.mails(to="ada@example.com") == []
    orgd.assert_requests(INVITES, count=1, json={"target_email": "grace@example.com"})


def test_a_refused_request_is_repeated(orgd, client):
    fault = orgd.fail(INVITES, status=429, retry_after=0, times=2)
    assert client.invite("grace@example.com")[0] == 201
    assert fault.fired == 2
    orgd.assert_requests(INVITES, count=3)
    orgd.assert_requests(in_order=[INVITES, INVITES])
    orgd.assert_faults_fired()
    statuses = [(request.status, request.fault is not None) for request in orgd.requests(INVITES)]
    assert statuses == [(429, True), (429, True), (201, False)]
    assert len(orgd.mails()) == 1


def test_time_moves_when_it_is_moved(orgd, client):
    client.invite("grace@example.com")
    link = orgd.mails()[0].links[0]
    path = "/api/signup/" + link.rstrip("/").rsplit("/", 1)[1] + "/"
    assert client.call("GET", path)[0] == 200
    begun = orgd.clock.freeze()
    assert orgd.clock.frozen
    done = orgd.clock.advance(days=4)
    assert done.settled and (done.now - begun).days == 4
    assert client.call("GET", path)[0] == 400
    orgd.clock.run()
    assert not orgd.clock.frozen
    with pytest.raises(Refused) as refused:
        orgd.clock.set(datetime(2020, 1, 1, tzinfo=timezone.utc))
    assert refused.value.status == 409
    with pytest.raises(ValueError):
        orgd.clock.set(datetime(2020, 1, 1))


def test_a_lost_answer_is_a_write_all_the_same(orgd, client):
    fault = orgd.fail("POST /api/organizations/{id}/roles/", after_commit=True, reset=True, times=1)
    with pytest.raises((urllib.error.URLError, ConnectionError)):
        client.make_role("Operators")
    assert fault.fired == 1
    [request] = orgd.requests("POST /api/organizations/{id}/roles/")
    assert (request.status, request.carried_out) == (None, 201)
    assert client.roles() == ["Operators"]
    fault.remove()
    assert orgd.faults() == []


@pytest.mark.parametrize("name", ["first", "second", "third"])
def test_no_test_sees_what_another_did(orgd, client, name):
    assert client.roles() == []
    assert orgd.clock.now.year < 2100
    orgd.fail("/api/**", status=503, skip=2)
    client.make_role(name)
    assert client.roles() == [name]
    orgd.clock.advance("36500d")


def test_forks_snapshots_and_resets(orgd, client):
    client.make_role("shared")
    orgd.snapshot("one-role")
    with orgd.fork() as fork:
        other = Client(fork.url, fork.key)
        assert other.roles() == ["shared"]
        other.make_role("fork's")
        assert sorted(other.roles()) == ["fork's", "shared"]
    client.make_role("own")
    assert sorted(client.roles()) == ["own", "shared"]
    orgd.reset("one-role")
    assert client.roles() == ["shared"]
    orgd.reset()
    assert client.roles() == []
    with pytest.raises(Refused) as refused:
        orgd.fork("no-such-snapshot")
    assert refused.value.status == 404


def test_events(orgd):
    body = {"api_key": orgd.project_token, "event": "signed up", "distinct_id": "ada", "properties": {"plan": "free"}}
    Client(orgd.url, orgd.key).call("POST", "/e/", body)
    [event] = orgd.events("signed up", distinct_id="ada", wait_count=1, wait_ms=5000)
    assert event.project_id == orgd.project_id
    assert event.properties["plan"] == "free"
    assert orgd.events("never sent") == []


def test_what_is_misspelt_is_refused(orgd):
    with pytest.raises(Refused) as refused:
        orgd.fail("POST /api/organizations/{id}/invitse/", status=503)
    assert refused.value.status == 400
    with pytest.raises(AssertionError, match="no request has the path"):
        orgd.assert_requests(INVITES, count=1)
    orgd.fail(INVITES, status=503)
    with pytest.raises(AssertionError):
        orgd.assert_faults_fired()


def test_a_server_of_ones_own():
    with Server.start(args=["--clock", "2026-01-01T00:00:00Z"]) as server:
        assert server.clock.now == datetime(2026, 1, 1, tzinfo=timezone.utc)
        assert server.owner.email == "demo@example.com" and server.owner.password
        assert Client(server.url, server.key).roles() == []
        url = server.url
        again = Server.at(url, server.key)
        assert (again.project_id, again.project_token) == (server.project_id, server.project_token)
        assert again.organization_id == server.organization_id
        again.stop()
        assert server.clock.frozen
    with pytest.raises(OrgdError, match="no answer"):
        Server.at(url, "phx_none")


def test_what_does_not_start_says_why():
    with pytest.raises(OrgdError, match="--no-such-flag"):
        Server.start(args=["--no-such-flag"])
    with pytest.raises(OrgdError, match="ORGD_KEY"):
        Server.at("http://127.0.0.1:9")


FAILING = '''
import urllib.request

def test_that_fails(orgd):
    for number in range(23):
        urllib.request.urlopen(f"{orgd.url}/_readyz?{number}").read()
    orgd.fail("POST /api/organizations/{id}/invites/", status=503)
    orgd.assert_requests("POST /api/organizations/{id}/invites/", count=1)

def test_that_passes(orgd):
    assert orgd.requests() == []
'''


def run_pytest(folder, *args, command=(), **env):
    """Runs pytest in a folder, as its users do: the fixture comes by the entry point."""
    import os

    variables = {name: value for name, value in os.environ.items() if not name.startswith(("ORGD_", "PYTEST_"))}
    if "ORGD_BIN" in os.environ:
        variables["ORGD_BIN"] = os.environ["ORGD_BIN"]
    words = [*command, sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *args]
    done = subprocess.run(words, cwd=folder, env={**variables, **env}, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


def test_a_test_that_fails_shows_what_happened(tmp_path):
    (tmp_path / "test_it.py").write_text(FAILING)
    code, said = run_pytest(tmp_path)
    assert code == 1, said
    assert "1 failed, 1 passed" in said
    assert "AssertionError: no request has the path" in said
    assert "requests (the last 20 of 23):" in said
    assert "GET /_readyz?3 -> 200" in said and "GET /_readyz?2 ->" not in said
    assert 'fault x1 has not fired: {"match": {' in said


def test_a_seed_and_flags_by_settings(tmp_path):
    (tmp_path / "org.yaml").write_text(
        textwrap.dedent(
            """
            orgd: 1
            organizations:
              - slug: acme
                name: Acme
                members: [{email: ada@example.com, level: owner}]
                projects: [{name: Website}]
            users:
              - {email: ada@example.com, first_name: Ada, password: a-Fine-passphrase-of-Ada}
            """
        )
    )
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\norgd_seed = org.yaml\norgd_args = --clock 2026-01-01T00:00:00Z --api-key phx_of_the_tests_0000000000000000000000\n"
    )
    (tmp_path / "test_it.py").write_text(
        "def test_it(orgd):\n"
        "    assert orgd.clock.now.isoformat() == '2026-01-01T00:00:00+00:00'\n"
        "    assert orgd.owner.email == 'ada@example.com'\n"
    )
    code, said = run_pytest(tmp_path)
    assert code == 0, said


def test_each_worker_has_a_server_and_exec_has_one_for_all(tmp_path):
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "@pytest.mark.parametrize('number', range(8))\n"
        "def test_it(orgd, orgd_server, number):\n"
        "    assert orgd.requests() == []\n"
        "    with open('servers', 'a') as file:\n"
        "        file.write(orgd_server.url + '\\n')\n"
    )
    servers = tmp_path / "servers"
    code, said = run_pytest(tmp_path, "-n", "2")
    assert code == 0, said
    assert len(set(servers.read_text().split())) == 2
    servers.unlink()
    code, said = run_pytest(tmp_path, "-n", "2", command=[find_binary(), "exec", "--"])
    assert code == 0, said
    assert len(set(servers.read_text().split())) == 1


def test_the_module_is_the_program():
    said = subprocess.run([sys.executable, "-m", "orgd", "--version"], capture_output=True, text=True, check=True)
    assert said.stdout.startswith("orgd ")
