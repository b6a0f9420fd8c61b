"""The fixture `orgd`: a server of its own for each test.

One server is started for each process of the tests (each worker of pytest-xdist), or that of ORGD_URL is used; each test
has a fork of what it began with. A test that fails shows what its server was asked.
"""

from __future__ import annotations

import os
from typing import Any, Generator, Iterator

import pytest

from ._server import OrgdError, Server


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("orgd_seed", "The file that the fixture `orgd` begins with, below the root of the tests")
    parser.addini("orgd_args", "Further flags of `orgd serve`, for the fixture `orgd`", type="args", default=[])


@pytest.fixture(scope="session")
def orgd_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """The server that the tests of this process share; what a test wants is a fork of it."""
    config = request.config
    seed, args = config.getini("orgd_seed"), config.getini("orgd_args")
    url = os.environ.get("ORGD_URL")
    if url:
        if seed or args:
            raise OrgdError("orgd_seed and orgd_args are for a server that is started here, and ORGD_URL names another")
        yield Server.at(url)
        return
    with Server.start(seed=config.rootpath / seed if seed else None, args=args) as server:
        yield server


@pytest.fixture
def orgd(orgd_server: Server) -> Iterator[Server]:
    """A server of its own for this test. Its data is checked at the end."""
    with orgd_server.fork("start") as fork:
        yield fork


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    outcome = yield
    report = outcome.get_result()
    server = getattr(item, "funcargs", {}).get("orgd")
    if report.when != "call" or not report.failed or not isinstance(server, Server):
        return
    try:
        text = server.report()
    except OrgdError as cause:
        text = f"it can't be asked: {cause}"
    report.sections.append(("orgd", text))
