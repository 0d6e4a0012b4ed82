"""A registry that refuses everything: how often it is asked all the same, over hours of polls.

The whole line from the schedule to the socket, on a clock that is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest

from watcher import credentials
from watcher.core.account import Account, CredentialSource, PollSchedule
from watcher.core.reference import Registry
from watcher.engine.board import StatusBoard
from watcher.engine.poll_outcome import PollOutcome
from watcher.engine.poller import Poller
from watcher.engine.repositories import RepositoryList
from watcher.engine.rules import Rules
from watcher.engine.watch import AccountWatch
from watcher.registry.budgets.limits import HostLimits
from watcher.registry.client import RegistryClient
from watcher.store.sqlite import Store
from watcher.store.threaded import ThreadedStore
from watcher.telemetry.log import Log
from watcher.testing.faults import Fault, Match, Respond
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry

MINUTE = timedelta(minutes=1)
REPOSITORIES = tuple(f"acme/r{number}" for number in range(40))


@dataclass
class Daemon:
    """Accounts of one host that poll their repositories every minute, on a clock that is told."""

    registry: FakeRegistry
    watches: list[AccountWatch]
    hosts: HostLimits
    outcomes: list[PollOutcome]
    now: float = 1_800_000_000.0

    async def sleep(self, seconds: float) -> None:
        self.now += seconds

    async def go_on_for(self, minutes: int) -> int:
        """Let time pass in steps of a second's fraction; how many requests were sent in it."""
        before = sum(self.registry.counters.requests.values())
        for _ in range(minutes * 6):
            self.now += 10
            for watch in self.watches:
                watch.enqueue_due()
            async with asyncio.timeout(30):
                while not all(watch.is_idle for watch in self.watches):
                    await asyncio.sleep(0)
        return sum(self.registry.counters.requests.values()) - before


@asynccontextmanager
async def running(directory: Path, accounts: int = 1) -> AsyncIterator[Daemon]:
    async with AsyncExitStack() as stack:
        registry = await stack.enter_async_context(FakeRegistry())
        registry.seed(REPOSITORIES, ["1.0"])
        store = ThreadedStore(lambda: Store.open(directory / "state.db"))
        stack.push_async_callback(store.close)
        board, log = StatusBoard(), Log("error", stream=StringIO())
        hosts = HostLimits(clock=lambda: daemon.now, sleep=lambda seconds: daemon.sleep(seconds))
        daemon = Daemon(registry, [], hosts, [])
        for number in range(accounts):
            account = Account(
                name=f"a{number}",
                registry=Registry.parse(registry.address, plain_http=True),
                repositories=REPOSITORIES,
                poll=PollSchedule(every=MINUTE),
            )
            provider = credentials.provider(
                CredentialSource(), account.registry, clock=lambda: daemon.now, environment={}
            )
            client = RegistryClient(account, provider, hosts=daemon.hosts, clock=lambda: daemon.now)
            stack.push_async_callback(client.aclose)
            poller = Poller(
                account,
                client,
                store,
                board,
                Rules(),
                log=log,
                clock=lambda: daemon.now,
                interval=MINUTE,
            )
            watch = AccountWatch(
                account,
                client,
                poller,
                board,
                RepositoryList(account, ()),
                clock=lambda: daemon.now,
                log=log,
                on_outcome=daemon.outcomes.append,
            )
            daemon.watches.append(watch)
            for _ in range(4):
                worker = asyncio.create_task(watch.work())
                stack.push_async_callback(asyncio.wait, [worker])
                stack.callback(worker.cancel)
            watch.start()
        yield daemon


@pytest.mark.parametrize(
    ("refusal", "most"),
    [
        pytest.param(Respond(429), 4 + 8, id="429 without a time: ever longer"),
        pytest.param(Respond(429, (("Retry-After", "600"),)), 4 + 12, id="429 for ten minutes"),
        pytest.param(Respond(429, (("Retry-After", "7200"),)), 4 + 1, id="429 for two hours"),
        pytest.param(Respond(503, (("Retry-After", "600"),)), 4 + 12, id="503 for ten minutes"),
        pytest.param(
            Respond(
                429,
                (
                    ("X-RateLimit-Limit", "100"),
                    ("X-RateLimit-Remaining", "0"),
                    ("X-RateLimit-Reset", "7200"),
                ),
            ),
            4 + 1,
            id="a quota for two hours",
        ),
    ],
)
async def test_a_host_that_refuses_everything_is_asked_a_handful_of_times(
    tmp_path: Path, refusal: Respond, most: int
) -> None:
    """40 repositories, each every minute, for two hours: 4800 polls. Four are under way when the
    first is refused, afterwards one request finds out each time that it still holds."""
    async with running(tmp_path) as daemon:
        daemon.registry.fault(Fault(action=refusal))
        assert await daemon.go_on_for(minutes=120) <= most


async def test_accounts_of_one_host_are_patient_together(tmp_path: Path) -> None:
    async with running(tmp_path, accounts=3) as daemon:
        daemon.registry.fault(Fault(action=Respond(429)))
        assert await daemon.go_on_for(minutes=120) <= 3 * (4 + 8)


async def test_after_the_storm_all_is_polled_again_within_two_intervals(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        daemon.registry.fault(Fault(action=Respond(429, (("Retry-After", "600"),))))
        await daemon.go_on_for(minutes=9)
        daemon.registry.clear_faults()
        await daemon.go_on_for(minutes=3)
        daemon.outcomes.clear()
        await daemon.go_on_for(minutes=2)
        assert {outcome.repository for outcome in daemon.outcomes} == set(REPOSITORIES)
        assert not [outcome.error for outcome in daemon.outcomes if outcome.error]


async def test_an_account_whose_repositories_fail_backs_off(tmp_path: Path) -> None:
    """A 500 is asked once more after a moment; each repository's wait doubles to an hour."""
    async with running(tmp_path) as daemon:
        daemon.registry.fault(Fault(match=Match(kind=Kind.TAGS), action=Respond(500)))
        per_repository = await daemon.go_on_for(minutes=240) / len(REPOSITORIES)
        assert per_repository <= 11


async def test_a_small_quota_is_spread_over_all_repositories(tmp_path: Path) -> None:
    """Of 40 repositories each has its turn, though the registry allows far fewer requests than
    are wanted."""
    async with running(tmp_path) as daemon:
        body = b'{"tags":["1.0"]}'
        headers = (
            ("Content-Type", "application/json"),
            ("X-RateLimit-Limit", "1000"),
            ("X-RateLimit-Remaining", "60"),
            ("X-RateLimit-Reset", "3600"),
        )
        daemon.registry.fault(Fault(action=Respond(200, headers, body)))
        sent = await daemon.go_on_for(minutes=480)
        polled = {outcome.repository for outcome in daemon.outcomes if outcome.error is None}
        assert sent <= 480 + 4
        assert len(polled) == len(REPOSITORIES)
