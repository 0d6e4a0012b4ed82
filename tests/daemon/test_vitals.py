"""What the daemon says of itself: ready or not, stuck, stale, or without a state file to write."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from io import StringIO
from pathlib import Path

from tests.store.builders import baseline
from watcher.core.account import Account
from watcher.core.health import Ailment, HealthReport
from watcher.core.reference import Registry
from watcher.daemon.app import client_of
from watcher.daemon.vitals import Vitals
from watcher.engine.board import StatusBoard
from watcher.engine.poller import Poller
from watcher.engine.repositories import RepositoryList
from watcher.engine.rules import Rules
from watcher.engine.ticker import Ticker
from watcher.engine.watch import AccountWatch
from watcher.errors import StateUnwritable
from watcher.registry.budgets.limits import HostLimits
from watcher.store.sqlite import Store
from watcher.store.threaded import ThreadedStore
from watcher.telemetry.log import Log
from watcher.testing.faults import Fault, Gate, Hold, Respond
from watcher.testing.registry import FakeRegistry

WEB = "acme/web"
EVERY = timedelta(minutes=1)
STALE = 3 * 60
PATIENCE = 20.0


@dataclass
class Clocks:
    """The one on the wall, and the one that nobody sets."""

    wall: float = 1_800_000_000.0
    steady: float = 1000.0

    def go_on(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


@dataclass
class Patient:
    """The parts of a daemon that are asked, without its schedule."""

    registry: FakeRegistry
    clocks: Clocks
    watch: AccountWatch
    ticker: Ticker
    store: ThreadedStore
    vitals: Vitals
    disk: list[str] = field(default_factory=list)

    def health(self) -> HealthReport:
        """One that was not made a moment before."""
        self.clocks.go_on(1)
        return self.vitals.health()

    def complaints(self) -> list[tuple[Ailment, str]]:
        return [(found.ailment, found.about) for found in self.health().complaints]

    async def poll(self) -> None:
        """Poll at once what the account has, to the end."""
        self.watch.nudge()
        await until(lambda: self.watch.is_idle, "the polls are over")


async def until(holds: Callable[[], bool], what: str) -> None:
    try:
        async with asyncio.timeout(PATIENCE):
            while not holds():
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"not in time: {what}") from None


@asynccontextmanager
async def patient(directory: Path) -> AsyncIterator[Patient]:
    clocks, disk = Clocks(), list[str]()

    def fault(point: str) -> None:
        if disk:
            raise StateUnwritable(disk[0])

    def wall() -> float:
        return clocks.wall

    def steady() -> float:
        return clocks.steady

    async with FakeRegistry() as registry:
        registry.push(WEB, "1.0")
        account = Account(
            name="main",
            registry=Registry.parse(registry.address, plain_http=True),
            repositories=(WEB,),
        )
        board, log = StatusBoard(), Log("error", stream=StringIO())
        path = directory / "state.db"
        store = ThreadedStore(lambda: Store.open(path, fault=fault), monotonic=steady)
        client = client_of(account, HostLimits(clock=wall), {}, wall)
        watch = AccountWatch(
            account,
            client,
            Poller(account, client, store, board, Rules(), log=log, clock=wall, interval=EVERY),
            board,
            RepositoryList(account, ()),
            clock=wall,
            log=log,
            on_outcome=lambda _: None,
            monotonic=steady,
        )
        ticker = Ticker(monotonic=steady)
        vitals = Vitals({"main": watch}, ticker, store, clock=wall, monotonic=steady)
        watch.start()
        workers = [asyncio.create_task(watch.work()) for _ in range(2)]
        try:
            yield Patient(registry, clocks, watch, ticker, store, vitals, disk)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            await client.aclose()
            await store.close()


async def test_a_daemon_that_polls_well_is_well(tmp_path: Path) -> None:
    async with patient(tmp_path) as daemon:
        for _ in range(5):
            daemon.clocks.go_on(60)
            await daemon.poll()
        assert daemon.health().well


# Ready


async def test_it_is_not_ready_before_it_works(tmp_path: Path) -> None:
    async with patient(tmp_path) as daemon:
        assert not daemon.health().ready


async def test_it_is_ready_with_the_first_answer_and_stays_so(tmp_path: Path) -> None:
    async with patient(tmp_path) as daemon:
        gate = Gate()
        daemon.registry.fault(Fault(action=Hold(until=gate.passage)))
        daemon.vitals.begin()
        daemon.watch.make_contact()
        daemon.watch.enqueue_due()
        assert not daemon.health().ready
        assert daemon.vitals.unanswered == ["main"]
        gate.open()
        await until(lambda: daemon.health().ready, "ready")
        daemon.registry.clear_faults()
        daemon.registry.fault(Fault(action=Respond(status=500)))
        await daemon.poll()
        assert daemon.health().ready


async def test_a_registry_that_is_silent_does_not_hold_it_up_for_ever(tmp_path: Path) -> None:
    async with patient(tmp_path) as daemon:
        daemon.registry.fault(Fault(action=Hold(until=Gate().passage)))
        daemon.vitals.begin()
        daemon.watch.make_contact()
        daemon.watch.enqueue_due()
        daemon.clocks.go_on(58)
        assert not daemon.health().ready
        daemon.clocks.go_on(2)
        assert daemon.health().ready
        assert daemon.vitals.unanswered == ["main"]


# Stuck


async def test_a_poll_far_over_its_bound_is_stuck(tmp_path: Path) -> None:
    async with patient(tmp_path) as daemon:
        gate = Gate()
        daemon.registry.fault(Fault(action=Hold(until=gate.passage)))
        daemon.watch.nudge()
        await until(lambda: gate.waiting > 0, "the registry is asked")
        daemon.clocks.steady += 5 * 60 + 31
        assert (Ailment.STUCK, "polls of main") in daemon.complaints()
        assert not daemon.health().alive
        gate.open()
        await until(lambda: daemon.watch.is_idle, "the poll ends")
        assert daemon.health().alive


async def test_a_schedule_that_is_not_kept_is_stuck(tmp_path: Path) -> None:
    async with patient(tmp_path) as daemon:
        daemon.ticker.when_due("account main", daemon.watch.next_due, daemon.watch.enqueue_due)
        daemon.clocks.go_on(30)
        assert daemon.health().alive
        daemon.clocks.go_on(2)
        assert daemon.complaints() == [(Ailment.STUCK, "schedule of account main")]


async def test_a_state_file_that_does_not_answer_is_stuck(tmp_path: Path) -> None:
    begun, go = threading.Event(), threading.Event()
    async with patient(tmp_path) as daemon:
        await daemon.poll()

        def hang(_: Store) -> None:
            begun.set()
            go.wait(PATIENCE)

        hanging = asyncio.create_task(daemon.store.run(hang))
        await until(begun.is_set, "the state's thread is busy")
        daemon.clocks.go_on(119)
        assert daemon.health().alive
        daemon.clocks.go_on(2)
        assert daemon.complaints() == [(Ailment.STUCK, "state")]
        go.set()
        await hanging
        assert daemon.health().well


# Ill, but a restart would not help


async def test_a_repository_that_only_fails_is_stale_and_that_is_no_standstill(
    tmp_path: Path,
) -> None:
    async with patient(tmp_path) as daemon:
        daemon.registry.fault(Fault(action=Respond(status=500)))
        daemon.clocks.go_on(STALE)
        await daemon.poll()
        (complaint,) = daemon.health().complaints
        assert (complaint.ailment, complaint.about) == (Ailment.STALE, f"main/{WEB}")
        assert complaint.message.startswith("no successful poll since the start: ")
        assert daemon.health().alive
        daemon.registry.clear_faults()
        await daemon.poll()
        assert daemon.health().well


async def test_a_full_disk_is_told_until_there_is_room(tmp_path: Path) -> None:
    async with patient(tmp_path) as daemon:
        daemon.disk.append("the disk is full")
        await daemon.poll()
        assert daemon.complaints() == [(Ailment.STATE, "state")]
        assert daemon.health().alive
        daemon.disk.clear()
        await daemon.store.run(lambda store: store.record_poll(baseline("1.0")))
        assert (Ailment.STATE, "state") not in daemon.complaints()


async def test_a_machine_that_slept_is_given_time_to_poll(tmp_path: Path) -> None:
    async with patient(tmp_path) as daemon:
        await daemon.poll()
        daemon.clocks.wall += 8 * 3600  # the steady clock rested
        assert daemon.health().well
        for _ in range(STALE // 60):
            daemon.clocks.go_on(60)
            daemon.health()
        assert daemon.complaints() == [(Ailment.STALE, f"main/{WEB}")]


async def test_a_clock_that_is_set_back_hides_no_repository_for_so_long(tmp_path: Path) -> None:
    async with patient(tmp_path) as daemon:
        await daemon.poll()
        daemon.clocks.wall -= 24 * 3600
        assert daemon.health().well
        daemon.clocks.go_on(STALE)
        assert daemon.complaints() == [(Ailment.STALE, f"main/{WEB}")]


async def test_a_clock_that_is_drawn_slowly_is_no_jump(tmp_path: Path) -> None:
    async with patient(tmp_path) as daemon:
        await daemon.poll()
        daemon.clocks.go_on(STALE)
        daemon.clocks.wall += 0.05
        assert daemon.complaints() == [(Ailment.STALE, f"main/{WEB}")]


async def test_who_asks_again_and_again_gets_the_same_answer_for_a_second(tmp_path: Path) -> None:
    async with patient(tmp_path) as daemon:
        first = daemon.health()
        daemon.clocks.go_on(0.9)
        assert daemon.vitals.health() is first
        daemon.clocks.go_on(0.2)
        assert daemon.vitals.health() is not first
