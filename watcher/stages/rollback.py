"""`rollback: {workload: deployment/web}`: the pod template of an earlier revision, as by kubectl
rollout undo.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from watcher.config.fields import Field, Integer, Kind, Section
from watcher.core.pipeline import Done, Json, StageOutcome, Superseded
from watcher.errors import StageError
from watcher.stages.base import StageContext
from watcher.stages.cluster_options import (
    PLACE_FIELDS,
    WAIT_FIELD,
    WORKLOAD_FIELD,
    Place,
    is_dry_run,
    place_of,
    wait_of,
)
from watcher.stages.live_workloads import check_event, notes_of, patched
from watcher.stages.rollouts import freed, outcome_of, rollout_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from watcher.kube.objects import Object
    from watcher.kube.rollback.revisions import Revision
    from watcher.kube.workloads import Workload

_OF_THE_IMAGE = ("registry-watcher/tag", "registry-watcher/digest")


class RollbackStage:
    """Which revision is decided once per run: a second start does not go back one further."""

    type = "rollback"
    has_dry_run = True
    options: Kind = Section(
        {
            "workload": WORKLOAD_FIELD,
            "to_revision": Field(
                Integer(minimum=1),
                doc="The revision, as `kubectl rollout history` numbers them.",
                example=3,
                default_doc="the last before the present that runs something else",
            ),
            **PLACE_FIELDS,
            "wait": WAIT_FIELD,
        },
        doc="Takes a workload back to an earlier revision.",
    )

    async def run(self, options: Json, context: StageContext) -> StageOutcome:
        from watcher.kube.applying.plan import Newer
        from watcher.kube.rollouts.follow import Followed
        from watcher.kube.workloads import Workload

        place = await place_of(options, context)
        workload = Workload.parse(str(await context.rendered(options["workload"])))
        try:
            target = await _target(place, workload, options, context)
            dry_run = is_dry_run(options, context)
            patch = _patch_to(target, context, dry_run=dry_run)
            resource, item = await patched(place, workload, patch, context, dry_run=dry_run)
        except Newer as newer:
            return Superseded(newer.message)
        outputs = {"workload": str(workload), "revision": target.number, "images": target.images}
        wait = None if dry_run else wait_of(options)
        if wait is None:
            return Done(outputs)
        followed = [Followed(resource=resource, applied=item)]
        await freed(place, followed, context)
        return outcome_of(await rollout_of(place, followed, wait, context)) or Done(outputs)


async def _target(
    place: Place, workload: Workload, options: Json, context: StageContext
) -> Revision:
    """The revision to go back to, decided at the first start."""
    from watcher.kube.objects import ObjectKey
    from watcher.kube.rollback.revisions import Revision, revisions, target
    from watcher.kube.workloads import find, observed

    if context.resumed is not None:
        return Revision(**context.resumed)
    resource, live = await find(place.client, workload, place.namespace)
    about = str(ObjectKey.of(live))
    if live["spec"].get("paused") is True:
        raise StageError(f"{about} is paused", hint=f"kubectl rollout resume {workload}")
    seen = await observed(place.client, resource, live, sleep=context.sleep)
    found = await revisions(place.client, seen or live)
    chosen = target(found, options.get("to_revision"), about)
    await context.memory.keep(resumed=asdict(chosen))
    return chosen


def _patch_to(
    target: Revision, context: StageContext, *, dry_run: bool
) -> Callable[[Object], Awaitable[Json]]:
    """Makes the patch to that revision; nothing where the workload is there already."""
    from watcher.kube.applying.plan import NOTE_KEYS
    from watcher.kube.objects import ObjectKey
    from watcher.kube.workloads import has_template, template_patch

    cause = f"rolled back to revision {target.number} by registry-watcher"
    ours = notes_of(context, cause)
    notes = {name: target.notes.get(name) for name in NOTE_KEYS} | {
        name: value for name, value in ours.items() if name not in _OF_THE_IMAGE
    }

    async def patch(live: Object) -> Json:
        check_event(live, context)
        where = f"{ObjectKey.of(live)}: revision {target.number} ({target.images})"
        if has_template(live, target.template):
            context.log.line(f"{where} already")
            return None
        context.log.line(f"{where} {'would be ' if dry_run else ''}put back")
        return template_patch(live, target.template, notes)

    return patch
