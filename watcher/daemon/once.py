"""One complete pass: poll every selected repository once, run the executions, flush, report.

What `run --once`, `run --dry-run`, `poll` and `baseline` do without a daemon. A pass with nothing
new is judged by its start-up, so nothing heavy may be imported on its way.
"""

from __future__ import annotations

import asyncio
import math
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from watcher.config.load import Config
from watcher.core.account import Account
from watcher.daemon.app import App, Member, looking, opened
from watcher.daemon.upkeep import DAILY, let_go_if_due
from watcher.engine.poll_outcome import PollOutcome, PollResult, Purpose
from watcher.errors import UnknownName, WatcherError
from watcher.telemetry.events import Event
from watcher.telemetry.log import Log

_POLLS_PER_CONNECTION = 4  # a TLS handshake costs as much CPU as about three polls


@dataclass(frozen=True, slots=True)
class Selection:
    """Which repositories: all, one account's, or one. Raises UnknownName when there is no such."""

    account: str | None = None
    repository: str | None = None

    @staticmethod
    def parse(text: str | None) -> Selection:
        """Read `ACCOUNT`, `ACCOUNT/REPOSITORY` or nothing."""
        if not text:
            return Selection()
        account, _, repository = text.partition("/")
        return Selection(account, repository or None)

    def check(self, config: Config) -> None:
        names = [account.name for account in config.accounts]
        if self.account is not None and self.account not in names:
            raise UnknownName(
                f"there is no account {self.account!r} in the config",
                hint=f"accounts are: {', '.join(names) or 'none'}",
            )

    def takes(self, member: Member) -> bool:
        return self.account is None or self.account == member.account.name

    def names(self, member: Member) -> tuple[str, ...]:
        if self.repository is None:
            return member.repositories.names
        name = member.account.registry.canonical_repository(self.repository)
        if not member.repositories.has(name):
            raise UnknownName(
                f"account {member.account.name!r} does not watch {name!r}",
                hint="`watcher status` lists what is watched",
            )
        return (name,)


@dataclass(slots=True)
class PassReport:
    """What one pass found. `ok` is exit code 0: no poll and no execution failed, no catalog
    failed; what an earlier Retry-After still parks was skipped, and is no failure. `is_stopped`: a
    signal came before all was polled, which is none either."""

    polls: list[PollOutcome] = field(default_factory=list)
    executions: list[str] = field(default_factory=list)
    failed_executions: list[str] = field(default_factory=list)
    account_errors: dict[str, WatcherError] = field(default_factory=dict)
    is_stopped: bool = False

    @property
    def ok(self) -> bool:
        failed = any(
            poll.result is PollResult.FAILED or (poll.error is not None and not _skipped(poll))
            for poll in self.polls
        )
        return not failed and not self.failed_executions and not self.account_errors

    @property
    def parked(self) -> list[PollOutcome]:
        return [poll for poll in self.polls if _skipped(poll)]


Progress = Callable[[int, int, PollOutcome], None]
CarryOut = Callable[[App], Awaitable[tuple[list[str], list[str]]]]


def _skipped(poll: PollOutcome) -> bool:
    """Parked by an answer of an earlier pass: nothing was asked now."""
    return poll.result is PollResult.PARKED and getattr(poll.error, "status", None) is None


def run_once(
    config: Config,
    *,
    log: Log,
    clock: Callable[[], float],
    environment: Mapping[str, str],
    command: str,
    selection: Selection | None = None,
    purpose: Purpose = Purpose.DETECT,
    carry_out: CarryOut = App.run_executions,
    progress: Progress | None = None,
) -> PassReport:
    """Raises StateError, UsageError; what fails in one repository is part of the report.
    `carry_out` runs what is queued, and may tell of it. SIGTERM ends it in order (SPEC 8)."""

    async def work() -> PassReport:
        if purpose is Purpose.DRY_RUN:
            way_in = looking(config, log=log, clock=clock, environment=environment)
        else:
            way_in = opened(config, log=log, clock=clock, environment=environment, command=command)
        async with way_in as app:
            chosen = selection or Selection()
            chosen.check(config)
            ending, report = _Ending(app), PassReport()
            if purpose is not Purpose.DRY_RUN:
                ending.listen()
            await ending.unless_asked(_look(app, chosen, purpose, progress, report))
            report.is_stopped = ending.is_asked
            if purpose is not Purpose.DRY_RUN:
                await _follow(app, chosen, purpose, carry_out, ending, report)
            return report

    return asyncio.run(work())


class _Ending:
    """What SIGTERM does to a pass: polls and messages under way break off, what runs gets to a safe
    point, and no other is begun. The next pass goes on. A second signal ends it at once."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._work: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None

    @property
    def is_asked(self) -> bool:
        return self._closing is not None

    def listen(self) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._ask)

    async def unless_asked(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work, to its end or until the signal."""
        self._work = asyncio.ensure_future(work)
        if self.is_asked:
            self._work.cancel()
        try:
            await self._work
        except asyncio.CancelledError:
            if not self.is_asked:
                raise

    def _ask(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_signal_handler(signal.SIGTERM)
        self._app.log.info(Event.STOPPING)
        self._closing = loop.create_task(self._app.runner().close())
        if self._work is not None:
            self._work.cancel()


async def _look(
    app: App,
    selection: Selection,
    purpose: Purpose,
    progress: Progress | None,
    report: PassReport,
) -> None:
    chosen = [member for member in app.members.values() if selection.takes(member)]
    if purpose is not Purpose.DRY_RUN:
        await app.recognise(chosen)
    await asyncio.gather(*(_read_catalog(app, member, report) for member in chosen))
    for member in chosen:
        member.client.expect(member.repositories.names)
    work = {member.account.name: iter(selection.names(member)) for member in chosen}
    total = sum(len(selection.names(member)) for member in chosen)

    def note(outcome: PollOutcome) -> None:
        report.polls.append(outcome)
        report.executions.extend(outcome.executions)
        if progress is not None:
            progress(len(report.polls), total, outcome)

    async with asyncio.TaskGroup() as group:
        for member in chosen:
            for _ in range(_side_by_side(member.account, len(selection.names(member)))):
                names = work[member.account.name]
                group.create_task(_poll_all(member, names, purpose, note))


async def _follow(
    app: App,
    selection: Selection,
    purpose: Purpose,
    carry_out: CarryOut,
    ending: _Ending,
    report: PassReport,
) -> None:
    """What comes after the polls."""
    if purpose is Purpose.DETECT:
        ran, report.failed_executions = await carry_out(app)
        report.executions = list(dict.fromkeys(ran + report.executions))
    await app.flush()
    if purpose is Purpose.DETECT:
        await ending.unless_asked(let_go_if_due(app, DAILY))
    is_complete = selection == Selection() and _all_polled(report, app.members.values())
    await ending.unless_asked(_announce(app, report, is_complete=is_complete))


async def _announce(app: App, report: PassReport, *, is_complete: bool) -> None:
    """Who is told nothing pays for nothing."""
    pending = await app.store.run(lambda store: store.any_notice())
    if pending or app.config.notifiers or app.config.ping is not None:
        from watcher.daemon.announcing import announce

        await announce(app, report.polls, is_complete=is_complete)


def _all_polled(report: PassReport, members: Iterable[Member]) -> bool:
    """Whether each account has repositories, and all of them were polled with success."""
    polled = {poll.account for poll in report.polls}
    return (
        bool(polled)
        and all(member.account.name in polled for member in members)
        and not report.account_errors
        and all(poll.error is None for poll in report.polls)
    )


def _side_by_side(account: Account, repositories: int) -> int:
    """How many polls at once; each has a connection, and a few polls are not worth one more."""
    return min(account.limits.concurrency, math.ceil(repositories / _POLLS_PER_CONNECTION))


async def _poll_all(
    member: Member,
    names: Iterator[str],
    purpose: Purpose,
    note: Callable[[PollOutcome], None],
) -> None:
    for name in names:
        note(await member.poller.poll(name, purpose))


async def _read_catalog(app: App, member: Member, report: PassReport) -> None:
    """A catalog that can't be read is the account's failure; what was watched is polled all the
    same (SPEC 1, promise 2)."""
    if not member.repositories.needs_catalog:
        return
    name, before = member.account.name, member.repositories.names
    try:
        doubt = member.repositories.take_catalog(await member.client.catalog())
    except WatcherError as error:
        from watcher.registry.refusals import catalog_hint

        report.account_errors[name] = error
        hint = catalog_hint(member.account, error)
        app.log.warning(Event.CATALOG_FAILED, account=name, error=str(error), hint=hint)
    else:
        app.board.note_catalog(name, before, member.repositories.names)
        if doubt is not None:
            report.account_errors[name] = WatcherError(doubt)
            app.log.warning(Event.CATALOG_FAILED, account=name, error=doubt)
