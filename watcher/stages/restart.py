"""`restart: {workload: deployment/web}`: new pods of the same template, as by kubectl rollout
restart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from watcher.config.fields import Kind, Section
from watcher.core.pipeline import Done, Json, StageOutcome
from watcher.stages.base import StageContext
from watcher.stages.cluster_options import (
    PLACE_FIELDS,
    WAIT_FIELD,
    WORKLOAD_FIELD,
    is_dry_run,
    place_of,
    wait_of,
)
from watcher.stages.live_workloads import patched
from watcher.stages.rollouts import outcome_of, rollout_of

if TYPE_CHECKING:
    from watcher.kube.objects import Object


class RestartStage:
    """The mark of the restart is chosen once per run: a second start does not restart again."""

    type = "restart"
    has_dry_run = True
    options: Kind = Section(
        {"workload": WORKLOAD_FIELD, **PLACE_FIELDS, "wait": WAIT_FIELD},
        doc="Restarts a workload.",
    )

    async def run(self, options: Json, context: StageContext) -> StageOutcome:
        from watcher.kube.objects import ObjectKey
        from watcher.kube.rollouts.follow import Followed
        from watcher.kube.workloads import Workload, restart_patch, restarted_at

        place = await place_of(options, context)
        workload = Workload.parse(str(await context.rendered(options["workload"])))
        moment = await self._moment(context)
        dry_run = is_dry_run(options, context)

        async def patch(live: Object) -> Json:
            return None if restarted_at(live) == moment else restart_patch(live, moment)

        resource, item = await patched(place, workload, patch, context, dry_run=dry_run)
        if dry_run:
            context.log.line(f"{ObjectKey.of(item)} would be restarted")
            return Done({"workload": str(workload), "restarted_at": None})
        context.log.line(f"{ObjectKey.of(item)} restarted")
        target = Followed(resource=resource, applied=item)
        rollout = await rollout_of(place, [target], wait_of(options), context)
        done = Done({"workload": str(workload), "restarted_at": moment})
        return outcome_of(rollout) or done

    @staticmethod
    async def _moment(context: StageContext) -> str:
        if context.resumed is None:
            await context.memory.keep(resumed={"restarted_at": context.now().isoformat()})
        return str(context.resumed["restarted_at"])
