"""Following what a stage changed in a cluster, and what its outcome is then. For the stages of
this package only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from watcher.core.pipeline import Failed, Retry, StageOutcome, Superseded
from watcher.stages.base import StageContext
from watcher.stages.cluster_options import Place

if TYPE_CHECKING:
    from watcher.kube.rollouts.follow import Followed, Rollout

_MOST_REASONS = 5


async def rollout_of(
    place: Place, targets: Sequence[Followed], wait: timedelta | None, context: StageContext
) -> Rollout:
    """How the rollout of those that can be followed ended; READY without a wait. Raises
    ClusterError when the cluster refuses to show it."""
    from watcher.kube.rollouts.follow import Rollout, follow
    from watcher.kube.rollouts.rollout import RolloutState, is_followed

    followed = [target for target in targets if is_followed(target.applied)]
    if wait is None or not followed:
        return Rollout(state=RolloutState.READY)
    return await follow(
        place.client,
        followed,
        timeout=wait,
        tell=context.log.line,
        sleep=context.sleep,
        clock=context.monotonic,
    )


def outcome_of(rollout: Rollout) -> StageOutcome | None:
    """What a rollout that is not ready means for its stage; None when it is ready.

    An unknown state may be known later; nothing must be taken back on its ground.
    """
    from watcher.kube.rollouts.rollout import RolloutState

    reasons = told(rollout.reasons)
    match rollout.state:
        case RolloutState.READY:
            return None
        case RolloutState.SUPERSEDED:
            return Superseded(reasons)
        case RolloutState.UNKNOWN:
            return Retry(f"what became of the rollout is unknown: {reasons}")
        case _:
            return Failed(f"the rollout failed: {reasons}")


async def settled(
    place: Place, targets: Sequence[Followed], wait: timedelta, context: StageContext
) -> StageOutcome | None:
    """After a rollback: what is wrong with the rollout of what was put back; None when all is well,
    or when somebody has changed it again."""
    await freed(place, targets, context)
    outcome = outcome_of(await rollout_of(place, targets, wait, context))
    if isinstance(outcome, Failed):
        return Failed(f"what was there before is applied again, but {outcome.reason}")
    if isinstance(outcome, Superseded):
        context.log.line(f"changed again meanwhile: {outcome.reason}")
        return None
    return outcome


async def freed(place: Place, targets: Sequence[Followed], context: StageContext) -> None:
    """Delete the pods that would hold up the way back for ever. Raises ClusterError."""
    from watcher.kube.rollback.stuck_pods import release_stuck_pods

    for target in targets:
        await release_stuck_pods(
            place.client,
            target.resource,
            target.applied,
            tell=context.log.line,
            sleep=context.sleep,
        )


def told(reasons: Iterable[str]) -> str:
    """The first few of them, in one line."""
    reasons = list(reasons)
    left = len(reasons) - _MOST_REASONS
    more = f"; and {left} more" if left > 0 else ""
    return "; ".join(reasons[:_MOST_REASONS]) + more
