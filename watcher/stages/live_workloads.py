"""Patching a live workload so that nothing which somebody changed meanwhile is undone. For the
stages `set_image`, `restart` and `rollback`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from watcher.core.pipeline import Json
from watcher.errors import ClusterError, ClusterFault
from watcher.stages.base import StageContext
from watcher.stages.cluster_options import Place, event_time

if TYPE_CHECKING:
    from watcher.kube.objects import Object, Resource
    from watcher.kube.workloads import Workload

_TRIES = 10
_PAUSE = 0.2


async def patched(
    place: Place,
    workload: Workload,
    patch: Callable[[Object], Awaitable[Json]],
    context: StageContext,
    *,
    dry_run: bool = False,
) -> tuple[Resource, Object]:
    """The workload after `patch` of what is live; where that gives None, as it is.

    The patch names the version it was made from. Where the workload changed in between, if only
    its status, it is made anew. Raises ClusterError, StageError.
    """
    from watcher.kube.client import PatchType
    from watcher.kube.workloads import find

    for number in range(1, _TRIES + 1):
        resource, live = await find(place.client, workload, place.namespace)
        body = await patch(live)
        if body is None:
            return resource, live
        try:
            return resource, await place.client.patch(
                resource,
                place.namespace,
                workload.name,
                body,
                content_type=PatchType.STRATEGIC,
                dry_run=dry_run,
            )
        except ClusterError as error:
            if number == _TRIES or error.fault is not ClusterFault.VERSION_CONFLICT:
                raise
        await context.sleep(_PAUSE)
    raise AssertionError("the last try returns or raises")


def check_event(live: Object, context: StageContext) -> None:
    """Raises Newer where a newer event than this run's changed the workload."""
    from watcher.kube.applying.notes import event_of, event_text
    from watcher.kube.applying.plan import Newer
    from watcher.kube.objects import ObjectKey

    there = event_of(live)
    if there is not None and there > event_time(context.execution):
        words = f"has been changed by a newer event, of {event_text(there)}"
        raise Newer(f"{ObjectKey.of(live)} {words}")


def notes_of(context: StageContext, cause: str, *, digest: str | None = None) -> dict[str, str]:
    """The annotations that tell of this run; those with no value are left out."""
    from watcher.kube.applying.notes import event_text
    from watcher.kube.applying.plan import EVENT_NOTE

    run = context.execution
    notes = {
        EVENT_NOTE: event_text(event_time(run)),
        "registry-watcher/execution": run.id,
        "registry-watcher/tag": run.tag,
        "registry-watcher/digest": digest or run.digest,
        "kubernetes.io/change-cause": cause,
    }
    return {name: value for name, value in notes.items() if value}
