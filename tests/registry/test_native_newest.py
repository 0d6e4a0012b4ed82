"""Registries whose own API lists tags newest first: what is asked, what it means, what it costs.

The registries are played as the field notes describe them; a poller's memory is `Follower`.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest

from tests.registry.accounts import Clock
from tests.registry.looks import (
    NEWEST_FIRST,
    WEB,
    Follower,
    asked,
    following,
    playing,
    stored,
)
from watcher.core.account import Strategy
from watcher.registry.budgets.limits import Priority
from watcher.registry.listing.tags import Listing, Recent, Unchanged
from watcher.testing.faults import Fault, Match, Transform
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry
from watcher.testing.wire import Request, Response

HOUR = 3600.0


class Scene(NamedTuple):
    registry: FakeRegistry
    follower: Follower
    clock: Clock

    def wait(self, seconds: float = 60.0) -> None:
        self.clock.now += seconds


@asynccontextmanager
async def scene(
    kind: str, *tags: str, strategy: Strategy = Strategy.NATIVE
) -> AsyncIterator[Scene]:
    """A registry with these tags, looked at twice, so that nothing is new; an empty log."""
    clock = Clock()
    async with (
        playing(kind, *tags, clock=clock) as registry,
        following(registry, kind, clock, strategy=strategy) as follower,
    ):
        clock.now += 60
        await follower.look()
        clock.now += 60
        await follower.look()
        registry.reset_log()
        yield Scene(registry, follower, clock)


every_kind = pytest.mark.parametrize("kind", NEWEST_FIRST)


@every_kind
async def test_the_first_look_asks_the_api_and_then_walks(kind: str) -> None:
    clock = Clock()
    async with (
        playing(kind, "1", "2", clock=clock) as registry,
        following(registry, kind, clock) as follower,
    ):
        first = await follower.look()
        assert isinstance(first, Listing)
        assert (set(first.tags), first.mark is not None) == ({"1", "2"}, True)
        kinds = [e.kind for e in registry.requests if e.kind in (Kind.NATIVE, Kind.TAGS)]
    assert [entry for index, entry in enumerate(kinds) if entry not in kinds[:index]] == [
        Kind.NATIVE,
        Kind.TAGS,
    ]


@every_kind
async def test_nothing_new_costs_one_request_and_tells_of_digests_too(kind: str) -> None:
    async with scene(kind, "1", "2") as (registry, follower, _):
        found = await follower.look()
        assert found == Unchanged(None, 1, tells_digests=True, mark=found.mark)
        assert sum(registry.counters.requests.values()) == 1


@every_kind
@pytest.mark.parametrize("seconds", [0, 1, 60, 5 * HOUR], ids=lambda s: f"after {s:g} s")
async def test_a_new_tag_is_found_by_one_request(kind: str, seconds: float) -> None:
    """After 0 s it shares the second of the newest tag that was read."""
    async with scene(kind, "1", "2") as (registry, follower, clock):
        clock.now = clock.now - 120 + seconds  # the clock of the last push
        digest = registry.push(WEB, "3")
        clock.now += 120
        found = await follower.look()
        assert isinstance(found, Recent)
        assert found.digests["3"] == digest
        assert asked(registry) == (1, 0)
        assert follower.digests == stored(registry)


@every_kind
async def test_a_moved_tag_is_found_with_its_new_digest(kind: str) -> None:
    async with scene(kind, "1", "2") as (registry, follower, clock):
        digest = registry.move(WEB, "1")
        clock.now += 60
        found = await follower.look()
        assert isinstance(found, Recent)
        assert found.digests["1"] == digest
        assert asked(registry) == (1, 0)


@every_kind
async def test_what_was_told_is_not_told_again(kind: str) -> None:
    async with scene(kind, "1") as (registry, follower, clock):
        registry.push(WEB, "2")
        clock.now += 60
        assert isinstance(await follower.look(), Recent)
        assert isinstance(await follower.look(), Unchanged)


@every_kind
async def test_more_new_tags_than_a_page_holds_are_all_found(kind: str) -> None:
    async with scene(kind, "1") as (registry, follower, clock):
        for number in range(250):
            registry.push(WEB, f"new-{number}")
        clock.now += 60
        found = await follower.look()
        assert isinstance(found, Recent)
        assert set(found.digests) >= {f"new-{number}" for number in range(250)}
        assert asked(registry) == (3, 0)
        clock.now += 60
        await follower.look()
        clock.now += 60
        registry.reset_log()
        assert isinstance(await follower.look(), Unchanged)
        assert asked(registry) == (1, 0)


@every_kind
async def test_more_new_tags_than_ten_pages_hold_are_found_by_a_walk(kind: str) -> None:
    async with scene(kind, "1") as (registry, follower, clock):
        follower.wants_digests = False
        registry.seed(["acme/other"], ())
        for number in range(1001):
            registry.push(WEB, f"new-{number:04}")
        clock.now += 60
        found = await follower.look()
        assert isinstance(found, Listing)
        assert len(found.tags) == 1002
        assert registry.count(Kind.NATIVE) == 10
        registry.reset_log()
        clock.now += 60
        assert isinstance(await follower.look(), Unchanged)
        assert asked(registry) == (1, 0)


@every_kind
async def test_a_push_while_pages_are_read_loses_nothing(kind: str) -> None:
    async with scene(kind, "1") as (registry, follower, clock):
        for number in range(150):
            registry.push(WEB, f"new-{number}")
        clock.now += 60

        def push(request: Request, response: Response) -> Response:
            registry.push(WEB, "late")
            return response

        push_after_page = Fault(
            action=Transform(function=push), match=Match(kind=Kind.NATIVE), times=1
        )
        registry.fault(push_after_page)
        await follower.look()
        await follower.look()
        assert follower.digests == stored(registry)


@every_kind
async def test_a_deletion_while_pages_are_read_hides_no_new_tag(kind: str) -> None:
    async with scene(kind, "1") as (registry, follower, clock):
        for number in range(150):
            registry.push(WEB, f"new-{number}")
        clock.now += 60

        def delete(request: Request, response: Response) -> Response:
            registry.delete_tag(WEB, "new-149")  # shifts the first of page 2 to page 1
            return response

        delete_after_page = Fault(
            action=Transform(function=delete), match=Match(kind=Kind.NATIVE), times=1
        )
        registry.fault(delete_after_page)
        follower.wants_digests = False
        found: set[str] = set()
        for _ in range(2):
            answer = await follower.look()
            if isinstance(answer, Recent):
                found.update(answer.digests)
            elif isinstance(answer, Listing):
                found.update(answer.tags)
        assert found >= set(registry.tags(WEB) or ()) - {"1"}


async def test_docker_hub_tells_of_a_deletion_by_its_count() -> None:
    async with scene("docker-hub", "1", "2", "3") as (registry, follower, clock):
        registry.delete_tag(WEB, "1")
        clock.now += 60
        found = await follower.look()
        assert isinstance(found, Listing)
        assert set(found.tags) == {"2", "3"}
        clock.now += 60
        await follower.look()
        assert isinstance(await follower.look(), Unchanged)


@pytest.mark.parametrize("kind", ["quay", "gitlab", "acr"])
async def test_a_deletion_is_found_by_the_next_complete_walk(kind: str) -> None:
    async with scene(kind, *(str(number) for number in range(150))) as (registry, follower, clock):
        registry.delete_tag(WEB, "1")
        clock.now += 60
        assert not isinstance(await follower.look(), Listing)
        clock.now += 6 * HOUR
        found = await follower.look()
        assert isinstance(found, Listing)
        assert "1" not in found.tags


@every_kind
async def test_a_complete_walk_comes_every_six_hours_at_least(kind: str) -> None:
    async with scene(kind, "1", "2") as (registry, follower, clock):
        for _ in range(3):
            clock.now += 6 * HOUR
            walked = await follower.look()
            assert walked.fingerprint is not None  # type: ignore[union-attr]
            assert asked(registry)[1] >= 1
            clock.now += 60
            await follower.look()
            registry.reset_log()
            await follower.look()
            assert asked(registry) == (1, 0)


@every_kind
async def test_what_moved_before_a_complete_walk_is_told_after_it(kind: str) -> None:
    """A walk tells no digests: what only the API knew must not get lost by it."""
    async with scene(kind, "1", "2") as (registry, follower, clock):
        follower.wants_digests = False
        digest = registry.move(WEB, "1")
        clock.now += 6 * HOUR
        assert not isinstance(await follower.look(), Recent)
        clock.now += 60
        found = await follower.look()
        assert isinstance(found, Recent)
        assert found.digests["1"] == digest


@every_kind
async def test_where_deletions_are_wanted_v2_is_walked_and_nothing_else(kind: str) -> None:
    async with scene(kind, "1", "2") as (registry, follower, _):
        follower.wants_deletions = True
        registry.delete_tag(WEB, "1")
        found = await follower.look()
        assert isinstance(found, Listing)
        assert asked(registry)[0] == 0


@every_kind
async def test_a_huge_repository_costs_one_request_while_nothing_changes(kind: str) -> None:
    clock = Clock()
    async with (
        playing(kind, clock=clock) as registry,
        following(registry, kind, clock, wants_digests=False) as follower,
    ):
        registry.seed([WEB], [f"{number:05}" for number in range(50_000)])
        clock.now += 60
        follower.digests = dict.fromkeys(registry.tags(WEB) or (), "")
        first = await follower.look()
        assert isinstance(first, Listing)
        assert len(first.tags) == 50_000
        registry.reset_log()
        for _ in range(3):
            clock.now += 60
            assert isinstance(await follower.look(), Unchanged)
        assert asked(registry) == (3, 0)


@every_kind
@pytest.mark.parametrize(
    "mark",
    [
        pytest.param("", id="empty"),
        pytest.param("nonsense", id="nonsense"),
        pytest.param("tail:00 1 /v2/acme/web/tags/list?last=1", id="of another strategy"),
        pytest.param("hub:99999999999999 - - -", id="impossible"),
        pytest.param("quay:1 - -", id="cut"),
    ],
)
async def test_a_mark_that_is_none_leads_to_a_complete_walk(kind: str, mark: str) -> None:
    async with scene(kind, "1", "2") as (registry, follower, _):
        follower.mark = mark
        follower.fingerprint = None
        assert isinstance(await follower.look(), Listing)
        assert follower.digests == stored(registry)


@every_kind
@pytest.mark.parametrize("seed", range(3))
async def test_switching_between_the_strategies_at_any_time_leads_to_the_same(
    kind: str, seed: int
) -> None:
    chance = random.Random(seed)
    clock = Clock()
    async with (
        playing(kind, "1", "2", "3", clock=clock) as registry,
        following(registry, kind, clock) as native,
        following(registry, kind, clock, strategy=Strategy.V2) as v2,
    ):
        follower = Follower(client=v2.client, clock=clock)
        for step in range(30):
            clock.now += chance.choice([0, 0.5, 1, 60, HOUR])
            for _ in range(chance.choice([0, 1, 1, 3])):
                _change(registry, chance, step)
            follower.client = chance.choice([native.client, v2.client])
            await follower.look()
            if follower.client is v2.client:
                await v2.look()
                assert follower.digests == v2.digests == stored(registry)
            else:
                there = stored(registry)
                assert there.items() <= follower.digests.items()
        follower.client = v2.client
        await follower.look()
        assert follower.digests == stored(registry)


def _change(registry: FakeRegistry, chance: random.Random, step: int) -> None:
    tags = registry.tags(WEB) or ()
    match chance.choice(["push", "push", "move", "delete"]):
        case "push":
            registry.push(WEB, f"{step}-{chance.random():.6f}")
        case "move":
            registry.move(WEB, chance.choice(tags))
        case _ if len(tags) > 1:
            registry.delete_tag(WEB, chance.choice(tags))


@pytest.mark.parametrize(
    ("strategy", "tags", "wants_digests", "words"),
    [
        (Strategy.V2, 5000, True, "v2"),
        (Strategy.AUTO, 10, False, "v2"),
        (Strategy.AUTO, 101, False, "native (Quay)"),
        (Strategy.AUTO, 10, True, "native (Quay)"),
        (Strategy.NATIVE, 10, False, "native (Quay)"),
    ],
)
async def test_the_strategy_in_use_is_told_without_a_request(
    strategy: Strategy, tags: int, wants_digests: bool, words: str
) -> None:
    clock = Clock()
    async with (
        playing("quay", clock=clock) as registry,
        following(registry, "quay", clock, strategy=strategy) as follower,
    ):
        follower.digests = {str(number): "" for number in range(tags)}
        follower.wants_digests = wants_digests
        assert follower.client.strategy_of(WEB, follower.seen()) == words
        assert registry.requests == []


async def test_an_urgent_look_asks_as_the_others_do() -> None:
    async with scene("quay", "1") as (registry, follower, clock):
        registry.push(WEB, "2")
        clock.now += 60
        assert isinstance(await follower.look(Priority.URGENT), Recent)
        assert asked(registry) == (1, 0)


async def test_other_kinds_of_registry_are_asked_by_v2_alone() -> None:
    clock = Clock()
    async with (
        playing("distribution-3", "1", clock=clock) as registry,
        following(registry, "distribution", clock) as follower,
    ):
        assert isinstance(await follower.look(), Listing)
        assert isinstance(await follower.look(), Unchanged)
        assert asked(registry) == (0, 3)


@every_kind
async def test_a_deleted_newest_tag_costs_one_walk(kind: str) -> None:
    async with scene(kind, "1", "2") as (registry, follower, clock):
        clock.now += HOUR / 2
        registry.push(WEB, "3")
        clock.now += 60
        await follower.look()
        registry.delete_tag(WEB, "3")
        clock.now += 60
        assert isinstance(await follower.look(), Listing)
        registry.reset_log()
        for _ in range(3):
            clock.now += 60
            await follower.look()
        assert asked(registry) == (3, 0)
        assert follower.digests == stored(registry)


@every_kind
@pytest.mark.parametrize("deed", ["push", "move"])
async def test_what_comes_after_the_clock_of_a_registry_was_set_back_is_found(
    kind: str, deed: str
) -> None:
    async with scene(kind, "1", "2") as (registry, follower, clock):
        now = clock.now
        clock.now = now - HOUR
        registry.push(WEB, "3") if deed == "push" else registry.move(WEB, "1")
        clock.now = now + 60
        for _ in range(2):
            await follower.look()
            clock.now += 60
        assert follower.digests == stored(registry)


@every_kind
async def test_a_first_mark_comes_with_the_digests_that_are_told(kind: str) -> None:
    async with scene(kind, "1", strategy=Strategy.V2) as (registry, follower, clock):
        for number in range(150):
            registry.push(WEB, f"1.0.{number}")
        clock.now += 60
        await follower.look()
        async with following(registry, kind, clock) as native:
            native.fingerprint, native.walked = follower.fingerprint, follower.walked
            native.digests = dict(follower.digests)
            found = await native.look()
            assert isinstance(found, Unchanged)
            assert found.beginning == stored(registry)
            clock.now += 60
            later = await native.look()
            assert later == Unchanged(None, 1, tells_digests=True, mark=later.mark)
