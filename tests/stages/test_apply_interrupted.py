"""`apply` and its rollback when they are stopped, refused or cut off in the middle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.kube.cluster import RealCluster
from tests.kube.proxy import Answer, Delay, FaultProxy, Hang, Reset, Rule
from tests.stages.deploying import (
    BROKEN,
    DIGEST,
    IMAGE,
    Deploying,
    apply,
    config_map,
    secret,
    workload,
)
from watcher.core.pipeline import ExecutionStatus

SUCCEEDED, FAILED = ExecutionStatus.SUCCEEDED, ExecutionStatus.FAILED
WRITES = r"{}\?(?!.*dryRun)"


@pytest.fixture
async def proxy(cluster: RealCluster) -> AsyncIterator[FaultProxy]:
    with cluster.proxy() as running:
        yield running


def through(proxy: FaultProxy, deploying: Deploying, *stages: object) -> None:
    place = deploying.settings(kubeconfig=str(proxy.kubeconfig))
    deploying.configure(*stages, clusters=[place])  # type: ignore[arg-type]


async def stopped_at(rule: Rule, proxy: FaultProxy, deploying: Deploying) -> None:
    await deploying.stopped(rule.struck.is_set)
    proxy.clear()


async def test_stopped_between_two_objects_it_goes_on_and_still_knows_what_it_created(
    deploying: Deploying, proxy: FaultProxy
) -> None:
    deploying.manifest("web.yaml", config_map(a="1"), workload())
    through(proxy, deploying, apply("web.yaml"), BROKEN)
    rule = proxy.fault("PATCH", WRITES.format("configmaps/settings"), Hang(forwarded=True))
    identifier = await deploying.submit("1")
    await stopped_at(rule, proxy, deploying)
    assert deploying.exists("ConfigMap", "settings")
    assert not deploying.exists("Deployment", "web")
    run = await deploying.ended(identifier)
    assert str(run.reason).endswith("rolled back: apply"), run.reason
    assert run.stages[0].outputs["objects"][0]["result"] == "unchanged"
    assert not deploying.exists("ConfigMap", "settings")
    assert not deploying.exists("Deployment", "web")


async def test_what_somebody_created_while_it_was_stopped_is_not_its_own(
    deploying: Deploying, proxy: FaultProxy
) -> None:
    deploying.manifest("web.yaml", config_map(a="1"))
    through(proxy, deploying, apply("web.yaml", bind="off"), BROKEN)
    rule = proxy.fault("PATCH", WRITES.format("configmaps/settings"), Hang())
    identifier = await deploying.submit("1")
    await stopped_at(rule, proxy, deploying)
    await asyncio.to_thread(
        deploying.kubectl, "create", "configmap", "settings", "--from-literal=theirs=1"
    )
    await asyncio.sleep(2.5)  # servers' times are in whole seconds
    run = await deploying.ended(identifier)
    assert "left alone: somebody has made it anew since" in run.stages[0].log
    assert deploying.exists("ConfigMap", "settings")


async def test_stopped_in_its_rollback_it_rolls_back_to_the_end(
    deploying: Deploying, proxy: FaultProxy
) -> None:
    deploying.manifest("web.yaml", workload(), config_map(tag="${trigger.tag}"))
    through(proxy, deploying, apply("web.yaml", on_failure="rollback", wait="2s"))
    await deploying.deploy("1")
    pattern = WRITES.format("configmaps/settings")
    rule = proxy.fault("PATCH", pattern, Hang(forwarded=True), after=1)
    identifier = await deploying.submit("2-bad", digest=DIGEST)
    await stopped_at(rule, proxy, deploying)
    assert [rejection.digest for rejection in await deploying.rejections()] == [DIGEST]
    assert deploying.image("Deployment") == f"{IMAGE}:2-bad"
    run = await deploying.ended(identifier)
    assert run.status is FAILED
    assert str(run.reason).endswith("rolled back: apply")
    assert deploying.image("Deployment") == f"{IMAGE}:1"
    assert deploying.get("ConfigMap", "settings")["data"] == {"tag": "1"}
    assert "configmap/settings" in run.stages[0].log
    assert "is as it was" in run.stages[0].log


async def test_stopped_after_its_rollback_secrets_are_not_asked_for_again(
    deploying: Deploying, proxy: FaultProxy
) -> None:
    deploying.manifest("web.yaml", secret(password="${trigger.tag}"))
    through(proxy, deploying, apply("web.yaml"), BROKEN)
    deploying.configure(apply("web.yaml"))
    await deploying.deploy("1")
    through(proxy, deploying, apply("web.yaml"), BROKEN)
    rule = proxy.fault("DELETE", "secrets/registry-watcher-undo", Hang(forwarded=True))
    identifier = await deploying.submit("2")
    await stopped_at(rule, proxy, deploying)
    run = await deploying.ended(identifier)
    assert str(run.reason).endswith("rolled back: apply")
    assert deploying.get("Secret", "login")["data"] == {"password": "MQ=="}


async def test_on_an_unknown_state_nothing_is_taken_back(
    deploying: Deploying, proxy: FaultProxy
) -> None:
    deploying.manifest("web.yaml", workload())
    through(proxy, deploying, apply("web.yaml", on_failure="rollback", wait="2s"))
    await deploying.deploy("1")
    proxy.fault("GET", "deployments/web$", Answer(status=503), after=1, times=None)
    identifier = await deploying.submit("2", digest=DIGEST)
    running = asyncio.create_task(deploying.runner().run(until_idle=True))
    async with asyncio.timeout(30):
        while not (await deploying.execution(identifier)).stages[0].error:
            await asyncio.sleep(0.1)
    proxy.clear()
    await running
    run = await deploying.execution(identifier)
    assert run.status is FAILED
    assert "what became of the rollout is unknown" in str(run.reason)
    assert "not rolled back: apply (when it was looked at again, the rollout has" in str(run.reason)
    assert deploying.image("Deployment") == f"{IMAGE}:2"
    assert await deploying.rejections() == []


async def test_a_failure_in_the_middle_names_what_was_applied_and_takes_it_back(
    deploying: Deploying, proxy: FaultProxy
) -> None:
    deploying.manifest("web.yaml", config_map(a="1"), workload())
    through(proxy, deploying, apply("web.yaml", on_failure="rollback"))
    proxy.fault("PATCH", WRITES.format("deployments/web"), Answer(status=403), times=None)
    run = await deploying.deploy("1", digest=DIGEST)
    assert run.status is FAILED
    assert "applied before: configmap/settings" in str(run.reason)
    assert "rolled back: apply" in str(run.reason)
    assert not deploying.exists("ConfigMap", "settings")
    assert "deployment.apps/web" not in run.stages[0].log.partition("failed")[2]
    assert await deploying.rejections() == []


async def test_what_may_have_been_written_beside_a_refusal_is_taken_back(
    deploying: Deploying, proxy: FaultProxy
) -> None:
    deploying.manifest("web.yaml", config_map("lost", a="1"), config_map("refused", a="1"))
    through(proxy, deploying, apply("web.yaml", bind="off", on_failure="rollback"))
    proxy.fault("PATCH", WRITES.format("configmaps/lost"), Reset(forwarded=True), times=None)
    proxy.fault("PATCH", WRITES.format("configmaps/refused"), Answer(status=403), times=None)
    run = await deploying.deploy("1")
    assert str(run.reason).endswith("rolled back: apply"), run.reason
    assert not deploying.exists("ConfigMap", "lost")
    assert "configmap/refused" not in run.stages[0].log.partition("rolling back")[2]


async def test_when_pruning_is_refused_the_image_is_not_to_blame(
    deploying: Deploying, proxy: FaultProxy
) -> None:
    deploying.manifest("web.yaml", workload(), config_map("other", b="2"))
    through(proxy, deploying, apply("web.yaml", on_failure="rollback", prune=True))
    await deploying.deploy("1")
    deploying.manifest("web.yaml", workload())
    proxy.fault("DELETE", "configmaps/other", Answer(status=403), after=1)
    run = await deploying.deploy("2", digest=DIGEST)
    assert str(run.reason).endswith("rolled back: apply"), run.reason
    assert deploying.image("Deployment") == f"{IMAGE}:1"
    assert await deploying.rejections() == []


@pytest.mark.parametrize(
    ("tag", "ends", "image"),
    [
        pytest.param("2", "not rolled back: apply (when it was looked at again", "2", id="ready"),
        pytest.param("2-bad", "rolled back: apply", "1", id="broken"),
    ],
)
async def test_after_a_time_out_in_the_wait_the_rollout_is_looked_at_first(
    deploying: Deploying, proxy: FaultProxy, tag: str, ends: str, image: str
) -> None:
    deploying.manifest("web.yaml", workload())
    stage = apply("web.yaml", on_failure="rollback", wait="5s")
    through(proxy, deploying, stage)
    await deploying.deploy("1")
    through(proxy, deploying, {**stage, "timeout": "10s"})
    proxy.fault("PATCH", WRITES.format("deployments/web"), Delay(6.0))
    proxy.fault("GET", "deployments/web$", Delay(9.0), after=1)
    run = await deploying.deploy(tag, digest=DIGEST)
    assert "the stage took longer than its time-out of 10 s" in str(run.reason)
    assert f"; {ends}" in str(run.reason)
    assert deploying.image("Deployment") == f"{IMAGE}:{image}"
    assert len(await deploying.rejections()) == (image == "1")


async def test_when_the_first_write_is_refused_there_is_nothing_to_take_back(
    deploying: Deploying, proxy: FaultProxy
) -> None:
    deploying.manifest("web.yaml", config_map(a="1"), workload())
    through(proxy, deploying, apply("web.yaml", on_failure="rollback"))
    proxy.fault("PATCH", WRITES.format("configmaps/settings"), Answer(status=403), times=None)
    run = await deploying.deploy("1", digest=DIGEST)
    assert run.status is FAILED
    assert run.stages[0].undo is None
    assert "rolled back" not in str(run.reason)
    assert await deploying.rejections() == []


async def test_without_the_right_to_delete_pods_a_person_is_told_what_to_do(
    deploying: Deploying,
) -> None:
    rules = [
        {
            "apiGroups": ["apps"],
            "resources": ["statefulsets"],
            "verbs": ["get", "list", "create", "patch"],
        },
        {"apiGroups": [""], "resources": ["pods", "events"], "verbs": ["get", "list"]},
    ]
    account = deploying.cluster.service_account(deploying.namespace, rules)
    deploying.manifest("web.yaml", workload("StatefulSet"))
    place = deploying.settings(kubeconfig=str(account))
    stage = apply("web.yaml", on_failure="rollback", wait="3s")
    deploying.configure(stage, clusters=[place])
    assert (await deploying.deploy("1")).status is SUCCEEDED
    run = await deploying.deploy("2-bad")
    assert run.status is FAILED
    assert "ROLLBACK FAILED" in str(run.reason)
    assert f"kubectl delete pod web-0 --namespace {deploying.namespace}" in str(run.reason)
    assert deploying.image("StatefulSet") == f"{IMAGE}:1"


async def test_what_had_to_be_replaced_is_replaced_once_more(deploying: Deploying) -> None:
    deploying.manifest("web.yaml", {**config_map(tag="${trigger.tag}"), "immutable": True})
    stage = apply("web.yaml", replace=["ConfigMap"])
    deploying.configure(stage)
    await deploying.deploy("1")
    deploying.configure(stage, BROKEN)
    run = await deploying.deploy("2")
    assert run.stages[0].outputs["objects"][0]["result"] == "replaced"
    assert str(run.reason).endswith("rolled back: apply")
    assert deploying.get("ConfigMap", "settings")["data"] == {"tag": "1"}
