"""Hostile or broken registries: each attack of the field notes' table that concerns reading.

What is checked is always the same: an error of our own kind, nothing believed, nothing sent where
it should not go, and a bounded amount of memory, time and requests.
"""

from __future__ import annotations

import asyncio
import json
import tracemalloc
import zlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import pytest

from tests.registry.accounts import ACME, Clock, Passwords, account_for, client_of
from tests.registry.clients import SHORT, connect
from watcher.core.account import Catalog, Limits
from watcher.core.oci import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, digest_of
from watcher.errors import (
    AuthenticationFailed,
    IncompleteListing,
    NotFound,
    ProtocolError,
    RateLimited,
    RegistryError,
    TransportError,
    WatcherError,
)
from watcher.registry.budgets.limits import HostLimits
from watcher.registry.client import Listing, RegistryClient
from watcher.testing.access import BasicAuth, BearerAuth
from watcher.testing.faults import (
    Change,
    Drip,
    Fault,
    Gate,
    Hold,
    Match,
    Raw,
    Respond,
    Transform,
    gzip_bomb,
    gzipped,
)
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry
from watcher.testing.wire import Request, Response

NAME = "acme/web"
PATH = f"/v2/{NAME}/tags/list"
JSON = (("Content-Type", "application/json"),)
MEGABYTE = 1024 * 1024
USERS = {"acme": ACME.password or ""}


async def tags(client: RegistryClient) -> tuple[str, ...]:
    found = await client.list_tags(NAME)
    assert isinstance(found, Listing)
    return found.tags


def answer(registry: FakeRegistry, kind: Kind, action: Respond | Change | Transform | Raw) -> None:
    registry.fault(Fault(action=action, match=Match(kind=kind)))


def body(content: bytes, *headers: tuple[str, str]) -> Respond:
    return Respond(200, (*JSON, *headers), content)


@contextmanager
def memory_below(limit: int) -> Iterator[None]:
    """The peak of Python's memory in the block stays below so many bytes."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < limit


# Huge bodies.

HUGE = Respond(200, JSON, b'{"tags":["a"]}' + b" " * (40 * MEGABYTE))


@pytest.mark.parametrize(
    ("kind", "ask"),
    [
        pytest.param(Kind.TAGS, lambda client: client.list_tags(NAME), id="huge-tag-page"),
        pytest.param(Kind.CATALOG, lambda client: client.catalog(), id="huge-catalog-page"),
        pytest.param(Kind.MANIFEST, lambda client: client.manifest(NAME, "1"), id="huge-manifest"),
    ],
)
async def test_a_huge_body_is_given_up_at_its_cap(
    kind: Kind, ask: Callable[[RegistryClient], Awaitable[object]]
) -> None:
    with FakeRegistry.in_thread() as registry:
        answer(registry, kind, HUGE)
        async with connect(registry, catalog=Catalog()) as client:
            with pytest.raises(ProtocolError, match="KiB in one answer"):
                await ask(client)


async def test_a_huge_token_is_given_up_at_its_cap(registry: FakeRegistry) -> None:
    registry.auth = BearerAuth(users=USERS)
    answer(registry, Kind.TOKEN, HUGE)
    async with connect(registry, Passwords(ACME)) as client:
        with pytest.raises(RegistryError):
            await tags(client)


async def test_a_huge_error_body_is_cut_and_the_refusal_still_understood(
    registry: FakeRegistry, client: RegistryClient
) -> None:
    answer(registry, Kind.TAGS, Respond(404, JSON, b"x" * (20 * MEGABYTE)))
    with pytest.raises(NotFound) as caught:
        await tags(client)
    assert len(str(caught.value)) < 1000


async def test_a_huge_configuration_is_given_up_at_its_cap(
    registry: FakeRegistry, client: RegistryClient
) -> None:
    """descriptor-size-lies: it says 1 byte, and 5 MB come."""
    config = b" " * (5 * MEGABYTE) + b"{}"
    digest = digest_of(config)
    registry.put_blob(digest, config)
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": "application/json", "digest": digest, "size": 1},
        "layers": [],
    }
    top = registry.put_manifest(NAME, "1", json.dumps(manifest).encode(), OCI_MANIFEST)
    with pytest.raises(ProtocolError):
        await client.labels(NAME, top)


async def test_a_walk_that_never_ends_is_given_up_at_64_megabytes(registry: FakeRegistry) -> None:
    """huge-walk: each page is within its own cap."""
    padding = b" " * (7 * MEGABYTE)

    def next_page(request: Request, _: Response) -> Response:
        number = int(request.parameter("last") or "0") + 1
        link = ("Link", f'<{PATH}?last={number}>; rel="next"')
        return Response(200, (*JSON, link), b'{"tags":["t%d"]}' % number + padding)

    answer(registry, Kind.TAGS, Transform(function=next_page))
    async with connect(registry) as client:
        with pytest.raises(IncompleteListing, match="64 MiB"):
            await tags(client)
    assert registry.count(Kind.TAGS) == 10


async def test_more_repositories_than_a_registry_can_have_are_incomplete(
    registry: FakeRegistry, client: RegistryClient
) -> None:
    """millions-of-repositories"""
    names = json.dumps({"repositories": [f"r{number}" for number in range(100_001)]})
    answer(registry, Kind.CATALOG, body(names.encode()))
    with pytest.raises(IncompleteListing, match="more than 100000"):
        await client.catalog()


async def test_more_tags_than_a_repository_can_have_are_incomplete(
    registry: FakeRegistry,
) -> None:
    """millions-of-tags"""

    def next_page(request: Request, _: Response) -> Response:
        number = int(request.parameter("last") or "0") + 1
        link = ("Link", f'<{PATH}?last={number}>; rel="next"')
        names = ",".join(f'"{number}-{index}"' for index in range(400_000))
        return Response(200, (*JSON, link), f'{{"tags":[{names}]}}'.encode())

    answer(registry, Kind.TAGS, Transform(function=next_page))
    async with connect(registry) as client:
        with pytest.raises(IncompleteListing, match="more than 1000000"):
            await tags(client)
    assert registry.count(Kind.TAGS) == 3


# Compressed bodies.


def deflated(size: int) -> bytes:
    return zlib.compress(b'{"tags":["' + b"a" * size + b'"]}', 9)


@pytest.mark.parametrize(
    ("encoding", "bomb"),
    [
        pytest.param("gzip", gzip_bomb(500 * MEGABYTE), id="gzip-bomb"),
        pytest.param("deflate", deflated(100 * MEGABYTE), id="deflate-bomb"),
    ],
)
@pytest.mark.parametrize("status", [200, 404])
async def test_a_compression_bomb_takes_no_memory(encoding: str, bomb: bytes, status: int) -> None:
    with FakeRegistry.in_thread() as registry:
        registry.fault(Fault(action=Respond(status, (*JSON, ("Content-Encoding", encoding)), bomb)))
        async with connect(registry) as client:
            with memory_below(40 * MEGABYTE), pytest.raises(RegistryError):
                await tags(client)


@pytest.mark.parametrize("kind", [Kind.TOKEN, Kind.MANIFEST])
async def test_a_compression_bomb_where_nobody_asked_for_compression_takes_no_memory(
    kind: Kind,
) -> None:
    bomb = gzip_bomb(500 * MEGABYTE)
    with FakeRegistry.in_thread(auth=BearerAuth(users=USERS)) as registry:
        answer(registry, kind, body(bomb, ("Content-Encoding", "gzip")))
        async with connect(registry, Passwords(ACME)) as client:
            with memory_below(40 * MEGABYTE), pytest.raises(RegistryError):
                await client.manifest(NAME, "1")


@pytest.mark.parametrize(
    "encoding", ["br", "zstd", "gzip, gzip", "gzip, br", "compress", "identity, gzip", "x-evil"]
)
async def test_an_encoding_that_nobody_asked_for_is_refused(
    registry: FakeRegistry, client: RegistryClient, encoding: str
) -> None:
    """unknown-or-stacked-encoding"""
    answer(registry, Kind.TAGS, body(b'{"tags":["1"]}', ("Content-Encoding", encoding)))
    with pytest.raises(ProtocolError, match="encoding"):
        await tags(client)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"not gzip at all", id="gzip-that-is-none"),
        pytest.param(gzip_bomb(1000)[:-12], id="gzip-cut"),
        pytest.param(gzip_bomb(0)[:-1], id="gzip-without-its-last-byte"),
    ],
)
async def test_a_broken_compressed_body_is_refused(
    registry: FakeRegistry, client: RegistryClient, content: bytes
) -> None:
    answer(registry, Kind.TAGS, body(content, ("Content-Encoding", "gzip")))
    with pytest.raises(ProtocolError, match="compressed"):
        await tags(client)


async def test_honest_compression_of_lists_is_used(
    registry: FakeRegistry, client: RegistryClient
) -> None:
    registry.push(NAME, "1")
    answer(registry, Kind.TAGS, Transform(function=gzipped))
    assert await tags(client) == ("1",)
    assert registry.requests[0].headers["accept-encoding"] == "gzip"


async def test_manifests_are_asked_for_uncompressed(
    registry: FakeRegistry, client: RegistryClient
) -> None:
    registry.push(NAME, "1")
    await client.manifest(NAME, "1")
    assert registry.requests[0].headers["accept-encoding"] == "identity"


# Links and redirects to where no request should go. Endless pages are rows 40 and 41.


@pytest.mark.parametrize(
    "target",
    [
        pytest.param("http://169.254.169.254/latest/meta-data/?last=1", id="link-to-metadata"),
        pytest.param("file:///etc/passwd?last=1", id="link-to-file"),
        pytest.param("gopher://127.0.0.1/?last=1", id="link-to-gopher"),
        pytest.param("//169.254.169.254/x?last=1", id="link-to-metadata-without-scheme"),
        pytest.param("http://[::1/?last=1", id="link-that-is-no-url"),
        pytest.param("/v2/acme/web/tags/list?last=1\x01", id="link-with-control-character"),
        pytest.param("/v2/../../admin", id="link-to-other-api"),
        pytest.param("javascript:alert(1)", id="link-to-script"),
    ],
)
async def test_a_hostile_link_is_refused(
    registry: FakeRegistry, client: RegistryClient, target: str
) -> None:
    link = ("Link", f'<{target}>; rel="next"')
    answer(registry, Kind.TAGS, body(b'{"tags":["1"]}', link))
    with pytest.raises(IncompleteListing):
        await tags(client)
    assert registry.count(Kind.TAGS) == 1


async def resolve_publicly(host: str) -> Sequence[str]:
    """`localhost` is a host on the internet, every other name one of an inner network."""
    return ("93.184.216.34",) if host == "localhost" else ("10.0.0.5",)


def localhost(registry: FakeRegistry) -> str:
    return f"http://localhost:{registry.address.split(':')[1]}"


@pytest.mark.parametrize(
    "target",
    [
        pytest.param("http://169.254.169.254/latest/meta-data/", id="redirect-to-metadata"),
        pytest.param("http://[fd00:ec2::254]/latest/", id="redirect-to-metadata-v6"),
        pytest.param("http://[::ffff:169.254.169.254]/", id="redirect-to-metadata-mapped"),
        pytest.param("http://127.0.0.1:1/", id="redirect-to-loopback"),
        pytest.param("http://10.0.0.1/", id="redirect-to-private-network"),
        pytest.param("http://intranet.example/", id="redirect-to-private-name"),
        pytest.param("http://0.0.0.0/", id="redirect-to-unspecified"),
        pytest.param("http://user:pw@example.com/", id="redirect-with-user"),
        pytest.param("file:///etc/passwd", id="redirect-to-file"),
        pytest.param("", id="redirect-to-nothing"),
    ],
)
async def test_a_hostile_redirect_is_refused_before_any_request(
    registry: FakeRegistry, target: str
) -> None:
    answer(registry, Kind.TAGS, Respond(307, (("Location", target),)))
    async with connect(localhost(registry), client={"resolve": resolve_publicly}) as client:
        with pytest.raises(ProtocolError):
            await tags(client)
    assert registry.count(Kind.TAGS) == 1


@pytest.mark.parametrize(
    "realm",
    [
        pytest.param("http://169.254.169.254/token", id="realm-at-metadata"),
        pytest.param("http://10.0.0.1/token", id="realm-in-private-network"),
        pytest.param("http://intranet.example/token", id="realm-at-private-name"),
        pytest.param("http://127.0.0.1:1/token", id="realm-at-loopback"),
        pytest.param("file:///etc/passwd", id="realm-is-a-file"),
    ],
)
async def test_a_hostile_realm_gets_no_password(registry: FakeRegistry, realm: str) -> None:
    registry.auth = BearerAuth(users=USERS, realm=realm)
    arguments = {"resolve": resolve_publicly}
    async with connect(localhost(registry), Passwords(ACME), client=arguments) as client:
        with pytest.raises(RegistryError, match="refused") as caught:
            await tags(client)
    assert "s3cret" not in str(caught.value)
    assert all("authorization" not in entry.headers for entry in registry.requests)


# Slowness and silence. Single answers are row 68.


async def test_a_registry_that_hangs_does_not_delay_another(registry: FakeRegistry) -> None:
    """isolation: both share the bounds of one process."""
    gate = Gate()
    registry.fault(Fault(action=Hold(until=gate.passage)))
    hosts = HostLimits()
    async with FakeRegistry() as healthy:
        healthy.push(NAME, "1")
        async with connect(registry, hosts=hosts) as stuck, connect(healthy, hosts=hosts) as other:
            waiting = [asyncio.create_task(stuck.list_tags(NAME)) for _ in range(20)]
            await gate.reached()
            assert await tags(other) == ("1",)
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_patience_that_one_registry_asks_for_does_not_hold_another(
    registry: FakeRegistry,
) -> None:
    """isolation-of-patience"""
    registry.fault(Fault(action=Respond(429, (("Retry-After", "3600"),))))
    hosts = HostLimits()
    async with FakeRegistry() as healthy:
        healthy.push(NAME, "1")
        async with connect(registry, hosts=hosts) as parked, connect(healthy, hosts=hosts) as other:
            with pytest.raises(RateLimited):
                await tags(parked)
            assert await tags(other) == ("1",)


async def test_a_drip_that_never_ends_frees_its_turn_when_given_up(registry: FakeRegistry) -> None:
    """slowloris: the only slot of the account is free again for the next repository."""
    registry.fault(Fault(action=Drip(pause=0.05), match=Match(repository=NAME)))
    registry.push("acme/other", "1")
    async with connect(registry, timeouts=SHORT, limits=Limits(concurrency=1)) as client:
        with pytest.raises(TransportError):
            await tags(client)
        assert isinstance(await client.list_tags("acme/other"), Listing)


# What is no JSON, or no listing.

NOT_A_LISTING = [
    pytest.param(b"", id="empty-body"),
    pytest.param(b"tags", id="no-json"),
    pytest.param(b'{"tags":["a"]', id="half-json"),
    pytest.param(b'{"tags":["a"]} {"tags":[]}', id="two-documents"),
    pytest.param(b'\xef\xbb\xbf{"tags":["a"]}', id="byte-order-mark"),
    pytest.param('{"tags":["a"]}'.encode("utf-16"), id="utf-16"),
    pytest.param('{"tags":["a"]}'.encode("utf-16-le"), id="utf-16-without-mark"),
    pytest.param('{"tags":["a"]}'.encode("utf-32"), id="utf-32"),
    pytest.param(b'{"tags":["\xff"]}', id="not-utf-8"),
    pytest.param(b'{"tags":[NaN]}', id="nan"),
    pytest.param(b'{"tags":[-Infinity]}', id="infinity"),
    pytest.param(b"[" * 200_000, id="deep-nesting-open"),
    pytest.param(b'{"tags":' + b"[" * 100_000 + b"]" * 100_000 + b"}", id="deep-nesting-closed"),
    pytest.param(b'{"tags":[' + b"9" * 5000 + b"]}", id="integer-of-5000-digits"),
    pytest.param(b"null", id="null"),
    pytest.param(b"[]", id="list"),
    pytest.param(b'"tags"', id="string"),
    pytest.param(b"{}", id="no-tags"),
    pytest.param(b'{"name":"acme/web"}', id="only-a-name"),
    pytest.param(b'{"tags":{"a":"b"}}', id="tags-as-object"),
    pytest.param(b'{"tags":"abc"}', id="tags-as-string"),
    pytest.param(b'{"tags":1}', id="tags-as-number"),
    pytest.param(b'{"tags":false}', id="tags-as-boolean"),
    pytest.param(b'{"errors":[{"code":"DENIED"}]}', id="errors-with-status-200"),
    pytest.param(b"<!DOCTYPE html><title>Log in</title>", id="login-page-said-to-be-json"),
]


@pytest.mark.parametrize("content", NOT_A_LISTING)
async def test_what_is_no_listing_is_refused(
    registry: FakeRegistry, client: RegistryClient, content: bytes
) -> None:
    answer(registry, Kind.TAGS, body(content))
    with pytest.raises(ProtocolError):
        await tags(client)


@pytest.mark.parametrize("content", NOT_A_LISTING)
async def test_what_is_no_catalog_is_refused(
    registry: FakeRegistry, client: RegistryClient, content: bytes
) -> None:
    answer(registry, Kind.CATALOG, body(content.replace(b"tags", b"repositories")))
    with pytest.raises(ProtocolError):
        await client.catalog()


@pytest.mark.parametrize("content", NOT_A_LISTING)
async def test_what_is_no_token_is_refused(registry: FakeRegistry, content: bytes) -> None:
    registry.auth = BearerAuth(users=USERS)
    answer(registry, Kind.TOKEN, body(content))
    async with connect(registry, Passwords(ACME)) as client:
        with pytest.raises(WatcherError):
            await tags(client)
    assert registry.count(Kind.TOKEN) <= 2


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("a\r\nX-Evil: 1", id="token-with-header-injection"),
        pytest.param("a b", id="token-with-space"),
        pytest.param("täg", id="token-not-ascii"),
        pytest.param("", id="token-empty"),
        pytest.param(7, id="token-number"),
        pytest.param(None, id="token-null"),
        pytest.param("x" * 20_000, id="token-of-20-kb"),
        pytest.param("\x00", id="token-nul"),
    ],
)
async def test_a_hostile_token_is_not_sent(registry: FakeRegistry, token: object) -> None:
    registry.auth = BearerAuth(users=USERS)
    answer(registry, Kind.TOKEN, body(json.dumps({"token": token}).encode()))
    async with connect(registry, Passwords(ACME)) as client:
        with pytest.raises(WatcherError):
            await tags(client)
    assert all("x-evil" not in entry.headers for entry in registry.requests)
    assert all("authorization" not in e.headers for e in registry.requests_of(Kind.TAGS))


async def test_of_equal_keys_in_a_listing_the_last_counts(
    registry: FakeRegistry, client: RegistryClient
) -> None:
    """duplicate-keys"""
    answer(registry, Kind.TAGS, body(b'{"tags":["a"],"tags":["b"]}'))
    assert await tags(client) == ("b",)


# Names that would be something else than names elsewhere.

HOSTILE_NAMES = [
    pytest.param("$(touch x)", id="shell-substitution"),
    pytest.param("`id`", id="shell-backticks"),
    pytest.param("1; rm -rf /", id="shell-command"),
    pytest.param("--upload-pack=x", id="option"),
    pytest.param("../../etc/passwd", id="path"),
    pytest.param("..", id="dots"),
    pytest.param("v1\n", id="trailing-newline"),
    pytest.param("v1\r\nevent: fired", id="log-line"),
    pytest.param("\x1b[2J", id="terminal-escape"),
    pytest.param("<script>alert(1)</script>", id="html"),
    pytest.param("{{ config }}", id="template"),
    pytest.param("${trigger.tag}", id="expression"),
    pytest.param("v1\u202egpj.exe", id="right-to-left-override"),
    pytest.param("v1\x00", id="nul"),
    pytest.param("\ud800", id="lone-surrogate"),
    pytest.param("\uff11.0", id="fullwidth-digit"),
    pytest.param("v1 ", id="trailing-space"),
    pytest.param("a:b", id="colon"),
    pytest.param("a@b", id="at"),
    pytest.param("%2e%2e", id="escape"),
    pytest.param("' OR 1=1 --", id="sql"),
]


TOO_LONG = pytest.param("a" * 129, id="too-long")


@pytest.mark.parametrize("name", [*HOSTILE_NAMES, TOO_LONG])
async def test_a_hostile_tag_is_left_out_and_the_others_kept(
    registry: FakeRegistry, client: RegistryClient, name: str
) -> None:
    answer(registry, Kind.TAGS, body(json.dumps({"tags": ["1", name, "2"]}).encode()))
    found = await client.list_tags(NAME)
    assert isinstance(found, Listing)
    assert (found.tags, found.ignored) == (("1", "2"), 1)


@pytest.mark.parametrize("name", [*HOSTILE_NAMES, TOO_LONG])
async def test_a_hostile_tag_is_never_asked_for(
    registry: FakeRegistry, client: RegistryClient, name: str
) -> None:
    with pytest.raises(ProtocolError):
        await client.head(NAME, name)
    assert registry.requests == []


@pytest.mark.parametrize(
    "name",
    [
        *HOSTILE_NAMES,
        pytest.param("a/../b", id="repository-dots"),
        pytest.param("a?x=1", id="repository-query"),
        pytest.param("a#b", id="repository-fragment"),
        pytest.param("a%2fb", id="repository-escape"),
        pytest.param("A/B", id="repository-capitals"),
        pytest.param("/a", id="repository-absolute"),
        pytest.param("a//b", id="repository-empty-part"),
        pytest.param("x" * 256, id="repository-too-long"),
        pytest.param(["a"], id="repository-list"),
        pytest.param(None, id="repository-null"),
    ],
)
async def test_a_hostile_repository_of_the_catalog_is_left_out(
    registry: FakeRegistry, client: RegistryClient, name: object
) -> None:
    content = json.dumps({"repositories": ["acme/a", name, "acme/b"]}).encode()
    answer(registry, Kind.CATALOG, body(content))
    assert await client.catalog() == ("acme/a", "acme/b")


# Manifests that lie. Digests of HEAD and GET are rows 56 to 59.


def image(**keys: object) -> bytes:
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": "x/y", "digest": f"sha256:{'0' * 64}", "size": 2},
        "layers": [],
    }
    return json.dumps(manifest | keys).encode()


def index(*children: object) -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children}).encode()


def child(digest: object, media_type: str = OCI_MANIFEST) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest, "size": 2}


def config_of(digest: object) -> dict[str, object]:
    return {"mediaType": "x/y", "digest": digest, "size": 2}


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        pytest.param(b"", OCI_MANIFEST, id="manifest-empty"),
        pytest.param(b"<html>", OCI_MANIFEST, id="manifest-html"),
        pytest.param(b"[]", OCI_MANIFEST, id="manifest-list"),
        pytest.param(b"[" * 200_000, OCI_MANIFEST, id="manifest-deep"),
        pytest.param(b'{"schemaVersion":2,"schemaVersion":1}', OCI_MANIFEST, id="duplicate-keys"),
        pytest.param(image().decode().encode("utf-16"), OCI_MANIFEST, id="manifest-utf-16"),
        pytest.param(image(manifests=[]), OCI_MANIFEST, id="type-confusion-index-and-image"),
        pytest.param(image(), OCI_INDEX, id="type-confusion-header-says-index"),
        pytest.param(image(), DOCKER_MANIFEST, id="type-confusion-header-says-docker"),
        pytest.param(index(), OCI_MANIFEST, id="type-confusion-header-says-image"),
        pytest.param(
            image(config=config_of("sha256:../../x")), OCI_MANIFEST, id="malformed-digest-path"
        ),
        pytest.param(image(config=config_of(7)), OCI_MANIFEST, id="malformed-digest-number"),
        pytest.param(index(child("sha256:0")), OCI_INDEX, id="malformed-digest-of-child"),
        pytest.param(
            index(child("sha256:../../blobs/uploads")), OCI_INDEX, id="malformed-digest-child-path"
        ),
    ],
)
async def test_a_lying_manifest_is_refused(
    registry: FakeRegistry, client: RegistryClient, content: bytes, media_type: str
) -> None:
    registry.put_manifest(NAME, "1", content, media_type)
    with pytest.raises(ProtocolError):
        await client.manifest(NAME, "1")
    assert registry.count(Kind.BLOB) == 0


async def test_a_configuration_with_other_content_than_its_digest_is_refused(
    registry: FakeRegistry, client: RegistryClient
) -> None:
    """digest-mismatch-of-a-blob"""
    registry.put_blob(f"sha256:{'0' * 64}", b'{"config":{"Labels":{"a":"b"}}}')
    digest = registry.put_manifest(NAME, "1", image(), OCI_MANIFEST)
    with pytest.raises(ProtocolError, match="other content"):
        await client.labels(NAME, digest)


@pytest.mark.parametrize(
    "config",
    [
        b"{}",
        b'{"config":null}',
        b'{"config":[]}',
        b'{"config":{"Labels":null}}',
        b'{"config":{"Labels":["a"]}}',
        b'{"config":{"Labels":{"a":[]}}}',
    ],
)
async def test_labels_of_the_wrong_shape_are_no_labels(
    registry: FakeRegistry, client: RegistryClient, config: bytes
) -> None:
    digest = digest_of(config)
    registry.put_blob(digest, config)
    top = registry.put_manifest(NAME, "1", image(config=config_of(digest)), OCI_MANIFEST)
    assert await client.labels(NAME, top) == {}


async def test_an_index_of_indexes_is_followed_a_few_steps_only(
    registry: FakeRegistry, client: RegistryClient
) -> None:
    """index-bomb-depth"""
    digest = registry.push(NAME, "0")
    media_type = OCI_MANIFEST
    for level in range(20):
        content = index(child(digest, media_type))
        digest, media_type = registry.put_manifest(NAME, f"l{level}", content, OCI_INDEX), OCI_INDEX
    assert await client.labels(NAME, digest) == {}
    assert registry.count(Kind.MANIFEST) <= 6


async def test_an_index_with_thousands_of_children_costs_one_of_them(
    registry: FakeRegistry, client: RegistryClient
) -> None:
    """index-bomb-fan-out"""
    digest = registry.push(NAME, "0", labels={"a": "b"})
    wide = registry.put_manifest(NAME, "wide", index(*[child(digest)] * 10_000), OCI_INDEX)
    assert await client.labels(NAME, wide) == {"a": "b"}
    assert registry.count(Kind.MANIFEST) == 2


# Headers and messages.


async def test_cookies_are_not_kept(registry: FakeRegistry, client: RegistryClient) -> None:
    """cookie-flood"""
    registry.push(NAME, "1")
    cookies = tuple(("Set-Cookie", f"c{number}=x; Path=/") for number in range(50))
    answer(registry, Kind.TAGS, Change(headers=cookies))
    await tags(client)
    await tags(client)
    assert all("cookie" not in entry.headers for entry in registry.requests)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(b"X-Flood: " + b"x" * 300_000 + b"\r\n", id="header-flood-one"),
        pytest.param(b"".join(b"X-%d: y\r\n" % n for n in range(50_000)), id="header-flood-many"),
        pytest.param(b"no colon here\r\n", id="header-that-is-none"),
    ],
)
async def test_a_flood_of_headers_is_given_up(
    registry: FakeRegistry, client: RegistryClient, headers: bytes
) -> None:
    answer(registry, Kind.TAGS, Raw(b"HTTP/1.1 200 OK\r\n" + headers + b"\r\n"))
    with pytest.raises(TransportError):
        await tags(client)


@pytest.mark.parametrize("status", [400, 403, 404, 429, 500, 503])
async def test_the_message_of_a_stranger_is_cleaned_and_cut(
    registry: FakeRegistry, client: RegistryClient, status: int
) -> None:
    """message-with-control-characters"""
    message = "\x1b[31mred\x1b[0m\nlevel=info event=fired\x00\u202e" + "x" * 10_000
    content = json.dumps({"errors": [{"code": "A\nB" * 1000, "message": message}]}).encode()
    answer(registry, Kind.TAGS, Respond(status, (*JSON, ("Warning", '299 - "\x1b[2J"')), content))
    with pytest.raises(RegistryError) as caught:
        await tags(client)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000


LONG = "a" * 15_000


@pytest.mark.parametrize(
    "action",
    [
        pytest.param(
            Change(headers=(("Link", f'<http://{LONG}/?last=1>; rel="next"'),)), id="next page"
        ),
        pytest.param(Respond(307, (("Location", f"http://{LONG}/"),)), id="redirect"),
        pytest.param(
            Respond(401, (("WWW-Authenticate", f'Bearer realm="http://{LONG}/"'),)), id="realm"
        ),
        pytest.param(
            Respond(401, (("WWW-Authenticate", " ".join(f"x{n}" for n in range(3000))),)),
            id="schemes",
        ),
    ],
)
async def test_what_a_registry_names_does_not_flood_the_log(
    registry: FakeRegistry, client: RegistryClient, action: Respond | Change
) -> None:
    """long-names-in-errors"""
    answer(registry, Kind.TAGS, action)
    with pytest.raises(RegistryError) as caught:
        await tags(client)
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize("key", ["message", "code"])
async def test_a_password_that_the_registry_repeats_is_not_in_the_error(
    registry: FakeRegistry, key: str
) -> None:
    """message-with-the-secret"""
    registry.auth = BasicAuth(users=USERS)
    message = f"no such thing for acme:{ACME.password}"
    content = json.dumps({"errors": [{"code": "DENIED", key: message}]}).encode()
    refusal = Respond(403, JSON, content)
    registry.fault(Fault(action=refusal, match=Match(authorized=True)))
    async with connect(registry, Passwords(ACME)) as client:
        with pytest.raises(RegistryError) as caught:
            await tags(client)
    assert (ACME.password or "?") not in str(caught.value)


@pytest.mark.parametrize("told", ["99999999999", "9" * 100, "Fri, 31 Dec 9999 23:59:59 GMT"])
async def test_no_registry_can_put_us_to_sleep_for_more_than_a_day(
    registry: FakeRegistry, told: str
) -> None:
    """absurd-retry-after"""
    registry.fault(Fault(action=Respond(429, (("Retry-After", told),))))
    clock = Clock()
    async with connect(registry, clock=clock) as client:
        with pytest.raises(RateLimited) as caught:
            await tags(client)
    assert caught.value.retry_after is not None
    assert timedelta() < caught.value.retry_after <= timedelta(days=1)


async def test_a_storm_of_401_does_not_hammer_the_password_source_or_the_token_server(
    registry: FakeRegistry,
) -> None:
    """401-storm: 200 polls within a minute, all refused."""
    registry.auth = BearerAuth(users={"acme": "another password"})
    passwords, clock = Passwords(ACME), Clock()
    async with client_of(account_for(registry.url), passwords, clock=clock) as client:
        for _ in range(200):
            with pytest.raises(AuthenticationFailed):
                await tags(client)
            clock.now += 0.25
    assert passwords.renewals <= 3
    assert registry.count(Kind.TOKEN) <= 6


async def test_a_storm_of_401_with_good_tokens_is_bounded_per_poll(registry: FakeRegistry) -> None:
    """401-storm-after-tokens: each poll ends after a few requests."""
    registry.auth = BearerAuth(users=USERS)
    challenge = f'Bearer realm="{registry.url}/token",service="s",error="invalid_token"'
    answer(registry, Kind.TAGS, Respond(401, (("WWW-Authenticate", challenge),)))
    async with connect(registry, Passwords(ACME)) as client:
        with pytest.raises(RegistryError):
            await tags(client)
    assert registry.count(Kind.TAGS) <= 5
    assert registry.count(Kind.TOKEN) <= 4
