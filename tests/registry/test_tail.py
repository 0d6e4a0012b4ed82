"""The tail of an append-ordered listing: one request instead of all pages, and a walk when in
doubt."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from tests.registry.accounts import Clock
from tests.registry.looks import WEB, Follower, asked, following, playing
from watcher.core.account import Limits, Strategy
from watcher.errors import AccessDenied, TransportError
from watcher.registry.listing.tags import Listing, Recent, Unchanged
from watcher.testing.faults import Action, Cut, Fault, Match, Respond, Transform
from watcher.testing.paging import Paging
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry
from watcher.testing.wire import Request, Response

JSON = (("Content-Type", "application/json"),)
TAGS = tuple(f"t{number:03}" for number in range(25))
PAGE_SIZE = 10


@asynccontextmanager
async def scene(
    *tags: str, strategy: Strategy = Strategy.AUTO
) -> AsyncIterator[tuple[FakeRegistry, Follower, Clock]]:
    """A registry as GHCR with these tags, ten on a page, looked at once; an empty log."""
    clock = Clock()
    account = {"limits": Limits(page_size=PAGE_SIZE)}
    async with (
        playing("ghcr", *(tags or TAGS), clock=clock) as registry,
        following(
            registry, "ghcr", clock, strategy=strategy, account=account, wants_digests=False
        ) as follower,
    ):
        first = await follower.look()
        assert isinstance(first, Listing)
        registry.reset_log()
        clock.now += 60
        yield registry, follower, clock


async def test_nothing_new_costs_one_request_for_the_last_page() -> None:
    async with scene() as (registry, follower, _):
        found = await follower.look()
        assert found == Unchanged(None, 1, tells_digests=False, mark=follower.mark)
        (entry,) = registry.requests_of(Kind.TAGS)
        assert "last=t019" in entry.query


async def test_a_new_tag_is_found_by_the_last_page() -> None:
    async with scene() as (registry, follower, _):
        registry.push(WEB, "a-name-that-sorts-first")
        found = await follower.look()
        assert isinstance(found, Recent)
        assert "a-name-that-sorts-first" in found.digests
        assert (set(found.digests.values()), found.tells_digests) == ({None}, False)
        assert asked(registry) == (0, 1)


async def test_new_pages_are_read_and_the_last_of_them_is_remembered() -> None:
    async with scene() as (registry, follower, _):
        for number in range(40):
            registry.push(WEB, f"new-{number}")
        found = await follower.look()
        assert isinstance(found, Recent)
        assert set(found.digests) >= {f"new-{number}" for number in range(40)}
        assert asked(registry) == (0, 5)
        assert isinstance(await follower.look(), Unchanged)
        assert asked(registry) == (0, 1)


async def test_a_page_that_was_full_is_followed_when_there_is_more() -> None:
    async with scene(*TAGS[:20]) as (registry, follower, _):
        registry.push(WEB, "new")
        found = await follower.look()
        assert isinstance(found, Recent)
        assert "new" in found.digests
        assert asked(registry) == (0, 2)


async def test_a_huge_repository_costs_one_request_while_nothing_changes() -> None:
    clock = Clock()
    async with (
        playing("ghcr", clock=clock) as registry,
        following(registry, "ghcr", clock, wants_digests=False) as follower,
    ):
        registry.seed([WEB], [f"{number:05}" for number in range(50_000)])
        first = await follower.look()
        assert isinstance(first, Listing)
        assert first.pages == 50
        registry.reset_log()
        for _ in range(3):
            clock.now += 60
            assert isinstance(await follower.look(), Unchanged)
        assert asked(registry) == (0, 3)


def _without_first_tag(_: Request, response: Response) -> Response:
    document = json.loads(response.body)
    body = json.dumps({**document, "tags": document["tags"][1:]}).encode()
    return Response(200, response.headers, body)


def _link(target: str) -> Callable[[Request, Response], Response]:
    def function(_: Request, response: Response) -> Response:
        headers = (*response.headers, ("Link", f'<{target}>; rel="next"'))
        return Response(200, headers, response.body)

    return function


ODD = [
    pytest.param(Respond(404, JSON, b"{}"), id="404"),
    pytest.param(Respond(405, JSON, b"{}"), id="405"),
    pytest.param(Respond(400, JSON, b"{}"), id="400"),
    pytest.param(Respond(200, JSON, b'{"tags": []}'), id="empty"),
    pytest.param(Respond(200, JSON, b'{"tags": null}'), id="null"),
    pytest.param(Respond(200, JSON, b'{"tags": ["other"]}'), id="another first tag"),
    pytest.param(Transform(function=_without_first_tag), id="without its first tag"),
    pytest.param(Respond(200, (("Content-Type", "text/html"),), b"<html>"), id="a web page"),
    pytest.param(Respond(200, JSON, b"{"), id="broken JSON"),
    pytest.param(
        Transform(function=_link("http://elsewhere.example/v2/x/tags/list?last=1")),
        id="a link to elsewhere",
    ),
    pytest.param(Transform(function=_link("/v2/other?page=2")), id="a link without a cursor"),
]


@pytest.mark.parametrize("action", ODD)
async def test_an_odd_last_page_leads_to_a_complete_walk_in_the_same_look(action: Action) -> None:
    async with scene() as (registry, follower, _):
        registry.push(WEB, "new")
        registry.fault(Fault(action=action, match=Match(kind=Kind.TAGS), times=1))
        found = await follower.look()
        assert isinstance(found, Listing)
        assert "new" in found.tags
        assert asked(registry) == (0, 4)
        assert isinstance(await follower.look(), Unchanged)
        assert asked(registry) == (0, 1)


async def test_a_last_page_that_links_to_itself_leads_to_a_complete_walk() -> None:
    async with scene() as (registry, follower, _):
        registry.push(WEB, "new")

        def itself(request: Request, response: Response) -> Response:
            return _link(request.target)(request, response)

        circle = Fault(action=Transform(function=itself), match=Match(kind=Kind.TAGS), times=1)
        registry.fault(circle)
        assert isinstance(await follower.look(), Listing)


async def test_without_an_answer_the_look_fails_and_nothing_is_lost() -> None:
    async with scene() as (registry, follower, _):
        registry.push(WEB, "new")
        registry.fault(Fault(action=Cut(), match=Match(kind=Kind.TAGS), times=2))
        with pytest.raises(TransportError):
            await follower.look()
        found = await follower.look()
        assert isinstance(found, Recent)
        assert "new" in found.digests


async def test_a_repository_that_is_gone_is_an_error() -> None:
    async with scene() as (registry, follower, _):
        registry.delete_repository(WEB)
        with pytest.raises(AccessDenied):  # so does GHCR answer for what is not there
            await follower.look()


async def test_a_complete_walk_comes_every_six_hours_and_finds_deletions() -> None:
    async with scene() as (registry, follower, clock):
        registry.delete_tag(WEB, "t003")
        assert not isinstance(await follower.look(), Listing)
        clock.now += 6 * 3600
        found = await follower.look()
        assert isinstance(found, Listing)
        assert "t003" not in found.tags


async def test_where_deletions_are_wanted_all_is_walked() -> None:
    async with scene() as (registry, follower, _):
        follower.wants_deletions = True
        registry.delete_tag(WEB, "t003")
        found = await follower.look()
        assert isinstance(found, Listing)
        assert "t003" not in found.tags


async def test_the_strategy_v2_walks_all() -> None:
    async with scene(strategy=Strategy.V2) as (registry, follower, _):
        assert follower.mark is None
        assert isinstance(await follower.look(), Unchanged)
        assert asked(registry) == (0, 3)


async def test_one_page_is_no_tail() -> None:
    async with scene(*TAGS[:5]) as (registry, follower, _):
        assert follower.mark is None
        registry.push(WEB, "new")
        assert isinstance(await follower.look(), Listing)
        assert asked(registry) == (0, 1)


async def test_a_listing_that_is_not_in_the_order_of_pushes_has_no_tail() -> None:
    clock = Clock()
    account = {"limits": Limits(page_size=PAGE_SIZE)}
    async with (
        FakeRegistry(paging=Paging(), clock=clock) as registry,
        following(
            registry, "distribution", clock, account=account, wants_digests=False
        ) as follower,
    ):
        for tag in TAGS:
            registry.push(WEB, tag)
        await follower.look()
        assert follower.mark is None


@pytest.mark.parametrize(
    "mark",
    [
        pytest.param("tail:", id="cut"),
        pytest.param(f"tail:{'0' * 32} t020 http://elsewhere.example/v2/", id="elsewhere"),
        pytest.param(f"tail:{'0' * 32} t020 /v2/acme/other/tags/list?last=1", id="another list"),
        pytest.param(f"tail:{'0' * 32} t020 /v2/acme/web/tags/list", id="without a cursor"),
        pytest.param(f"tail:{'0' * 32} ../ /v2/acme/web/tags/list?last=1", id="no tag"),
        pytest.param("quay:1 - - -", id="of another strategy"),
    ],
)
async def test_a_mark_that_is_none_leads_to_a_complete_walk(mark: str) -> None:
    async with scene() as (registry, follower, _):
        follower.mark, follower.fingerprint = mark, None
        assert isinstance(await follower.look(), Listing)
        assert asked(registry) == (0, 3)


async def test_the_strategy_is_told() -> None:
    async with scene() as (_, follower, _):
        assert follower.client.strategy_of(WEB, follower.seen()) == "tail"
