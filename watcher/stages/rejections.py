"""Images that a rollback took out of a pipeline: they are not deployed again until a person clears
them (SPEC 6.4). For the stages of this package that deploy images.
"""

from __future__ import annotations

from watcher.core.pipeline import Execution, OnFailure, StageStatus
from watcher.errors import StageError
from watcher.stages.base import StageContext


async def check_rejected(context: StageContext, digest: str | None) -> None:
    """Raises StageError where the run's image was rejected for this pipeline."""
    rejection = await context.deployments.rejected(digest)
    if rejection is not None:
        raise StageError(f"this image is not deployed: {rejection.why}")


async def reject(context: StageContext, digest: str | None) -> None:
    """Take the run's image out of its pipeline, for the reason of this rollback."""
    await context.deployments.reject(digest, _failure_of(context.execution))


def _failure_of(execution: Execution) -> str:
    """Why the run is rolled back, for people."""
    for spec, stage in zip(execution.pipeline.stages, execution.stages, strict=True):
        if stage.status is StageStatus.FAILED and spec.on_failure is not OnFailure.CONTINUE:
            return f"stage {stage.name}: {stage.error}"
    return "the run failed"
