"""One account at work: what is due when, the catalog, and one failing repository among others."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest

from watcher import credentials
from watcher.core import schedule
from watcher.core.account import Account, Catalog, CredentialSource, Limits, PollSchedule
from watcher.core.reference import Registry
from watcher.engine.board import StatusBoard
from watcher.engine.poll_outcome import PollOutcome, PollResult
from watcher.engine.poller import Poller
from watcher.engine.repositories import RepositoryList
from watcher.engine.rules import Rules
from watcher.engine.watch import AccountWatch
from watcher.registry.budgets.limits import HostLimits
from watcher.registry.client import RegistryClient
from watcher.store.sqlite import Store
from watcher.store.threaded import ThreadedStore
from watcher.telemetry.log import Log
from watcher.testing.faults import Fault, Gate, Hold, Match, Respond
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry

START = 1_800_000_000.0
EVERY = timedelta(minutes=10)
A_BEAT = 10.0


@dataclass
class Work:
    """A watch, its clock, and what it found so far."""

    watch: AccountWatch
    registry: FakeRegistry
    outcomes: list[PollOutcome]
    written: StringIO
    board: StatusBoard
    now: list[float] = field(default_factory=lambda: [START])

    def elapse(self, seconds: float) -> None:
        """Time passes, and the metronome comes; where it goes back, at once."""
        end = self.now[0] + seconds
        while self.now[0] < end:
            self.now[0] = min(end, self.now[0] + A_BEAT)
            self.watch.enqueue_due()
        self.now[0] = end
        self.watch.enqueue_due()

    async def after(self, seconds: float, polls: int) -> list[PollOutcome]:
        """Let time pass, put what is due on the queue, and wait until it is polled."""
        self.outcomes.clear()
        self.elapse(seconds)
        async with asyncio.timeout(20):
            while len(self.outcomes) < polls or not self.watch.is_idle:
                await asyncio.sleep(0.01)
        return sorted(self.outcomes, key=lambda outcome: outcome.repository)


@asynccontextmanager
async def working(
    tmp_path: Path,
    *repositories: str,
    catalog: bool,
    concurrency: int = 8,
    poll: PollSchedule | None = None,
) -> AsyncIterator[Work]:
    async with FakeRegistry() as registry:
        account = Account(
            name="main",
            registry=Registry.parse(registry.address, plain_http=True),
            repositories=repositories,
            poll=poll or PollSchedule(every=EVERY),
            catalog=Catalog() if catalog else None,
            limits=Limits(concurrency=concurrency),
        )
        now, written = [START], StringIO()
        provider = credentials.provider(
            CredentialSource(), account.registry, clock=lambda: now[0], environment={}
        )
        hosts = HostLimits(clock=lambda: now[0])
        client = RegistryClient(account, provider, hosts=hosts, clock=lambda: now[0])
        store = ThreadedStore(lambda: Store.open(tmp_path / "state.db"))
        board, log = StatusBoard(), Log("info", stream=written)
        poller = Poller(
            account, client, store, board, Rules(), log=log, clock=lambda: now[0], interval=EVERY
        )
        outcomes: list[PollOutcome] = []
        watch = AccountWatch(
            account,
            client,
            poller,
            board,
            RepositoryList(account, ()),
            clock=lambda: now[0],
            log=log,
            on_outcome=outcomes.append,
        )
        workers = [asyncio.create_task(watch.work()) for _ in range(4)]
        try:
            yield Work(watch, registry, outcomes, written, board, now)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            await client.aclose()
            await store.close()


async def test_first_polls_are_spread_and_each_repository_has_one_in_an_interval(
    tmp_path: Path,
) -> None:
    names = [f"acme/r{number}" for number in range(40)]
    async with working(tmp_path, *names, catalog=False) as work:
        work.registry.seed(names, ["v1"])
        work.watch.start()
        early = await work.after(EVERY.total_seconds() / 4, 2)
        late = await work.after(EVERY.total_seconds() * 3 / 4, 20)
        polled = [outcome.repository for outcome in (*early, *late)]
        assert len(early) <= 20
        assert sorted(polled) == sorted(names)


async def test_a_failing_repository_delays_no_other_and_backs_off(tmp_path: Path) -> None:
    async with working(tmp_path, "acme/bad", "acme/good", catalog=False) as work:
        work.registry.seed(["acme/bad", "acme/good"], ["v1"])
        bad = Match(kind=Kind.TAGS, repository="acme/bad")
        work.registry.fault(Fault(match=bad, action=Respond(500)))
        work.watch.start()
        await work.after(EVERY.total_seconds(), 2)
        for _ in range(6):
            await work.after(EVERY.total_seconds() * 1.1, 1)
        assert work.registry.count(Kind.TAGS, "acme/good") == 7
        assert work.registry.count(Kind.TAGS, "acme/bad") < 7


async def test_a_nudge_polls_at_once(tmp_path: Path) -> None:
    async with working(tmp_path, "acme/web", catalog=False) as work:
        work.registry.push("acme/web", "v1")
        work.watch.start()
        work.watch.nudge("acme/web")
        (outcome,) = await work.after(0, 1)
        assert outcome.result is PollResult.BASELINE


async def test_nudges_again_and_again_take_no_more_memory(tmp_path: Path) -> None:
    """Each takes the place of a plan for the next poll, which may not stay behind."""
    names = [f"acme/r{number}" for number in range(20)]
    async with working(tmp_path, *names, catalog=False) as work:
        work.registry.seed(names, ["v1"])
        work.watch.start()

        async def nudged(times: int) -> int:
            for _ in range(times):
                work.watch.nudge()
                await work.after(0.001, len(names))
            plans = tracemalloc.Filter(inclusive=True, filename_pattern="*/engine/watch.py")
            snapshot = tracemalloc.take_snapshot().filter_traces([plans])
            return sum(trace.size for trace in snapshot.traces)

        tracemalloc.start()
        try:
            few, many = await nudged(3), await nudged(60)
        finally:
            tracemalloc.stop()
        assert many < 2 * few, "bytes held by the schedule"


async def test_a_nudge_goes_before_scheduled_polls_that_wait_for_a_turn(tmp_path: Path) -> None:
    names = ("acme/a", "acme/b", "acme/c", "acme/nudged")
    async with working(tmp_path, *names, catalog=False, concurrency=1) as work:
        work.registry.seed(names, ["v1"])
        gate = Gate()
        work.registry.fault(Fault(action=Hold(until=gate.passage)))
        work.watch.start()
        for _ in names[1:]:
            work.elapse((work.watch.next_due() or START) - work.now[0])
        poll = work.watch.account.poll
        late = max(names, key=lambda n: schedule.first_due(poll, key=f"main/{n}", now=START))
        await gate.reached()
        work.watch.nudge(late)
        await asyncio.sleep(0)
        gate.open()
        await work.after(0, 4)
        assert [entry.repository for entry in work.registry.requests].index(late) == 1


async def test_the_catalog_brings_repositories_and_its_failure_takes_none_away(
    tmp_path: Path,
) -> None:
    async with working(tmp_path, catalog=True) as work:
        work.registry.push("acme/web", "v1")
        work.watch.start()
        assert await work.after(1, 0) == []
        assert work.watch.repositories.names == ("acme/web",)
        (outcome,) = await work.after(EVERY.total_seconds(), 1)
        assert outcome.repository == "acme/web"
        work.registry.fault(Fault(match=Match(kind=Kind.CATALOG), action=Respond(500)))
        await work.after(EVERY.total_seconds() * 1.1, 1)
        assert "catalog_failed" in work.written.getvalue()
        assert work.watch.repositories.names == ("acme/web",)
        assert work.watch.repositories.status.was_read
        assert work.watch.repositories.status.failures == 1


async def test_what_the_catalog_names_no_more_is_remembered_as_dropped(tmp_path: Path) -> None:
    async with working(tmp_path, catalog=True) as work:
        work.registry.push("acme/web", "v1")
        earlier = RepositoryList(work.watch.account, (), ["acme/web", "acme/gone"])
        work.watch.repositories = earlier
        work.watch.start()
        await work.after(1, 0)
        assert earlier.names == ("acme/web",)
        assert work.board.get("main", "acme/gone").dropped
        assert not work.board.get("main", "acme/web").dropped


@pytest.mark.parametrize("seconds", [0, 3600])
async def test_after_a_reload_only_what_is_configured_is_polled(
    tmp_path: Path, seconds: int
) -> None:
    async with working(tmp_path, "acme/old", "acme/web", catalog=False) as work:
        work.registry.seed(["acme/old", "acme/web"], ["v1"])
        work.watch.start()
        account = Account(
            name="main", registry=work.watch.account.registry, repositories=("acme/web",)
        )
        work.watch.adopt(RepositoryList(account, ()))
        polled = await work.after(EVERY.total_seconds() + seconds, 1)
        assert [outcome.repository for outcome in polled] == ["acme/web"]


async def test_a_clock_that_is_set_back_puts_no_poll_off(tmp_path: Path) -> None:
    async with working(tmp_path, "acme/web", catalog=False) as work:
        work.registry.push("acme/web", "v1")
        work.watch.start()
        await work.after(EVERY.total_seconds(), 1)
        await work.after(-timedelta(days=1).total_seconds(), 0)
        (outcome,) = await work.after(EVERY.total_seconds() * 1.1, 1)
        assert outcome.result is PollResult.UNCHANGED


@pytest.mark.parametrize("rest", [timedelta(minutes=11), timedelta(days=3), timedelta(days=365)])
async def test_what_was_missed_in_a_rest_does_not_come_all_at_once(
    tmp_path: Path, rest: timedelta
) -> None:
    """The machine slept, or its clock was set on: one look, and then they go on."""
    names = [f"acme/r{number}" for number in range(40)]
    async with working(tmp_path, *names, catalog=False) as work:
        work.registry.seed(names, ["v1"])
        work.watch.start()
        await work.after(EVERY.total_seconds(), 40)
        work.now[0] += rest.total_seconds()
        early = await work.after(0, 0)
        half = await work.after(min(rest, EVERY).total_seconds() / 2, 0)
        late = await work.after(EVERY.total_seconds(), 0)
        assert len(early) <= 2
        assert 0 < len(half) < 35
        assert {outcome.repository for outcome in (*early, *half, *late)} == set(names)


# First contact


def is_settled(work: Work) -> bool:
    return work.watch.is_settled


async def test_of_many_repositories_one_makes_the_first_contact(tmp_path: Path) -> None:
    names = [f"acme/r{number}" for number in range(40)]
    async with working(tmp_path, *names, catalog=False) as work:
        work.registry.seed(names, ["v1"])
        work.watch.start()
        first = work.watch.next_due()
        work.watch.make_contact()
        assert not is_settled(work)
        (outcome,) = await work.after(0, 1)
        assert outcome.result is PollResult.BASELINE
        assert is_settled(work)
        assert first is not None
        assert await work.after(first - START - 1, 0) == []  # the others keep their time


async def test_a_catalog_is_contact_enough(tmp_path: Path) -> None:
    async with working(tmp_path, catalog=True) as work:
        work.registry.push("acme/web", "v1")
        work.watch.start()
        work.watch.make_contact()
        assert not is_settled(work)
        await work.after(0, 0)
        assert is_settled(work)
        assert work.outcomes == []


async def test_a_backoff_is_kept_and_so_is_the_refusal_that_led_to_it(tmp_path: Path) -> None:
    async with working(tmp_path, "acme/web", catalog=False) as work:
        status = work.board.get("main", "acme/web")
        status.failures, status.next_check = 3, START + 3000
        work.watch.start()
        work.watch.make_contact()
        assert await work.after(0, 0) == []
        assert is_settled(work)


async def test_a_backoff_of_a_clock_that_was_a_year_ahead_is_not_kept(tmp_path: Path) -> None:
    """No certificate holds by such a clock, so all polls fail until somebody sets it."""
    async with working(tmp_path, "acme/web", catalog=False) as work:
        work.registry.seed(["acme/web"], ["v1"])
        status = work.board.get("main", "acme/web")
        year = 365 * 24 * 3600
        status.failures, status.last_check = 3, START + year
        status.next_check = START + year + 3000
        work.watch.start()
        assert len(await work.after(EVERY.total_seconds(), 1)) == 1


async def test_a_time_that_cron_sets_is_kept(tmp_path: Path) -> None:
    at_night = PollSchedule(every=None, cron="0 3 * * *")
    async with working(tmp_path, "acme/web", catalog=False, poll=at_night) as work:
        work.watch.start()
        work.watch.make_contact()
        assert await work.after(0, 0) == []
        assert is_settled(work)


async def test_what_a_reload_adds_is_not_overdue_at_once(tmp_path: Path) -> None:
    async with working(tmp_path, "acme/web", catalog=False) as work:
        work.registry.seed(["acme/web"], ["v1"])
        work.watch.start()
        await work.after(EVERY.total_seconds(), 1)
        await work.after(EVERY.total_seconds() * 1.1, 1)
        await work.after(EVERY.total_seconds() * 1.1, 1)
        await work.after(EVERY.total_seconds() * 1.1, 1)
        both = replace(work.watch.account, repositories=("acme/web", "acme/new"))
        work.watch.adopt(RepositoryList(both, ()))
        names = work.watch.repositories.names
        assert work.watch.overdue.among(names, work.now[0]) == []
        late = work.now[0] + 3 * EVERY.total_seconds() + 1
        assert "acme/new" in [found.repository for found in work.watch.overdue.among(names, late)]
