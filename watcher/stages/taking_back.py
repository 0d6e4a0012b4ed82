"""Taking back what `apply` did: `on_failure: rollback` of its own or of a later stage.

`watcher.kube.rollback` puts the objects back; here is what comes before and after: the rejection
of the image, the wait for the rollout of what was put back. For the stage `apply`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from watcher.core.pipeline import (
    Done,
    ExecutionStatus,
    Failed,
    Json,
    Retry,
    Skipped,
    StageOutcome,
    Superseded,
)
from watcher.errors import ClusterError, ClusterFault, StageError, WatcherError
from watcher.stages.base import StageContext
from watcher.stages.cluster_options import Place, rollback_wait_of
from watcher.stages.rejections import reject
from watcher.stages.rollouts import outcome_of, rollout_of, settled, told

if TYPE_CHECKING:
    from watcher.core.deployment import Bundle
    from watcher.kube.objects import Object, ObjectKey
    from watcher.kube.rollback.secret_copies import SecretCopies
    from watcher.kube.rollback.undo import PutBack
    from watcher.kube.rollback.undo_plan import UndoPlan
    from watcher.kube.rollouts.follow import Followed

_LONGEST_LOOK = timedelta(minutes=1)
"""The rollback has as long as the stage has, and most of that is for putting back."""

_EXECUTION_NOTE = "registry-watcher/execution"


@dataclass(frozen=True, slots=True, kw_only=True)
class TakingBack:
    """One rollback of one stage; it may be done again after a crash at any point."""

    place: Place
    plan: UndoPlan
    wait: timedelta
    copies: SecretCopies
    context: StageContext

    @staticmethod
    def of(place: Place, options: Json, context: StageContext) -> TakingBack:
        from watcher.kube.rollback.secret_copies import SecretCopies
        from watcher.kube.rollback.undo_plan import UndoPlan

        return TakingBack(
            place=place,
            plan=UndoPlan.from_json(context.memory.undo),
            wait=rollback_wait_of(options),
            copies=SecretCopies.of(
                place.client,
                execution=context.execution.id,
                pipeline=context.execution.pipeline.name,
                stage=context.spec.name,
            ),
            context=context,
        )

    async def run(self) -> StageOutcome:
        """Skipped where nothing is put back; the image is not rejected then."""
        from watcher.kube.rollback.undo import PutBack

        if self.plan.done:
            return await self._ended(PutBack())
        if self.plan.unknown:
            return await self._verdict() or await self._with_failed_rollout()
        done = await self._put_back()
        if done.is_nothing:
            return Skipped(told(f"{key} was left alone: {why}" for key, why in done.left.items()))
        await self._reject()
        await self._register(done)
        if done.error is not None and done.error.temporary:
            done.check()
        outcome = await settled(self.place, done.targets, self.wait, self.context)
        if outcome is not None:
            return outcome if done.error is None else _both(outcome, done)
        done.check()
        return await self._ended(done)

    async def _with_failed_rollout(self) -> StageOutcome:
        """Now that it is known, it is not looked at again: it will be that of what is put back."""
        plan = replace(self.plan, unknown=False, blames_image=True)
        await self.context.memory.keep_undo(plan.to_json())
        return await replace(self, plan=plan).run()

    async def _reject(self) -> None:
        """Also before the first write, so that no crash lets the image come again."""
        if self.plan.blames_image:
            await reject(self.context, self.plan.digest)

    async def _register(self, done: PutBack) -> None:
        """What was pruned is there again, and is to be found by later runs that prune."""
        from watcher.kube.applying.inventory import extend
        from watcher.kube.applying.plan import ApplyOptions
        from watcher.kube.objects import ObjectKey
        from watcher.kube.rollback.undo_plan import How

        pruned = {each.key for each in self.plan.changes if each.how is How.PRUNED}
        items = [each.applied for each in done.targets]
        back = [item for item in items if ObjectKey.of(item) in pruned]
        options = ApplyOptions(
            pipeline=self.context.execution.pipeline.name,
            stage=self.context.spec.name,
            cluster=self.place.cluster,
            namespace=self.place.namespace,
        )
        try:
            if back:
                await extend(self.place.client, options, back)
        except WatcherError as error:
            if error.temporary:
                raise
            self.context.log.line(f"later runs may not prune what was brought back: {error}")

    async def _ended(self, done: PutBack) -> StageOutcome:
        await self._drop_copies()
        return Done(
            {
                "restored": [str(key) for key in done.restored],
                "deleted": [str(key) for key in done.deleted],
                "left": [str(key) for key in done.left],
            }
        )

    async def _put_back(self) -> PutBack:
        from watcher.kube.rollback.undo import Undoing

        undoing = Undoing(
            client=self.place.client,
            plan=self.plan,
            last_good=await self._last_good(),
            copies=self.copies,
            tell=self.context.log.line,
            prepare=self._reject,
            sleep=self.context.sleep,
        )
        return await undoing.put_back()

    async def _drop_copies(self) -> None:
        """From here on nothing else is left to do, were this rollback to start once more."""
        copies = [(each.key.namespace, each.copy) for each in self.plan.changes if each.copy]
        if copies:
            await self.context.memory.keep_undo(replace(self.plan, done=True).to_json())
            await self.copies.drop(copies)

    async def _last_good(self) -> dict[ObjectKey, Object]:
        """The objects of the last good run; none when it worked elsewhere, or when what was there
        before is good too, but of another pipeline or of another stage."""
        from watcher.kube.objects import ObjectKey

        bundle = await self.context.deployments.last_good()
        here = (self.place.cluster.name, self.place.namespace)
        if bundle is None or (bundle.cluster, bundle.namespace) != here:
            return {}
        good = {ObjectKey.of(dict(item)): dict(item) for item in bundle.objects}
        if bundle.event_time <= self.plan.event_time and await self._was_better(good, bundle):
            return {}
        return good

    async def _was_better(self, good: Mapping[ObjectKey, Object], bundle: Bundle) -> bool:
        """Whether all images from before are of runs that went well, or of this very run, and not
        just what the last good run of this stage applied."""
        from watcher.kube.reading import text
        from watcher.kube.workloads import template_mark

        before = {each.key: each.before for each in self.plan.changes if each.before is not None}
        names = [text(each, "metadata", "annotations", _EXECUTION_NOTE) for each in before.values()]
        runs = set(filter(None, names))
        as_applied = all(
            template_mark(item) == template_mark(before[key])
            for key, item in good.items()
            if key in before
        )
        if runs <= {bundle.execution} and (as_applied or not runs):
            return False
        others = sorted(runs - {self.context.execution.id})
        found = [await self.context.children.execution(each) for each in others]
        return all(run is not None and run.status is ExecutionStatus.SUCCEEDED for run in found)

    async def _verdict(self) -> StageOutcome | None:
        """What became of the rollout, now that the cluster may answer again; None when it failed
        and is to be taken back."""
        self.context.log.line("what became of the rollout was unknown: looking again")
        wait = min(self.wait, _LONGEST_LOOK)
        rollout = await rollout_of(self.place, await self._targets(), wait, self.context)
        outcome = outcome_of(rollout)
        if isinstance(outcome, Failed):
            return None
        if isinstance(outcome, Retry):
            return outcome
        how = "the rollout has become ready"
        if isinstance(outcome, Superseded):
            how = outcome.reason
        return Skipped(f"when it was looked at again, {how}")

    async def _targets(self) -> list[Followed]:
        from watcher.kube.rollouts.follow import Followed

        targets = []
        for change in self.plan.changes:
            try:
                resource = await self.place.client.resource(change.api_version, change.key.kind)
            except ClusterError as error:
                if error.fault is not ClusterFault.KIND_UNKNOWN or error.temporary:
                    raise
                continue
            live = await self.place.client.get(resource, change.key.namespace, change.key.name)
            if live is not None:
                targets.append(Followed(resource=resource, applied=live))
        return targets


def _both(outcome: StageOutcome, done: PutBack) -> StageOutcome:
    """A rollback that failed in two ways says both."""
    try:
        done.check()
    except StageError as error:
        return Failed(f"{error}; {getattr(outcome, 'reason', outcome)}")
    return outcome
