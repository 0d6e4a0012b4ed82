"""`restart` and `rollback` on the real API server."""

from __future__ import annotations

import pytest

from tests.stages.deploying import IMAGE, Deploying, workload
from watcher.core.pipeline import ExecutionStatus, Json

SUCCEEDED, FAILED = ExecutionStatus.SUCCEEDED, ExecutionStatus.FAILED
KINDS = ["Deployment", "StatefulSet", "DaemonSet"]
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"


def on_web(stage: str, kind: str = "Deployment", **options: Json) -> dict[str, Json]:
    return {stage: {"workload": f"{kind.lower()}/web", "wait": "30s", **options}}


def have(deploying: Deploying, kind: str, *tags: str) -> None:
    """A workload with a revision for each tag; only the last may be broken."""
    for tag in tags:
        deploying.manifest("live.yaml", workload(kind, image=f"{IMAGE}:{tag}"))
        deploying.kubectl("apply", "-f", str(deploying.directory / "live.yaml"))
        if "bad" not in tag:
            deploying.kubectl("rollout", "status", f"{kind.lower()}/web", "--timeout=30s")


def restarted_at(deploying: Deploying, kind: str = "Deployment") -> str:
    metadata = deploying.get(kind, "web")["spec"]["template"]["metadata"]
    return str(metadata.get("annotations", {}).get(RESTARTED_AT, ""))


@pytest.mark.parametrize("kind", KINDS)
async def test_a_workload_is_restarted(kind: str, deploying: Deploying) -> None:
    have(deploying, kind, "1")
    before = deploying.kubectl("get", "pods", "-o", "name")
    deploying.configure(on_web("restart", kind))
    run = await deploying.deploy("1")
    assert run.status is SUCCEEDED, run.reason
    assert run.stages[0].outputs["restarted_at"] == restarted_at(deploying, kind)
    pods = deploying.cluster.get(deploying.path("Pod"))["items"]
    names = {f"pod/{pod['metadata']['name']}" for pod in pods if not _is_leaving(pod)}
    assert kind == "StatefulSet" or names.isdisjoint(before.split())


def _is_leaving(pod: Json) -> bool:
    return "deletionTimestamp" in pod["metadata"]


async def test_a_run_that_is_stopped_restarts_only_once(deploying: Deploying) -> None:
    have(deploying, "Deployment", "1-slow")
    deploying.configure(on_web("restart"))
    identifier = await deploying.submit("1")
    await deploying.stopped(lambda: bool(restarted_at(deploying)))
    moment = restarted_at(deploying)
    run = await deploying.ended(identifier)
    assert run.status is SUCCEEDED, run.reason
    assert restarted_at(deploying) == moment
    assert (await deploying.deploy("1")).stages[0].outputs["restarted_at"] > moment


@pytest.mark.parametrize("kind", KINDS)
async def test_a_workload_goes_back_to_its_previous_revision(
    kind: str, deploying: Deploying
) -> None:
    have(deploying, kind, "1", "2")
    deploying.configure(on_web("rollback", kind))
    run = await deploying.deploy("3")
    assert run.status is SUCCEEDED, run.reason
    assert deploying.image(kind) == f"{IMAGE}:1"
    assert run.stages[0].outputs["images"] == f"{IMAGE}:1"
    template = deploying.get(kind, "web")["spec"]["template"]["metadata"]
    assert template["labels"] == {"app": "web"}
    assert (await deploying.deploy("4")).status is SUCCEEDED
    assert deploying.image(kind) == f"{IMAGE}:2"


async def test_a_revision_can_be_named(deploying: Deploying) -> None:
    have(deploying, "Deployment", "1", "2", "3")
    deploying.configure(on_web("rollback", to_revision=1))
    run = await deploying.deploy("4")
    assert run.status is SUCCEEDED, run.reason
    assert deploying.image("Deployment") == f"{IMAGE}:1"
    deploying.configure(on_web("rollback", to_revision=9))
    run = await deploying.deploy("5")
    assert run.status is FAILED
    assert "has no revision 9 (there are: 4, 3, 2)" in str(run.reason)


async def test_a_stuck_stateful_set_goes_back(deploying: Deploying) -> None:
    have(deploying, "StatefulSet", "1", "2-bad")
    deploying.configure(on_web("rollback", "StatefulSet", wait="20s"))
    run = await deploying.deploy("3")
    assert run.status is SUCCEEDED, run.reason
    assert deploying.get("StatefulSet", "web")["status"]["readyReplicas"] == 1


async def test_a_run_that_is_stopped_goes_back_only_once(deploying: Deploying) -> None:
    have(deploying, "StatefulSet", "1-slow", "2", "3")
    deploying.configure(on_web("rollback", "StatefulSet", to_revision=1))
    identifier = await deploying.submit("4")
    await deploying.stopped(lambda: deploying.image("StatefulSet") == f"{IMAGE}:1-slow")
    run = await deploying.ended(identifier)
    assert run.status is SUCCEEDED, run.reason
    assert deploying.image("StatefulSet") == f"{IMAGE}:1-slow"
    assert "already" in run.stages[0].log


@pytest.mark.parametrize(
    ("tags", "prepare", "words"),
    [
        pytest.param(["1"], [], "there is no earlier revision", id="the first revision"),
        pytest.param(
            ["1", "2"],
            ["rollout", "pause", "deployment/web"],
            "is paused (kubectl rollout resume deployment/web)",
            id="paused",
        ),
    ],
)
async def test_where_there_is_no_way_back_that_is_said(
    tags: list[str], prepare: list[str], words: str, deploying: Deploying
) -> None:
    have(deploying, "Deployment", *tags)
    if prepare:
        deploying.kubectl(*prepare)
    deploying.configure(on_web("rollback"))
    run = await deploying.deploy("3")
    assert run.status is FAILED
    assert words in str(run.reason)
    assert deploying.image("Deployment") == f"{IMAGE}:{tags[-1]}"


@pytest.mark.parametrize("stage", ["restart", "rollback"])
async def test_a_dry_run_changes_nothing(stage: str, deploying: Deploying) -> None:
    have(deploying, "Deployment", "1", "2")
    before = deploying.get("Deployment", "web")["metadata"]["generation"]
    deploying.configure(on_web(stage), dry_run=True)
    run = await deploying.deploy("3")
    assert run.status is SUCCEEDED, run.reason
    assert deploying.get("Deployment", "web")["metadata"]["generation"] == before
