"""The fake registry cuts lists into pages as the kinds of registry do (field: Link headers)."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urljoin

import httpx
import pytest

from watcher.testing.paging import LinkStyle, Paging
from watcher.testing.registry import FakeRegistry

TAGS = ["1.10", "1.9", "b.c", "a_b", "latest", "v2", "v1"]


@dataclass
class Walk:
    tags: list[str]
    links: list[str]


async def walk(registry: FakeRegistry, client: httpx.AsyncClient, query: str = "") -> Walk:
    url, result = f"{registry.url}/v2/acme/web/tags/list{query}", Walk([], [])
    while url:
        answer = await client.get(url)
        assert answer.status_code == 200, answer.text
        result.tags += answer.json()["tags"]
        target = answer.links.get("next", {}).get("url", "")
        if target:
            result.links.append(target)
        url = urljoin(url, target) if target else ""
    return result


@pytest.mark.parametrize(
    ("paging", "query", "pages"),
    [
        pytest.param(Paging(), "", 1, id="everything-at-once"),
        pytest.param(Paging(), "?n=3", 3, id="by-n"),
        pytest.param(Paging(cap=2), "?n=1000", 4, id="capped"),
        pytest.param(Paging(cap=2, link=LinkStyle.ABSOLUTE), "", 4, id="absolute-links"),
        pytest.param(Paging(cap=2, sorted=False), "", 4, id="unsorted"),
        pytest.param(Paging(ignores_n=True), "?n=2", 1, id="ignores-n"),
        pytest.param(Paging(cap=7), "?n=7", 1, id="no-link-after-the-last-full-page"),
    ],
)
async def test_following_links_gives_every_tag_once(
    registry: FakeRegistry, client: httpx.AsyncClient, paging: Paging, query: str, pages: int
) -> None:
    registry.paging = paging
    for tag in TAGS:
        registry.push("acme/web", tag)
    result = await walk(registry, client, query)
    assert result.tags == (sorted(TAGS) if paging.sorted and not paging.ignores_n else result.tags)
    assert sorted(result.tags) == sorted(TAGS)
    assert len(result.links) == pages - 1
    absolute = paging.link is LinkStyle.ABSOLUTE
    assert all(link.startswith("http://") is absolute for link in result.links)


async def raw_get(registry: FakeRegistry, target: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        url = httpx.URL(registry.url).copy_with(raw_path=target.encode())
        return await client.get(url)


async def test_an_opaque_cursor_is_understood_byte_for_byte_only(registry: FakeRegistry) -> None:
    registry.paging = Paging(cap=1, opaque=True, refusal_status=405)
    registry.push("acme/web", "1")
    registry.push("acme/web", "2")
    first = await raw_get(registry, "/v2/acme/web/tags/list")
    target = first.headers["Link"].removeprefix("<").partition(">")[0]
    assert (await raw_get(registry, target)).json()["tags"] == ["2"]
    for changed in (target.replace("%2F", "/"), target.replace("+", "%2B"), target + "x"):
        assert (await raw_get(registry, changed)).status_code == 405
    assert (await raw_get(registry, "/v2/acme/web/tags/list?last=1")).status_code == 405


@pytest.mark.parametrize("n", ["1001", "-1", "many"])
async def test_a_page_size_that_is_not_supported_is_refused(
    registry: FakeRegistry, client: httpx.AsyncClient, n: str
) -> None:
    registry.paging = Paging(maximum_n=1000)
    registry.push("acme/web", "1")
    assert (await client.get(f"/v2/acme/web/tags/list?n={n}")).status_code == 400


async def test_the_catalog_is_paged_too(registry: FakeRegistry, client: httpx.AsyncClient) -> None:
    registry.seed(["b", "a", "c"], ["1"])
    first = await client.get("/v2/_catalog?n=2")
    assert first.json() == {"repositories": ["a", "b"]}
    second = await client.get(first.links["next"]["url"])
    assert second.json() == {"repositories": ["c"]}
    assert "Link" not in second.headers
