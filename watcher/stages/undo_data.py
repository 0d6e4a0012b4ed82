"""What a run of `apply` keeps in order to be taken back, step by step. For that stage only.

In the state file: which objects it changes, and what they were. In the cluster: the values of the
Secrets among them, and only where a rollback may come.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from watcher.core.pipeline import OnFailure
from watcher.errors import ClusterError
from watcher.stages.base import StageContext
from watcher.stages.cluster_options import event_time

if TYPE_CHECKING:
    from watcher.kube.applying.plan import Plan, PlannedObject, Result
    from watcher.kube.client import ClusterClient
    from watcher.kube.objects import Object, ObjectKey
    from watcher.kube.rollback.secret_copies import SecretCopies
    from watcher.kube.rollback.undo_plan import Change, UndoPlan

_LONGEST_RUN = timedelta(days=7)
"""A run of another watcher that waits for people may take that long."""


@dataclass(slots=True, kw_only=True)
class UndoData:
    """`plan` is what is kept now; `earlier` what the attempts before this one left."""

    context: StageContext
    copies: SecretCopies
    plan: UndoPlan
    earlier: UndoPlan

    @staticmethod
    def of(client: ClusterClient, digest: str | None, context: StageContext) -> UndoData:
        from watcher.kube.rollback.secret_copies import SecretCopies
        from watcher.kube.rollback.undo_plan import UndoPlan

        run = context.execution
        kept = context.memory.undo
        earlier = (
            UndoPlan.from_json(kept)
            if kept is not None
            else UndoPlan(changes=(), digest=digest, event_time=event_time(run))
        )
        copies = SecretCopies.of(
            client, execution=run.id, pipeline=run.pipeline.name, stage=context.spec.name
        )
        return UndoData(context=context, copies=copies, plan=earlier, earlier=earlier)

    @property
    def changed(self) -> frozenset[ObjectKey]:
        """What this run has changed so far."""
        return frozenset(change.key for change in self.plan.changes)

    @property
    def _may_come(self) -> bool:
        """Whether this stage or a later one may roll back."""
        stages = self.context.execution.pipeline.stages[self.context.index :]
        return any(stage.on_failure is OnFailure.ROLLBACK for stage in stages)

    async def keep(self, plan: Plan) -> None:
        """Before the first write. What an earlier attempt came to says nothing about this one."""
        self.earlier = self.plan = replace(self.earlier, unknown=False, blames_image=False)
        if self._may_come:
            await self._drop_leftovers(plan)
        await self._keep([change async for change in self._changes_of(plan.items)])

    async def keep_deferred(self, items: Sequence[PlannedObject]) -> None:
        """Before the first write of what the plan could not look at, as it was found."""
        await self._keep([change async for change in self._changes_of(items)])

    async def keep_pruned(self, plan: Plan) -> None:
        """Before the first deletion."""
        from watcher.kube.applying.plan import Action
        from watcher.kube.rollback.undo_plan import How, change_of

        changes = []
        for result in plan.obsolete:
            if result.action is Action.PRUNED and result.object is not None:
                live = result.object
                change = change_of(How.PRUNED, live, live=live, result=None)
                changes.append(await self._with_copy(change, live, None, frozenset()))
        await self._keep(changes)

    async def answered(self, plan: Plan, results: Sequence[Result]) -> None:
        """After the writes, also when they stopped in the middle: only what was sent, or may have
        been, is taken back."""
        from watcher.kube.applying.plan import Action

        half_way = {item.key for item in plan.items if item.action is Action.REPLACED}
        sent = {
            each.key
            for each in results
            if each.action.writes
            or (each.action is Action.FAILED and (each.is_doubtful or each.key in half_way))
        }
        later = [change for change in self.plan.changes if change.key in sent]
        made = [
            (each.object, each.is_new)
            for each in results
            if each.key in sent and each.object is not None
        ]
        self.plan = self.earlier.joined(later).with_made(made)
        await self._save()

    async def followed(self, *, unknown: bool = False, blames_image: bool = False) -> None:
        """Whether it can't be seen what became of the rollout, and whether it failed."""
        self.plan = replace(self.plan, unknown=unknown, blames_image=blames_image)
        await self._save()

    async def settle(self) -> None:
        """The stage went well: from now on the image is to blame for a failure of a later stage.
        Without one that rolls back, no copy is needed."""
        later = self.context.execution.pipeline.stages[self.context.index + 1 :]
        copies = [(each.key.namespace, each.copy) for each in self.plan.changes if each.copy]
        if copies and not any(stage.on_failure is OnFailure.ROLLBACK for stage in later):
            await self.context.memory.keep_undo(None)
            await self.copies.drop(copies)
        else:
            await self.followed(blames_image=True)

    async def _changes_of(self, items: Iterable[PlannedObject]) -> AsyncIterator[Change]:
        from watcher.kube.applying.migration import MIGRATED
        from watcher.kube.applying.plan import Action
        from watcher.kube.rollback.undo_plan import How, change_of

        for item in items:
            if not item.action.writes or item.deferred:
                continue
            how = How.REPLACED if item.action is Action.REPLACED else How.CHANGED
            taken = MIGRATED if item.migrate else frozenset[str]()
            change = change_of(
                how if item.live is not None else How.CREATED,
                item.desired,
                live=item.live,
                result=item.result,
                taken_over=taken,
            )
            yield await self._with_copy(change, item.live, item.result, taken)

    async def _with_copy(
        self, change: Change, live: Object | None, result: Object | None, taken: frozenset[str]
    ) -> Change:
        """A Secret's values go where only those see them who may see Secrets; where no rollback
        may come, nothing of what was is needed."""
        from watcher.kube.rollback.undo_plan import values_of

        if not self._may_come:
            return replace(change, before=None)
        is_known = any(change.key == each.key for each in self.earlier.changes)
        if not change.is_secret or live is None or is_known:
            return change
        values = values_of(change.how, live, result, taken)
        return replace(change, copy=await self.copies.keep(live, values))

    async def _drop_leftovers(self, plan: Plan) -> None:
        """What ended runs of this stage left behind. It only tidies up: a refusal is told."""
        places = {item.key.namespace for item in plan.items if item.key.kind == "Secret"}
        for namespace in sorted(places):
            try:
                await self.copies.drop_leftovers(namespace, self._has_ended)
            except ClusterError as error:
                self.context.log.line(f"copies of Secrets from earlier runs stay: {error}")

    async def _has_ended(self, identifier: str, copied: datetime) -> bool:
        """A run that this state file does not know may be another watcher's, under way there."""
        if identifier == self.context.execution.id:
            return self.context.memory.undo is None  # of an attempt that ended in `settle`
        run = await self.context.children.execution(identifier)
        if run is None:
            return self.context.now() - copied >= _LONGEST_RUN
        return run.status.is_final

    async def _keep(self, changes: Iterable[Change]) -> None:
        self.plan = self.plan.joined(changes)
        await self._save()

    async def _save(self) -> None:
        kept = self.plan.to_json() if self.plan.changes else None
        if kept != self.context.memory.undo:
            await self.context.memory.keep_undo(kept)
