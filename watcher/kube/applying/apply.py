"""Applying a plan, wave by wave.

What can't be asked about before its namespace or kind is there is dry run as soon as it is. Where
applying fails in the middle, the error names what was applied and what was not. Used by the stages
that apply manifests; `inventory.prune` comes after it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from watcher.errors import WatcherError
from watcher.kube.applying import inventory
from watcher.kube.applying.dry_run import look
from watcher.kube.applying.plan import (
    Action,
    ApplyFailed,
    ApplyOptions,
    Newer,
    Plan,
    PlannedObject,
    Result,
)
from watcher.kube.applying.preflight import is_base, looked_at
from watcher.kube.applying.refused import NOTHING_APPLIED, Problem, longest_wait
from watcher.kube.applying.settling import Pace, once_settled, until_ready
from watcher.kube.applying.writing import Writer
from watcher.kube.client import ClusterClient
from watcher.kube.objects import ObjectKey
from watcher.kube.together import each

_MOST_NAMED = 20
_APPLIED = frozenset({Action.CREATED, Action.CONFIGURED, Action.REPLACED})


async def execute(
    client: ClusterClient,
    plan: Plan,
    options: ApplyOptions,
    *,
    tell: Callable[[str], None],
    seen: Callable[[Sequence[PlannedObject]], Awaitable[None]] | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Result, ...]:
    """Carry out the plan; what became of each object, in the order of the plan.

    `tell` is given a line for each object, `seen` the deferred objects as they were found, before
    the first of them is written. With `options.dry_run` nothing is sent. Raises
    ApplyFailed, or Newer when a newer event changed an object since the plan was made; both say in
    `results` what was applied.
    """
    if options.dry_run:
        foreseen = plan.results[: len(plan.items)]
        for result in foreseen:
            tell(f"{result.key} {result.action} (dry run)")
        return foreseen
    pace = Pace(sleep=sleep, clock=clock)
    writer = Writer(client=client, options=options, pace=pace)
    run = _Run(client=client, writer=writer, pace=pace, tell=tell, items=list(plan.items))
    await run.apply_waves(base=True)
    looked = await run.look_at_deferred(options)
    if looked and seen is not None:
        await seen(looked)
    await run.register(plan)
    await run.apply_waves(base=False)
    return run.results()


@dataclass(slots=True, kw_only=True)
class _Run:
    """How far the applying of one plan has come."""

    client: ClusterClient
    writer: Writer
    pace: Pace
    tell: Callable[[str], None]
    items: list[PlannedObject]
    done: dict[ObjectKey, Result] = field(default_factory=dict)

    async def apply_waves(self, *, base: bool) -> None:
        """Apply the waves of Namespaces and CRDs, or the others."""
        chosen = [item for item in self.items if is_base(item) is base]
        for _, wave in groupby(chosen, key=lambda item: item.wave):
            await self._apply(list(wave))

    async def look_at_deferred(self, options: ApplyOptions) -> Sequence[PlannedObject]:
        """Dry runs of all that had to wait for the first waves, before anything else is applied."""
        deferred = [item for item in self.items if item.deferred]
        if not deferred:
            return ()
        await self.client.forget_discovery()

        def look_at(item: PlannedObject) -> Awaitable[PlannedObject]:
            return once_settled(lambda: look(self.client, item, options), self.pace)

        looked, problems = await looked_at(deferred, look_at)
        if problems:
            self._fail(problems)
        known = {item.key: replace(item, deferred=True) for item in looked}
        self.items = [known.get(item.key, item) for item in self.items]
        return looked

    async def register(self, plan: Plan) -> None:
        if plan.inventory is None:
            return
        try:
            await inventory.register(self.client, plan.inventory)
        except WatcherError as error:
            about = str(ObjectKey.of(plan.inventory.desired))
            self._fail([Problem(about, error)])

    def results(self) -> tuple[Result, ...]:
        return tuple(self.done.get(item.key) or _not_applied(item) for item in self.items)

    async def _apply(self, wave: Sequence[PlannedObject]) -> None:
        """Apply one wave. After a failure those under way are finished, and no other is begun."""
        problems: list[Problem] = []

        async def work(item: PlannedObject) -> Result:
            try:
                return await self._written(item)
            except WatcherError as error:
                problems.append(Problem(str(item.key), error))
                return replace(
                    _not_applied(item),
                    action=Action.FAILED,
                    reason=error.message,
                    is_doubtful=error.temporary,
                )

        await each(wave, work, stop=lambda result: result.action is Action.FAILED, done=self._note)
        if problems:
            self._fail(problems)

    async def _written(self, item: PlannedObject) -> Result:
        if not item.deferred:
            result = await self.writer.write(item)
        else:
            result = await once_settled(lambda: self.writer.write(item), self.pace)
        if is_base(item) and result.action in _APPLIED and result.object is not None:
            await until_ready(self.client, item.resource, result.object, self.pace)
        return result

    def _note(self, result: Result) -> None:
        self.done[result.key] = result
        reason = f": {result.reason}" if result.reason else ""
        self.tell(f"{result.key} {result.action}{reason}")
        for warning in result.warnings:
            self.tell(f"{result.key}: warning: {warning}")

    def _fail(self, problems: Sequence[Problem]) -> None:
        """Raises what went wrong, with what was applied and what not."""
        results = self.results()
        for result in results:
            if result.action is Action.NOT_APPLIED:
                self.tell(f"{result.key} {result.action}")
        newer = next((one for one in problems if isinstance(one.error, Newer)), None)
        first = newer or problems[0]
        lines = [str(problem) for problem in problems]
        message = "\n".join([*lines, _summary(results)])
        failure: Newer | ApplyFailed
        if newer is not None:
            failure = Newer(f"{newer.error.message}\n{_summary(results)}")
        else:
            failure = ApplyFailed(
                message,
                temporary=all(problem.error.temporary for problem in problems),
                retry_after=longest_wait(problems),
            )
        failure.results = results
        raise failure from first.error


def _not_applied(item: PlannedObject) -> Result:
    return Result(key=item.key, action=Action.NOT_APPLIED, resource=item.resource)


def _summary(results: Sequence[Result]) -> str:
    """What was applied and what not, by name."""
    applied = [result for result in results if result.action in _APPLIED]
    missing = [result for result in results if result.action is Action.NOT_APPLIED]
    there = f"applied before: {_named(applied)}" if applied else NOTHING_APPLIED
    return f"{there}; not applied: {_named(missing)}" if missing else there


def _named(results: Sequence[Result]) -> str:
    names = ", ".join(str(result.key) for result in results[:_MOST_NAMED])
    more = len(results) - _MOST_NAMED
    return f"{names} and {more} more (the log names them)" if more > 0 else names
