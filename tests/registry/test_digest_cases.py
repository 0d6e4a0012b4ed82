"""Digests: what HEAD and GET may answer, and what is believed of it.

The rows are those of the field notes' table of edge cases, 56 to 63.
"""

from __future__ import annotations

import hashlib

import pytest

from tests.registry.clients import connect
from watcher.core.oci import ACCEPT
from watcher.errors import NotFound, ProtocolError, RegistryError
from watcher.registry.budgets.limits import HostLimits
from watcher.registry.client import RegistryClient
from watcher.testing.faults import Change, Fault, Match, Respond
from watcher.testing.images import DOCKER_MANIFEST, OCI_MANIFEST
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry

NAME = "acme/web"
DIGEST = "Docker-Content-Digest"
ZEROS = f"sha256:{'0' * 64}"


def on_manifests(registry: FakeRegistry, action: Change | Respond, method: str | None) -> None:
    registry.fault(Fault(action=action, match=Match(kind=Kind.MANIFEST, method=method)))


def methods(registry: FakeRegistry) -> list[str]:
    return [entry.method for entry in registry.requests_of(Kind.MANIFEST)]


async def test_one_head_tells_the_digest(registry: FakeRegistry, client: RegistryClient) -> None:
    digest = registry.push(NAME, "1")
    assert await client.head(NAME, "1") == digest
    assert methods(registry) == ["HEAD"]


@pytest.mark.parametrize(
    "action",
    [
        pytest.param(Change(without=(DIGEST,)), id="row-56-head-without-digest"),
        pytest.param(Respond(405), id="row-57-status-405"),
        pytest.param(Respond(501), id="row-57-status-501"),
        pytest.param(Respond(400), id="row-57-status-400"),
    ],
)
async def test_where_head_tells_nothing_get_is_hashed_and_head_not_tried_again(
    registry: FakeRegistry, client: RegistryClient, action: Change | Respond
) -> None:
    on_manifests(registry, action, "HEAD")
    first, second = registry.push(NAME, "1"), registry.push(NAME, "2")
    assert await client.head(NAME, "1") == first
    assert await client.head(NAME, "2") == second
    assert methods(registry) == ["HEAD", "GET", "GET"]


async def test_that_a_host_has_no_head_is_known_to_all_its_accounts(
    registry: FakeRegistry,
) -> None:
    """row-57"""
    on_manifests(registry, Respond(405), "HEAD")
    digest = registry.push(NAME, "1")
    hosts = HostLimits()
    async with connect(registry, hosts=hosts) as one, connect(registry, hosts=hosts) as other:
        assert await one.head(NAME, "1") == digest
        assert await other.head(NAME, "1") == digest
    assert methods(registry) == ["HEAD", "GET", "GET"]


@pytest.mark.parametrize("status", [401, 403, 404, 500, 502])
async def test_a_refused_head_is_not_tried_as_get(
    registry: FakeRegistry, client: RegistryClient, status: int
) -> None:
    """row-57: a GET may count as a pull."""
    on_manifests(registry, Respond(status), None)
    with pytest.raises(RegistryError):
        await client.head(NAME, "1")
    assert set(methods(registry)) == {"HEAD"}


async def test_a_digest_that_the_bytes_do_not_have_is_refused(
    registry: FakeRegistry, client: RegistryClient
) -> None:
    """row-58"""
    registry.push(NAME, "1")
    on_manifests(registry, Change(headers=((DIGEST, ZEROS),)), None)
    with pytest.raises(ProtocolError, match="does not hash"):
        await client.manifest(NAME, "1")


async def test_other_bytes_than_the_digest_asked_for_are_refused(
    registry: FakeRegistry, client: RegistryClient
) -> None:
    """row-58: also when the header repeats what was asked for."""
    wanted = registry.push(NAME, "1")
    on_manifests(registry, Change(body=b'{"schemaVersion":2}'), "GET")
    with pytest.raises(ProtocolError, match="does not hash"):
        await client.manifest(NAME, wanted)


@pytest.mark.parametrize(
    "told",
    [
        pytest.param("latest", id="row-59-no-digest"),
        pytest.param("sha256:abc", id="row-59-too-short"),
        pytest.param(f"sha256:{'0' * 65}", id="row-59-too-long"),
        pytest.param(f"sha256:{'A' * 64}", id="row-59-capitals"),
        pytest.param(f"md5:{'0' * 32}", id="row-59-unknown-algorithm"),
        pytest.param(f"sha512:{'0' * 64}", id="row-59-sha512-too-short"),
        pytest.param("sha256:../../../etc/passwd", id="row-59-path"),
        pytest.param(f"{ZEROS}, {ZEROS}", id="row-59-two"),
    ],
)
async def test_a_malformed_digest_is_refused(
    registry: FakeRegistry, client: RegistryClient, told: str
) -> None:
    registry.push(NAME, "1")
    on_manifests(registry, Change(headers=((DIGEST, told),)), None)
    with pytest.raises(ProtocolError):
        await client.head(NAME, "1")
    with pytest.raises(ProtocolError):
        await client.manifest(NAME, "1")


async def test_sha512_is_a_digest_like_any_other(
    registry: FakeRegistry, client: RegistryClient
) -> None:
    """row-59-sha512"""
    registry.push(NAME, "1")
    body = (await client.manifest(NAME, "1")).content
    digest = f"sha512:{hashlib.sha512(body).hexdigest()}"
    on_manifests(registry, Change(headers=((DIGEST, digest),)), None)
    assert await client.head(NAME, "1") == digest
    assert (await client.manifest(NAME, "1")).digest == digest


async def test_of_an_index_the_digest_is_its_own_and_the_children_are_known(
    registry: FakeRegistry, client: RegistryClient
) -> None:
    """row-60"""
    platforms = ["linux/amd64", "linux/arm64"]
    digest = registry.push(NAME, "1", platforms=platforms)
    assert await client.head(NAME, "1") == digest
    manifest = await client.manifest(NAME, "1")
    assert (manifest.digest, manifest.is_index) == (digest, True)
    assert [str(child.platform) for child in manifest.children] == platforms


async def test_an_index_of_which_one_platform_changed_has_moved(
    registry: FakeRegistry, client: RegistryClient
) -> None:
    """row-60-one-platform"""
    registry.push(NAME, "1", content="x", platforms=["linux/amd64", "linux/arm64"])
    before = await client.manifest(NAME, "1")
    registry.push(NAME, "1", content="x", platforms=["linux/amd64", "linux/arm64/v8"])
    after = await client.manifest(NAME, "1")
    assert await client.head(NAME, "1") == after.digest != before.digest
    same = {child.digest for child in before.children} & {child.digest for child in after.children}
    assert len(same) == 1


async def test_the_same_layer_under_another_media_type_has_moved(
    registry: FakeRegistry, client: RegistryClient
) -> None:
    """row-61"""
    registry.push(NAME, "1", content="x", media_type=DOCKER_MANIFEST)
    before = await client.head(NAME, "1")
    registry.push(NAME, "1", content="x", media_type=OCI_MANIFEST)
    assert await client.head(NAME, "1") != before


@pytest.mark.parametrize(
    "media_type",
    [
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.artifact.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        "application/vnd.docker.distribution.manifest.v1+json",
    ],
)
async def test_every_kind_of_manifest_is_accepted(
    registry: FakeRegistry, client: RegistryClient, media_type: str
) -> None:
    """row-62: this registry says 404 to who does not accept a manifest's type."""
    digest = registry.put_manifest(NAME, "1", b'{"schemaVersion":2}', media_type)
    assert await client.head(NAME, "1") == digest


async def test_head_and_get_ask_with_the_same_accept(
    registry: FakeRegistry, client: RegistryClient
) -> None:
    """row-62"""
    registry.push(NAME, "1")
    await client.head(NAME, "1")
    await client.manifest(NAME, "1")
    head, get = registry.requests_of(Kind.MANIFEST)
    assert head.headers["accept"] == get.headers["accept"] == ACCEPT


async def test_nothing_is_asked_conditionally_and_304_is_no_digest(
    registry: FakeRegistry, client: RegistryClient
) -> None:
    """row-63: an answer without body and headers can't be taken for an unchanged tag."""
    registry.push(NAME, "1")
    on_manifests(registry, Respond(304), None)
    with pytest.raises(ProtocolError):
        await client.head(NAME, "1")
    assert "if-none-match" not in registry.requests[0].headers


async def test_a_tag_that_is_unknown_is_not_found(
    registry: FakeRegistry, client: RegistryClient
) -> None:
    registry.push(NAME, "1")
    with pytest.raises(NotFound):
        await client.head(NAME, "2")


async def test_labels_are_those_of_the_image_that_most_machines_run(
    registry: FakeRegistry, client: RegistryClient
) -> None:
    labels = {"org.opencontainers.image.version": "1", "team": "web"}
    single = registry.push(NAME, "1", labels=labels)
    index = registry.push(NAME, "2", labels=labels, platforms=["linux/arm64", "linux/amd64"])
    assert await client.labels(NAME, single) == labels
    assert await client.labels(NAME, index) == labels
