"""One account at work: which repositories, when each is due, and the workers that poll them.

The ticker calls `enqueue_due`; a command calls `nudge`, a webhook `hint`; `work` runs a few times
side by side. A repository is never polled twice at once, and a failing one delays no other.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from watcher.core import schedule
from watcher.core.account import Account
from watcher.core.health import repository_state
from watcher.core.hint import Hint
from watcher.core.poll import CATALOG, RepositoryState, RepositoryStatus
from watcher.engine.board import StatusBoard
from watcher.engine.hinted import Hinted
from watcher.engine.overdue import Overdue
from watcher.engine.poll_outcome import PollOutcome, Purpose
from watcher.engine.poller import Poller
from watcher.engine.progress import Progress
from watcher.engine.repositories import RepositoryList
from watcher.engine.timetable import Timetable, key_of
from watcher.engine.work_queue import WorkQueue
from watcher.errors import WatcherError
from watcher.registry.budgets.limits import Priority
from watcher.registry.client import RegistryClient
from watcher.telemetry.events import Event
from watcher.telemetry.log import Log

CATALOG_BOUND = timedelta(hours=1)  # thousands of pages, at a pace that the registry sets
SPREAD_AFTER_PARKING = 10.0
"""Seconds over which hinted repositories are polled once their registry is no longer parked."""


class AccountWatch:
    """Polls one account's repositories on its schedule."""

    def __init__(
        self,
        account: Account,
        client: RegistryClient,
        poller: Poller,
        board: StatusBoard,
        repositories: RepositoryList,
        *,
        clock: Callable[[], float],
        log: Log,
        on_outcome: Callable[[PollOutcome], None],
        monotonic: Callable[[], float] = time.monotonic,
        on_sooner: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_sooner` is called when something comes to be due earlier than it was."""
        self.account = account
        self.poller = poller
        self.repositories = repositories
        self._client = client
        self._board = board
        self._clock = clock
        self._log = log
        self._on_outcome = on_outcome
        self._queue: WorkQueue[str] = WorkQueue()
        self._progress = Progress(account.limits.concurrency, self._bound, monotonic=monotonic)
        self._timetable = Timetable(account, board, now=clock(), on_sooner=on_sooner)
        self._nudged: set[str] = set()
        self._hinted: dict[str, Hinted] = {}
        self._said_parked: float | None = None
        self._is_answered = False
        self.overdue = Overdue(account, board, now=clock())

    def start(self) -> None:
        """Spread the first polls over the interval; a stored next check in the future is kept."""
        if self.repositories.needs_catalog:
            self._timetable.plan(CATALOG, self._clock())
        self._plan_new(self.repositories.names)

    def make_contact(self) -> None:
        """Poll what is due first at once, so that it shows soon whether the registry answers. A
        time that cron or a backoff set is kept."""
        first = self._timetable.first
        if first == CATALOG or self.account.poll.every is None:
            return
        status = self._board.get(self.account.name, first)
        if not status.failures:
            status.next_check = self._clock()
            self._timetable.plan(first, status.next_check)

    @property
    def is_settled(self) -> bool:
        """Whether the registry has answered or refused since the start, or is not to be asked
        yet: it asked for patience, or the last refusals are kept in mind."""
        if self._is_answered or self._client.parked_until is not None:
            return True
        due = self.next_due()
        return self._queue.is_idle and (due is None or due > self._clock())

    @property
    def parked_until(self) -> float | None:
        """Until when (epoch seconds) the registry is left alone."""
        return self._client.parked_until

    def state_counts(self, now: float) -> Counter[RepositoryState]:
        """How many repositories fare how at `now` (seconds since the epoch)."""
        names = self.repositories.names
        if self.parked_until is not None:
            return Counter({RepositoryState.PARKED: len(names)} if names else ())
        limit = self.overdue.limit(now)
        return Counter(
            repository_state(self._board.get(self.account.name, name), now=now, limit=limit)
            for name in names
        )

    def standstill(self) -> str | None:
        """Why this account's polls do not get on though nothing outside holds them up, in words;
        None where they do."""
        return self._progress.standstill()

    @property
    def is_idle(self) -> bool:
        """Nothing waits to be polled and nothing is being polled."""
        return self._queue.is_idle

    def next_due(self) -> float | None:
        return self._timetable.next_due()

    def enqueue_due(self) -> None:
        """Put everything that is due on the queue."""
        for name in self._timetable.take_due(self._clock()):
            self._queue.put(name, urgent=self._is_hinted(name))
        self._progress.waiting(len(self._queue))

    def nudge(self, repository: str | None = None) -> None:
        """Poll one repository now, or all of them."""
        for name in [repository] if repository else self.repositories.names:
            self._nudged.add(name)
            self._queue.put(name, urgent=True)
        self._progress.waiting(len(self._queue))

    def hint(self, hint: Hint, after: float = 0.0) -> None:
        """Look whether it is true: so many seconds from now, not sooner after the last such poll
        than `LEAST_GAP`, and not before the registry may be asked."""
        name, now = hint.repository, self._clock()
        hinted = self._hinted.setdefault(name, Hinted())
        hinted.take(hint)
        earliest = max(hinted.earliest(now), now + after)
        if earliest > now:
            self._timetable.bring_forward(name, earliest)
        else:
            self._queue.put(name, urgent=True)

    def _is_hinted(self, name: str) -> bool:
        hinted = self._hinted.get(name)
        return hinted is not None and hinted.is_wanted

    async def work(self) -> None:
        """Poll what the queue gives, for ever; run one of these per unit of concurrency."""
        while True:
            name, is_urgent = await self._queue.get()
            try:
                with self._progress.working_on(name, len(self._queue)):
                    await self._work_on(name, is_urgent=is_urgent)
            finally:
                self._queue.done(name)
                self._progress.waiting(len(self._queue))

    def adopt(self, repositories: RepositoryList) -> None:
        """After a reload: other repositories, the same clock."""
        self.overdue.joined(self.repositories.names, repositories.names, self._clock())
        self.repositories = repositories
        self._timetable.keep(repositories.names)
        for name in self._hinted.keys() - set(repositories.names):
            del self._hinted[name]
        self._plan_new(repositories.names)

    def take_over(self, former: AccountWatch) -> None:
        """After a reload that changed the account: what webhooks told the watch before this one,
        and no poll has shown yet, is still looked for; so is what a person asked for."""
        for name in former._nudged:
            self.nudge(name)
        for name, hinted in former._hinted.items():
            if hinted.is_open and self.repositories.has(name):
                hinted.is_wanted = True
                self._hinted[name] = hinted
                self._queue.put(name, urgent=True)

    async def _work_on(self, name: str, *, is_urgent: bool) -> None:
        if name == CATALOG:
            await self._read_catalog()
        else:
            await self._poll(name, Priority.URGENT if is_urgent else Priority.SCHEDULED)
        self._is_answered = True

    def _bound(self, name: str) -> timedelta:
        return CATALOG_BOUND if name == CATALOG else self.account.timeouts.total

    async def _poll(self, repository: str, priority: Priority) -> None:
        is_nudged = repository in self._nudged
        self._nudged.discard(repository)
        if not self.repositories.has(repository):
            return
        status = self._board.get(self.account.name, repository)
        started = self._clock()
        hinted = self._hinted.get(repository)
        parked_until = self.parked_until
        if parked_until is not None and not is_nudged:
            self._say_parked(parked_until)
            self._timetable.put_off(status, started, parked_until)
            self._look_when_allowed(status, parked_until)
            self._board.touch(status)
            return
        is_asked_for, failures = is_nudged or self._is_hinted(repository), status.failures
        named = hinted.begin(started) if hinted is not None else frozenset()
        try:
            outcome = await self.poller.poll(
                repository, Purpose.DETECT, priority, named=None if is_nudged else named
            )
        except asyncio.CancelledError:
            if is_nudged:
                self._nudged.add(repository)  # for the watch that takes over
            raise
        if is_asked_for and status.failures > failures:
            status.failures = max(failures, 1)  # many in one outage are no longer outage
        self._timetable.put_off(status, started, outcome.until)
        self._on_outcome(outcome)
        if outcome.until is not None:
            self._look_when_allowed(status, outcome.until)
        elif hinted is not None:
            await self._look_again(status, hinted)

    def _look_when_allowed(self, status: RepositoryStatus, until: float) -> None:
        """What a webhook told of is looked at soon after the registry may be asked again."""
        hinted = self._hinted.get(status.repository)
        if hinted is not None and hinted.is_open:
            spread = schedule.phase(key_of(status)) * SPREAD_AFTER_PARKING
            status.next_check = self._timetable.bring_forward(status.repository, until + spread)

    async def _look_again(self, status: RepositoryStatus, hinted: Hinted) -> None:
        """Sooner than planned, where the poll did not show what a webhook had told of."""
        hinted.forget(await self.poller.arrived(status.repository, hinted.pushed))
        due = hinted.next_look(self._clock())
        if due is not None:
            status.next_check = self._timetable.bring_forward(status.repository, due)

    def _say_parked(self, until: float) -> None:
        """Once for all repositories: their polls end before they begin."""
        if until != self._said_parked:
            self._said_parked = until
            moment = datetime.fromtimestamp(until, UTC).isoformat(timespec="seconds")
            name = self.account.registry.name
            self._log.warning(
                Event.POLL_PARKED,
                account=self.account.name,
                error=f"{name} asked for patience; nothing is polled until {moment}",
            )

    async def _read_catalog(self) -> None:
        catalog = self.account.catalog
        assert catalog is not None  # only a watch with a catalog plans this key
        try:
            names = await self._client.catalog()
        except WatcherError as error:
            from watcher.registry.refusals import catalog_hint

            self.repositories.status.failed(str(error))
            hint = catalog_hint(self.account, error)
            self._log.warning(
                Event.CATALOG_FAILED, account=self.account.name, error=str(error), hint=hint
            )
        else:
            before = self.repositories.names
            doubt = self.repositories.take_catalog(names)
            self.repositories.status.read(doubt)
            self.overdue.joined(before, self.repositories.names, self._clock())
            self._board.note_catalog(self.account.name, before, self.repositories.names)
            if doubt is not None:
                self._log.warning(Event.CATALOG_FAILED, account=self.account.name, error=doubt)
            else:
                self._log.info(
                    Event.CATALOG_READ, account=self.account.name, repositories=len(names)
                )
            self._plan_new(self.repositories.names)
        failures = self.repositories.status.failures
        delay = schedule.backoff(catalog.refresh, failures, key=self.account.name)
        self._timetable.plan(CATALOG, self._clock() + delay.total_seconds())

    def _plan_new(self, names: Iterable[str]) -> None:
        self._client.expect(self.repositories.names)
        self._timetable.plan_new(names, self._clock())
