"""Which certificates a client believes: those of `ca_file`, then those of the system's roots."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.registry.certificates import Authority
from tests.registry.clients import connect
from watcher.core.account import Tls
from watcher.errors import TlsError
from watcher.registry.client import Listing
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
