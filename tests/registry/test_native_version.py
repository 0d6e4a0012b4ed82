"""Harbor's version: told to who logs in, and remembered with what the host was found to be."""

from __future__ import annotations

import json

import pytest

from tests.registry.accounts import ACME, Clock, Passwords
from tests.registry.clients import connect
from watcher.core.account import DialectName, Strategy
from watcher.http_client import Headers
from watcher.registry.answer import Answer
from watcher.registry.budgets.limits import HostLimits
from watcher.registry.listing.tags import Seen
from watcher.registry.native.harbor import read_version, tells_changes
from watcher.testing.profiles import PROFILES
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry

VERSION = "v2.15.2-abc"


@pytest.mark.parametrize(
    "version",
    [
        pytest.param("v2.15.2\n-abc", id="a line break"),
        pytest.param("v2.15.2-\x1b[31m", id="a control character"),
        pytest.param(f"v2.15.2-{'a' * 100}", id="too long"),
        pytest.param("2.15", id="two numbers"),
    ],
)
def test_what_is_no_version_is_none(version: str) -> None:
    body = json.dumps({"harbor_version": version}).encode()
    answer = Answer(200, Headers([]), body, "https://h.example/api/v2.0/systeminfo")
    assert read_version(answer) is None
    assert not tells_changes(version)


async def test_the_version_is_asked_for_once_and_kept_for_the_next_process() -> None:
    clock = Clock()
    users = {str(ACME.username): str(ACME.password)}
    async with FakeRegistry(
        profile=PROFILES["harbor"], users=users, version=VERSION, clock=clock
    ) as registry:
        registry.push("acme/web", "1.0")
        known = HostLimits(clock=clock)
        for _ in range(2):
            known = HostLimits(clock=clock, recognised=known.recognised())
            async with connect(
                registry,
                Passwords(ACME),
                clock=clock,
                hosts=known,
                dialect=DialectName.HARBOR,
                strategy=Strategy.NATIVE,
            ) as client:
                await client.look("acme/web", Seen())
                assert client.strategy_of("acme/web", Seen()).startswith("native")
        assert registry.count(Kind.PROBE) == 1
        (found,) = known.recognised().values()
        assert (found.dialect, found.version) == (DialectName.HARBOR, VERSION)
