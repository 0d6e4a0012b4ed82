"""Which certificates a client believes: those of `ca_file`, then those of the system's roots."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.registry.certificates import Authority
from tests.registry.clients import connect
from watcher.core.account import Tls
from watcher.errors import RegistryError, TlsError
from watcher.registry.client import Listing
from watcher.testing.access import BearerAuth
from watcher.testing.faults import Fault, Match, Respond
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry

NAME = "acme/web"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, now=datetime.now(UTC))


@pytest.fixture
def stranger(tmp_path: Path) -> Authority:
    return Authority(tmp_path, now=datetime.now(UTC), name="A stranger")


@pytest.fixture
def secure(authority: Authority) -> Iterator[FakeRegistry]:
    with FakeRegistry.in_thread(tls=authority.server_context("127.0.0.1")) as registry:
        registry.push(NAME, "1")
        yield registry


async def test_where_the_ca_file_vouches_the_systems_roots_are_not_read(
    secure: FakeRegistry, authority: Authority
) -> None:
    nowhere = {"SSL_CERT_FILE": "/nonexistent/roots.pem"}
    tls = Tls(ca_file=authority.certificate)
    async with connect(secure, tls=tls, client={"environment": nowhere}) as client:
        assert isinstance(await client.list_tags(NAME), Listing)


async def test_roots_that_cannot_be_read_are_named_once_they_are_needed(
    secure: FakeRegistry, stranger: Authority
) -> None:
    nowhere = {"SSL_CERT_FILE": "/nonexistent/roots.pem"}
    async with connect(
        secure, tls=Tls(ca_file=stranger.certificate), client={"environment": nowhere}
    ) as client:
        with pytest.raises(TlsError, match="SSL_CERT_FILE"):
            await client.list_tags(NAME)


async def test_a_ca_file_stands_beside_the_systems_roots_and_does_not_replace_them(
    secure: FakeRegistry, authority: Authority, stranger: Authority
) -> None:
    system = {"SSL_CERT_FILE": str(authority.certificate)}
    async with connect(
        secure, tls=Tls(ca_file=stranger.certificate), client={"environment": system}
    ) as client:
        assert isinstance(await client.list_tags(NAME), Listing)
        assert isinstance(await client.list_tags(NAME), Listing)
    assert secure.counters.connections == 1  # a refused handshake does not count


@asynccontextmanager
async def curious(authority: Authority, seen: list[object]) -> AsyncIterator[str]:
    """A server that looks at the certificates of its clients, and wants a token of its own."""
    context = authority.server_context("127.0.0.1")
    context.load_verify_locations(authority.certificate)
    context.verify_mode = ssl.CERT_OPTIONAL

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer.get_extra_info("peercert"))
        head = await reader.readuntil(b"\r\n\r\n")
        if b"/token" in head:
            status, body = b"200 OK", b'{"token":"t0ken"}'
        elif b"t0ken" in head:
            status, body = b"200 OK", b'{"tags":["elsewhere"]}'
        else:
            status, body = b'401 Unauthorized\r\nWWW-Authenticate: Bearer realm="/token"', b""
        size = b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body)
        writer.write(b"HTTP/1.1 " + status + b"\r\n" + size + body)
        await writer.drain()
        writer.transport.abort()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])
async def test_a_client_certificate_is_not_shown_where_a_registry_redirects_to(
    secure: FakeRegistry, authority: Authority, http2: bool
) -> None:
    tls = Tls(ca_file=authority.certificate, client_cert=authority.issue_client("robot"))
    seen: list[object] = []
    async with curious(authority, seen) as url:
        away = Respond(307, (("Location", f"{url}/elsewhere"),))
        secure.fault(Fault(action=away, match=Match(kind=Kind.TAGS)))
        async with connect(secure, tls=tls, http2=http2) as client:
            found = await client.list_tags(NAME)
    assert isinstance(found, Listing)
    assert found.tags == ("elsewhere",)
    assert len(seen) == 3
    assert not any(seen)


async def test_a_client_certificate_is_shown_to_the_registrys_token_server(
    secure: FakeRegistry, authority: Authority
) -> None:
    tls = Tls(ca_file=authority.certificate, client_cert=authority.issue_client("robot"))
    seen: list[object] = []
    async with curious(authority, seen) as url:
        secure.auth = BearerAuth(realm=f"{url}/token", users={"acme": "s3cret"})
        async with connect(secure, tls=tls) as client:
            with pytest.raises(RegistryError):
                await client.list_tags(NAME)
    assert seen
    assert all(seen)
