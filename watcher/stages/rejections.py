"""An image that a rollback rejected is not deployed again (SPEC 6.4). For stages that deploy."""

from __future__ import annotations

from watcher.errors import StageError
from watcher.stages.base import StageContext


async def check_rejected(context: StageContext, digest: str | None) -> None:
    """Raises StageError where the run's image was rejected for this pipeline."""
    rejection = await context.deployments.rejected(digest)
    if rejection is not None:
        raise StageError(f"this image is not deployed: {rejection.why}")
