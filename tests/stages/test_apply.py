"""`apply` on the real API server: from manifests to a rollout."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.stages.deploying import (
    DIGEST,
    IMAGE,
    Deploying,
    apply,
    config_map,
    workload,
)
from watcher.core.pipeline import ExecutionStatus

SUCCEEDED, FAILED, SKIPPED = (
    ExecutionStatus.SUCCEEDED,
    ExecutionStatus.FAILED,
    ExecutionStatus.SKIPPED,
)


async def test_manifests_become_a_healthy_rollout(deploying: Deploying) -> None:
    deploying.manifest("web.yaml", config_map(a="1"), workload(replicas=2))
    deploying.configure(apply("web.yaml"))
    run = await deploying.deploy("1", digest=DIGEST)
    assert run.status is SUCCEEDED, run.reason
    live = deploying.get("Deployment", "web")
    assert live["status"]["availableReplicas"] == 2
    outputs = run.stages[0].outputs
    assert outputs["objects"] == [
        {
            "kind": "ConfigMap",
            "namespace": deploying.namespace,
            "name": "settings",
            "result": "created",
        },
        {
            "kind": "Deployment",
            "namespace": deploying.namespace,
            "name": "web",
            "result": "created",
        },
    ]
    assert outputs["images"] == [f"{IMAGE}:1"]
    assert outputs["digest"] == DIGEST
    assert outputs["requests"] > 5
    log = run.stages[0].log
    assert f"deployment.apps/web: container web: {IMAGE}:0 -> {IMAGE}:1" in log
    assert f"deployment.apps/web in namespace {deploying.namespace} created" in log
    assert "updated and available" in log
