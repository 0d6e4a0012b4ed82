"""One account in trouble costs the others nothing: their polls take as long with it as without.

Two accounts of one process share its bounds, store and event loop. Each trouble lasts longer than
the whole measurement, or comes again with every poll, so that a poll that waited for it would show.
"""

from __future__ import annotations

import asyncio
import socket
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import pytest

from watcher import credentials
from watcher.core.account import Account, CredentialSource, Limits
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
from watcher.testing.faults import Action, Fault, Gate, Hold, Match, Respond, gzip_bomb
from watcher.testing.registry import FakeRegistry

SICK = tuple(f"sick/r{number}" for number in range(12))
WELL = tuple(f"well/r{number}" for number in range(6))
MEASURED = 0.4
"""For so many seconds, one round of polls after the other."""

MEDIAN_MAY_DIFFER = 0.4
LONGEST_MAY_DIFFER = 1.5
"""Seconds, on a machine that does other things, too; a poll takes a few milliseconds."""

INTERVAL = timedelta(minutes=10)


class Latency(NamedTuple):
    """Seconds from the wish for a poll to its outcome."""

    median: float
    longest: float

    @staticmethod
    def of(seconds: Sequence[float]) -> Latency:
        return Latency(statistics.median(seconds), max(seconds))


@dataclass
class Process:
    """What the accounts of one process share, and how their polls ended."""

    store: ThreadedStore
    hosts: HostLimits = field(default_factory=HostLimits)
    board: StatusBoard = field(default_factory=StatusBoard)
    log: Log = field(default_factory=lambda: Log("error", stream=StringIO()))
    outcomes: dict[str, list[PollOutcome]] = field(default_factory=dict)

    @asynccontextmanager
    async def watching(
        self, name: str, address: str, repositories: tuple[str, ...]
    ) -> AsyncIterator[AccountWatch]:
        account = Account(
            name=name,
            registry=Registry.parse(address, plain_http=True),
            repositories=repositories,
            limits=Limits(concurrency=4),
        )
        provider = credentials.provider(
            CredentialSource(), account.registry, clock=time.time, environment={}
        )
        client = RegistryClient(account, provider, hosts=self.hosts)
        poller = Poller(
            account,
            client,
            self.store,
            self.board,
            Rules(),
            log=self.log,
            clock=time.time,
            interval=INTERVAL,
        )
        watch = AccountWatch(
            account,
            client,
            poller,
            self.board,
            RepositoryList(account, ()),
            clock=time.time,
            log=self.log,
            on_outcome=self.outcomes.setdefault(name, []).append,
        )
        workers = [asyncio.create_task(watch.work()) for _ in range(account.limits.concurrency)]
        try:
            yield watch
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            await client.aclose()

    async def latency(self, watch: AccountWatch, beside: AccountWatch | None = None) -> Latency:
        """Of some rounds of polls; `beside` has to poll all that it has in each of them, too."""
        outcomes, seconds = self.outcomes[watch.account.name], []
        end = time.monotonic() + MEASURED
        while time.monotonic() < end:
            outcomes.clear()
            if beside is not None:
                beside.nudge()
                await asyncio.sleep(0)  # its workers come first
            began = time.monotonic()
            watch.nudge()
            async with asyncio.timeout(60):
                while len(outcomes) < len(WELL):
                    seen = len(outcomes)
                    await asyncio.sleep(0.001)
                    seconds += [time.monotonic() - began] * (len(outcomes) - seen)
            assert not [outcome.error for outcome in outcomes if outcome.error]
        return Latency.of(seconds)


async def until_idle(watch: AccountWatch) -> None:
    async with asyncio.timeout(60):
        while not watch.is_idle:
            await asyncio.sleep(0.001)


def free_address() -> str:
    """A port of this machine at which nobody listens."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def huge() -> Action:
    body = gzip_bomb(40_000_000)
    return Respond(200, (("Content-Type", "application/json"), ("Content-Encoding", "gzip")), body)


HOSTS = "two registries"
HOST = "one registry"
HANGS = "it hangs"
TROUBLES = {
    HANGS: lambda: Hold(until=Gate().passage),
    "429 with Retry-After": lambda: Respond(429, (("Retry-After", "3600"),)),
    "429 without": lambda: Respond(429),
    "503 for ever": lambda: Respond(503),
    "401": lambda: Respond(401, (("WWW-Authenticate", 'Basic realm="x"'),)),
    "a huge body": huge,
    "nobody listens": None,
}
PLACES = [(HOSTS, trouble) for trouble in TROUBLES]
PLACES += [(HOST, trouble) for trouble in (HANGS, "503 for ever", "401", "a huge body")]


@pytest.mark.parametrize(
    ("place", "trouble"), [pytest.param(*each, id=" - ".join(each)) for each in PLACES]
)
async def test_one_account_in_trouble_costs_the_others_nothing(
    tmp_path: Path, place: str, trouble: str
) -> None:
    async with FakeRegistry() as good, FakeRegistry() as bad:
        sick_at = good if place == HOST else bad
        for registry in (good, bad):
            registry.seed([*SICK, *WELL], ["1.0", "1.1"])
        store = ThreadedStore(lambda: Store.open(tmp_path / "state.db"))
        process = Process(store)
        make = TROUBLES[trouble]
        address = sick_at.address if make else free_address()
        async with (
            process.watching("well", good.address, WELL) as well,
            process.watching("sick", address, SICK) as sick,
        ):
            await process.latency(well)  # the first round records the baselines
            without = await process.latency(well, beside=sick if make else None)
            await until_idle(sick)
            if make:
                for repository in SICK:
                    sick_at.fault(Fault(match=Match(repository=repository), action=make()))
            process.outcomes["sick"].clear()
            beside = await process.latency(well, beside=sick)
            if trouble != HANGS:
                await until_idle(sick)
            ended = {outcome.result for outcome in process.outcomes["sick"]}
        await store.close()
    assert ended <= {PollResult.FAILED, PollResult.PARKED}, "it was in trouble all the time"
    assert bool(ended) == (trouble != HANGS)
    assert beside.median - without.median < MEDIAN_MAY_DIFFER
    assert beside.longest - without.longest < LONGEST_MAY_DIFFER
