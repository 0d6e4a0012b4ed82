"""What `apply` may rest on: the last good objects, unchanged ones, a state that it can't see."""

from __future__ import annotations

import asyncio

import pytest

from tests.kube.proxy import Answer, Delay, FaultProxy
from tests.stages.deploying import (
    BROKEN,
    DIGEST,
    IMAGE,
    Deploying,
    apply,
    config_map,
    until,
    workload,
)
from watcher.core.pipeline import ExecutionStatus, Json

SUCCEEDED, FAILED = ExecutionStatus.SUCCEEDED, ExecutionStatus.FAILED


async def test_a_retried_run_is_not_rolled_back_to_what_it_applied_itself(
    deploying: Deploying,
) -> None:
    deploying.manifest("web.yaml", workload(), config_map(tag="${trigger.tag}"))
    deploying.configure(apply("web.yaml"))
    await deploying.deploy("1")
    flag = deploying.directory / "flag"
    gate = {"command": ["test", "-e", str(flag)], "name": "gate"}
    deploying.configure(apply("web.yaml"), gate, BROKEN)
    run = await deploying.deploy("2")
    assert str(run.reason).startswith("stage gate: ")
    assert deploying.image("Deployment") == f"{IMAGE}:2"
    flag.touch()
    again = await deploying.retry(run.id)
    assert str(again.reason).endswith("rolled back: apply")
    assert deploying.image("Deployment") == f"{IMAGE}:1"
    assert deploying.get("ConfigMap", "settings")["data"] == {"tag": "1"}
    last = await deploying.last_good()
    assert last is None or last.execution != run.id


async def test_what_another_pipeline_deployed_meanwhile_comes_back(deploying: Deploying) -> None:
    deploying.manifest("web.yaml", workload())
    deploying.configure(apply("web.yaml"))
    await deploying.deploy("1")
    deploying.configure(apply("web.yaml"), name="other")
    other = await deploying.deploy("2")
    assert other.status is SUCCEEDED, other.reason
    deploying.configure(apply("web.yaml"), BROKEN)
    run = await deploying.deploy("3")
    assert str(run.reason).endswith("rolled back: apply")
    assert deploying.image("Deployment") == f"{IMAGE}:2"


async def test_what_another_pipeline_broke_does_not_come_back(deploying: Deploying) -> None:
    deploying.manifest("web.yaml", workload())
    deploying.configure(apply("web.yaml"))
    await deploying.deploy("1")
    deploying.configure(apply("web.yaml", wait="2s"), name="other")
    assert (await deploying.deploy("2-bad")).status is FAILED
    deploying.configure(apply("web.yaml"), BROKEN)
    run = await deploying.deploy("3")
    assert str(run.reason).endswith("rolled back: apply")
    assert deploying.image("Deployment") == f"{IMAGE}:1"


async def test_what_a_later_stage_made_of_it_comes_back(deploying: Deploying) -> None:
    image = f"{IMAGE}:${{trigger.tag}}-set"
    set_image = {"set_image": {"workload": "deployment/web", "container": "web", "image": image}}
    deploying.manifest("web.yaml", workload())
    deploying.configure(apply("web.yaml"), set_image)
    first = await deploying.deploy("1")
    assert first.status is SUCCEEDED, first.reason
    deploying.configure(apply("web.yaml"), set_image, BROKEN)
    run = await deploying.deploy("2")
    assert str(run.reason).endswith("rolled back: apply, set_image")
    assert deploying.image("Deployment") == f"{IMAGE}:1-set"


async def test_what_somebody_created_after_the_plan_was_made_is_not_deleted(
    deploying: Deploying, cluster_proxy: FaultProxy
) -> None:
    deploying.manifest("web.yaml", config_map(a="1"))
    place = deploying.settings(kubeconfig=str(cluster_proxy.kubeconfig))
    deploying.configure(apply("web.yaml", bind="off"), BROKEN, clusters=[place])
    rule = cluster_proxy.fault("PATCH", r"configmaps/settings\?(?!.*dryRun)", Delay(3.0))
    identifier = await deploying.submit("1")
    running = asyncio.create_task(deploying.runner().run(until_idle=True))
    await until(rule.struck.is_set)
    theirs = ("create", "configmap", "settings", "--from-literal=theirs=1")
    await asyncio.to_thread(deploying.kubectl, *theirs)
    await running
    run = await deploying.execution(identifier)
    assert "left alone: somebody has made it anew since" in run.stages[0].log
    assert deploying.get("ConfigMap", "settings")["data"]["theirs"] == "1"


async def test_an_unchanged_workload_that_does_not_run_the_image_is_no_success(
    deploying: Deploying,
) -> None:
    deploying.manifest("web.yaml", workload())
    deploying.configure(apply("web.yaml", wait="3s"))
    good = await deploying.deploy("1")
    assert (await deploying.deploy("2-bad")).status is FAILED
    again = await deploying.deploy("2-bad")
    assert again.status is FAILED
    assert f"{IMAGE}:2-bad" in str(again.reason)
    last = await deploying.last_good()
    assert last is not None
    assert last.execution == good.id


async def test_unchanged_workloads_without_the_runs_image_are_not_waited_for(
    deploying: Deploying,
) -> None:
    other = workload(image="acme/other:1-hang")
    other["metadata"] = {"name": "other"}
    deploying.manifest("other.yaml", other)
    manager = "--field-manager=registry-watcher"
    file = str(deploying.directory / "other.yaml")
    deploying.kubectl("apply", "--server-side", manager, "-f", file)
    deploying.manifest("web.yaml", workload(), other)
    deploying.configure(apply("web.yaml", wait="3s"))
    run = await deploying.deploy("1")
    assert run.status is SUCCEEDED, run.reason


async def test_what_a_cluster_refuses_to_show_is_not_rolled_back_unseen(
    deploying: Deploying, cluster_proxy: FaultProxy
) -> None:
    deploying.manifest("web.yaml", workload())
    place = deploying.settings(kubeconfig=str(cluster_proxy.kubeconfig))
    deploying.configure(apply("web.yaml", on_failure="rollback", wait="3s"), clusters=[place])
    await deploying.deploy("1")
    cluster_proxy.fault("GET", "deployments/web$", Answer(status=403), after=1, times=1)
    run = await deploying.deploy("2", digest=DIGEST)
    assert run.status is FAILED
    assert "not rolled back: apply (when it was looked at again, the rollout has" in str(run.reason)
    assert deploying.image("Deployment") == f"{IMAGE}:2"
    assert await deploying.rejections() == []


async def test_a_run_for_a_deleted_tag_rejects_no_image(deploying: Deploying) -> None:
    deploying.manifest("web.yaml", config_map(a="1"))
    deploying.configure(apply("web.yaml"), BROKEN)
    gone = await deploying.deploy("1", change="deleted")
    assert str(gone.reason).endswith("rolled back: apply")
    deploying.configure(apply("web.yaml", bind="off"))
    again = await deploying.deploy("1", digest=DIGEST)
    assert again.status is SUCCEEDED, again.reason


MOVED_TO = "sha256:" + "e" * 64


async def test_a_tag_that_moved_deploys_nothing_where_only_the_tag_is_named(
    deploying: Deploying,
) -> None:
    deploying.manifest("web.yaml", workload())
    deploying.configure(apply("web.yaml"))
    await deploying.deploy("latest", digest=DIGEST)
    run = await deploying.deploy("latest", digest=MOVED_TO, change="moved")
    assert run.status is FAILED
    assert "the tag latest has moved, but its manifest stays as it is" in str(run.reason)
    assert "`pin: digest`" in str(run.reason)


@pytest.mark.parametrize(
    "stages",
    [
        pytest.param([apply("web.yaml", pin="digest")], id="by digest"),
        pytest.param([apply("web.yaml"), {"restart": {"workload": "deployment/web"}}], id="anew"),
    ],
)
async def test_a_tag_that_moved_is_deployed(deploying: Deploying, stages: list[Json]) -> None:
    deploying.manifest("web.yaml", workload())
    deploying.configure(*stages)
    await deploying.deploy("latest", digest=DIGEST)
    before = deploying.get("Deployment", "web")["metadata"]["generation"]
    run = await deploying.deploy("latest", digest=MOVED_TO, change="moved")
    assert run.status is SUCCEEDED, run.reason
    assert deploying.get("Deployment", "web")["metadata"]["generation"] > before


async def test_a_tag_that_moved_is_not_set_where_it_is_set_already(deploying: Deploying) -> None:
    stage = {"set_image": {"workload": "deployment/web", "container": "web", "wait": "20s"}}
    deploying.manifest("web.yaml", workload())
    deploying.kubectl("apply", "-f", str(deploying.directory / "web.yaml"))
    deploying.configure(stage)
    first = await deploying.deploy("latest", digest=DIGEST)
    assert first.status is SUCCEEDED, first.reason
    run = await deploying.deploy("latest", digest=MOVED_TO, change="moved")
    assert run.status is FAILED
    assert "the tag latest has moved, but the workload names it already" in str(run.reason)
    deploying.configure(stage, {"restart": {"workload": "deployment/web"}})
    again = await deploying.deploy("latest", digest=MOVED_TO, change="moved")
    assert again.status is SUCCEEDED, again.reason
