"""Real servers with real certificates, started once per session and only when a test asks.

All of them serve the same images: those of `library`, which were pushed once with skopeo.
"""

from __future__ import annotations

import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.cli.conftest import Bench
from tests.cli.conftest import bench as bench
from tests.registry.certificates import Authority, self_signed
from tests.servers import RealRegistry, docker_registry, free_port, need
from tests.system.watching import wait_until
from tests.transport.servers import Nginx, Request, Server, Tail, nginx, stunnel, tinyproxy
from watcher.core.oci import OCI_MANIFEST
from watcher.registry.client import Listing, RegistryClient

NAME = "acme/web"
TAGS = tuple(f"1.{number}" for number in range(40))
HOST = "127.0.0.1"
USERS = {"acme": "s3cret-of-acme"}
PROXY_USER, PROXY_PASSWORD = "carrier", "s3cret-of-proxy"
PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


async def tags(client: RegistryClient) -> set[str]:
    """The tags that a client lists; never a part of them."""
    found = await client.list_tags(NAME)
    assert isinstance(found, Listing)
    return set(found.tags)


@dataclass(frozen=True)
class Certificates:
    """Two authorities that know nothing of each other, and what servers show who are asked for
    as 127.0.0.1: PEM files with key and certificate."""

    ours: Authority
    stranger: Authority
    servers: Mapping[str, Path]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    now = datetime.now(UTC)
    directory = tmp_path_factory.mktemp("ours")
    ours = Authority(directory, now=now)
    servers = {
        "good": ours.issue(HOST),
        "expired": ours.issue(HOST, expired=True),
        "early": ours.issue(HOST, early=True),
        "misnamed": ours.issue("registry.example"),
        "self-signed": self_signed(directory, HOST, now=now),
    }
    stranger = Authority(tmp_path_factory.mktemp("stranger"), now=now, name="A stranger")
    return Certificates(ours, stranger, {**servers, "mutual": servers["good"]})


@pytest.fixture(scope="session")
def running() -> Iterator[ExitStack]:
    """Servers that end with the session."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="session")
def library(running: ExitStack, tmp_path_factory: pytest.TempPathFactory) -> RealRegistry:
    """A plain http registry with one image under all TAGS."""
    need("docker-registry", "skopeo", "htpasswd")
    directory = tmp_path_factory.mktemp("library")
    registry = running.enter_context(docker_registry(directory, access_log=True))
    registry.push(NAME, TAGS[0])
    manifests = f"{registry.url}/v2/{NAME}/manifests/"
    ask = urllib.request.Request(manifests + TAGS[0], headers={"Accept": OCI_MANIFEST})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(ask) as answer:
        manifest = answer.read()
    for tag in TAGS[1:]:
        _put(manifests + tag, manifest)
    return registry


def _put(url: str, manifest: bytes) -> None:
    ask = urllib.request.Request(
        url, manifest, headers={"Content-Type": OCI_MANIFEST}, method="PUT"
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(ask):
        pass


SecureRegistry = Callable[[str], RealRegistry]


@pytest.fixture(scope="session")
def secure(
    running: ExitStack,
    library: RealRegistry,
    certificates: Certificates,
    tmp_path_factory: pytest.TempPathFactory,
) -> SecureRegistry:
    """Gives the https registry of a kind: `good`, `expired`, `early`, `misnamed`, `self-signed`,
    or `mutual`, which wants a certificate of its clients."""
    started: dict[str, RealRegistry] = {}

    def start(kind: str) -> RealRegistry:
        certificate = str(certificates.servers[kind])
        section: dict[str, object] = {"certificate": certificate, "key": certificate}
        if kind == "mutual":
            section["clientcas"] = [str(certificates.ours.certificate)]
        return running.enter_context(
            docker_registry(
                tmp_path_factory.mktemp(kind),
                certificates=section,
                data=library.directory / "data",
                access_log=True,
            )
        )

    def get(kind: str) -> RealRegistry:
        if kind not in started:
            started[kind] = start(kind)
        return started[kind]

    return get


@pytest.fixture(scope="session")
def guarded(
    running: ExitStack, library: RealRegistry, tmp_path_factory: pytest.TempPathFactory
) -> RealRegistry:
    """A plain http registry that wants a password; nginx stands in front of it."""
    return running.enter_context(
        docker_registry(
            tmp_path_factory.mktemp("guarded"), users=USERS, data=library.directory / "data"
        )
    )


@dataclass(frozen=True)
class Front:
    """nginx in front of the registries: one process, a port for each purpose."""

    ports: Mapping[str, int]
    server: Nginx

    def tail(self) -> Tail:
        return self.server.tail()

    def address(self, purpose: str, host: str = HOST) -> str:
        return f"{host}:{self.ports[purpose]}"

    def requests(self, purpose: str, tail: Tail, count: int) -> list[Request]:
        """Those on a purpose's port that nginx logged since, once there are so many."""

        def look() -> list[Request]:
            found = [Request.of(line) for line in tail.lines()]
            found = [request for request in found if request.port == self.ports[purpose]]
            return found if len(found) >= count else []

        return wait_until(look, f"{count} requests in nginx's log")


PURPOSES = ("mutual", "names", "http2", "guarded", "few-streams", "short-lived", "http1")


@pytest.fixture(scope="session")
def front(
    running: ExitStack,
    library: RealRegistry,
    guarded: RealRegistry,
    certificates: Certificates,
    tmp_path_factory: pytest.TempPathFactory,
) -> Front:
    ports = {purpose: free_port() for purpose in PURPOSES}

    def block(purpose: str, *settings: str, host: str = "", behind: str = "") -> str:
        certificate = certificates.ours.issue(host) if host else certificates.servers["good"]
        http2 = "" if purpose in ("mutual", "names", "http1") else " http2"
        return (
            f"server {{ listen {HOST}:{ports[purpose]} ssl{http2}; server_name {host or HOST}; "
            f"ssl_certificate {certificate}; ssl_certificate_key {certificate}; "
            f"{' '.join(settings)} location / {{ "
            f"proxy_pass http://{behind or library.address}; proxy_set_header Host $http_host; "
            f"}} }}"
        )

    wants_client = f"ssl_client_certificate {certificates.ours.certificate};"
    blocks = [
        block("mutual", wants_client, "ssl_verify_client on;"),
        block("names", host="one.registry.test"),
        block("names", host="two.registry.test"),
        block("http2"),
        block("guarded", behind=guarded.address),
        block("few-streams", "http2_max_concurrent_streams 2;"),
        block("short-lived", "keepalive_requests 7;"),
        block("http1"),
    ]
    directory = tmp_path_factory.mktemp("front") / "nginx"
    server = running.enter_context(nginx(directory, blocks))
    return Front(ports, server)


@pytest.fixture(scope="session")
def proxy(running: ExitStack, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """tinyproxy, open to all."""
    return running.enter_context(tinyproxy(tmp_path_factory.mktemp("open") / "proxy"))


@pytest.fixture(scope="session")
def locked_proxy(running: ExitStack, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """tinyproxy that wants a login."""
    login = f"{PROXY_USER} {PROXY_PASSWORD}"
    return running.enter_context(
        tinyproxy(tmp_path_factory.mktemp("locked") / "proxy", login=login)
    )


@pytest.fixture(scope="session")
def narrow_proxy(running: ExitStack, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """tinyproxy that lets CONNECT through to port 443 alone, as Debian ships it."""
    return running.enter_context(
        tinyproxy(tmp_path_factory.mktemp("narrow") / "proxy", connect_port=443)
    )


@pytest.fixture(scope="session")
def secure_proxy(
    running: ExitStack,
    locked_proxy: Server,
    certificates: Certificates,
    tmp_path_factory: pytest.TempPathFactory,
) -> Server:
    """The locked proxy, reached over TLS through stunnel."""
    directory = tmp_path_factory.mktemp("secure") / "proxy"
    return running.enter_context(stunnel(directory, certificates.servers["good"], locked_proxy))


@pytest.fixture
def desk(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """The command line in an environment that names no proxy and no authority."""
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    return bench
