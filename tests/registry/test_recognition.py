"""What kind of registry a host is: found out once a day, with few requests and no credential."""

from __future__ import annotations

from typing import Any

import pytest

from tests.registry.accounts import Clock, Passwords
from tests.registry.clients import connect
from tests.registry.looks import WEB, playing
from watcher.core.account import Credential, DialectName
from watcher.core.host import Recognition
from watcher.registry.budgets.limits import HostLimits
from watcher.registry.client import RegistryClient
from watcher.registry.recognition import AGAIN_AFTER_FAILURE, VALID
from watcher.testing.access import NoAuth
from watcher.testing.faults import Action, Cut, Fault, Match, Respond
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry

USER = Credential(username="acme", password="s3cret-of-acme")
USERS = {"acme": "s3cret-of-acme"}
JSON = (("Content-Type", "application/json"),)


def needs(client: RegistryClient) -> bool:
    return client.needs_recognition


@pytest.mark.parametrize(
    ("kind", "settings", "dialect", "version", "most"),
    [
        ("artifactory", {}, DialectName.ARTIFACTORY, "7.46.11", 1),
        ("nexus", {}, DialectName.NEXUS, "3.64.0-04", 1),
        ("harbor", {}, DialectName.HARBOR, None, 2),
        ("harbor", {"version": "v2.9.1-abc"}, DialectName.HARBOR, "v2.9.1-abc", 2),
        ("quay", {}, DialectName.QUAY, None, 3),
        ("gitlab", {}, DialectName.GITLAB, None, 4),
        ("distribution-2.8", {"auth": NoAuth()}, DialectName.DISTRIBUTION, None, 3),
        ("distribution-3", {"auth": NoAuth()}, DialectName.DISTRIBUTION, None, 3),
    ],
)
async def test_a_kind_of_registry_is_recognised_by_few_requests_without_a_credential(
    kind: str,
    settings: dict[str, Any],
    dialect: DialectName,
    version: str | None,
    most: int,
) -> None:
    clock = Clock()
    async with (
        playing(kind, "1", clock=clock, **{"users": USERS, **settings}) as registry,
        connect(registry, Passwords(USER), clock=clock) as client,
    ):
        assert needs(client)
        assert await client.recognise() == Recognition(dialect, version, clock.now)
        assert not needs(client)
        assert len(registry.requests) <= most <= 4
        assert {entry.headers.get("authorization") for entry in registry.requests} == {None}
        assert registry.count(Kind.TOKEN) == 0


async def test_what_was_recognised_decides_how_all_accounts_of_the_host_look() -> None:
    clock = Clock()
    hosts = HostLimits(clock=clock, sleep=clock.sleep)
    async with (
        playing("quay", "1", clock=clock) as registry,
        connect(registry, clock=clock, hosts=hosts) as client,
        connect(registry, clock=clock, hosts=hosts, name="other") as other,
    ):
        await client.recognise()
        assert not needs(other)
        assert hosts.recognised()[registry.address].dialect is DialectName.QUAY
        await other.list_tags(WEB)
        assert "n=100" in registry.requests_of(Kind.TAGS)[0].query


@pytest.mark.parametrize(
    ("answers", "dialect"),
    [
        pytest.param({"/v2/": Respond(200)}, None, id="nothing known"),
        pytest.param({"/v2/": Respond(404)}, None, id="404"),
        pytest.param(
            {"/gitlab/v1/": Respond(200, JSON, b"{}")},
            DialectName.DISTRIBUTION,
            id="GitLab's path alone",
        ),
        pytest.param(
            {"/api/v2.0/systeminfo": Respond(200, JSON, b'{"auth_mode": "db_auth"}')},
            DialectName.DISTRIBUTION,
            id="half of Harbor's answer",
        ),
        pytest.param(
            {
                "/api/v2.0/systeminfo": Respond(
                    200, JSON, b'{"auth_mode": "db_auth", "registry_url": "harbor.example"}'
                )
            },
            DialectName.HARBOR,
            id="an old Harbor",
        ),
        pytest.param(
            {"/api/v2.0/systeminfo": Respond(200, JSON, b'{"harbor_version": "v2.1.0"}')},
            DialectName.HARBOR,
            id="Harbor's version",
        ),
        pytest.param(
            {"/health/instance": Respond(200, JSON, b'{"data": {"services": []}}')},
            DialectName.DISTRIBUTION,
            id="another health",
        ),
        pytest.param(
            {"/health/instance": Respond(200, (("Content-Type", "text/html"),), b"<html>")},
            DialectName.DISTRIBUTION,
            id="a web page",
        ),
        pytest.param(
            {"/api/v2.0/systeminfo": Respond(200, JSON, b"{" * 9)},
            DialectName.DISTRIBUTION,
            id="broken JSON",
        ),
        pytest.param(
            {"/health/instance": Respond(200, JSON, b" " * 1_000_000)},
            DialectName.DISTRIBUTION,
            id="1 MB",
        ),
        pytest.param(
            {"/health/instance": Respond(302, (("Location", "/health/instance"),))},
            DialectName.DISTRIBUTION,
            id="a circle",
        ),
    ],
)
async def test_only_what_is_certain_is_recognised(
    registry: FakeRegistry, answers: dict[str, Action], dialect: DialectName | None
) -> None:
    for path, action in answers.items():
        registry.fault(Fault(action=action, match=Match(path=path)))
    clock = Clock()
    async with connect(registry, clock=clock) as client:
        found = await client.recognise()
    assert found is not None
    assert found.dialect is dialect


@pytest.mark.parametrize(
    "action",
    [
        pytest.param(Cut(), id="a cut connection"),
        pytest.param(Respond(500), id="500"),
        pytest.param(Respond(502), id="502"),
        pytest.param(Respond(429), id="429"),
        pytest.param(Respond(503, (("Retry-After", "5"),)), id="503"),
    ],
)
@pytest.mark.parametrize("path", ["/v2/", "/api/v2.0/systeminfo", "/health/instance"])
async def test_a_failure_recognises_nothing_and_is_asked_again_in_an_hour(
    path: str, action: Action
) -> None:
    clock = Clock()
    hosts = HostLimits(clock=clock, sleep=clock.sleep)
    async with (
        playing("quay", "1", clock=clock) as registry,
        connect(registry, clock=clock, hosts=hosts) as client,
    ):
        registry.fault(Fault(action=action, match=Match(path=path)))
        assert await client.recognise() is None
        assert not needs(client)
        kept = HostLimits(clock=clock, recognised=hosts.recognised())
        async with connect(registry, clock=clock, hosts=kept) as next_process:
            assert not needs(next_process), "a pass of cron asks no more often"
        clock.now += AGAIN_AFTER_FAILURE
        assert needs(client)
        registry.clear_faults()
        found = await client.recognise()
        assert found is not None
        assert found.dialect is DialectName.QUAY


async def test_a_failure_leaves_what_was_known() -> None:
    clock = Clock()
    earlier = Recognition(DialectName.NEXUS, None, clock.now - VALID)
    async with playing("quay", "1", clock=clock) as registry:
        hosts = HostLimits(clock=clock, sleep=clock.sleep, recognised={registry.address: earlier})
        registry.fault(Fault(action=Respond(500)))
        async with connect(registry, clock=clock, hosts=hosts) as client:
            assert await client.recognise() is None
            assert hosts.recognised()[registry.address].dialect is DialectName.NEXUS


async def test_a_recognition_holds_for_a_day() -> None:
    clock = Clock()
    earlier = Recognition(DialectName.NEXUS, None, clock.now)
    async with FakeRegistry() as registry:
        hosts = HostLimits(clock=clock, sleep=clock.sleep, recognised={registry.address: earlier})
        async with connect(registry, clock=clock, hosts=hosts) as client:
            clock.now += VALID - 1
            assert not needs(client)
            clock.now += 1
            assert needs(client)


@pytest.mark.parametrize(
    ("address", "dialect"),
    [
        pytest.param("https://quay.io", None, id="a name that is known"),
        pytest.param("https://registry.example", DialectName.NEXUS, id="what the account says"),
    ],
)
async def test_nobody_has_to_ask_what_is_known(address: str, dialect: DialectName | None) -> None:
    async with connect(address, dialect=dialect) as client:
        assert not needs(client)
