"""HTTP/2 with nginx in front of docker-registry: one connection for all, and the way back to 1.1.

nginx says which requests it got over which connection. A sweep is what a poll of a repository
with followed tags is: a listing, and then a HEAD per tag, as many at once as the account may.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest

from tests.registry.accounts import ACME, Passwords
from tests.registry.clients import connect
from tests.transport.asking import error_of
from tests.transport.conftest import NAME, TAGS, Certificates, Front, SecureRegistry, tags
from tests.transport.servers import Request, Server, asked
from watcher.core.account import Credential, Limits, Tls
from watcher.errors import AuthenticationFailed, TlsError
from watcher.registry.client import RegistryClient

AT_ONCE = Limits(concurrency=20)
HEADS = Counter(f"/v2/{NAME}/manifests/{tag}" for tag in TAGS)


@pytest.fixture
def tls(certificates: Certificates) -> Tls:
    return Tls(ca_file=certificates.ours.certificate)


async def sweep(client: RegistryClient) -> None:
    """A listing and a HEAD per tag; all of them have to succeed, and to say the one digest."""
    assert await tags(client) == set(TAGS)
    digests = await asyncio.gather(*(client.head(NAME, tag) for tag in TAGS))
    assert len(set(digests)) == 1


def answered(requests: Sequence[Request]) -> Counter[str]:
    """How often each manifest was given."""
    return Counter(r.path for r in requests if r.method == "HEAD" and r.status == 200)


def ways(requests: Sequence[Request]) -> tuple[set[str], int]:
    """The protocols that were spoken, and how many connections there were."""
    return {r.protocol for r in requests}, len({r.connection for r in requests})


async def test_a_sweep_takes_one_connection(front: Front, tls: Tls) -> None:
    log = front.tail()
    url = f"https://{front.address('http2')}"
    async with connect(url, tls=tls, http2=True, limits=AT_ONCE) as client:
        await sweep(client)
    requests = front.requests("http2", log, 1 + len(TAGS))
    assert answered(requests) == HEADS
    assert ways(requests) == ({"HTTP/2.0"}, 1)


async def test_a_sweep_with_a_password_takes_one_connection(front: Front, tls: Tls) -> None:
    log = front.tail()
    url = f"https://{front.address('guarded')}"
    async with connect(url, Passwords(ACME), tls=tls, http2=True, limits=AT_ONCE) as client:
        await sweep(client)
    requests = front.requests("guarded", log, 2 + len(TAGS))
    assert answered(requests) == HEADS
    assert [r.status for r in requests].count(401) == 1
    assert ways(requests) == ({"HTTP/2.0"}, 1)


async def test_a_wrong_password_is_refused_as_over_http1(front: Front, tls: Tls) -> None:
    url = f"https://{front.address('guarded')}"
    wrong = Passwords(Credential("acme", "no such password"))
    async with connect(url, wrong, tls=tls, http2=True) as client:
        error = await error_of(client)
    assert isinstance(error, AuthenticationFailed)
    assert "refused the account's password" in str(error)


async def test_a_sweep_of_a_docker_registry_that_speaks_it_itself(
    secure: SecureRegistry, tls: Tls
) -> None:
    registry = secure("good")
    before = len(registry.access_log())
    async with connect(registry.url, tls=tls, http2=True, limits=AT_ONCE) as client:
        await sweep(client)
    lines = registry.access_log()[before:]
    assert len(lines) == 1 + len(TAGS)
    assert all("HTTP/2.0" in line for line in lines)


@pytest.mark.parametrize("http2", [None, False], ids=["by default", "switched off"])
async def test_it_is_not_spoken_unless_asked_for(
    front: Front, tls: Tls, http2: bool | None
) -> None:
    log = front.tail()
    url = f"https://{front.address('http2')}"
    async with connect(url, tls=tls, http2=http2) as client:
        await tags(client)
    assert ways(front.requests("http2", log, 1)) == ({"HTTP/1.1"}, 1)


async def test_a_server_without_it_gets_http1(front: Front, tls: Tls) -> None:
    log = front.tail()
    url = f"https://{front.address('http1')}"
    async with connect(url, tls=tls, http2=True) as client:
        await sweep(client)
    requests = front.requests("http1", log, 1 + len(TAGS))
    assert answered(requests) == HEADS
    protocols, connections = ways(requests)
    assert protocols == {"HTTP/1.1"}
    assert connections <= 1 + Limits().concurrency


async def test_no_more_streams_than_the_server_takes(front: Front, tls: Tls) -> None:
    log = front.tail()
    url = f"https://{front.address('few-streams')}"
    async with connect(url, tls=tls, http2=True, limits=AT_ONCE) as client:
        await sweep(client)
    requests = front.requests("few-streams", log, 1 + len(TAGS))
    assert answered(requests) == HEADS
    assert ways(requests) == ({"HTTP/2.0"}, 1)


@pytest.mark.parametrize("at_once", [1, 3, 20])
async def test_a_server_that_closes_its_connections_in_the_middle_of_a_sweep_costs_nothing(
    front: Front, tls: Tls, at_once: int
) -> None:
    """nginx sends GOAWAY after every seventh request."""
    log = front.tail()
    url = f"https://{front.address('short-lived')}"
    limits = Limits(concurrency=at_once)
    async with connect(url, tls=tls, http2=True, limits=limits) as client:
        await sweep(client)
    requests = front.requests("short-lived", log, 1 + len(TAGS))
    assert set(answered(requests)) == set(HEADS)
    assert {r.status for r in requests} <= {200, 499}
    assert {r.protocol for r in requests} == {"HTTP/2.0"}


async def test_a_sweep_through_a_proxy_takes_one_tunnel(
    front: Front, proxy: Server, tls: Tls
) -> None:
    log, tunnels = front.tail(), proxy.tail()
    address = front.address("http2")
    async with connect(
        f"https://{address}",
        tls=tls,
        http2=True,
        limits=AT_ONCE,
        proxy=f"http://{proxy.address}",
    ) as client:
        await sweep(client)
    assert ways(front.requests("http2", log, 1 + len(TAGS))) == ({"HTTP/2.0"}, 1)
    assert asked(tunnels) == [f"CONNECT {address}"]


async def test_a_certificate_is_refused_as_over_http1(
    front: Front, certificates: Certificates
) -> None:
    url = f"https://{front.address('http2')}"
    roots = {"SSL_CERT_FILE": str(certificates.stranger.certificate)}
    async with connect(url, http2=True, client={"environment": roots}) as client:
        error = await error_of(client)
    assert isinstance(error, TlsError)
    assert f"the certificate of {front.address('http2')} is not trusted" in str(error)


async def test_a_ca_file_stands_beside_the_systems_roots(
    front: Front, certificates: Certificates
) -> None:
    url = f"https://{front.address('http2')}"
    roots = {"SSL_CERT_FILE": str(certificates.ours.certificate)}
    tls = Tls(ca_file=certificates.stranger.certificate)
    async with connect(url, tls=tls, http2=True, client={"environment": roots}) as client:
        assert await tags(client) == set(TAGS)
