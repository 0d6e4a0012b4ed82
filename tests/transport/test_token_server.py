"""A token server on a port of its own, whose certificate is of the house, behind a proxy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.registry.accounts import ACME, Passwords
from tests.registry.clients import connect
from tests.servers import free_port
from tests.transport.asking import error_of
from tests.transport.conftest import (
    HOST,
    NAME,
    PROXY_PASSWORD,
    PROXY_USER,
    Certificates,
    tags,
)
from tests.transport.servers import Server, asked, nginx
from watcher.core.account import Tls
from watcher.errors import TlsError
from watcher.registry.client import RegistryClient
from watcher.testing.access import BearerAuth
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry

BLOCK = (
    "server {{ listen {address} ssl; ssl_certificate {pem}; ssl_certificate_key {pem}; "
    "location / {{ proxy_pass {behind}; proxy_set_header Host $http_host; }} }}"
)


class Scene:
    """nginx as a registry whose certificate the system's roots vouch for, and, on another port,
    as its token server with one of the house; a fake registry behind it is both."""

    def __init__(self, fake: FakeRegistry, certificates: Certificates, proxy: Server) -> None:
        self.tokens = f"{HOST}:{free_port()}"
        self.registry = f"{HOST}:{free_port()}"
        self.environment: Mapping[str, str] = {
            "SSL_CERT_FILE": str(certificates.stranger.certificate),
            "HTTPS_PROXY": f"http://{PROXY_USER}:{PROXY_PASSWORD}@{proxy.address}",
        }
        ends = (
            (self.tokens, certificates.servers["good"]),
            (self.registry, certificates.stranger.issue(HOST)),
        )
        self.blocks = [
            BLOCK.format(address=address, pem=pem, behind=fake.url) for address, pem in ends
        ]

    def auth(self, scheme: str = "https") -> BearerAuth:
        users = {"acme": ACME.password or ""}
        return BearerAuth(users=users, realm=f"{scheme}://{self.tokens}/token")

    def client(self, **account: Any) -> AbstractAsyncContextManager[RegistryClient]:
        settings = {"environment": self.environment}
        return connect(f"https://{self.registry}", Passwords(ACME), client=settings, **account)


@pytest.fixture
async def fake() -> AsyncIterator[FakeRegistry]:
    async with FakeRegistry() as fake:
        fake.push(NAME, "1.0")
        yield fake


@pytest.fixture
async def scene(
    fake: FakeRegistry, tmp_path: Path, certificates: Certificates, locked_proxy: Server
) -> AsyncIterator[Scene]:
    scene = Scene(fake, certificates, locked_proxy)
    fake.auth = scene.auth()
    with nginx(tmp_path / "nginx", scene.blocks):
        yield scene


async def test_it_is_asked_with_the_same_authority_by_the_same_proxy(
    scene: Scene, fake: FakeRegistry, certificates: Certificates, locked_proxy: Server
) -> None:
    log = locked_proxy.tail()
    async with scene.client(tls=Tls(ca_file=certificates.ours.certificate)) as client:
        assert await tags(client) == {"1.0"}
    assert fake.count(Kind.TOKEN) == 1
    assert set(asked(log)) == {f"CONNECT {scene.registry}", f"CONNECT {scene.tokens}"}


async def test_its_certificate_is_the_one_that_is_not_trusted(
    scene: Scene, fake: FakeRegistry
) -> None:
    async with scene.client() as client:
        error = await error_of(client)
    assert fake.count(Kind.TOKEN) == 0
    assert isinstance(error, TlsError)
    assert f"the certificate of {scene.tokens} is not trusted" in str(error)
    assert "ca_file" in (error.hint or "")


async def test_it_may_not_be_plain_http_beside_a_registry_of_https(
    scene: Scene, fake: FakeRegistry, locked_proxy: Server
) -> None:
    """Not even where a proxy would be asked to bring the password there."""
    log = locked_proxy.tail()
    fake.auth = scene.auth("http")
    async with scene.client() as client:
        error = await error_of(client)
    assert set(asked(log)) == {f"CONNECT {scene.registry}"}
    assert "by plain http, while the registry is https: refused" in str(error)
