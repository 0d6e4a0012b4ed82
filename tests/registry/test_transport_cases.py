"""Transport: patience, broken connections, slowness, proxies and certificates.

The rows are those of the field notes' table of edge cases, 64 to 70. Row 67 concerns HTTP/2:
test_http2.py.
"""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import Callable
from email.utils import format_datetime
from pathlib import Path

import pytest

from tests.registry.accounts import ACME, Clock, Passwords
from tests.registry.certificates import Authority
from tests.registry.clients import SHORT, connect
from tests.registry.proxies import running_proxy
from watcher.core.account import Limits, Tls
from watcher.errors import (
    ProxyError,
    RateLimited,
    RegistryError,
    TlsError,
    TransportError,
)
from watcher.registry.budgets.limits import HostLimits
from watcher.registry.client import Listing, RegistryClient
from watcher.testing.access import BearerAuth
from watcher.testing.faults import Cut, Drip, Fault, Gate, Hold, Match, Raw, Respond
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry

NAME = "acme/web"
NOW = 1_800_000_000.0
HOUR = 3600.0
USERS = {"acme": ACME.password or ""}


@pytest.fixture(autouse=True)
def one_tag(registry: FakeRegistry) -> None:
    registry.push(NAME, "1")


def date(seconds: float) -> str:
    """An HTTP date so many seconds after NOW."""
    moment = datetime.datetime.fromtimestamp(NOW + seconds, datetime.UTC)
    return format_datetime(moment, usegmt=True)


async def tags(client: RegistryClient) -> tuple[str, ...]:
    found = await client.list_tags(NAME)
    assert isinstance(found, Listing)
    return found.tags


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("told", "least", "most"),
    [
        pytest.param("0", 1, 1, id="row-64-zero"),
        pytest.param("7", 7, 7, id="row-64-seconds"),
        pytest.param("  7 ", 7, 7, id="row-64-spaces"),
        pytest.param(date(90), 90, 90, id="row-64-http-date"),
        pytest.param(date(-90), 1, 1, id="row-64-date-in-the-past"),
        pytest.param("880.092µs", 1, 1, id="row-64-go-duration"),
        pytest.param("1m30s", 90, 90, id="row-64-long-go-duration"),
        pytest.param("-5", 1, 1, id="row-64-negative"),
        pytest.param("99999", 24 * HOUR, 24 * HOUR, id="row-64-more-than-a-day"),
        pytest.param("9" * 400, 1, 24 * HOUR, id="row-64-absurd"),
        pytest.param("soon", 1, 120, id="row-64-garbage"),
    ],
)
async def test_a_host_that_asks_for_patience_is_parked_sanely(
    registry: FakeRegistry, status: int, told: str, least: float, most: float
) -> None:
    clock = Clock(NOW)
    hosts = HostLimits(clock=clock, sleep=clock.sleep)
    value = told.encode().decode("latin-1")
    registry.fault(Fault(action=Respond(status, (("Retry-After", value),)), times=1))
    async with connect(registry, clock=clock, hosts=hosts) as client:
        with pytest.raises(RateLimited) as caught:
            await tags(client)
        patience = caught.value.retry_after
        assert patience is not None
        assert least <= patience.total_seconds() <= most
        assert hosts.parking.blocked() == {registry.address: NOW + patience.total_seconds()}
        with pytest.raises(RateLimited):
            await tags(client)
        assert registry.count(Kind.TAGS) == 1
        clock.now += patience.total_seconds() + 1
        assert await tags(client) == ("1",)
    assert clock.slept == []


async def test_patience_without_a_time_grows_with_each_refusal(registry: FakeRegistry) -> None:
    """row-64-absent"""
    clock = Clock(NOW)
    registry.fault(Fault(action=Respond(429)))
    waits = []
    async with connect(registry, clock=clock) as client:
        for _ in range(12):
            with pytest.raises(RateLimited) as caught:
                await tags(client)
            assert caught.value.retry_after is not None
            waits.append(caught.value.retry_after.total_seconds())
            clock.now += waits[-1] + 1
    assert waits == sorted(waits)
    assert (waits[0] >= 1, waits[-1] <= HOUR) == (True, True)


async def test_patience_that_is_told_in_the_message_only_is_understood(
    registry: FakeRegistry,
) -> None:
    """row-64-in-the-message"""
    message = "retry-after: 880.092µs, allowed: 44000/minute"
    body = '{"errors":[{"code":"TOOMANYREQUESTS","message":"' + message + '"}]}'
    registry.fault(Fault(action=Respond(429, (), body.encode())))
    async with connect(registry) as client:
        with pytest.raises(RateLimited) as caught:
            await tags(client)
    assert caught.value.retry_after == datetime.timedelta(seconds=1)


async def test_a_parked_host_stays_parked_across_a_restart(registry: FakeRegistry) -> None:
    """row-64-restart"""
    clock = Clock(NOW)
    hosts = HostLimits(clock=clock, sleep=clock.sleep, blocked={registry.address: NOW + 60})
    async with connect(registry, clock=clock, hosts=hosts) as client:
        with pytest.raises(RateLimited):
            await tags(client)
        clock.now += 61
        assert await tags(client) == ("1",)
    assert registry.count(Kind.TAGS) == 1


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_failure_of_a_moment_is_retried_once_inside_the_poll(
    registry: FakeRegistry, status: int
) -> None:
    """row-65-once"""
    clock = Clock(NOW)
    registry.fault(Fault(action=Respond(status), times=1))
    async with connect(registry, clock=clock) as client:
        assert await tags(client) == ("1",)
    assert registry.count(Kind.TAGS) == 2
    assert sum(clock.slept) < 5


async def test_a_failure_that_stays_is_left_to_the_next_poll(registry: FakeRegistry) -> None:
    """row-65-five-times"""
    registry.fault(Fault(action=Respond(503), times=5))
    async with connect(registry) as client:
        with pytest.raises(RegistryError) as caught:
            await tags(client)
        assert caught.value.temporary
        assert registry.count(Kind.TAGS) == 2


@pytest.mark.parametrize(
    "action",
    [
        pytest.param(Cut(), id="row-66-closed-instead-of-an-answer"),
        pytest.param(Cut(reset=True), id="row-66-reset"),
    ],
)
async def test_a_kept_connection_that_the_server_closed_is_replaced_unseen(
    registry: FakeRegistry, client: RegistryClient, action: Cut
) -> None:
    assert await tags(client) == ("1",)
    registry.fault(Fault(action=action, times=1))
    assert await tags(client) == ("1",)
    first, second, third = registry.requests
    assert first.connection == second.connection != third.connection


async def test_idle_connections_that_the_server_closed_are_replaced_unseen(
    registry: FakeRegistry, client: RegistryClient
) -> None:
    """row-66-idle"""
    assert await tags(client) == ("1",)
    registry.close_connections()
    assert await tags(client) == ("1",)


async def test_a_connection_that_is_cut_each_time_is_tried_twice_and_no_more(
    registry: FakeRegistry, client: RegistryClient
) -> None:
    """row-66-always"""
    registry.fault(Fault(action=Cut()))
    with pytest.raises(TransportError):
        await tags(client)
    assert registry.count(Kind.TAGS) == 2


async def test_one_connection_serves_one_poll_after_the_other(
    registry: FakeRegistry, client: RegistryClient
) -> None:
    for _ in range(5):
        await tags(client)
    assert registry.counters.connections == 1


@pytest.mark.parametrize(
    "action",
    [
        pytest.param(Drip(pause=0.05), id="row-68-head-byte-by-byte"),
        pytest.param(Drip(pause=0.05, head_at_once=True), id="row-68-body-byte-by-byte"),
        pytest.param(Hold(until=30.0), id="row-68-no-answer"),
    ],
)
async def test_an_answer_that_never_ends_is_given_up_in_time(
    registry: FakeRegistry, action: Drip
) -> None:
    registry.fault(Fault(action=action))
    async with connect(registry, timeouts=SHORT) as client:
        before = time.monotonic()
        with pytest.raises(TransportError, match="took too long"):
            await tags(client)
        assert time.monotonic() - before < 4
    assert registry.count(Kind.TAGS) <= 2


async def test_a_slow_repository_does_not_keep_the_others_from_their_turn(
    registry: FakeRegistry,
) -> None:
    """row-68-others"""
    gate = Gate()
    registry.fault(Fault(action=Hold(until=gate.passage), match=Match(repository=NAME)))
    registry.push("acme/other", "1")
    async with connect(registry, limits=Limits(concurrency=2)) as client:
        waiting = asyncio.create_task(client.list_tags(NAME))
        await gate.reached()
        assert isinstance(await client.list_tags("acme/other"), Listing)
        gate.open()
        assert isinstance(await waiting, Listing)


async def test_plain_requests_go_through_the_proxy_of_the_account(registry: FakeRegistry) -> None:
    """row-69-account"""
    async with running_proxy() as proxy, connect(registry, proxy=proxy.url) as client:
        assert await tags(client) == ("1",)
        assert proxy.asked[0].startswith(f"GET http://{registry.address}/v2/{NAME}/tags/list")


@pytest.mark.parametrize(
    ("environment", "is_used"),
    [
        pytest.param({"http_proxy": "{proxy}"}, True, id="row-69-http-proxy"),
        pytest.param({"HTTP_PROXY": "{proxy}"}, True, id="row-69-capitals"),
        pytest.param({"ALL_PROXY": "{proxy}"}, True, id="row-69-all-proxy"),
        pytest.param({"https_proxy": "{proxy}"}, False, id="row-69-other-scheme"),
        pytest.param({}, False, id="row-69-none"),
        pytest.param(
            {"http_proxy": "{proxy}", "no_proxy": "example.com, 127.0.0.1"},
            False,
            id="row-69-no-proxy-address",
        ),
        pytest.param(
            {"http_proxy": "{proxy}", "NO_PROXY": "127.0.0.0/8"},
            False,
            id="row-69-no-proxy-network",
        ),
        pytest.param({"http_proxy": "{proxy}", "NO_PROXY": "*"}, False, id="row-69-no-proxy-star"),
        pytest.param(
            {"http_proxy": "{proxy}", "NO_PROXY": "example.com"}, True, id="row-69-no-proxy-other"
        ),
    ],
)
async def test_the_environment_names_the_proxy_and_its_exceptions(
    registry: FakeRegistry, environment: dict[str, str], is_used: bool
) -> None:
    async with running_proxy() as proxy:
        named = {key: value.replace("{proxy}", proxy.url) for key, value in environment.items()}
        async with connect(registry, client={"environment": named}) as client:
            assert await tags(client) == ("1",)
        assert bool(proxy.asked) is is_used


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, now=datetime.datetime.now(datetime.UTC))


async def test_tls_goes_through_the_proxy_in_a_tunnel(authority: Authority) -> None:
    """row-69-connect"""
    async with (
        FakeRegistry(tls=authority.server_context("127.0.0.1")) as secure,
        running_proxy() as proxy,
        connect(secure, proxy=proxy.url, tls=Tls(ca_file=authority.certificate)) as client,
    ):
        secure.push(NAME, "1")
        assert await tags(client) == ("1",)
        assert proxy.asked == [f"CONNECT {secure.address}"]


@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls"])
async def test_a_proxy_that_wants_a_login_is_an_error_of_its_own(
    authority: Authority, is_tls: bool
) -> None:
    """row-69-407: and the registry's password is not in what the proxy saw."""
    context = authority.server_context("127.0.0.1") if is_tls else None
    async with FakeRegistry(tls=context) as target, running_proxy(refuses=True) as proxy:
        url = proxy.url.replace("http://", "http://user:proxy-secret@")
        tls = Tls(ca_file=authority.certificate)
        async with connect(target, Passwords(ACME), proxy=url, tls=tls) as client:
            with pytest.raises(ProxyError) as caught:
                await tags(client)
    assert "proxy-secret" not in str(caught.value)
    assert "s3cret" not in b"".join(proxy.heads).decode()
    assert target.requests == []


async def test_a_proxy_that_is_not_there_is_an_error_of_the_transport(
    registry: FakeRegistry,
) -> None:
    """row-69-gone"""
    async with running_proxy() as proxy:
        url = proxy.url
    async with connect(registry, proxy=url) as client:
        with pytest.raises(TransportError):
            await tags(client)


async def test_a_certificate_of_the_accounts_own_authority_is_trusted(authority: Authority) -> None:
    """row-70-custom-ca: for the registry and for its token server."""
    context = authority.server_context("127.0.0.1")
    async with FakeRegistry(tls=context, auth=BearerAuth(users=USERS)) as secure:
        secure.push(NAME, "1")
        tls = Tls(ca_file=authority.certificate)
        async with connect(secure, Passwords(ACME), tls=tls) as client:
            assert await tags(client) == ("1",)
        assert secure.counters.tokens == 1


def trusting(authority: Authority, directory: Path) -> Tls:
    return Tls(ca_file=authority.certificate)


def trusting_another(authority: Authority, directory: Path) -> Tls:
    now = datetime.datetime.now(datetime.UTC)
    return Tls(ca_file=Authority(directory, now=now, name="Another authority").certificate)


def trusting_the_system(authority: Authority, directory: Path) -> Tls:
    return Tls()


@pytest.mark.parametrize(
    ("host", "expired", "trust", "words"),
    [
        pytest.param("127.0.0.1", False, trusting_another, "not trusted", id="row-70-wrong-ca"),
        pytest.param("127.0.0.1", False, trusting_the_system, "not trusted", id="row-70-unknown"),
        pytest.param(
            "127.0.0.1", True, trusting, "127.0.0.1:[0-9]+ has expired", id="row-70-expired"
        ),
        pytest.param("10.9.8.7", False, trusting, "for another name", id="row-70-other-address"),
        pytest.param("example.com", False, trusting, "for another name", id="row-70-other-name"),
    ],
)
async def test_a_bad_certificate_is_named_for_what_it_is_and_not_retried(
    authority: Authority,
    tmp_path: Path,
    host: str,
    expired: bool,
    trust: Callable[[Authority, Path], Tls],
    words: str,
) -> None:
    context = authority.server_context(host, expired=expired)
    async with FakeRegistry(tls=context) as secure:
        clock = Clock(NOW)
        tls = trust(authority, tmp_path)
        async with connect(secure, Passwords(ACME), tls=tls, clock=clock) as client:
            with pytest.raises(TlsError, match=words) as caught:
                await tags(client)
        assert not caught.value.temporary
        assert secure.requests == []
        assert clock.slept == []


async def test_verification_is_skipped_only_where_the_account_says_so(
    authority: Authority,
) -> None:
    """row-70-skip"""
    context = authority.server_context("example.com", expired=True)
    async with FakeRegistry(tls=context) as secure:
        secure.push(NAME, "1")
        async with connect(secure, tls=Tls(insecure_skip_verify=True)) as client:
            assert await tags(client) == ("1",)


@pytest.mark.parametrize("skips", [False, True], ids=["verifying", "skipping-verification"])
async def test_https_never_falls_back_to_plain_http(registry: FakeRegistry, skips: bool) -> None:
    """row-70-downgrade"""
    url = f"https://{registry.address}"
    tls = Tls(insecure_skip_verify=skips)
    async with connect(url, Passwords(ACME), tls=tls) as client:
        with pytest.raises(TlsError) as caught:
            await tags(client)
    assert "plain_http" in (caught.value.hint or "")
    assert registry.requests == []


async def test_who_is_not_http_is_an_error_of_the_transport(
    registry: FakeRegistry, client: RegistryClient
) -> None:
    registry.fault(Fault(action=Raw(b"SSH-2.0-OpenSSH_9.6\r\n")))
    with pytest.raises(TransportError):
        await tags(client)


async def test_nobody_listening_is_an_error_of_the_transport() -> None:
    async with FakeRegistry() as gone:
        url = gone.url
    async with connect(url) as client:
        with pytest.raises(TransportError, match="refused the connection"):
            await tags(client)
