"""tinyproxy on the way to docker-registry: whether it is asked, how, and with which login."""

from __future__ import annotations

import pytest

from tests.registry.clients import connect
from tests.registry.proxies import running_proxy
from tests.servers import RealRegistry
from tests.transport.asking import error_of
from tests.transport.conftest import (
    HOST,
    NAME,
    PROXY_PASSWORD,
    PROXY_USER,
    TAGS,
    Certificates,
    Front,
    SecureRegistry,
    tags,
)
from tests.transport.servers import Server, asked
from watcher.core.account import Tls
from watcher.errors import TlsError, TransportError

LOGIN = f"{PROXY_USER}:{PROXY_PASSWORD}"
ESCAPED = f"{PROXY_USER}:{PROXY_PASSWORD.replace('-', '%2D')}"
SCHEMES = ("http", "https")


@pytest.fixture
def tls(certificates: Certificates) -> Tls:
    return Tls(ca_file=certificates.ours.certificate)


@pytest.fixture
def registry(
    request: pytest.FixtureRequest, library: RealRegistry, secure: SecureRegistry
) -> RealRegistry:
    return secure("good") if request.param == "https" else library


def as_asked(registry: RealRegistry) -> str:
    """How a proxy is asked for the one listing of a registry."""
    if registry.is_tls:
        return f"CONNECT {registry.address}"
    return f"GET {registry.url}/v2/{NAME}/tags/list?n=1000"


@pytest.mark.parametrize("registry", SCHEMES, indirect=True)
async def test_the_accounts_proxy_is_used(registry: RealRegistry, proxy: Server, tls: Tls) -> None:
    log = proxy.tail()
    async with connect(registry.url, tls=tls, proxy=f"http://{proxy.address}") as client:
        assert await tags(client) == set(TAGS)
    assert asked(log) == [as_asked(registry)]


@pytest.mark.parametrize("login", [LOGIN, ESCAPED], ids=["plain", "escaped"])
@pytest.mark.parametrize("registry", SCHEMES, indirect=True)
async def test_the_accounts_proxy_gets_its_login(
    registry: RealRegistry, locked_proxy: Server, tls: Tls, login: str
) -> None:
    url = f"http://{login}@{locked_proxy.address}"
    async with connect(registry.url, tls=tls, proxy=url) as client:
        assert await tags(client) == set(TAGS)


@pytest.mark.parametrize("registry", SCHEMES, indirect=True)
async def test_a_tunnel_or_connection_to_the_proxy_is_used_again(
    registry: RealRegistry, proxy: Server, tls: Tls
) -> None:
    log = proxy.tail()
    async with connect(registry.url, tls=tls, proxy=f"http://{proxy.address}") as client:
        for _ in range(3):
            await tags(client)
    assert len(asked(log)) == (1 if registry.is_tls else 3)


@pytest.mark.parametrize("registry", SCHEMES, indirect=True)
@pytest.mark.parametrize(
    ("form", "is_for"),
    [
        ("HTTPS_PROXY", "https"),
        ("https_proxy", "https"),
        ("HTTP_PROXY", "http"),
        ("http_proxy", "http"),
        ("ALL_PROXY", "both"),
        ("all_proxy", "both"),
    ],
)
async def test_the_environment_names_a_proxy_with_its_login(
    registry: RealRegistry, locked_proxy: Server, tls: Tls, form: str, is_for: str
) -> None:
    log = locked_proxy.tail()
    environment = {form: f"http://{LOGIN}@{locked_proxy.address}"}
    async with connect(registry.url, tls=tls, client={"environment": environment}) as client:
        assert await tags(client) == set(TAGS)
    is_used = is_for in ("both", "https" if registry.is_tls else "http")
    assert asked(log) == ([as_asked(registry)] if is_used else [])


@pytest.mark.parametrize("registry", SCHEMES, indirect=True)
@pytest.mark.parametrize(
    ("exceptions", "is_used"),
    [
        pytest.param(HOST, False, id="host"),
        pytest.param("registry.example, {address}", False, id="host and port"),
        pytest.param(f"{HOST}:1", True, id="host and another port"),
        pytest.param("127.0.0.0/8", False, id="network"),
        pytest.param("10.0.0.0/8,192.168.0.0/16", True, id="other networks"),
        pytest.param("*", False, id="everything"),
        pytest.param(".example,registry.example", True, id="other names"),
        pytest.param("", True, id="nothing"),
    ],
)
async def test_no_proxy_names_what_is_reached_directly(
    registry: RealRegistry, proxy: Server, tls: Tls, exceptions: str, is_used: bool
) -> None:
    log = proxy.tail()
    environment = {
        "ALL_PROXY": f"http://{proxy.address}",
        "NO_PROXY": exceptions.format(address=registry.address),
    }
    async with connect(registry.url, tls=tls, client={"environment": environment}) as client:
        assert await tags(client) == set(TAGS)
    assert bool(asked(log)) is is_used


@pytest.mark.parametrize(
    ("exceptions", "is_used"),
    [
        (".registry.test", False),
        ("registry.test", False),
        ("*.registry.test", False),
        ("one.registry.test", False),
        (".one.registry.test", True),
        ("egistry.test", True),
    ],
)
async def test_no_proxy_takes_the_suffix_of_a_name(
    front: Front, tls: Tls, exceptions: str, is_used: bool
) -> None:
    """Only the proxy of the test knows the name, so that the direct way leads nowhere."""
    url = f"https://{front.address('names', 'one.registry.test')}"
    async with running_proxy(names={"one.registry.test": HOST}) as proxy:
        environment = {"HTTPS_PROXY": proxy.url, "NO_PROXY": exceptions}
        async with connect(url, tls=tls, client={"environment": environment}) as client:
            if is_used:
                assert await tags(client) == set(TAGS)
            else:
                error = await error_of(client)
                assert type(error) is TransportError
                assert "the name one.registry.test" in str(error)
        assert bool(proxy.asked) is is_used


async def test_the_accounts_proxy_stands_above_the_environment(
    library: RealRegistry, proxy: Server, locked_proxy: Server
) -> None:
    log, other_log = proxy.tail(), locked_proxy.tail()
    environment = {"HTTP_PROXY": f"http://{LOGIN}@{locked_proxy.address}", "NO_PROXY": "*"}
    async with connect(
        library.url, proxy=f"http://{proxy.address}", client={"environment": environment}
    ) as client:
        assert await tags(client) == set(TAGS)
    assert (len(asked(log)), asked(other_log)) == (1, [])


@pytest.mark.parametrize("registry", SCHEMES, indirect=True)
async def test_a_proxy_may_itself_be_reached_over_tls(
    registry: RealRegistry, secure_proxy: Server, tls: Tls
) -> None:
    log = secure_proxy.tail()
    url = f"https://{LOGIN}@{secure_proxy.address}"
    async with connect(registry.url, tls=tls, proxy=url) as client:
        assert await tags(client) == set(TAGS)
    assert asked(log) == [as_asked(registry)]


async def test_behind_a_proxy_a_ca_file_stands_beside_the_systems_roots(
    secure: SecureRegistry, certificates: Certificates, proxy: Server
) -> None:
    roots = {"SSL_CERT_FILE": str(certificates.ours.certificate)}
    tls = Tls(ca_file=certificates.stranger.certificate)
    async with connect(
        secure("good").url,
        tls=tls,
        proxy=f"http://{proxy.address}",
        client={"environment": roots},
    ) as client:
        assert await tags(client) == set(TAGS)


async def test_behind_a_proxy_a_bad_certificate_is_named_for_what_it_is(
    secure: SecureRegistry, proxy: Server, tls: Tls
) -> None:
    registry, log = secure("expired"), proxy.tail()
    async with connect(registry.url, tls=tls, proxy=f"http://{proxy.address}") as client:
        error = await error_of(client)
    assert isinstance(error, TlsError)
    assert f"the certificate of {registry.address} has expired" in str(error)
    assert len(asked(log)) <= 2


async def test_behind_a_proxy_a_client_certificate_lets_in(
    secure: SecureRegistry, certificates: Certificates, proxy: Server
) -> None:
    tls = Tls(
        ca_file=certificates.ours.certificate, client_cert=certificates.ours.issue_client("robot")
    )
    async with connect(secure("mutual").url, tls=tls, proxy=f"http://{proxy.address}") as client:
        assert await tags(client) == set(TAGS)
