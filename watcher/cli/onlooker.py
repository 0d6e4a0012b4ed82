"""What stages are given where a command only looks: a run that is stored nowhere, and a world in
which nothing can be started, remembered or rejected.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from watcher.errors import UsageError

if TYPE_CHECKING:
    from watcher.core.account import Account, Credential
    from watcher.core.cluster import Cluster
    from watcher.core.deployment import Bundle
    from watcher.core.pipeline import Execution, NewExecution, StageSpec
    from watcher.kube.client import ClusterClient
    from watcher.registry.client import RegistryClient
    from watcher.stages.base import Clusters, ImageFacts, StageContext


def execution_of(planned: NewExecution) -> Execution:
    """The run as if it had just started."""
    from watcher.core.pipeline import Execution, ExecutionStatus

    return Execution(
        id=planned.id,
        key=planned.key,
        trigger=planned.trigger,
        pipeline=planned.pipeline,
        status=ExecutionStatus.RUNNING,
        account=planned.account,
        repository=planned.repository,
        tag=planned.tag,
        digest=planned.digest,
        change=planned.change,
        created=planned.created,
        started=planned.created,
        finished=None,
        parameters=planned.parameters,
        source=planned.source,
        stages=(),
    )


def context_for(
    stage: StageSpec,
    execution: Execution,
    *,
    image: ImageFacts,
    now: Callable[[], datetime],
    clusters: Clusters | None = None,
) -> StageContext:
    """What a stage of the run is given. Without `clusters` it can ask none."""
    from watcher.stages.base import StageContext, StageLog

    return StageContext(
        execution=execution,
        spec=stage,
        index=execution.pipeline.stages.index(stage),
        attempt=1,
        outputs={},
        log=StageLog(),
        image=image,
        children=_Nothing(),
        http=_no_http,
        now=now,
        monotonic=time.monotonic,
        sleep=asyncio.sleep,
        clusters=clusters or _Nothing(),
        deployments=_Nothing(),
        accounts=_Nothing(),
    )


class OneClient:
    """The client of the image's registry, whatever the account is called."""

    def __init__(self, client: RegistryClient) -> None:
        self._client = client

    def client_named(self, account: str) -> RegistryClient:
        return self._client


class _Nothing:
    """Who looks starts no other pipelines, asks no cluster and knows no earlier run."""

    async def submit(self, pipeline: str, parameters: Mapping[str, Any], key: str) -> str:
        raise UsageError(f"looking does not run the pipeline {pipeline!r}")

    async def execution(self, identifier: str) -> None:
        return None

    def settings(self, name: str | None) -> Cluster:
        raise UsageError("looking at manifests asks no cluster")

    async def client(self, name: str | None) -> ClusterClient:
        raise UsageError("looking at manifests asks no cluster")

    async def credential(self, name: str) -> tuple[Account, Credential]:
        raise UsageError("looking asks for no credential")

    async def last_good(self) -> None:
        return None

    async def propose(self, bundle: Bundle) -> None:
        raise UsageError("looking deploys nothing")

    async def reject(self, digest: str | None, reason: str) -> None:
        raise UsageError("looking rejects nothing")

    async def rejected(self, digest: str | None) -> None:
        return None


def _no_http() -> Any:
    raise UsageError("looking asks no web server")
