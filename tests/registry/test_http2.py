"""HTTP/2: one connection for all requests of an account, and what a server does in the midst."""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from h2.errors import ErrorCodes

from tests.registry.accounts import ACME, Passwords
from tests.registry.certificates import Authority
from tests.registry.clients import SHORT, connect
from tests.registry.h2_server import Action, Cut, GoAway, H2Server, Reset, Say, running_h2
from tests.registry.proxies import running_proxy
from watcher.core.account import Limits, Timeouts, Tls
from watcher.errors import ProtocolError, ProxyError, RateLimited, TlsError, TransportError
from watcher.http_client import Connections, HttpSettings, Reply
from watcher.http_client.http2 import MOST_SENT
from watcher.registry.client import Listing, RegistryClient
from watcher.testing.registry import FakeRegistry

NAME = "acme/web"
TAGS = Say(
    pieces=(b'{"name":"acme/web","tags":["1"]}',), headers=(("content-type", "application/json"),)
)
HOST = "registry.example"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, now=datetime.now(UTC))


@pytest.fixture
async def server(authority: Authority) -> AsyncIterator[H2Server]:
    async with running_h2(authority.server_context("127.0.0.1")) as running:
        running.otherwise = TAGS
        yield running


@pytest.fixture
async def connections(authority: Authority) -> AsyncIterator[Connections]:
    opened = Connections(settings(authority), environment={})
    yield opened
    await opened.aclose()


def settings(authority: Authority, timeouts: Timeouts = Timeouts()) -> HttpSettings:  # noqa: B008
    return HttpSettings(tls=trusting(authority), timeouts=timeouts, http2=True)


def trusting(authority: Authority) -> Tls:
    return Tls(ca_file=authority.certificate)


async def get(connections: Connections, url: str, cap: int = 10_000) -> Reply:
    return await connections.exchange("GET", url, [], cap=cap, host=HOST)


async def tags(client: RegistryClient) -> tuple[str, ...]:
    found = await client.list_tags(NAME)
    assert isinstance(found, Listing)
    return found.tags


async def test_all_requests_at_once_share_one_connection(
    server: H2Server, connections: Connections
) -> None:
    gate = asyncio.Event()
    server.otherwise = Say(until=gate)
    asking = [asyncio.create_task(get(connections, f"{server.url}/{n}")) for n in range(30)]
    async with asyncio.timeout(10):
        while server.most_at_once < 30:
            await asyncio.sleep(0.01)
    gate.set()
    assert {reply.status for reply in await asyncio.gather(*asking)} == {200}
    assert server.connections == 1


@pytest.mark.parametrize(
    ("maximum", "at_once"),
    [
        pytest.param(1, 1, id="one"),
        pytest.param(3, 3, id="three"),
        pytest.param(None, 1, id="without a word of it"),
    ],
)
async def test_more_requests_than_the_server_takes_at_once_wait(
    authority: Authority, connections: Connections, maximum: int | None, at_once: int
) -> None:
    context = authority.server_context("127.0.0.1")
    gate = asyncio.Event()
    async with running_h2(context, maximum_streams=maximum) as server:
        server.otherwise = Say(until=gate)
        asking = [asyncio.create_task(get(connections, f"{server.url}/{n}")) for n in range(12)]
        async with asyncio.timeout(10):
            while server.most_at_once < at_once:
                await asyncio.sleep(0.01)
        gate.set()
        assert {reply.status for reply in await asyncio.gather(*asking)} == {200}
        assert len(server.asked) == 12
        assert (server.connections, server.most_at_once) == (1, at_once)


async def test_the_target_goes_back_byte_by_byte(
    server: H2Server, connections: Connections
) -> None:
    target = "/v2/_catalog?last=a%2Fb%2f%7e~+%20&n=1"
    await get(connections, server.url + target)
    (asked,) = server.asked
    assert asked.headers[":path"] == target
    assert asked.headers[":authority"] == server.url.partition("://")[2]


async def test_a_body_is_sent(server: H2Server, connections: Connections) -> None:
    await connections.exchange(
        "POST", server.url, [(b"Content-Type", b"text/plain")], cap=100, host=HOST, content=b"a=b"
    )
    (asked,) = server.asked
    assert (asked.headers[":method"], asked.body) == ("POST", b"a=b")


@pytest.mark.parametrize(
    "action",
    [
        pytest.param(GoAway(), id="row-67-goaway"),
        pytest.param(GoAway(ErrorCodes.ENHANCE_YOUR_CALM), id="row-67-goaway-too-many-requests"),
        pytest.param(Reset(), id="row-67-refused-stream"),
        pytest.param(Reset(ErrorCodes.INTERNAL_ERROR), id="row-67-reset-stream"),
        pytest.param(Cut(), id="row-67-cut"),
    ],
)
async def test_what_breaks_in_the_midst_of_a_sweep_is_tried_once_more(
    server: H2Server, authority: Authority, action: Action
) -> None:
    """row-67"""
    async with connect(server.url, tls=trusting(authority), http2=True) as client:
        assert await tags(client) == ("1",)
        server.actions.append(action)
        assert await tags(client) == ("1",)
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    "action",
    [GoAway(ErrorCodes.ENHANCE_YOUR_CALM), Reset(), Cut()],
    ids=["goaway-for-a-reason", "reset", "cut"],
)
async def test_what_breaks_each_time_is_tried_twice_and_no_more(
    server: H2Server, authority: Authority, action: Action
) -> None:
    """row-67"""
    server.otherwise = action
    async with connect(server.url, tls=trusting(authority), http2=True) as client:
        with pytest.raises(TransportError, match="broke the connection") as caught:
            await tags(client)
    assert caught.value.temporary
    assert len(server.asked) == 2


async def test_all_that_were_under_way_when_the_server_went_away_are_answered(
    server: H2Server, authority: Authority
) -> None:
    """row-67"""
    gate = asyncio.Event()
    server.actions.extend([Say(until=gate)] * 9)
    server.actions.append(GoAway())
    limits = Limits(concurrency=10)
    async with connect(server.url, tls=trusting(authority), http2=True, limits=limits) as client:
        found = await asyncio.gather(*(tags(client) for _ in range(10)))
    assert found == [("1",)] * 10
    assert len(server.asked) <= 20


async def test_a_stream_that_was_given_up_does_not_harm_the_next(
    server: H2Server, authority: Authority
) -> None:
    connections = Connections(settings(authority, SHORT), environment={})
    server.actions.append(Say(ends=False))
    with pytest.raises(TransportError, match="took too long"):
        await get(connections, server.url)
    assert (await get(connections, server.url)).body == TAGS.pieces[0]
    await connections.aclose()


async def test_one_that_is_never_answered_takes_none_of_the_others_with_it(
    server: H2Server, authority: Authority
) -> None:
    """The read time-out of the first ends the connection; the second is tried again on another."""
    timeouts = Timeouts(connect=timedelta(seconds=5), read=timedelta(seconds=0.5))
    never = asyncio.Event()
    server.actions.extend([Say(until=never), Say(until=never)])
    async with connect(
        server.url, tls=trusting(authority), http2=True, timeouts=timeouts
    ) as client:
        first = asyncio.create_task(tags(client))
        while len(server.asked) < 1:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        assert await tags(client) == ("1",)
        with pytest.raises(TransportError, match="took too long"):
            await first


@pytest.mark.parametrize(
    ("action", "words"),
    [
        pytest.param(Say(ends=False), "took too long", id="row-68-no-end"),
        pytest.param(Say(until=asyncio.Event()), "took too long", id="row-68-no-answer"),
        pytest.param(
            Say(pieces=(b"x",) * 1000, pause=0.05), "took too long", id="row-68-byte-by-byte"
        ),
    ],
)
async def test_an_answer_that_never_ends_is_given_up_in_time(
    server: H2Server, authority: Authority, action: Say, words: str
) -> None:
    connections = Connections(settings(authority, SHORT), environment={})
    server.otherwise = action
    async with asyncio.timeout(3):
        with pytest.raises(TransportError, match=words):
            await get(connections, server.url, cap=100_000)
    await connections.aclose()


GZIP = ("content-encoding", "gzip")
BOMB = zlib.compress(bytes(20_000_000), 9)


@pytest.mark.parametrize(
    ("action", "words"),
    [
        pytest.param(Say(pieces=(b"x" * 20_000,)), "more than", id="a huge body"),
        pytest.param(
            Say(pieces=(BOMB,), headers=(("content-encoding", "deflate"),)), "more than", id="bomb"
        ),
        pytest.param(
            Say(pieces=(zlib.compress(b"tags" * 99)[:-9],), headers=(GZIP,)), "too early", id="half"
        ),
        pytest.param(Say(pieces=(b"tags",), headers=(GZIP,)), "broken compressed", id="no gzip"),
        pytest.param(
            Say(pieces=(b"tags",), headers=(("content-encoding", "br"),)),
            "nobody asked for",
            id="unknown",
        ),
    ],
)
async def test_a_body_that_can_not_be_read_is_refused_and_the_next_is_read(
    server: H2Server, connections: Connections, action: Say, words: str
) -> None:
    server.actions.append(action)
    with pytest.raises(ProtocolError, match=words):
        await get(connections, server.url)
    assert (await get(connections, server.url)).body == TAGS.pieces[0]


async def test_the_body_of_an_error_is_cut_and_the_next_is_read(
    server: H2Server, connections: Connections
) -> None:
    server.actions.append(Say(status=404, pieces=(b"x" * 500_000,)))
    reply = await get(connections, server.url)
    assert (reply.status, reply.body) == (404, b"x" * 10_000)
    assert (await get(connections, server.url)).body == TAGS.pieces[0]


async def test_a_large_body_is_read_to_its_end(server: H2Server, connections: Connections) -> None:
    server.otherwise = Say(pieces=(b"x" * 1_000_000,) * 40)
    assert len((await get(connections, server.url, cap=64_000_000)).body) == 40_000_000


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param((("x-flood", "x" * 80_000),), id="one"),
        pytest.param(tuple((f"x-{number}", "y") for number in range(20_000)), id="many"),
    ],
)
async def test_a_flood_of_headers_is_given_up(
    server: H2Server, connections: Connections, headers: tuple[tuple[str, str], ...]
) -> None:
    server.otherwise = Say(headers=headers)
    with pytest.raises(TransportError):
        await get(connections, server.url)


async def test_patience_is_understood(server: H2Server, authority: Authority) -> None:
    server.otherwise = Say(status=429, headers=(("retry-after", "7"),))
    async with connect(server.url, tls=trusting(authority), http2=True) as client:
        with pytest.raises(RateLimited) as caught:
            await tags(client)
    assert caught.value.retry_after == timedelta(seconds=7)


async def test_a_server_without_http2_is_asked_over_http1(authority: Authority) -> None:
    context = authority.server_context("127.0.0.1")
    context.set_alpn_protocols(["http/1.1"])
    async with FakeRegistry(tls=context) as registry:
        registry.push(NAME, "1")
        limits = Limits(concurrency=4)
        async with connect(registry, tls=trusting(authority), http2=True, limits=limits) as client:
            assert await asyncio.gather(*(tags(client) for _ in range(8))) == [("1",)] * 8
            assert await asyncio.gather(*(tags(client) for _ in range(8))) == [("1",)] * 8
        assert registry.counters.connections <= 5


async def test_what_the_dialect_says_counts_where_the_account_says_nothing(
    server: H2Server, authority: Authority
) -> None:
    """And a dialect may be recognised later."""
    known = False
    connections = Connections(
        HttpSettings(tls=trusting(authority)), environment={}, http2=lambda: known
    )
    with pytest.raises(TransportError):
        await get(connections, server.url)
    known = True
    assert (await get(connections, server.url)).status == 200
    await connections.aclose()


@pytest.mark.parametrize("http2", [True, False])
async def test_a_scheme_in_capitals_is_the_same_scheme(authority: Authority, http2: bool) -> None:
    """A location may be written so; what is encrypted, and for whom a proxy's login is, hangs on
    it."""
    opened = Connections(HttpSettings(tls=trusting(authority), http2=http2), environment={})
    async with FakeRegistry(tls=authority.server_context("127.0.0.1")) as registry:
        reply = await get(opened, registry.url.replace("https", "HTTPS") + "/v2/")
        await opened.aclose()
    assert reply.status == 200


async def test_plain_http_is_never_asked_in_http2(authority: Authority) -> None:
    async with FakeRegistry() as registry:
        registry.push(NAME, "1")
        async with connect(registry, http2=True) as client:
            assert await tags(client) == ("1",)


async def test_a_certificate_that_nobody_vouches_for_is_refused(
    server: H2Server, tmp_path: Path
) -> None:
    other = Authority(tmp_path, now=datetime.now(UTC), name="Another authority")
    async with connect(server.url, Passwords(ACME), tls=trusting(other), http2=True) as client:
        with pytest.raises(TlsError, match="not trusted"):
            await tags(client)
    assert server.asked == []


async def test_the_systems_roots_stand_beside_the_ca_file(
    server: H2Server, authority: Authority, tmp_path: Path
) -> None:
    other = Authority(tmp_path, now=datetime.now(UTC), name="Another authority")
    system = {"environment": {"SSL_CERT_FILE": str(authority.certificate)}}
    async with connect(server.url, tls=trusting(other), http2=True, client=system) as client:
        assert await tags(client) == ("1",)


async def test_requests_go_through_the_proxy_in_one_tunnel(
    server: H2Server, authority: Authority
) -> None:
    limits = Limits(concurrency=6)
    async with (
        running_proxy() as proxy,
        connect(
            server.url, tls=trusting(authority), http2=True, proxy=proxy.url, limits=limits
        ) as client,
    ):
        assert await asyncio.gather(*(tags(client) for _ in range(6))) == [("1",)] * 6
        assert proxy.asked == [f"CONNECT {server.url.partition('://')[2]}"]


async def test_a_proxy_that_wants_a_login_is_an_error_of_its_own(
    server: H2Server, authority: Authority
) -> None:
    async with running_proxy(refuses=True) as proxy:
        url = proxy.url.replace("http://", "http://user:proxy-secret@")
        async with connect(server.url, tls=trusting(authority), http2=True, proxy=url) as client:
            with pytest.raises(ProxyError, match="407") as caught:
                await tags(client)
    assert "proxy-secret" not in repr(caught.value)
    assert b"Proxy-Authorization: Basic dXNlcjpwcm94eS1zZWNyZXQ=" in proxy.heads[0]


async def test_a_proxy_that_is_not_there_is_named(server: H2Server, authority: Authority) -> None:
    async with running_proxy() as proxy:
        url = proxy.url
    async with connect(server.url, tls=trusting(authority), http2=True, proxy=url) as client:
        with pytest.raises(ProxyError, match="refused the connection"):
            await tags(client)


async def test_nobody_listening_is_an_error_of_the_transport(connections: Connections) -> None:
    async with FakeRegistry() as gone:
        url = gone.url.replace("http://", "https://")
    with pytest.raises(TransportError, match="refused the connection"):
        await get(connections, url)


async def test_connections_go_to_the_addresses_that_were_checked(
    server: H2Server, authority: Authority
) -> None:
    context = authority.server_context("checked.example")
    async with running_h2(context) as named:
        port = named.url.rpartition(":")[2]
        connections = Connections(settings(authority), environment={})
        connections.pin("checked.example", ["127.0.0.1"])
        assert (await get(connections, f"https://checked.example:{port}/")).status == 200
        await connections.aclose()


async def test_no_password_is_written_to_the_log(
    server: H2Server, connections: Connections, caplog: pytest.LogCaptureFixture
) -> None:
    headers = [(b"Authorization", b"Basic c2VjcmV0")]
    with caplog.at_level(logging.DEBUG):
        await connections.exchange("GET", server.url, headers, cap=1000, host=HOST)
    (asked,) = server.asked
    assert asked.headers["authorization"] == "Basic c2VjcmV0"
    assert "c2VjcmV0" not in caplog.text


async def test_a_connection_carries_only_so_much(
    server: H2Server, connections: Connections
) -> None:
    """The other end says how much of what it was sent is remembered to compress what follows."""
    for number in range(40):
        await get(connections, f"{server.url}/{number:0>60000}")
    assert server.connections == 1 + 40 * 60_000 // MOST_SENT


@pytest.mark.parametrize("status", [0, 99, 600, 9_999_999_999])
async def test_a_status_that_is_none_is_no_answer(
    server: H2Server, connections: Connections, status: int
) -> None:
    server.otherwise = Say(status=status)
    with pytest.raises(ProtocolError, match="status"):
        await get(connections, server.url)


async def test_the_connection_that_was_not_offered_http2_is_closed(authority: Authority) -> None:
    """It is never asked again, and would take up an open file."""
    context = authority.server_context("127.0.0.1")
    context.set_alpn_protocols(["http/1.1"])
    kept: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        kept.add(writer)
        while (await reader.read(65536)).endswith(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        kept.discard(writer)
        writer.transport.abort()

    opened = Connections(settings(authority), environment={})
    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as plain:
        url = f"https://127.0.0.1:{plain.sockets[0].getsockname()[1]}/"
        for _ in range(2):
            assert (await get(opened, url)).status == 200
        async with asyncio.timeout(5):
            while len(kept) > 1:
                await asyncio.sleep(0.01)
        await opened.aclose()


async def test_closing_closes_all_connections(server: H2Server, connections: Connections) -> None:
    await get(connections, server.url)
    await connections.aclose()
    async with asyncio.timeout(5):
        while server.open_connections:
            await asyncio.sleep(0.01)
    assert (await get(connections, server.url)).status == 200
