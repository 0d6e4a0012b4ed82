"""`set_image` on the real API server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.stages.deploying import BROKEN, DIGEST, IMAGE, Deploying, workload
from watcher.core.pipeline import ExecutionStatus, Json

SUCCEEDED, FAILED = ExecutionStatus.SUCCEEDED, ExecutionStatus.FAILED


def set_image(on_failure: str = "stop", **options: Json) -> dict[str, Json]:
    given = {"workload": "deployment/web", "container": "web", "wait": "30s", **options}
    return {"set_image": given, "on_failure": on_failure}


def live(
    deploying: Deploying, kind: str = "Deployment", image: str = "docker.io/acme/web:0"
) -> None:
    """A workload that somebody else's kubectl keeps."""
    item = workload(kind, image=image)
    item["spec"]["template"]["spec"]["initContainers"] = [{"name": "init", "image": "acme/init:1"}]
    deploying.manifest("live.yaml", item)
    deploying.kubectl("apply", "-f", str(deploying.directory / "live.yaml"))
    deploying.kubectl("rollout", "status", f"{kind.lower()}/web", "--timeout=30s")


@pytest.mark.parametrize(
    ("name", "kind"),
    [("deploy/web", "Deployment"), ("StatefulSet/web", "StatefulSet"), ("ds/web", "DaemonSet")],
)
async def test_a_container_gets_the_runs_image_in_its_own_spelling(
    name: str, kind: str, deploying: Deploying
) -> None:
    live(deploying, kind)
    deploying.configure(set_image(workload=name))
    run = await deploying.deploy("1", digest=DIGEST)
    assert run.status is SUCCEEDED, run.reason
    assert deploying.image(kind) == "docker.io/acme/web:1"
    assert run.stages[0].outputs == {
        "workload": f"{kind.lower()}/web",
        "container": "web",
        "image": "docker.io/acme/web:1",
    }
    assert "container web: docker.io/acme/web:0 -> docker.io/acme/web:1" in run.stages[0].log
    annotations = deploying.get(kind, "web")["metadata"]["annotations"]
    assert annotations["registry-watcher/tag"] == "1"
    assert annotations["registry-watcher/digest"] == DIGEST


async def test_an_image_can_be_given_for_any_container(deploying: Deploying) -> None:
    live(deploying)
    image = "ghcr.io/acme/other@${trigger.digest}"
    deploying.configure(set_image(container="init", image=image))
    run = await deploying.deploy("1", digest=DIGEST)
    assert run.status is SUCCEEDED, run.reason
    pod = deploying.get("Deployment", "web")["spec"]["template"]["spec"]
    assert pod["initContainers"][0]["image"] == f"ghcr.io/acme/other@{DIGEST}"
    assert pod["containers"][0]["image"] == "docker.io/acme/web:0"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param(
            {"container": "init"},
            "container init runs acme/init:1, not index.docker.io/acme/web",
            id="another image",
        ),
        pytest.param(
            {"container": "no"},
            "has no container 'no' (its containers: init, web)",
            id="no such container",
        ),
        pytest.param({"workload": "deployment/no"}, "deployment.apps/no", id="no workload"),
        pytest.param(
            {"workload": "pod/web${trigger.tag}"},
            "'pod/web1' is not deployment/",
            id="no such kind",
        ),
        pytest.param({"image": "acme/web:not a tag"}, "`image`: ", id="no image"),
    ],
)
async def test_what_makes_no_sense_changes_nothing(
    options: dict[str, Json], words: str, deploying: Deploying
) -> None:
    live(deploying)
    deploying.configure(set_image(on_failure="rollback", **options))
    run = await deploying.deploy("1")
    assert run.status is FAILED
    assert words in str(run.reason)
    assert "rolled back" not in str(run.reason)
    assert deploying.image("Deployment") == "docker.io/acme/web:0"


async def test_a_broken_image_is_taken_back_and_rejected(deploying: Deploying) -> None:
    live(deploying)
    deploying.configure(set_image(on_failure="rollback", wait="2s"))
    run = await deploying.deploy("1-bad", digest=DIGEST)
    assert run.status is FAILED
    assert "not found" in str(run.reason)
    assert str(run.reason).endswith("rolled back: set_image")
    item = deploying.get("Deployment", "web")
    assert deploying.image("Deployment") == "docker.io/acme/web:0"
    assert item["status"]["availableReplicas"] == 1
    assert not [n for n in item["metadata"]["annotations"] if n.startswith("registry-watcher/")]
    assert [rejection.digest for rejection in await deploying.rejections()] == [DIGEST]


async def test_a_stuck_stateful_set_is_taken_back(deploying: Deploying) -> None:
    live(deploying, "StatefulSet")
    deploying.configure(set_image(workload="sts/web", on_failure="rollback", wait="4s"))
    run = await deploying.deploy("1-bad")
    assert str(run.reason).endswith("rolled back: set_image"), run.reason
    assert deploying.get("StatefulSet", "web")["status"]["readyReplicas"] == 1


async def test_what_somebody_else_set_since_stays(deploying: Deploying) -> None:
    live(deploying)
    kubectl = ["kubectl", f"--kubeconfig={deploying.cluster.kubeconfig}", "-n", deploying.namespace]
    change = [*kubectl, "set", "image", "deployment/web", "web=acme/web:by-hand"]
    deploying.configure(set_image(), {"command": change}, BROKEN)
    run = await deploying.deploy("1")
    assert "rolled back: set_image" in str(run.reason)
    assert "left alone: somebody has changed it since" in run.stages[0].log
    assert deploying.image("Deployment") == "acme/web:by-hand"


async def test_an_older_event_never_takes_the_place_of_a_newer_one(deploying: Deploying) -> None:
    live(deploying)
    deploying.configure(set_image())
    now = datetime.now(UTC)
    await deploying.deploy("2", created=now)
    run = await deploying.deploy("1", created=now - timedelta(seconds=1))
    assert run.status is ExecutionStatus.SKIPPED
    assert "newer event" in str(run.reason)
    assert deploying.image("Deployment") == "docker.io/acme/web:2"


async def test_the_same_image_again_changes_nothing(deploying: Deploying) -> None:
    live(deploying)
    deploying.configure(set_image())
    await deploying.deploy("1")
    before = deploying.get("Deployment", "web")["metadata"]["generation"]
    run = await deploying.deploy("1")
    assert run.status is SUCCEEDED
    assert deploying.get("Deployment", "web")["metadata"]["generation"] == before
    assert run.stages[0].undo is None


async def test_a_dry_run_changes_nothing(deploying: Deploying) -> None:
    live(deploying)
    deploying.configure(set_image(), dry_run=True)
    run = await deploying.deploy("1")
    assert run.status is SUCCEEDED, run.reason
    assert run.stages[0].outputs["image"] == "docker.io/acme/web:1"
    assert "docker.io/acme/web:0 -> docker.io/acme/web:1 (dry run)\n" in run.stages[0].log
    assert deploying.image("Deployment") == "docker.io/acme/web:0"
    assert run.stages[0].undo is None


async def test_several_stages_are_taken_back_last_first(deploying: Deploying) -> None:
    live(deploying)
    stages = [{**set_image(image=f"{IMAGE}:{tag}"), "name": f"to-{tag}"} for tag in ("a", "b")]
    deploying.configure(*stages, BROKEN)
    run = await deploying.deploy("1")
    assert str(run.reason).endswith("rolled back: to-a, to-b")
    assert deploying.image("Deployment") == "docker.io/acme/web:0"
