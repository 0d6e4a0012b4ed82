"""Harbor's list of changed repositories: one question for all that an account watches."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.registry.accounts import Clock, Passwords
from tests.registry.looks import Follower, asked, following, playing, stored
from watcher.core.account import Credential, Strategy
from watcher.errors import NotFound
from watcher.registry.budgets.limits import Priority
from watcher.registry.listing.tags import Recent, Unchanged
from watcher.testing.faults import Fault, Match, Respond
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry

USER = Credential(username="robot$acme+ci", password="s3cret-of-a-robot")


@dataclass
class House:
    """A Harbor with repositories, each followed."""

    registry: FakeRegistry
    clock: Clock
    followers: list[Follower] = field(default_factory=list)

    async def look(self, priority: Priority = Priority.SCHEDULED) -> list[str]:
        """Look at all; gives the names of those that were walked."""
        walked = []
        for follower in self.followers:
            answer = await follower.look(priority)
            if not isinstance(answer, Recent) and answer.fingerprint is not None:
                walked.append(follower.repository)
        return walked


@asynccontextmanager
async def house(
    count: int = 30,
    strategy: Strategy = Strategy.AUTO,
    credential: Credential = USER,
    **settings: Any,
) -> AsyncIterator[House]:
    """Looked at until nothing is new any more; an empty log."""
    clock = Clock()
    settings.setdefault("users", {USER.username: USER.password})
    names = [f"acme/{number:03}" for number in range(count)]
    async with (
        playing("harbor", clock=clock, **settings) as registry,
        following(registry, "harbor", clock, Passwords(credential), strategy=strategy) as one,
    ):
        for name in names:
            registry.push(name, "1")
            clock.now += 1
        clock.now += 60
        one.client.expect(names)
        followers = [Follower(client=one.client, clock=clock, repository=name) for name in names]
        found = House(registry, clock, followers)
        for _ in range(3):
            await found.look()
            clock.now += 60
        registry.reset_log()
        yield found


async def test_nothing_new_costs_one_request_for_all_repositories() -> None:
    async with house() as found:
        assert await found.look() == []
        assert sum(found.registry.counters.requests.values()) == 1
        assert {f.client.strategy_of(f.repository, f.seen()) for f in found.followers} == {
            "native (Harbor's changed list)"
        }


async def test_only_what_changed_is_walked() -> None:
    async with house() as found:
        found.registry.push("acme/007", "2")
        found.registry.move("acme/011", "1")
        found.clock.now += 60
        assert await found.look() == ["acme/007", "acme/011"]
        assert asked(found.registry) == (1, 2)
        _check(found)


async def test_what_had_moved_by_a_walk_is_told_once_by_the_artifacts() -> None:
    """A walk of v2 tells no digests, and an unchanged time afterwards says that none has moved."""
    async with house() as found:
        follower = found.followers[7]
        found.registry.push("acme/007", "2")
        digest = found.registry.move("acme/007", "1")
        found.clock.now += 60
        follower.wants_digests = False  # nobody looks at a tag that seems to stand still
        await follower.look()
        follower.wants_digests = True
        found.clock.now += 60
        found.registry.reset_log()
        told = await follower.look()
        assert isinstance(told, Recent)
        assert (told.digests["1"], told.tells_digests) == (digest, True)
        assert asked(found.registry) == (2, 0)
        found.clock.now += 60
        same = await follower.look()
        assert isinstance(same, Unchanged)
        assert same.tells_digests


async def test_many_artifacts_are_read_page_by_page_with_their_names_encoded_twice() -> None:
    async with house() as found:
        name = "acme/deep/er"
        for number in range(150):
            found.registry.push(name, str(number))
        follower = Follower(client=found.followers[0].client, clock=found.clock, repository=name)
        for _ in range(2):
            found.clock.now += 60
            await follower.look()
        assert found.registry.count(Kind.NATIVE) == 4
        assert isinstance(await follower.look(), Unchanged)
        assert follower.digests == stored(found.registry, name)


@pytest.mark.parametrize(
    "action",
    [
        pytest.param(Respond(404), id="404"),
        pytest.param(Respond(403), id="403"),
        pytest.param(Respond(200, (), b'{"artifacts": 1}'), id="another form"),
        pytest.param(Respond(200, (), b'[{"digest": null, "tags": [{"name": "1"}]}]'), id="null"),
        pytest.param(Respond(200, (), b"[]"), id="none"),
    ],
)
async def test_where_artifacts_tell_nothing_the_list_still_serves_and_digests_are_left_to_v2(
    action: Respond,
) -> None:
    async with house() as found:
        follower = found.followers[7]
        path = "/api/v2.0/projects/acme/repositories/007/artifacts"
        found.registry.fault(Fault(action=action, match=Match(path=path)))
        found.registry.push("acme/007", "2")
        for _ in range(2):
            found.clock.now += 60
            await follower.look()
        found.registry.reset_log()
        found.clock.now += 60
        same = await follower.look()
        assert isinstance(same, Unchanged)
        assert not same.tells_digests
        assert asked(found.registry) == (1, 0)
        assert follower.client.take_notes() == ()


async def test_a_deleted_tag_is_found_by_the_list_as_well() -> None:
    async with house() as found:
        found.registry.push("acme/007", "2")
        found.clock.now += 60
        await found.look()
        for follower in found.followers:
            follower.wants_deletions = True
        found.registry.delete_tag("acme/007", "1")
        found.clock.now += 60
        assert "acme/007" in await found.look()
        _check(found)


async def test_a_fresh_change_is_walked_until_it_has_settled() -> None:
    """Another push may share its moment, or the walk may have come before the tag was there."""
    async with house() as found:
        found.registry.push("acme/007", "2")
        found.clock.now += 1
        assert await found.look(Priority.URGENT) == ["acme/007"]
        found.registry.push("acme/007", "3")
        found.clock.now += 60
        assert await found.look() == ["acme/007"]
        found.clock.now += 60
        assert await found.look() == []
        _check(found)


@pytest.mark.parametrize(
    ("priority", "interval", "seconds", "lists"),
    [
        pytest.param(Priority.SCHEDULED, 60, 6, 1, id="within a tenth of the interval"),
        pytest.param(Priority.SCHEDULED, 60, 7, 2, id="later"),
        pytest.param(Priority.SCHEDULED, 5, 2, 1, id="two seconds at least"),
        pytest.param(Priority.URGENT, 60, 1, 2, id="an urgent look wants a list of its own"),
    ],
)
async def test_one_list_serves_for_a_while(
    priority: Priority, interval: float, seconds: float, lists: int
) -> None:
    async with house() as found:
        follower = found.followers[0]
        follower.interval = interval
        await follower.look()
        found.clock.now += seconds
        await follower.look(priority)
        assert found.registry.count(Kind.NATIVE) == lists


@pytest.mark.parametrize(
    ("count", "strategy", "is_listed"),
    [
        (20, Strategy.AUTO, False),
        (21, Strategy.AUTO, True),
        (2, Strategy.NATIVE, True),
        (30, Strategy.V2, False),
    ],
)
async def test_the_list_is_read_where_many_are_watched_or_it_is_wanted(
    count: int, strategy: Strategy, is_listed: bool
) -> None:
    async with house(count, strategy) as found:
        await found.look()
        assert asked(found.registry) == ((1, 0) if is_listed else (0, count))


@pytest.mark.parametrize("version", ["v2.15.1-0", "v2.9.0-abc", "v1.10.18", "dev", ""])
async def test_a_harbor_whose_list_says_nothing_is_asked_by_v2(version: str) -> None:
    async with house(version=version) as found:
        found.registry.move("acme/003", "1")
        assert len(await found.look()) == 30
        assert asked(found.registry) == (0, 30)


@pytest.mark.parametrize("version", ["v2.15.2", "v2.15.2-ab12", "v2.16.0-0", "3.0.0"])
async def test_a_harbor_whose_list_tells_changes_is_asked_for_it(version: str) -> None:
    async with house(version=version) as found:
        assert await found.look() == []


async def test_the_version_is_asked_for_once_a_day() -> None:
    async with house(version="v2.14.0") as found:
        for _ in range(3):
            await found.look()
            found.clock.now += 60
        assert found.registry.count(Kind.PROBE) == 0
        found.clock.now += 24 * 3600
        await found.look()
        assert found.registry.count(Kind.PROBE) == 1


async def test_the_version_and_the_list_are_asked_for_with_the_password() -> None:
    async with house() as found:
        await found.look()
        (entry,) = found.registry.requests_of(Kind.NATIVE)
        assert entry.headers["authorization"] == "Basic"


async def test_who_may_not_list_repositories_asks_by_v2() -> None:
    async with house(admins=[]) as found:
        found.registry.push("acme/007", "2")
        assert len(await found.look()) == 30
        _check(found)
        assert "v2 is asked for an hour" in found.followers[0].client.take_notes()[0]


@pytest.mark.parametrize(
    "action",
    [
        pytest.param(Respond(500), id="500"),
        pytest.param(Respond(403), id="403"),
        pytest.param(Respond(200, (("Content-Type", "text/html"),), b"<html>"), id="a web page"),
        pytest.param(Respond(200, (("X-Total-Count", "1"),), b"{}"), id="another form"),
        pytest.param(Respond(200, (), b"[]"), id="without a number"),
    ],
)
async def test_without_a_list_all_is_found_by_v2(action: Respond) -> None:
    async with house() as found:
        found.registry.fault(Fault(action=action, match=Match(kind=Kind.NATIVE)))
        found.registry.push("acme/007", "2")
        found.registry.move("acme/011", "1")
        assert len(await found.look()) == 30
        _check(found)
        assert found.registry.count(Kind.NATIVE) <= 3


async def test_a_page_with_far_more_than_was_asked_for_is_no_list() -> None:
    """A hundred pages of what fits into 4 MiB would fill the memory."""
    names = [{"name": f"a/{n}", "update_time": "2020-01-01T00:00:00Z"} for n in range(1001)]
    flood = Respond(200, (("X-Total-Count", "1001"),), json.dumps(names).encode())
    async with house() as found:
        found.registry.fault(Fault(action=flood, match=Match(kind=Kind.NATIVE)))
        await found.look()
        assert "more than was asked for" in found.followers[0].client.take_notes()[0]


async def test_a_long_list_is_read_once_and_then_its_beginning() -> None:
    async with house(250) as found:
        found.registry.push("acme/007", "2")
        found.clock.now += 60
        assert await found.look() == ["acme/007"]
        assert asked(found.registry) == (1, 1)


async def test_a_flood_of_other_repositories_leads_to_a_new_list_and_no_loss() -> None:
    async with house(25) as found:
        found.registry.seed([f"others/{number}" for number in range(2000)], ["1"])
        found.clock.now += 60
        found.registry.push("acme/000", "2")
        found.clock.now += 60
        assert await found.look() == ["acme/000"]
        found.clock.now += 60
        await found.look()
        found.registry.reset_log()
        found.clock.now += 60
        assert await found.look() == []
        assert asked(found.registry) == (1, 0)


async def test_a_repository_that_is_gone_is_not_taken_for_unchanged() -> None:
    async with house() as found:
        found.registry.delete_repository("acme/007")
        found.clock.now += 60
        with pytest.raises(NotFound):
            await found.followers[7].look()


async def test_a_repository_that_is_watched_from_now_on_is_on_the_list_too() -> None:
    async with house() as found:
        found.registry.push("acme/new", "1")
        client = found.followers[0].client
        found.followers.append(Follower(client=client, clock=found.clock, repository="acme/new"))
        client.expect([follower.repository for follower in found.followers])
        found.clock.now += 60
        assert await found.look() == ["acme/new"]
        found.clock.now += 60
        assert await found.look() == []


async def test_a_complete_walk_comes_every_six_hours_at_least() -> None:
    async with house() as found:
        found.clock.now += 6 * 3600
        assert len(await found.look()) == 30
        found.clock.now += 60
        assert await found.look() == []


async def test_switching_to_v2_and_back_finds_the_same() -> None:
    async with (
        house() as found,
        following(
            found.registry, "harbor", found.clock, Passwords(USER), strategy=Strategy.V2
        ) as v2,
    ):
        listing = [follower.client for follower in found.followers]
        for step in range(6):
            found.registry.push("acme/003", f"step-{step}")
            found.registry.move("acme/004", "1")
            clients: Sequence[Any] = [v2.client] * 30 if step % 2 else listing
            for follower, client in zip(found.followers, clients, strict=True):
                follower.client = client
            found.clock.now += 60
            await found.look()
            _check(found)


def _check(found: House) -> None:
    for follower in found.followers:
        assert follower.digests == stored(found.registry, follower.repository)
