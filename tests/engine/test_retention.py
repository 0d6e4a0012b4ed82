"""Whatever is let go, and whenever: no poll fires what fired before, and none is lost by it.

Two watchers look at the same registry at the same moments; one of them lets go of all that it may.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.registry.looks import WEB, stored
from watcher import credentials
from watcher.core import stepping
from watcher.core.account import Account, CredentialSource
from watcher.core.change import ChangeKind
from watcher.core.pipeline import (
    Concurrency,
    Done,
    ExecutionStatus,
    Failed,
    Pipeline,
    StageSpec,
)
from watcher.core.reference import Registry
from watcher.core.retention import Retention
from watcher.core.selector import TagRule
from watcher.core.trigger import Trigger
from watcher.engine.board import StatusBoard
from watcher.engine.poller import Poller
from watcher.engine.rules import Rules
from watcher.errors import UsageError
from watcher.registry.budgets.limits import HostLimits
from watcher.registry.client import RegistryClient
from watcher.store.maintenance import check
from watcher.store.sqlite import EventSelector, Store
from watcher.store.threaded import ThreadedStore
from watcher.telemetry.log import Log
from watcher.testing.registry import FakeRegistry

START = datetime(2026, 3, 1, tzinfo=UTC).timestamp()
A_MINUTE = timedelta(minutes=1)
NOTHING = Retention(activity=timedelta(0), executions=1, logs=timedelta(0))
PIPELINE = Pipeline(
    name="deploy",
    stages=(StageSpec(name="wait", type="wait", options="1s"),),
    concurrency=Concurrency(max=99),
)
TRIGGERS = (
    Trigger(
        name="all",
        account="main",
        pipeline="deploy",
        repositories=(WEB,),
        tag=TagRule(matches=".*"),
        changes=frozenset(ChangeKind),
    ),
)


OF_ALL = EventSelector(trigger="all")


@dataclass
class Watching:
    """A poller with a state file of its own."""

    store: ThreadedStore
    poller: Poller
    now: list[float]

    async def poll(self) -> list[str]:
        return list((await self.poller.poll(WEB)).executions)

    async def end_runs(self, *, well: bool) -> None:
        """The runs that are queued come to their end."""
        at = datetime.fromtimestamp(self.now[0], UTC)
        await self.store.run(lambda store: end_runs(store, at, well=well))

    async def let_go(self) -> None:
        moment = self.now[0] + 1
        while await self.store.run(lambda store: store.prune(NOTHING, moment, 3)):
            pass

    async def release(self) -> list[str]:
        return list(await self.store.run(lambda store: store.release(OF_ALL, TRIGGERS)))

    async def drop(self) -> list[str]:
        await self.store.run(lambda store: store.drop(OF_ALL))
        return []

    async def retry(self, identifier: str) -> None:
        await self.store.run(lambda store: store.retry(identifier))

    async def replay(self) -> list[str]:
        """Of the newest event that can be."""
        for event in reversed(await self.store.run(lambda store: store.events())):
            with suppress(UsageError):
                return [await self.store.run(lambda store: store.replay(event["id"]))]  # noqa: B023
        return []


def end_runs(store: Store, at: datetime, *, well: bool) -> None:
    claimed = store.claim(at, (), 99)
    for execution in claimed.executions:
        outcome = Done({"said": "x"}) if well else Failed("no")
        began = store.save_start(stepping.begin(execution, 0, at), 0)
        status = ExecutionStatus.SUCCEEDED if well else ExecutionStatus.FAILED
        ended = stepping.conclude(began, 0, outcome, at, "said\n")
        store.save(stepping.finish(ended, status, None, at), 0, None)


@asynccontextmanager
async def watching(
    registry: FakeRegistry, path: Path, now: list[float], hold_above: int
) -> AsyncIterator[Watching]:
    account = Account(
        name="main",
        registry=Registry.parse(registry.address, plain_http=True),
        repositories=(WEB,),
        hold_above=hold_above,
    )
    provider = credentials.provider(
        CredentialSource(), account.registry, clock=lambda: now[0], environment={}
    )
    client = RegistryClient(
        account, provider, hosts=HostLimits(clock=lambda: now[0]), clock=lambda: now[0]
    )
    store = ThreadedStore(lambda: Store.open(path))
    poller = Poller(
        account,
        client,
        store,
        StatusBoard(),
        Rules.of(TRIGGERS, [PIPELINE], {}),
        log=Log("error", stream=StringIO()),
        clock=lambda: now[0],
        interval=A_MINUTE,
    )
    try:
        yield Watching(store, poller, now)
    finally:
        await client.aclose()
        await store.close()


NAMES = ("v0", "v1", "v2")
"""Few, so that many things happen to the same tag."""

STEPS = ("push", "push", "move", "delete", "delete", "end", "fail", "release", "drop", "retry",
         "replay", "poll", "poll", "poll", "poll")  # fmt: skip


@dataclass
class Story:
    """What happens to a registry and to its two watchers, of which `pruned` lets go."""

    registry: FakeRegistry
    kept: Watching
    pruned: Watching
    fired: list[str] = field(default_factory=list)

    async def happen(self, step: str, tag: str) -> None:
        there = stored(self.registry)
        match step:
            case "push" if tag not in there:
                self.registry.push(WEB, tag)
            case "move" if tag in there:
                self.registry.move(WEB, tag)
            case "delete" if tag in there and len(there) > 1:
                self.registry.delete_tag(WEB, tag)
            case "end" | "fail":
                for each in (self.kept, self.pruned):
                    await each.end_runs(well=step == "end")
            case "release" | "drop":
                await self._same(Watching.release if step == "release" else Watching.drop)
            case "retry" if self.fired:
                for each in (self.kept, self.pruned):
                    await each.retry(self.fired[-1])
            case "replay":
                self.fired += await self.pruned.replay()
            case "poll":
                await self._same(Watching.poll)
        await self.pruned.let_go()
        assert len(self.fired) == len(set(self.fired)), "fired twice"

    async def _same(self, deed: Callable[[Watching], Awaitable[list[str]]]) -> None:
        """Both fire the same."""
        expected, found = await deed(self.kept), await deed(self.pruned)
        assert sorted(found) == sorted(expected)
        self.fired += found


async def live(steps: list[tuple[str, str]], hold_above: int, directory: Path) -> None:
    now = [START]
    async with (
        FakeRegistry() as registry,
        watching(registry, directory / "kept.db", now, hold_above) as kept,
        watching(registry, directory / "pruned.db", now, hold_above) as pruned,
    ):
        registry.push(WEB, "v0")
        registry.push(WEB, "stays")
        story = Story(registry, kept, pruned)
        for step, tag in [("poll", ""), *steps, ("poll", "")]:
            now[0] += A_MINUTE.total_seconds()
            await story.happen(step, tag)
    assert check(directory / "pruned.db").ok


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
    phases=[Phase.generate],
)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(STEPS), st.sampled_from(NAMES)), min_size=20, max_size=40
    ),
    hold_above=st.sampled_from((1, 50)),
)
def test_a_watcher_that_lets_go_of_all_it_may_fires_as_one_that_keeps_all(
    steps: list[tuple[str, str]], hold_above: int
) -> None:
    with TemporaryDirectory() as directory:
        asyncio.run(live(steps, hold_above, Path(directory)))
