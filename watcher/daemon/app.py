"""Builds everything that one config needs, around one state file, and takes it apart again.

The composition root: the only place that knows all adapters. `once` and `service` drive what is
built here; the command line imports neither this module's parts nor their libraries.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from watcher import credentials
from watcher.config.load import Config
from watcher.core import schedule
from watcher.core.account import Account
from watcher.core.host import Counted, Quota, Recognition
from watcher.core.pipeline import ExecutionStatus
from watcher.daemon.clusters import ClusterConnections
from watcher.daemon.deployed import ConfiguredAccounts
from watcher.engine.board import StatusBoard
from watcher.engine.poller import Poller
from watcher.engine.repositories import RepositoryList
from watcher.engine.rules import Rules
from watcher.errors import StateError
from watcher.registry.budgets.limits import HostLimits
from watcher.registry.client import RegistryClient
from watcher.store.lock import StateLock
from watcher.store.sqlite import Store
from watcher.store.threaded import ThreadedStore
from watcher.telemetry.events import Event
from watcher.telemetry.families import Count, StateUse
from watcher.telemetry.log import Log
from watcher.telemetry.meter import UNMEASURED, Meter

if TYPE_CHECKING:
    from watcher.engine.runner import EmbeddedRunner


@dataclass(slots=True)
class Member:
    """One account at work: its client, its poller, and the repositories it watches."""

    account: Account
    client: RegistryClient
    poller: Poller
    repositories: RepositoryList


class _OfHosts(NamedTuple):
    """What is written down of hosts."""

    blocked: Mapping[str, float]
    recognised: Mapping[str, Recognition]
    quotas: Mapping[Counted, Quota]


class App:
    """Everything around one state file. Made by `opened`; holds the lock as long as it lives.
    `config_loaded` is when `config` was taken over (epoch seconds); it `is_current` unless a newer
    one was rejected."""

    def __init__(
        self,
        config: Config,
        store: ThreadedStore,
        board: StatusBoard,
        hosts: HostLimits,
        rules: Rules,
        *,
        catalogs: Mapping[str, str],
        log: Log,
        clock: Callable[[], float],
        environment: Mapping[str, str],
        meter: Meter = UNMEASURED,
        lock: StateLock | None = None,
    ) -> None:
        self.config = config
        self.store = store
        self.board = board
        self.hosts = hosts
        self.rules = rules
        self.log = log
        self.clock = clock
        self.environment = environment
        self.meter = meter
        self.config_loaded = clock()
        self.config_is_current = True
        self.clusters = ClusterConnections(lambda: self.config, environment)
        self.accounts = ConfiguredAccounts(self)
        self.members: dict[str, Member] = {}
        self._lock = lock
        self._catalogs = dict(catalogs)
        self._flushed = self._of_hosts()
        self._flushed_parkings = hosts.parking.count
        self._runner: EmbeddedRunner | None = None
        for account in config.accounts:
            self.members[account.name] = self.member(account)

    def member(self, account: Account) -> Member:
        """Build what one account needs; nothing is connected or read yet."""
        client = client_of(account, self.hosts, self.environment, self.clock, self.meter)
        poller = Poller(
            account,
            client,
            self.store,
            self.board,
            self.rules,
            log=self.log,
            clock=self.clock,
            interval=schedule.interval(account.poll, self.clock()),
            meter=self.meter,
        )
        return Member(account, client, poller, self.repositories(account))

    def repositories(self, account: Account) -> RepositoryList:
        """What it watches from now on; until its catalog is read, what that named the last time."""
        seen = self._seen_catalogs().get(account.name)
        member = self.members.get(account.name)
        if member is not None and member.account == account:
            found, status = member.repositories.found, member.repositories.status
        else:
            ours = (status for status in self.board if status.account == account.name)
            found = tuple(s.repository for s in ours if s.known and not s.dropped)
            status = None
        return RepositoryList(account, self.rules.triggers, found, fingerprint=seen, status=status)

    def _seen_catalogs(self) -> dict[str, str]:
        """The fingerprint of each account's last catalog, of this process or an earlier one."""
        lists = {name: member.repositories for name, member in self.members.items()}
        seen = {name: names.fingerprint for name, names in lists.items()}
        return {**self._catalogs, **{name: mark for name, mark in seen.items() if mark}}

    async def recognise(self, members: Iterable[Member]) -> None:
        """Find out what kind of registry each account has, where that is not known: at most once
        a day and host. Nothing that is answered is a failure."""
        unknown = {
            member.account.registry.name: member
            for member in members
            if member.client.needs_recognition
        }
        await asyncio.gather(*(self._recognise(member) for member in unknown.values()))

    async def _recognise(self, member: Member) -> None:
        found = await member.client.recognise()
        if found is not None:
            self.log.info(
                Event.REGISTRY_RECOGNISED,
                registry=member.account.registry.name,
                dialect=found.dialect,
                version=found.version,
            )

    def use(self, rules: Rules) -> None:
        """From now on other triggers, pipelines or switches hold."""
        self.rules = rules
        for member in self.members.values():
            member.poller.use(rules)

    @property
    def secret_variables(self) -> frozenset[str]:
        return self.config.secret_variables

    def client_named(self, account: str) -> RegistryClient | None:
        member = self.members.get(account)
        return member.client if member is not None else None

    async def run_executions(self) -> tuple[list[str], list[str]]:
        """Run what is queued to its end, or to where it waits for a person; the ids of all that
        were to run, oldest first, and of those that failed. Without any nothing is loaded."""
        if not await self.store.run(lambda store: store.any_unfinished()):
            return [], []
        began = datetime.fromtimestamp(self.clock(), UTC)
        unfinished = await self.store.run(_unfinished)
        await self.runner().run(until_idle=True)
        failed = await self.store.run(lambda store: store.failed_since(began))
        return list(dict.fromkeys(unfinished + failed)), failed

    def runner(self) -> EmbeddedRunner:
        """The runner of this state file; there is one, made at the first call."""
        if self._runner is None:
            from watcher.daemon.facts import contexts
            from watcher.engine.runner import EmbeddedRunner
            from watcher.stages import STAGES

            self._runner = EmbeddedRunner(
                self.store, STAGES, contexts(self), log=self.log, meter=self.meter
            )
        return self._runner

    def wake_runner(self) -> None:
        if self._runner is not None:
            self._runner.wake()

    @property
    def has_unflushed_blocks(self) -> bool:
        """Whether a host or account was parked since the bookkeeping was to be written."""
        return self.hosts.parking.count != self._flushed_parkings

    async def flush(self) -> None:
        """Write the bookkeeping in one transaction; a state file that can't be written is said,
        and the batch is kept for the next time."""
        statuses = self.board.take_unflushed()
        self._flushed_parkings = self.hosts.parking.count
        hosts, catalogs = self._of_hosts(), self._seen_catalogs()
        if not statuses and hosts == self._flushed and catalogs == self._catalogs:
            return
        try:
            await self.store.run(
                lambda store: store.flush(
                    statuses, hosts.blocked, catalogs, hosts.recognised, hosts.quotas
                )
            )
        except StateError as error:
            self.board.put_back(statuses)
            self._say_failed(error)
            raise
        self._flushed, self._catalogs = hosts, catalogs

    def beat(self) -> None:
        """Leave a sign that the bookkeeping is done, for who looks from outside. What keeps it from
        that is said; raises StateError."""
        if self._lock is None:
            return
        try:
            self._lock.beat()
        except StateError as error:
            self._say_failed(error)
            raise

    def _say_failed(self, error: StateError) -> None:
        self.log.error(Event.STATE_FAILED, error=str(error), hint=error.hint)
        self.meter.count(Count.STATE_FAILURES, StateUse.BOOKKEEPING)

    def _of_hosts(self) -> _OfHosts:
        hosts = self.hosts
        return _OfHosts(hosts.parking.blocked(), hosts.recognised(), hosts.quotas())

    async def close(self) -> None:
        for member in self.members.values():
            await member.client.aclose()
        await self.clusters.close()


def _unfinished(store: Store) -> list[str]:
    kinds = (ExecutionStatus.QUEUED, ExecutionStatus.RUNNING, ExecutionStatus.WAITING)
    found = [run for kind in kinds for run in reversed(store.executions(None, kind))]
    return [run.id for run in sorted(found, key=lambda run: run.created)]


def client_of(
    account: Account,
    hosts: HostLimits,
    environment: Mapping[str, str],
    clock: Callable[[], float] = time.time,
    meter: Meter = UNMEASURED,
) -> RegistryClient:
    """A client for one account with its own credential."""
    provider = credentials.provider(
        account.credential, account.registry, clock=clock, environment=environment
    )
    return RegistryClient(
        account, provider, hosts=hosts, clock=clock, sleep=asyncio.sleep, meter=meter
    )


@asynccontextmanager
async def opened(
    config: Config,
    *,
    log: Log,
    clock: Callable[[], float],
    environment: Mapping[str, str],
    command: str,
    meter: Meter = UNMEASURED,
) -> AsyncIterator[App]:
    """Take the lock, open the state file, and build; raises StateError."""
    async with AsyncExitStack() as stack:
        lock = StateLock(config.state, command=command, config=config.path)
        stack.enter_context(lock)
        yield await _assembled(stack, config, config.state, log, clock, environment, meter, lock)


@asynccontextmanager
async def looking(
    config: Config, *, log: Log, clock: Callable[[], float], environment: Mapping[str, str]
) -> AsyncIterator[App]:
    """As `opened`, for a look that records nothing: beside a daemon, and without making a state
    file where there is none."""
    async with AsyncExitStack() as stack:
        state = config.state
        if not state.exists():
            state = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "empty.db"
        yield await _assembled(stack, config, state, log, clock, environment)


async def _assembled(
    stack: AsyncExitStack,
    config: Config,
    state: Path,
    log: Log,
    clock: Callable[[], float],
    environment: Mapping[str, str],
    meter: Meter = UNMEASURED,
    lock: StateLock | None = None,
) -> App:
    store = ThreadedStore(lambda: Store.open(state))
    stack.push_async_callback(store.close)
    statuses = await store.run(lambda s: s.repository_statuses())
    blocked = await store.run(lambda s: s.blocked())
    switches = await store.run(lambda s: s.enabled_overrides())
    catalogs = await store.run(lambda s: s.catalogs())
    recognised = await store.run(lambda s: s.recognised())
    quotas = await store.run(lambda s: s.quotas())
    hosts = HostLimits(blocked=blocked, recognised=recognised, quotas=quotas, clock=clock)
    rules = Rules.of(config.triggers, config.pipelines, switches)
    board = StatusBoard(statuses)
    app = App(
        config,
        store,
        board,
        hosts,
        rules,
        catalogs=catalogs,
        log=log,
        clock=clock,
        environment=environment,
        meter=meter,
        lock=lock,
    )
    stack.push_async_callback(app.close)
    return app
