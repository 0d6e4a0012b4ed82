"""What can go wrong with a proxy: each its own sentence, which names the proxy and no password."""

from __future__ import annotations

import pytest

from tests.registry.accounts import ACME, Passwords
from tests.registry.clients import SHORT, connect
from tests.servers import RealRegistry, free_port
from tests.transport.asking import error_of, everything, shown
from tests.transport.conftest import (
    HOST,
    PROXY_PASSWORD,
    PROXY_USER,
    Certificates,
    SecureRegistry,
)
from tests.transport.servers import Server, asked
from watcher.core.account import Tls
from watcher.errors import ProxyError, RegistryError, TlsError

SECRET = "correct.horse"
LOGIN = f"{PROXY_USER}:{SECRET}"


@pytest.fixture
def tls(certificates: Certificates) -> Tls:
    return Tls(ca_file=certificates.ours.certificate)


@pytest.fixture(params=["http", "https"])
def registry(
    request: pytest.FixtureRequest, library: RealRegistry, secure: SecureRegistry
) -> RealRegistry:
    return secure("good") if request.param == "https" else library


async def failure(registry: RealRegistry, tls: Tls, proxy: str) -> RegistryError:
    """What is said of a way through this proxy, which may not cost the password of anyone."""
    async with connect(
        registry.url, Passwords(ACME), tls=tls, proxy=proxy, timeouts=SHORT
    ) as client:
        error = await error_of(client)
    assert SECRET not in everything(error)
    assert PROXY_PASSWORD not in everything(error)
    assert (ACME.password or "") not in everything(error)
    return error


async def test_a_proxy_that_wants_a_login(
    registry: RealRegistry, locked_proxy: Server, tls: Tls
) -> None:
    error = await failure(registry, tls, f"http://{locked_proxy.address}")
    assert isinstance(error, ProxyError)
    assert f"the proxy {locked_proxy.address} " in str(error)
    assert "wants a login (407)" in str(error)
    assert "http://USER:PASSWORD@HOST:PORT" in (error.hint or "")


async def test_a_login_that_the_proxy_refuses(
    registry: RealRegistry, locked_proxy: Server, tls: Tls
) -> None:
    """tinyproxy answers 401 then, as if it were the registry."""
    log = locked_proxy.tail()
    error = await failure(registry, tls, f"http://{LOGIN}@{locked_proxy.address}")
    assert isinstance(error, ProxyError)
    assert f"the proxy {locked_proxy.address} " in str(error)
    assert "refused the login (401)" in str(error)
    assert len(asked(log)) == 1


async def test_a_refused_login_is_no_reason_to_renew_the_registrys_password(
    library: RealRegistry, locked_proxy: Server
) -> None:
    passwords = Passwords(ACME)
    proxy = f"http://{LOGIN}@{locked_proxy.address}"
    async with connect(library.url, passwords, proxy=proxy) as client:
        await error_of(client)
    assert passwords.renewals == 0


async def test_a_proxy_that_is_down(registry: RealRegistry, tls: Tls) -> None:
    address = f"{HOST}:{free_port()}"
    error = await failure(registry, tls, f"http://{LOGIN}@{address}")
    assert isinstance(error, ProxyError)
    assert f"the proxy {address} " in str(error)
    assert "refused the connection" in str(error)
    assert error.temporary


async def test_a_proxy_whose_name_can_not_be_resolved(registry: RealRegistry, tls: Tls) -> None:
    error = await failure(registry, tls, f"http://{LOGIN}@nobody.invalid:3128")
    assert isinstance(error, ProxyError)
    assert "nobody.invalid:3128" in str(error)
    assert "could not be resolved" in str(error)


async def test_a_port_that_the_proxy_does_not_connect_to(
    secure: SecureRegistry, narrow_proxy: Server, tls: Tls
) -> None:
    registry = secure("good")
    error = await failure(registry, tls, f"http://{LOGIN}@{narrow_proxy.address}")
    assert isinstance(error, ProxyError)
    assert f"the proxy {narrow_proxy.address} for {registry.address} refused" in str(error)
    assert "(403)" in str(error)


@pytest.fixture(params=["refused", "no such name"])
def gone(request: pytest.FixtureRequest) -> str:
    """A registry that no proxy can reach."""
    return f"{HOST}:{free_port()}" if request.param == "refused" else "nobody.invalid:8443"


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_registry_that_the_proxy_can_not_reach(
    gone: str, proxy: Server, scheme: str
) -> None:
    """For plain http tinyproxy's answer looks like one of the registry."""
    async with connect(f"{scheme}://{gone}", proxy=f"http://{proxy.address}") as client:
        error = await error_of(client)
    assert gone in str(error)
    assert "500" in str(error)
    assert f"the proxy {proxy.address}" in shown(error)
    assert error.temporary


async def test_a_proxy_with_a_certificate_that_is_not_trusted(
    registry: RealRegistry, secure_proxy: Server
) -> None:
    error = await failure(registry, Tls(), f"https://{LOGIN}@{secure_proxy.address}")
    assert isinstance(error, TlsError)
    assert f"the certificate of the proxy {secure_proxy.address} is not trusted" in str(error)
    assert "ca_file" in (error.hint or "")


async def test_http_to_a_proxy_that_wants_tls(
    registry: RealRegistry, secure_proxy: Server, tls: Tls
) -> None:
    error = await failure(registry, tls, f"http://{LOGIN}@{secure_proxy.address}")
    assert f"the proxy {secure_proxy.address}" in shown(error)


async def test_tls_to_a_proxy_that_speaks_none(
    registry: RealRegistry, proxy: Server, tls: Tls
) -> None:
    """tinyproxy waits for the rest of what it takes for a request."""
    error = await failure(registry, tls, f"https://{LOGIN}@{proxy.address}")
    assert f"the proxy {proxy.address}" in shown(error)


async def test_a_registry_in_the_place_of_a_proxy(
    secure: SecureRegistry, library: RealRegistry, tls: Tls
) -> None:
    error = await failure(secure("good"), tls, f"http://{LOGIN}@{library.address}")
    assert isinstance(error, ProxyError)
    assert f"the proxy {library.address} " in str(error)
