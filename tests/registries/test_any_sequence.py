"""Whatever happens to a registry and to us: each new and each moved tag fires once, and nothing
else fires.

Random, but repeatable: pushes, moves, deletions, answers that fail, kills, reloads, other ways of
looking, clocks that are set. A model knows what may have fired and what must have.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.registry.accounts import Clock, Passwords
from tests.registry.looks import WEB, stored
from watcher.core.account import Account, Credential, DialectName, Limits, Strategy
from watcher.core.change import ChangeKind
from watcher.core.pipeline import Pipeline, StageSpec
from watcher.core.reference import Registry
from watcher.core.selector import TagRule
from watcher.core.trigger import Trigger
from watcher.engine.board import StatusBoard
from watcher.engine.poll_outcome import PollOutcome, PollResult, Purpose
from watcher.engine.poller import Poller
from watcher.engine.rules import Rules
from watcher.registry.budgets.limits import HostLimits
from watcher.registry.client import RegistryClient
from watcher.store.sqlite import Store
from watcher.store.threaded import ThreadedStore
from watcher.telemetry.log import Log
from watcher.testing.faults import Fault, Match, Respond
from watcher.testing.profiles import PROFILES
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry

KINDS = ("quay", "docker-hub", "gitlab", "acr", "harbor", "ghcr", "gcr", "distribution-3")
ON_ONE_PAGE = frozenset({"distribution-3"})
EVERY = timedelta(minutes=15)
AUDIT = timedelta(hours=2)
POLLS_PER_DAY = 27
"""Enough for a complete walk (24 intervals) and for a look at each tag."""

STEPS = 24
NAME, PASSWORD = "acme", "s3cret-of-acme"
PIPELINE = Pipeline(name="deploy", stages=(StageSpec(name="wait", type="wait", options="1s"),))
ON_NEW = Trigger(
    name="release",
    account="main",
    pipeline="deploy",
    repositories=(WEB,),
    tag=TagRule(matches=".*"),
)
ON_MOVED = replace(ON_NEW, name="moved", changes=frozenset({ChangeKind.MOVED}))
ON_OTHERS = replace(ON_NEW, name="others", tag=TagRule(matches="never-there"))
TRIGGERS = ((ON_NEW, ON_MOVED), (ON_NEW, ON_MOVED, ON_OTHERS))


class Fired(NamedTuple):
    """What a run was queued for."""

    change: str
    tag: str
    digest: str | None


class World:
    """A registry, a watcher of it with a real state file, and what they did so far."""

    def __init__(self, kind: str, path: Path) -> None:
        self.kind = kind
        self.clock = Clock()
        self.offset = 0.0
        profile = PROFILES[kind]
        if kind in ON_ONE_PAGE:
            profile = replace(profile, list_etag=True)
        self.registry = FakeRegistry(profile=profile, users={NAME: PASSWORD}, clock=self._its_clock)
        self.strategy = Strategy.AUTO
        self.triggers = 0
        self.store = ThreadedStore(lambda: Store.open(path))
        self.hosts: HostLimits
        self.client: RegistryClient | None = None
        self.poller: Poller
        self.board = StatusBoard()

    async def start(self, strategy: Strategy | None = None) -> None:
        """As a new process: only the state file is remembered."""
        self.strategy = strategy or self.strategy
        await self.stop()
        account = Account(
            name="main",
            registry=Registry.parse(self.registry.address, plain_http=True),
            repositories=(WEB,),
            dialect=None if self.kind.startswith("distribution") else DialectName(self.kind),
            strategy=self.strategy,
            http2=False,
            audit=AUDIT,
            hold_above=10_000,
            limits=Limits(page_size=1000 if self.kind in ON_ONE_PAGE else 4),
        )
        blocked = await self.store.run(lambda store: store.blocked())
        self.hosts = HostLimits(clock=self.clock, sleep=self.clock.sleep, blocked=blocked)
        self.client = RegistryClient(
            account,
            Passwords(Credential(username=NAME, password=PASSWORD)),
            hosts=self.hosts,
            clock=self.clock,
            sleep=self.clock.sleep,
            environment={},
        )
        self.client.expect([WEB])
        self.board = StatusBoard(await self.store.run(lambda store: store.repository_statuses()))
        self.poller = Poller(
            account,
            self.client,
            self.store,
            self.board,
            Rules.of(TRIGGERS[self.triggers], [PIPELINE], {}),
            log=Log("error", stream=StringIO()),
            clock=self.clock,
            interval=EVERY,
        )

    def _its_clock(self) -> float:
        """The registry's, which may be set wrong."""
        return self.clock() + self.offset

    async def stop(self) -> None:
        if self.client is not None:
            await self.client.aclose()

    def reload(self) -> None:
        """Another set of triggers; those that can fire are the same."""
        self.triggers = 1 - self.triggers
        self.poller.use(Rules.of(TRIGGERS[self.triggers], [PIPELINE], {}))

    async def flush(self) -> None:
        statuses, blocked = self.board.take_unflushed(), self.hosts.parking.blocked()
        await self.store.run(lambda store: store.flush(statuses, blocked))

    async def poll(self, purpose: Purpose = Purpose.DETECT) -> PollOutcome:
        outcome = await self.poller.poll(WEB, purpose)
        self.clock.now += EVERY.total_seconds()
        return outcome

    async def fired(self) -> list[Fired]:
        runs = await self.store.run(lambda store: store.executions(None))
        return [Fired(str(run.change), str(run.tag), run.digest) for run in reversed(runs)]

    async def known(self) -> dict[str, str | None]:
        known = await self.store.run(lambda store: store.known("main", WEB))
        return {name: tag.digest for name, tag in known.present.items()}


class Story:
    """One random sequence, with what it may and must have fired since it was last settled."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.chance = random.Random(f"{world.kind} {seed}")
        self.log: list[str] = []
        self._fired = 0
        self._number = 0
        self._before: dict[str, str] = {}
        self._pushed: Counter[str] = Counter()
        self._moved: Counter[str] = Counter()
        self._deleted: set[str] = set()

    async def begin(self) -> None:
        for number in range(9):
            self.world.registry.push(WEB, f"1.0.{number}")
        for tag in ("stable", "edge"):
            self.world.registry.push(WEB, tag)
        await self.world.start(self.chance.choice(list(Strategy)))
        self.world.clock.now += 60
        assert (await self.world.poll()).result is PollResult.BASELINE
        self.world.clock.now += timedelta(days=10).total_seconds()
        await self.world.poll()
        await self.world.poll()
        assert await self.world.fired() == []
        self._before = stored(self.world.registry)

    async def go_on(self) -> None:
        """A few steps, and then time enough to have seen all."""
        deeds = [self._push, self._push, self._move, self._move, self._delete, self._push_again]
        rarely = [self._purge, self._poll_side_by_side]
        troubles = [self._fail_api, self._fail_listing, self._fail_digests, self._skew]
        ours = [self._kill, self._restart, self._reload, self._switch, self._rehearse, self._wait]
        steps: list[Callable[[], Awaitable[None]]] = [*deeds, *deeds, *troubles, *ours, *rarely]
        for _ in range(STEPS):
            step = self.chance.choice(steps)
            self.log.append(step.__name__.strip("_"))
            await step()
            if self.chance.random() < 0.7:
                outcome = await self.world.poll()
                self.log.append(f"poll: {outcome.result}")
        await self._settle()
        if self.chance.random() < 0.5:
            await self._fast_forward()

    async def _settle(self) -> None:
        self.world.registry.clear_faults()
        for _ in range(POLLS_PER_DAY):
            await self.world.poll()
        await self._check()

    async def _check(self) -> None:
        truth, fired = stored(self.world.registry), await self.world.fired()
        story = " ".join(self.log)
        assert await self.world.known() == truth, story
        since = fired[self._fired :]
        counts = Counter((run.change, run.tag) for run in since)
        for change, tag in counts:
            most = self._most(change, tag)
            assert counts[change, tag] <= most, f"{change} {tag} fired {counts}: {story}"
        for tag, digest in truth.items():
            runs = [run for run in since if run.tag == tag]
            if self._before.get(tag) != digest:
                assert runs, f"{tag} is lost: {story}"
            if runs:
                assert runs[-1].digest == digest, f"{tag} fired for another image: {story}"
        self._begin_anew(truth, len(fired))

    def _most(self, change: str, tag: str) -> int:
        """How often such a change can have been seen."""
        is_back = tag in self._before and tag in self._deleted
        if change == "new":
            return self._pushed[tag]
        return self._moved[tag] + (self._pushed[tag] if is_back or self._pushed[tag] > 1 else 0)

    def _begin_anew(self, truth: dict[str, str], fired: int) -> None:
        self._before, self._fired = truth, fired
        self._pushed.clear()
        self._moved.clear()
        self._deleted.clear()
        self.log.append("-- settled --")

    def _some_tag(self) -> str | None:
        tags = sorted(stored(self.world.registry))
        return self.chance.choice(tags) if len(tags) > 6 else None

    async def _push(self) -> None:
        for _ in range(self.chance.choice((1, 1, 3))):
            self._number += 1
            tag = self.chance.choice((f"2.0.{self._number}", f"build{self._number}"))
            self.world.registry.push(WEB, tag)
            self._pushed[tag] += 1
            self.log.append(tag)

    async def _move(self) -> None:
        if (tag := self._some_tag()) is not None:
            self.world.registry.move(WEB, tag)
            self._moved[tag] += 1
            self.log.append(tag)

    async def _delete(self) -> None:
        tag = self._some_tag()
        if self.chance.random() < 0.5:  # the newest one is what an own API's answer begins with
            tag = self.world.registry.times(WEB)[0][0] if tag else None
        if tag is not None:
            self.world.registry.delete_tag(WEB, tag)
            self._deleted.add(tag)
            self.log.append(tag)

    async def _purge(self) -> None:
        """So much is deleted that the listing is in quarantine."""
        tags = sorted(stored(self.world.registry))
        if len(tags) > 14:
            for tag in self.chance.sample(tags, len(tags) - 4):
                self.world.registry.delete_tag(WEB, tag)
                self._deleted.add(tag)

    async def _poll_side_by_side(self) -> None:
        await asyncio.gather(self.world.poll(), self.world.poll())

    async def _push_again(self) -> None:
        if (tag := self._some_tag()) is not None:
            self.world.registry.delete_tag(WEB, tag)
            self._deleted.add(tag)
            if self.chance.random() < 0.5:
                await self.world.poll()
            self.world.registry.push(WEB, tag)
            self._pushed[tag] += 1
            self.log.append(tag)

    async def _fail_api(self) -> None:
        refusals = (Respond(500), Respond(403), Respond(200, body=b"<html>"), Respond(429))
        self._fail(Match(kind=Kind.NATIVE), self.chance.choice(refusals))

    async def _fail_listing(self) -> None:
        self._fail(Match(kind=Kind.TAGS), self.chance.choice((Respond(500), Respond(404))))

    async def _fail_digests(self) -> None:
        self._fail(Match(kind=Kind.MANIFEST), self.chance.choice((Respond(500), Respond(404))))

    def _fail(self, match: Match, action: Respond) -> None:
        times = self.chance.choice((1, 2, 5))
        self.log.append(f"{match.kind} {action.status} x{times} {action.body!r}")
        self.world.registry.fault(Fault(match=match, times=times, action=action))

    async def _skew(self) -> None:
        """The registry's clock is set."""
        self.world.offset = self.chance.choice((-90.0, 0.0, 90.0))
        self.log.append(str(self.world.offset))

    async def _kill(self) -> None:
        await self.world.start()

    async def _restart(self) -> None:
        await self.world.flush()
        await self.world.start()

    async def _reload(self) -> None:
        self.world.reload()

    async def _switch(self) -> None:
        strategy = self.chance.choice(list(Strategy))
        self.log.append(strategy)
        await self.world.flush()
        await self.world.start(strategy)

    async def _rehearse(self) -> None:
        before = await self.world.known(), await self.world.fired()
        await self.world.poll(Purpose.DRY_RUN)
        assert (await self.world.known(), await self.world.fired()) == before, self.log

    async def _wait(self) -> None:
        self.world.clock.now += self.chance.choice((1.0, 3600.0, 7 * 3600.0))

    async def _fast_forward(self) -> None:
        """What is there now is taken as seen, and never fires."""
        for _ in range(3):
            await self._push()
            await self._move()
        outcome = await self.world.poll(Purpose.FAST_FORWARD)
        if outcome.error is None:
            self.log.append("baseline")
            self._begin_anew(stored(self.world.registry), len(await self.world.fired()))


@asynccontextmanager
async def world_of(kind: str, path: Path) -> AsyncIterator[World]:
    world = World(kind, path)
    async with world.registry:
        try:
            yield world
        finally:
            await world.stop()
            await world.store.close()


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("kind", KINDS)
async def test_each_change_fires_once_whatever_happens(
    kind: str, seed: int, tmp_path: Path
) -> None:
    async with world_of(kind, tmp_path / "state.db") as world:
        story = Story(world, seed)
        await story.begin()
        for _ in range(2):
            await story.go_on()
