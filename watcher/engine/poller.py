"""One look at one repository: listing, changes, decisions, and one transaction with all of them.

The way of ARCHITECTURE section 3, steps 2 to 5. Any doubt ends in an error, never in a change:
nothing is recorded unless the listing is complete. The poller has never seen a pipeline run; it
writes the execution rows and the dispatcher takes it from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from watcher.core import diff
from watcher.core.account import Account
from watcher.core.change import KnownRepository
from watcher.core.deployment import Rejection
from watcher.core.poll import PollRecord, RepositoryStatus
from watcher.core.trigger import Trigger
from watcher.engine.board import StatusBoard
from watcher.engine.detection import Detector, Moment
from watcher.engine.poll_outcome import PollOutcome, PollResult, Purpose
from watcher.engine.poll_report import PollReport
from watcher.engine.recording import Look, record_of, record_of_doubt, says_something
from watcher.engine.remembering import salt_of, seen_of, traces_of
from watcher.engine.rules import Rules
from watcher.engine.sighting import sighting_of
from watcher.errors import RateLimited, StateChanged, StateError, TransportError, WatcherError
from watcher.registry.budgets.limits import Priority
from watcher.registry.client import RegistryClient
from watcher.registry.listing.tags import Listing, Seen, Unchanged
from watcher.store.threaded import ThreadedStore
from watcher.telemetry.events import Event
from watcher.telemetry.log import Log
from watcher.telemetry.meter import UNMEASURED, Meter

MANY_TAGS = 5000
"""From here on the event loop is let go in between: a pass over them takes about a millisecond."""


class _Applying(NamedTuple):
    """The triggers of a repository, their part of its fingerprint, and whether tags are followed
    for moves."""

    triggers: tuple[Trigger, ...]
    salt: bytes
    tracks: bool


class _Asked(NamedTuple):
    """Why a look is made, how urgently, and for which tags a webhook asks; None: not for one."""

    purpose: Purpose
    priority: Priority
    named: frozenset[str] | None

    @property
    def is_thorough(self) -> bool:
        is_urgent = self.priority is Priority.URGENT and self.named is None
        return is_urgent or self.purpose is Purpose.FAST_FORWARD


class Poller:
    """Polls the repositories of one account."""

    def __init__(
        self,
        account: Account,
        client: RegistryClient,
        store: ThreadedStore,
        board: StatusBoard,
        rules: Rules,
        *,
        log: Log,
        clock: Callable[[], float],
        interval: timedelta,
        meter: Meter = UNMEASURED,
    ) -> None:
        self.account = account
        self._client = client
        self._detector = Detector(account, client)
        self._store = store
        self._board = board
        self._log = log
        self._report = PollReport(board, log, clock, meter)
        self._clock = clock
        self._interval = interval
        self.use(rules)

    def use(self, rules: Rules) -> None:
        """From the next poll on, other triggers and pipelines hold."""
        self._rules = rules
        self._by_repository: dict[str, _Applying] = {}
        self._by_triggers: dict[tuple[str, ...], _Applying] = {}

    async def poll(
        self,
        repository: str,
        purpose: Purpose = Purpose.DETECT,
        priority: Priority = Priority.SCHEDULED,
        *,
        named: frozenset[str] | None = None,
    ) -> PollOutcome:
        """Look once, within the account's total time. Never raises a WatcherError: it is part of
        the outcome, of the status, and of the log. An urgent look asks of all followed tags whether
        they moved; where webhooks ask for it, only of those that they `named`."""
        status = self._board.get(self.account.name, repository)
        total = self.account.timeouts.total
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(total.total_seconds()):
                outcome = await self._look_well(status, _Asked(purpose, priority, named))
        except TimeoutError:
            slow = TransportError(
                f"{self.account.registry.name}/{repository}: no complete answer "
                f"within {total.total_seconds():g} s",
                hint="raise `timeouts.total` of the account, or look at the registry's load",
            )
            outcome = self._failure(status, slow)
        except WatcherError as error:
            outcome = self._failure(status, error)
        except Exception as error:
            fault = WatcherError(f"fault in watcher: {error!r}", hint="please report it")
            self._log.error(Event.INTERNAL_ERROR, error=repr(error), repository=repository)
            outcome = self._failure(status, fault)
        for note in self._client.take_notes():
            self._log.warning(Event.STRATEGY_CHANGED, account=self.account.name, reason=note)
        if purpose is not Purpose.DRY_RUN:
            self._report.note(status, outcome, asyncio.get_running_loop().time() - began)
        return outcome

    async def _look_well(self, status: RepositoryStatus, asked: _Asked) -> PollOutcome:
        """Look once more, from a complete listing on, when another writer came between."""
        applying = self._applying(status.repository)
        seen = seen_of(
            status,
            applying.salt,
            applying.triggers,
            interval=self._interval,
            wants_digests=applying.tracks,
        )
        try:
            return await self._look(status, seen, asked)
        except StateChanged:
            anew = replace(seen, fingerprint=None, mark=None)
            return await self._look(status, anew, asked)

    async def _look(self, status: RepositoryStatus, seen: Seen, asked: _Asked) -> PollOutcome:
        salt, last_success = self._applying(status.repository).salt, status.last_success
        generation = status.generation
        answer = await self._client.look(status.repository, seen, asked.priority)
        rules, applying = self._rules, self._applying(status.repository)  # a reload may have come
        traces = traces_of(answer, status, salt, self._clock())
        _check_generation(status, generation)
        if isinstance(answer, Unchanged) and (answer.tells_digests or not applying.tracks):
            status.fingerprint, status.mark, status.walked = traces
            return self._outcome(status, PollResult.UNCHANGED, tags=status.tags)
        known, rules = await self._known(status.repository, rules)
        _check_generation(status, generation)
        if not isinstance(answer, Listing):  # it says something beside the state of then alone
            _check_generation(status, known.generation)
        look = Look(
            known=known,
            sighting=sighting_of(answer, known, self._countable),
            rules=rules,
            triggers=applying.triggers,
            traces=traces,
            moment=Moment(
                time=datetime.fromtimestamp(self._clock(), UTC),
                last_success=last_success,
                interval=self._interval,
                priority=asked.priority,
                is_thorough=asked.is_thorough,
                named=asked.named or frozenset(),
            ),
        )
        return await self._compare(status, look, asked.purpose)

    async def _compare(self, status: RepositoryStatus, look: Look, purpose: Purpose) -> PollOutcome:
        known, now = look.known, look.moment.time
        await _let_others(known)
        belief = diff.assess(known, look.sighting.tags, now=now, interval=self._interval)
        if belief is not None:
            if belief != known.quarantine and purpose is not Purpose.DRY_RUN:
                await self._record(record_of_doubt(status, now, belief), status)
            return self._outcome(status, PollResult.QUARANTINED, tags=status.tags)
        await _let_others(known)
        found = await self._detector.find(
            known,
            look.sighting,
            look.triggers,
            look.rules.enabled,
            look.moment,
            self._rejections,
            decides=purpose is not Purpose.FAST_FORWARD,
        )
        await _let_others(known)
        salt = self._applying(status.repository).salt
        record = record_of(self.account, status, look, found, salt)
        executions: tuple[str, ...] = ()
        if purpose is not Purpose.DRY_RUN:
            executions = await self._write(record, known, status)
        if record.baseline is not None:
            result = PollResult.BASELINE
        else:
            result = PollResult.CHANGED if record.changes else PollResult.UNCHANGED
        return self._outcome(
            status,
            PollResult.FAILED if found.error is not None else result,
            tags=len(look.sighting.tags),
            changes=found.changes,
            decisions=found.decided.decisions,
            executions=executions,
            unreadable=found.unreadable,
            error=found.error,
        )

    async def _write(
        self, record: PollRecord, known: KnownRepository, status: RepositoryStatus
    ) -> tuple[str, ...]:
        """Record what there is to record, and remember which listing is now the stored one. A
        poll that was overtaken by another writer's knows nothing of that."""
        executions: tuple[str, ...] = ()
        generation = known.generation
        if says_something(record, known):
            executions = await self._record(record, status)
            self._report.tell(record)
            generation += 1
        if generation >= status.generation:
            status.generation, status.fingerprint = generation, record.fingerprint
            status.mark, status.walked = record.mark, record.walked
            status.known, status.quarantined = True, False
        return executions

    async def _known(self, repository: str, rules: Rules) -> tuple[KnownRepository, Rules]:
        """What is stored of the repository, and the rules with the switches as they are now: who
        has switched a trigger off must not see it fire."""
        known, switches = await self._store.run(
            lambda store: (store.known(self.account.name, repository), store.enabled_overrides())
        )
        return known, rules.switched(switches)

    async def arrived(self, repository: str, tags: Iterable[str]) -> dict[str, str | None]:
        """Those of the tags that need not be waited for, with their digests where these are known:
        tags that are there, and those that don't count as tags."""
        wanted = tuple(tags)
        countable = self._countable(wanted)
        known: dict[str, str | None] = dict.fromkeys(set(wanted).difference(countable))
        try:
            stored = await self._store.run(
                lambda store: store.present_tags(self.account.name, repository, countable)
            )
        except StateError:
            return known  # then they are looked for once more
        return known | stored

    async def _rejections(self) -> Sequence[Rejection]:
        return await self._store.run(lambda store: store.rejections())

    async def _record(self, record: PollRecord, status: RepositoryStatus) -> tuple[str, ...]:
        """Whoever gives up meanwhile does not learn what is stored then: a listing equal to the
        one before proves nothing any more."""
        status.fingerprint = status.mark = None
        return await self._store.run(lambda store: store.record_poll(record))

    def _applying(self, repository: str) -> _Applying:
        """Kept, for it is asked for twice in every poll; repositories with the same triggers
        share one."""
        applying = self._by_repository.get(repository)
        if applying is None:
            triggers = self._rules.applying_to(self.account.name, repository)
            names = tuple(trigger.name for trigger in triggers)
            applying = self._by_triggers.get(names)
            if applying is None:
                salt = salt_of(self.account, triggers)
                applying = _Applying(triggers, salt, self._detector.tracks(triggers))
                self._by_triggers[names] = applying
            self._by_repository[repository] = applying
        return applying

    def _countable(self, tags: Sequence[str]) -> Sequence[str]:
        if self.account.include_artifacts:
            return tags
        return [tag for tag in tags if not diff.is_artifact_tag(tag)]

    def _failure(self, status: RepositoryStatus, error: WatcherError) -> PollOutcome:
        if isinstance(error, RateLimited) and error.retry_after is not None:
            until = self._clock() + error.retry_after.total_seconds()
            parked = PollResult.PARKED
            return self._outcome(status, parked, error=error, hint=error.hint, until=until)
        from watcher.registry.refusals import hint_for  # an idle pass does not need it

        hint = hint_for(self.account, error, self._client.kind)
        return self._outcome(status, PollResult.FAILED, error=error, hint=hint)

    def _outcome(
        self, status: RepositoryStatus, result: PollResult, **values: object
    ) -> PollOutcome:
        outcome = PollOutcome(account=status.account, repository=status.repository, result=result)
        return replace(outcome, **values) if values else outcome  # type: ignore[arg-type]


async def _let_others(known: KnownRepository) -> None:
    """Between two passes over very many tags the others' turn comes."""
    if len(known.tags) > MANY_TAGS:
        await asyncio.sleep(0)


def _check_generation(status: RepositoryStatus, generation: int) -> None:
    """Whether a poll, of this process or another one, was recorded while this one looked."""
    if status.generation != generation:
        raise StateChanged(f"{status.repository}: another poll was recorded meanwhile")
