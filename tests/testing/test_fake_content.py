"""The fake registry's content is that of a real one: true digests, manifests, configs, blobs."""

from __future__ import annotations

import hashlib
import time

import httpx
import pytest

from watcher.testing.images import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    sha256,
)
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry


async def test_a_pushed_tag_is_listed_and_its_manifest_hashes_to_the_digest(
    registry: FakeRegistry, client: httpx.AsyncClient
) -> None:
    digest = registry.push("acme/web", "1.0")
    tags = (await client.get("/v2/acme/web/tags/list")).json()
    manifest = await client.get("/v2/acme/web/manifests/1.0")
    assert tags == {"name": "acme/web", "tags": ["1.0"]}
    assert f"sha256:{hashlib.sha256(manifest.content).hexdigest()}" == digest
    assert manifest.headers["Docker-Content-Digest"] == digest
    assert manifest.headers["Content-Type"] == OCI_MANIFEST


async def test_head_tells_the_same_as_get_without_a_body(
    registry: FakeRegistry, client: httpx.AsyncClient
) -> None:
    registry.push("acme/web", "1.0")
    head = await client.head("/v2/acme/web/manifests/1.0")
    get = await client.get("/v2/acme/web/manifests/1.0")
    assert dict(head.headers) == dict(get.headers)
    assert head.content == b""


async def test_config_and_layer_are_served_with_the_labels_that_were_pushed(
    registry: FakeRegistry, client: httpx.AsyncClient
) -> None:
    registry.push("acme/web", "1.0", content=b"layer", labels={"team": "web"})
    manifest = (await client.get("/v2/acme/web/manifests/1.0")).json()
    config = await client.get(f"/v2/acme/web/blobs/{manifest['config']['digest']}")
    layer = await client.get(f"/v2/acme/web/blobs/{manifest['layers'][0]['digest']}")
    assert config.json()["config"]["Labels"] == {"team": "web"}
    assert sha256(config.content) == manifest["config"]["digest"]
    assert layer.content == b"layer"


@pytest.mark.parametrize(
    ("media_type", "index_type"),
    [
        pytest.param(OCI_MANIFEST, OCI_INDEX, id="oci"),
        pytest.param(DOCKER_MANIFEST, DOCKER_LIST, id="docker"),
    ],
)
async def test_a_push_with_platforms_is_an_index_whose_children_are_reachable(
    registry: FakeRegistry, client: httpx.AsyncClient, media_type: str, index_type: str
) -> None:
    platforms = ["linux/amd64", "linux/arm/v7"]
    registry.push("acme/web", "1.0", platforms=platforms, media_type=media_type)
    index = await client.get("/v2/acme/web/manifests/1.0")
    assert index.headers["Content-Type"] == index_type
    children = index.json()["manifests"]
    assert [child["platform"]["architecture"] for child in children] == ["amd64", "arm"]
    for child in children:
        manifest = await client.get(f"/v2/acme/web/manifests/{child['digest']}")
        assert manifest.headers["Content-Type"] == media_type


async def test_the_same_content_has_the_same_digest_and_none_is_new_each_time(
    registry: FakeRegistry,
) -> None:
    assert registry.push("a", "1", content="x") == registry.push("b", "2", content="x")
    assert registry.push("a", "1") != registry.push("a", "1")
    assert registry.push("a", "1", content="x") != registry.push(
        "a", "1", content="x", media_type=DOCKER_MANIFEST
    )


async def test_a_moved_tag_changes_its_digest_and_can_move_back(registry: FakeRegistry) -> None:
    first = registry.push("a", "latest")
    second = registry.move("a", "latest")
    assert first != second
    assert registry.move("a", "latest", to=first) == first
    with pytest.raises(KeyError):
        registry.move("a", "unknown")
    with pytest.raises(KeyError):
        registry.move("a", "latest", to="unknown")


async def test_a_deleted_tag_leaves_its_manifest_and_a_deleted_repository_leaves_nothing(
    registry: FakeRegistry, client: httpx.AsyncClient
) -> None:
    digest = registry.push("acme/web", "1.0")
    registry.delete_tag("acme/web", "1.0")
    assert (await client.get("/v2/acme/web/manifests/1.0")).status_code == 404
    assert (await client.get(f"/v2/acme/web/manifests/{digest}")).status_code == 200
    assert (await client.get("/v2/acme/web/tags/list")).json()["tags"] == []
    registry.delete_repository("acme/web")
    answer = await client.get("/v2/acme/web/tags/list")
    assert answer.json()["errors"][0]["code"] == "NAME_UNKNOWN"


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        (OCI_MANIFEST, 200),
        ("*/*", 200),
        (f"text/plain;q=0.5, {OCI_MANIFEST};q=1", 200),
        (DOCKER_MANIFEST, 404),
    ],
)
async def test_a_manifest_that_is_not_accepted_is_unknown(
    registry: FakeRegistry, client: httpx.AsyncClient, accept: str, status: int
) -> None:
    registry.push("acme/web", "1.0")
    answer = await client.get("/v2/acme/web/manifests/1.0", headers={"Accept": accept})
    assert answer.status_code == status


async def test_accept_may_come_in_several_lines_as_skopeo_sends_it(
    registry: FakeRegistry, client: httpx.AsyncClient
) -> None:
    registry.push("acme/web", "1.0")
    lines = [("Accept", OCI_MANIFEST), ("Accept", DOCKER_MANIFEST)]
    assert (await client.get("/v2/acme/web/manifests/1.0", headers=lines)).status_code == 200


async def test_a_manifest_that_is_already_known_is_not_sent_again(
    registry: FakeRegistry, client: httpx.AsyncClient
) -> None:
    digest = registry.push("acme/web", "1.0")
    known = {"If-None-Match": f'"{digest}"'}
    answer = await client.get("/v2/acme/web/manifests/1.0", headers=known)
    assert (answer.status_code, answer.content) == (304, b"")


async def test_any_bytes_can_be_put_as_manifest_or_blob(
    registry: FakeRegistry, client: httpx.AsyncClient
) -> None:
    registry.put_manifest("acme/web", "odd", b"not json", "application/x-odd")
    registry.put_blob("sha256:wrong", b"other")
    assert (await client.get("/v2/acme/web/manifests/odd")).content == b"not json"
    assert (await client.get("/v2/acme/web/blobs/sha256:wrong")).content == b"other"


async def test_ten_thousand_seeded_repositories_cost_little_and_do_not_share_later_changes(
    registry: FakeRegistry, client: httpx.AsyncClient
) -> None:
    before = time.process_time()
    registry.seed([f"lab/{n}" for n in range(10_000)], [f"1.{n}" for n in range(100)])
    assert time.process_time() - before < 2
    registry.push("lab/1", "2.0")
    assert len((await client.get("/v2/lab/1/tags/list")).json()["tags"]) == 101
    assert len((await client.get("/v2/lab/2/tags/list")).json()["tags"]) == 100
    manifest = await client.get("/v2/lab/3/manifests/1.7")
    assert sha256(manifest.content) == manifest.headers["Docker-Content-Digest"]
    other = await client.get("/v2/lab/4/manifests/1.7")
    assert other.content != manifest.content


async def test_the_log_and_counters_tell_what_was_asked_and_no_secret(
    registry: FakeRegistry, client: httpx.AsyncClient
) -> None:
    registry.push("acme/web", "1.0")
    await client.get("/v2/acme/web/tags/list?n=5", headers={"Authorization": "Basic c2VjcmV0"})
    await client.get("/v2/acme/other/tags/list")
    first, second = registry.requests
    assert (first.kind, first.repository, first.query) == (Kind.TAGS, "acme/web", "n=5")
    assert first.headers["authorization"] == "Basic"
    assert (first.status, second.status) == (200, 404)
    assert first.connection == second.connection == 1
    assert registry.count(Kind.TAGS) == 2
    assert registry.count(Kind.TAGS, "acme/web") == 1
    assert registry.counters.statuses == {200: 1, 404: 1}
    assert registry.counters.connections == 1
    registry.reset_log()
    assert (registry.requests, registry.count(Kind.TAGS)) == ([], 0)
