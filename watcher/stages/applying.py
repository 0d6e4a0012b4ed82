"""One run of `apply`, from the plan to the proposal of what went well. For that stage only.

What taking it back needs is kept before the first write, so that a crash at any point leaves a run
that can go on, or go back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from watcher.core.change import ChangeKind
from watcher.core.deployment import Bundle
from watcher.core.pipeline import Done, Failed, Json, Retry, StageOutcome, Superseded
from watcher.errors import StageError
from watcher.stages.base import StageContext
from watcher.stages.cluster_options import Place, event_time, is_dry_run, wait_of
from watcher.stages.image_binding import BoundDocuments, bind_image
from watcher.stages.live_workloads import notes_of
from watcher.stages.rollouts import outcome_of, rollout_of
from watcher.stages.undo_data import UndoData

if TYPE_CHECKING:
    from datetime import timedelta

    from watcher.kube.applying.plan import ApplyOptions, Conflicts, Plan, Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Applying:
    """Everything that one run of the stage works with."""

    place: Place
    bound: BoundDocuments
    options: ApplyOptions
    wait: timedelta | None
    pins_digest: bool
    undo: UndoData
    context: StageContext
    sent_before: int

    @staticmethod
    def of(place: Place, bound: BoundDocuments, options: Json, context: StageContext) -> Applying:
        return Applying(
            place=place,
            bound=bound,
            options=_apply_options(place, bound, options, context),
            wait=wait_of(options),
            pins_digest=options["pin"] == "digest",
            undo=UndoData.of(place.client, bound.digest, context),
            context=context,
            sent_before=place.client.sent,
        )

    async def run(self) -> StageOutcome:
        """Raises StageError (ApplyFailed names what was applied) and ClusterError."""
        from watcher.kube.applying.plan import Newer

        try:
            return await self._run()
        except Newer as newer:
            return Superseded(newer.message)

    async def plan(self) -> Plan:
        """What a run would do now; nothing is changed. Raises StageError, ClusterError."""
        from watcher.kube.applying.preflight import make_plan

        return await make_plan(self.place.client, self.bound.documents, self.options)

    async def _run(self) -> StageOutcome:
        plan = await self.plan()
        for warning in plan.warnings:
            self.context.log.line(f"warning: {warning}")
        self._check_moved(plan)
        if self.options.dry_run:
            return await self._shown(plan)
        await self.undo.keep(plan)
        results = await self._executed(plan)
        outcome = await self._followed(plan, results)
        if outcome is not None:
            return outcome
        results = (*results, *await self._pruned(plan, results))
        await self.context.deployments.propose(self._bundle(plan))
        await self.undo.settle()
        return Done(self._outputs(results))

    def _check_moved(self, plan: Plan) -> None:
        """A tag that moved leaves a manifest that names it as it is, and pods with their old image.
        Raises StageError, unless a later stage restarts them."""
        from watcher.kube.applying.plan import Action
        from watcher.kube.reading import text
        from watcher.kube.rollouts.rollout import is_followed

        run, digest = self.context.execution, self.bound.digest
        later = run.pipeline.stages[self.context.index + 1 :]
        restarts = any(stage.type == "restart" for stage in later)
        if run.change != ChangeKind.MOVED or digest is None or self.pins_digest or restarts:
            return
        stale = [
            str(item.key)
            for item in plan.items
            if item.notes and item.action is Action.UNCHANGED and is_followed(item.desired)
            if text(item.live, "metadata", "annotations", "registry-watcher/digest") != digest
        ]
        if stale:
            raise StageError(
                f"the tag {run.tag} has moved, but its manifest stays as it is, and so would the "
                f"pods of {', '.join(stale)}",
                hint="write `pin: digest`, or let a stage `restart` follow",
            )

    async def _shown(self, plan: Plan) -> StageOutcome:
        for result in plan.results:
            self.context.log.line(f"{result.key} {result.action} (dry run)")
        return Done(self._outputs(plan.results))

    async def _executed(self, plan: Plan) -> tuple[Result, ...]:
        from watcher.kube.applying.apply import execute
        from watcher.kube.applying.plan import ApplyFailed, Newer

        try:
            results = await execute(
                self.place.client,
                plan,
                self.options,
                tell=self.context.log.line,
                seen=self.undo.keep_deferred,
                sleep=self.context.sleep,
                clock=self.context.monotonic,
            )
        except (ApplyFailed, Newer) as error:
            await self.undo.answered(plan, error.results)
            raise
        await self.undo.answered(plan, results)
        return results

    async def _followed(self, plan: Plan, results: Sequence[Result]) -> StageOutcome | None:
        """The outcome of a rollout that is not ready; also of one that an earlier attempt of this
        run began, or an earlier run: with the run's image in it, unchanged is not yet running."""
        from watcher.kube.rollouts.follow import Followed

        followed = self.undo.changed | {item.key for item in plan.items if item.notes}
        targets = [
            Followed(resource=result.resource, applied=result.object)
            for result in results
            if result.key in followed and result.object is not None
        ]
        await self.undo.followed(unknown=True)
        outcome = outcome_of(await rollout_of(self.place, targets, self.wait, self.context))
        await self.undo.followed(
            unknown=isinstance(outcome, Retry), blames_image=isinstance(outcome, Failed)
        )
        return outcome

    async def _pruned(self, plan: Plan, results: Sequence[Result]) -> tuple[Result, ...]:
        from watcher.kube.applying.inventory import prune

        if plan.inventory is None:
            return ()
        await self.undo.keep_pruned(plan)
        return await prune(
            self.place.client, plan, results, self.options, tell=self.context.log.line
        )

    def _bundle(self, plan: Plan) -> Bundle:
        """What was applied, as it may be applied again; Secrets without their values."""
        from watcher.kube.applying.notes import with_notes
        from watcher.kube.rollback.undo_plan import without_values

        run = self.context.execution
        objects = (with_notes(item.desired, item.notes) for item in plan.items)
        return Bundle(
            objects=tuple(map(without_values, objects)),
            cluster=self.place.cluster.name,
            namespace=self.place.namespace,
            execution=run.id,
            event_time=event_time(run),
            tag=run.tag,
            digest=self.bound.digest,
        )

    def _outputs(self, results: Sequence[Result]) -> Mapping[str, Json]:
        return {
            "objects": [
                {
                    "kind": result.key.kind,
                    "namespace": result.key.namespace,
                    "name": result.key.name,
                    "result": result.action.value,
                }
                for result in results
            ],
            "images": list(self.bound.images),
            "digest": self.bound.digest,
            "requests": self.place.client.sent - self.sent_before,
        }


async def bound_documents(options: Json, context: StageContext) -> BoundDocuments:
    """The objects to apply: of the rendered manifests, with the run's image in them.

    Raises StageError, RenderError, RegistryError.
    """
    from watcher.stages.manifest_files import documents_of

    documents = await documents_of(options["manifests"], context)
    for warning in documents.warnings:
        context.log.line(f"warning: {warning}")
    return await bind_image(documents.documents, options, context)


def _apply_options(
    place: Place, bound: BoundDocuments, options: Json, context: StageContext
) -> ApplyOptions:
    from watcher.kube.applying.plan import ApplyOptions

    run = context.execution
    cause = f"{', '.join(bound.images)} by registry-watcher"
    return ApplyOptions(
        pipeline=run.pipeline.name,
        stage=context.spec.name,
        cluster=place.cluster,
        namespace=place.namespace,
        conflicts=_conflicts(options["conflicts"]),
        replace=frozenset(options["replace"]),
        prune=options["prune"],
        dry_run=is_dry_run(options, context),
        event_time=event_time(run),
        notes=notes_of(context, cause, digest=bound.digest),
        noted=bound.noted,
    )


def _conflicts(written: str | list[str]) -> Conflicts:
    from watcher.kube.applying.plan import Conflicts

    named = written if isinstance(written, list) else []
    return Conflicts(force=written == "force", managers=frozenset(named))
