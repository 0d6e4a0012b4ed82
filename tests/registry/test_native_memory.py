"""What a native API names is bounded: a page, and all that is remembered of many looks."""

from __future__ import annotations

import json
import tracemalloc

import pytest

from tests.registry.accounts import Clock
from tests.registry.looks import NEWEST_FIRST, following, playing
from watcher.http_client import Headers
from watcher.registry.answer import Answer
from watcher.registry.native.base import MOST_ENTRIES
from watcher.registry.native.changed import MOST_KNOWN, Changes
from watcher.testing.faults import Fault, Match, Respond
from watcher.testing.records import Kind

MOMENT = "2020-01-01T00:00:00Z"


@pytest.mark.parametrize("kind", NEWEST_FIRST)
async def test_a_page_with_far_more_tags_than_were_asked_for_is_refused(kind: str) -> None:
    tags = [
        {"name": f"t{n}", "start_ts": 9, "last_updated": MOMENT, "published_at": MOMENT}
        | {"lastUpdateTime": MOMENT}
        for n in range(MOST_ENTRIES + 1)
    ]
    page: object = {"tags": tags, "results": tags, "count": len(tags), "has_additional": False}
    body = json.dumps(tags if kind == "gitlab" else page).encode()
    clock = Clock()
    async with (
        playing(kind, "1", clock=clock) as registry,
        following(registry, kind, clock) as follower,
    ):
        registry.fault(Fault(match=Match(kind=Kind.NATIVE), action=Respond(200, (), body)))
        await follower.look()
        assert "more than was asked for" in follower.client.take_notes()[0]


async def test_a_harbor_that_names_ever_new_repositories_does_not_fill_the_memory() -> None:
    clock, named = Clock(), 0

    async def fetch(url: str) -> Answer:
        nonlocal named
        first, named = named, named + MOST_ENTRIES
        items = [{"name": f"a/{n}", "update_time": MOMENT} for n in range(first, named)]
        headers = [(b"x-total-count", b"999999999")]
        if named % (10 * MOST_ENTRIES):
            headers.append((b"link", b'</api/v2.0/repositories?page=2>; rel="next"'))
        return Answer(200, Headers(headers), json.dumps(items).encode(), url)

    changes = Changes(clock, lambda answer, error: error)
    changes.expected = frozenset({"acme/web"})
    sizes = []
    tracemalloc.start()
    try:
        while named < 3 * MOST_KNOWN:
            clock.now += 60
            await changes.of("acme/web", fetch, "https://harbor.example", 6)
            sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    a_third = len(sizes) // 3
    assert max(sizes[a_third:]) < 1.5 * max(sizes[:a_third])
