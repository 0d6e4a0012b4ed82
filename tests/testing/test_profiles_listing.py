"""The kinds of registry, as the fake plays them: how they cut, order and write their lists."""

from __future__ import annotations

from dataclasses import dataclass, field

import httpx
import pytest

from tests.testing.playing import (
    MANIFEST,
    TAGS,
    USERS,
    WEB,
    Clock,
    following,
    played,
    raw,
    token,
)
from watcher.testing.images import OCI_INDEX, OCI_MANIFEST
from watcher.testing.profiles import PROFILES
from watcher.testing.registry import FakeRegistry

CATALOG = "/v2/_catalog"
FIVE = ("1.10", "1.9", "latest", "b", "a")
MANY = [f"1.{number}" for number in range(120)]


@dataclass
class Walk:
    entries: list[str | None] = field(default_factory=list)
    links: list[str] = field(default_factory=list)


async def access(name: str, client: httpx.AsyncClient) -> dict[str, str]:
    if name in ("distribution-2.8", "ecr"):
        return {}
    actions = "pull,metadata_read" if name == "acr" else "pull"
    return await token(client, f"repository:{WEB}:{actions}", user=None)


async def walk(registry: FakeRegistry, headers: dict[str, str], target: str = TAGS) -> Walk:
    result = Walk()
    while target:
        answer = await raw(registry, target, headers=headers)
        assert answer.status_code == 200, answer.text
        result.entries += answer.json()["tags"]
        target = following(answer)
        result.links += [target] if target else []
    return result


FOLLOWED = sorted(set(PROFILES) - {"artifactory", "nexus"})


@pytest.mark.parametrize("name", FOLLOWED)
async def test_following_the_links_gives_every_tag_once(name: str) -> None:
    async with played(name, *FIVE) as (registry, client):
        headers = await access(name, client)
        result = await walk(registry, headers, f"{TAGS}?n=2")
        odd = ["-ot-beta-jmx"] if name == "ecr-public" else []
        assert sorted(map(str, result.entries)) == sorted([*FIVE, *odd])
        assert len(result.links) == (0 if name == "distribution-2.8" else 2)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *[(name, sorted(FIVE)) for name in ("distribution-3", "docker-hub", "gcr", "quay")],
        *[(name, sorted(FIVE)) for name in ("acr", "harbor", "gitlab", "artifact-registry")],
        ("ghcr", list(FIVE)),
    ],
)
async def test_tags_come_by_name_and_on_ghcr_oldest_first(name: str, expected: list[str]) -> None:
    async with played(name, *FIVE) as (registry, client):
        assert (await walk(registry, await access(name, client))).entries == expected


@pytest.mark.parametrize("name", ["ecr", "ecr-public", "distribution-2.8"])
async def test_tags_come_in_no_order_on_some(name: str) -> None:
    async with played(name, *MANY) as (registry, client):
        entries = (await walk(registry, await access(name, client))).entries
        assert entries not in (sorted(MANY), MANY)
        assert set(entries) - {"-ot-beta-jmx"} == set(MANY)


@pytest.mark.parametrize(
    ("name", "query", "size"),
    [
        ("quay", "", 100),
        ("quay", "?n=1000", 100),
        ("ecr", "", 100),
        ("ecr", "?n=1000", 120),
        ("ecr-public", "", 121),
        ("ghcr", "", 100),
        ("ghcr", "?n=10000", 120),
        ("gitlab", "", 100),
        ("acr", "", 100),
        ("docker-hub", "", 120),
        ("harbor", "", 120),
        ("distribution-3", "", 120),
        ("distribution-3", "?n=50", 50),
        ("distribution-2.8", "?n=50", 120),
        ("gcr", "?n=10000", 120),
        ("artifactory", "?n=0", 120 * 3),
    ],
)
async def test_a_page_is_as_large_as_the_kind_makes_it(name: str, query: str, size: int) -> None:
    async with played(name, *MANY) as (registry, client):
        headers = await access(name, client)
        answer = await raw(registry, f"{TAGS}{query}", headers=headers)
        assert len(answer.json()["tags"]) == size


@pytest.mark.parametrize(
    ("name", "target", "expected", "code"),
    [
        ("ecr", f"{TAGS}?n=1001", 405, "UNSUPPORTED"),
        ("ecr-public", f"{TAGS}?n=1001", 405, "UNSUPPORTED"),
        ("gitlab", f"{TAGS}?n=1001", 400, "PAGINATION_NUMBER_INVALID"),
        ("distribution-3", f"{TAGS}?n=-1", 400, "PAGINATION_NUMBER_INVALID"),
        ("distribution-2.8", f"{CATALOG}?n=1001", 400, "PAGINATION_NUMBER_INVALID"),
        ("ecr", f"{CATALOG}?n=1001", 405, "UNSUPPORTED"),
    ],
)
async def test_a_page_that_is_too_large_is_refused(
    name: str, target: str, expected: int, code: str
) -> None:
    async with played(name) as (registry, client):
        answer = await raw(registry, target, headers=await access(name, client))
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (expected, code)


@pytest.mark.parametrize("name", ["ecr", "ecr-public"])
async def test_amazons_cursor_is_understood_byte_for_byte_only(name: str) -> None:
    async with played(name, *FIVE) as (registry, client):
        headers = await access(name, client)
        target = following(await raw(registry, f"{TAGS}?n=2", headers=headers))
        assert (await raw(registry, target, headers=headers)).status_code == 200
        for changed in (target.replace("%2F", "%252F"), f"{TAGS}?n=2&last=latest"):
            answer = await raw(registry, changed, headers=headers)
            assert answer.status_code == 405
            assert answer.json()["errors"][0]["message"] == "Invalid next token"


@pytest.mark.parametrize(
    ("name", "link"),
    [
        ("distribution-3", "</v2/acme/web/tags/list?last=1.9&n=2>"),
        ("docker-hub", "</v2/acme/web/tags/list?last=1.9&n=2>"),
        ("ghcr", "</v2/acme/web/tags/list?last=1.9&n=2>"),
        ("acr", "</v2/acme/web/tags/list?last=1.9&n=2&orderby=>"),
        ("harbor", "</v2/acme/web/tags/list?n=2&last=1.9>"),
        ("quay", "<{url}/v2/acme/web/tags/list?n=2&last=1.9>"),
        ("artifactory", "</v2/web/tags/list?last=2&n=2>"),
        ("nexus", "<{url}/repository/docker-hosted/v2/acme/web/tags/list?n=2&last=1.9>"),
    ],
)
async def test_each_kind_writes_its_link(name: str, link: str) -> None:
    async with played(name, *FIVE) as (registry, client):
        answer = await raw(registry, f"{TAGS}?n=2", headers=await access(name, client))
        assert answer.headers["Link"] == f'{link.format(url=registry.url)}; rel="next"'


async def test_the_path_that_nexus_links_to_is_not_served_on_the_connector_port() -> None:
    async with played("nexus", *FIVE) as (registry, client):
        headers = await access("nexus", client)
        target = following(await raw(registry, f"{TAGS}?n=2", headers=headers))
        assert (await raw(registry, target, headers=headers)).status_code == 400
        kept = target.replace("/repository/docker-hosted", "")
        second = await raw(registry, kept, headers=headers)
        assert second.json()["tags"] == ["a", "b"]


async def test_the_repository_that_artifactory_links_to_does_not_exist() -> None:
    async with played("artifactory", *FIVE) as (registry, client):
        headers = await access("artifactory", client)
        target = following(await raw(registry, f"{TAGS}?n=2", headers=headers))
        other = await token(client, "repository:web:pull", user=None)
        assert (await raw(registry, target, headers=other)).status_code == 404
        second = await raw(registry, f"{TAGS}?last=2&n=3", headers=headers)
        assert second.json()["tags"] == ["a", "b", "latest"]


async def test_artifactory_lists_digests_among_the_tags() -> None:
    async with played("artifactory") as (registry, client):
        digest = registry.push(WEB, "1.0")
        answer = await raw(registry, TAGS, headers=await access("artifactory", client))
        tags = answer.json()["tags"]
        assert {digest, digest.replace(":", "__"), "1.0"} <= set(tags)


async def test_nexus_lists_a_null_and_ecr_public_a_tag_that_is_none() -> None:
    for name, odd in (("nexus", None), ("ecr-public", "-ot-beta-jmx")):
        async with played(name, "a", "b") as (registry, client):
            answer = await raw(registry, TAGS, headers=await access(name, client))
            assert answer.json()["tags"][-1] == odd


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ecr", "text/plain; charset=utf-8"),
        ("ecr-public", "text/plain; charset=utf-8"),
        ("quay", "application/json"),
    ],
)
async def test_amazon_calls_its_lists_plain_text(name: str, expected: str) -> None:
    async with played(name) as (registry, client):
        answer = await raw(registry, TAGS, headers=await access(name, client))
        assert answer.headers["Content-Type"] == expected


@pytest.mark.parametrize("name", ["gcr", "artifact-registry"])
async def test_google_tells_digests_tags_and_times_in_each_page(name: str) -> None:
    clock = Clock(1_700_000_000.5)
    async with played(name, "1.0", clock=clock) as (registry, client):
        digest = registry.push(WEB, "2.0", content="two")
        registry.push(WEB, "latest", content="two")
        old = registry.push(WEB, "9", content="old")
        index = registry.push(WEB, "9", platforms=["linux/amd64", "linux/arm64"])
        registry.push(f"{WEB}/below", "1.0")
        headers = await access(name, client)
        first = (await raw(registry, f"{TAGS}?n=2", headers=headers)).json()
        second = (await raw(registry, f"{TAGS}?n=2&last=2.0", headers=headers)).json()
        assert (first["tags"], second["tags"]) == (["1.0", "2.0"], ["9", "latest"])
        assert first["child"] == ["below"]
        assert first["manifest"][digest] == {
            "imageSizeBytes": first["manifest"][digest]["imageSizeBytes"],
            "layerId": "",
            "mediaType": OCI_MANIFEST,
            "tag": ["2.0"],
            "timeCreatedMs": "0",
            "timeUploadedMs": "1700000000500",
        }
        assert int(first["manifest"][digest]["imageSizeBytes"]) > 0
        assert second["manifest"][digest]["tag"] == ["latest"]
        assert second["manifest"][index]["mediaType"] == OCI_INDEX
        assert second["manifest"][old]["tag"] == []
        assert old not in first["manifest"]


@pytest.mark.parametrize(
    ("name", "has_etag"),
    [("distribution-2.8", True), ("distribution-3", True), ("harbor", True), ("quay", False)],
)
async def test_manifests_have_an_etag_where_the_kind_knows_it(name: str, has_etag: bool) -> None:
    async with played(name) as (_, client):
        headers = await access(name, client)
        answer = await client.get(MANIFEST, headers=headers)
        digest = answer.headers["Docker-Content-Digest"]
        assert answer.headers.get("ETag") == (f'"{digest}"' if has_etag else None)
        known = headers | {"If-None-Match": f'"{digest}"'}
        expected = 304 if has_etag else 200
        assert (await client.get(MANIFEST, headers=known)).status_code == expected
        assert (await client.head(MANIFEST, headers=known)).status_code == expected


@pytest.mark.parametrize(("name", "expected"), [("artifactory", 403), ("quay", 404)])
async def test_head_of_a_manifest_that_is_not_there(name: str, expected: int) -> None:
    async with played(name) as (_, client):
        headers = await access(name, client)
        missing = f"/v2/{WEB}/manifests/2.0"
        assert (await client.head(missing, headers=headers)).status_code == expected
        assert (await client.get(missing, headers=headers)).status_code == 404


async def test_quays_catalog_is_paged_by_a_cursor_of_its_own() -> None:
    async with played("quay", users=USERS) as (registry, client):
        registry.seed(["b/b", "a/a"], ["1"])
        headers = await token(client)
        first = await raw(registry, f"{CATALOG}?n=2", headers=headers)
        assert first.json() == {"repositories": [WEB, "b/b"]}
        target = following(first)
        assert "?next_page=" in target
        second = await raw(registry, target, headers=headers)
        assert (second.json(), following(second)) == ({"repositories": ["a/a"]}, "")


async def test_harbors_catalog_wants_a_last_that_exists() -> None:
    async with played("harbor", users=USERS) as (_, client):
        auth = ("acme", "secret")
        assert (await client.get(f"{CATALOG}?last={WEB}", auth=auth)).status_code == 200
        assert (await client.get(f"{CATALOG}?last=acme/gone", auth=auth)).status_code == 400


async def test_quay_closes_the_connection_after_a_list_and_not_after_a_manifest() -> None:
    async with played("quay") as (registry, client):
        headers = await access("quay", client)
        before = registry.counters.connections
        for _ in range(2):
            assert (await client.get(TAGS, headers=headers)).headers["Connection"] == "close"
        assert registry.counters.connections == before + 2
        for _ in range(2):
            await client.get(MANIFEST, headers=headers)
        assert registry.counters.connections == before + 3
