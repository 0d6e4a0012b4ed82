"""`on_failure: rollback` of `apply` on the real API server: what was there comes back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.kube.cluster import wait
from tests.stages.conftest import DIGEST as LOOKED_UP
from tests.stages.conftest import FakeImage
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
from watcher.core.pipeline import ExecutionStatus, Json
from watcher.daemon.facts import contexts
from watcher.errors import StageError
from watcher.stages.apply import ApplyStage
from watcher.stages.base import StageLog

SUCCEEDED, FAILED = ExecutionStatus.SUCCEEDED, ExecutionStatus.FAILED


async def test_a_broken_image_fails_with_the_registrys_words_and_is_rolled_back(
    deploying: Deploying,
) -> None:
    deploying.manifest("web.yaml", workload())
    deploying.configure(apply("web.yaml", on_failure="rollback", wait="3s"))
    good = await deploying.deploy("1")
    assert good.status is SUCCEEDED, good.reason
    bad = await deploying.deploy("2-bad", digest=DIGEST)
    assert bad.status is FAILED
    assert f"{IMAGE}:2-bad: not found" in str(bad.reason)
    assert "rolled back: apply" in str(bad.reason)
    assert deploying.image("Deployment") == f"{IMAGE}:1"
    assert deploying.get("Deployment", "web")["status"]["availableReplicas"] == 1
    assert "put back as the last good run applied it" in bad.stages[0].log
    rejection = (await deploying.rejections())[0]
    assert (rejection.digest, rejection.execution) == (DIGEST, bad.id)
    assert "not found" in rejection.reason
    last = await deploying.last_good()
    assert last is not None
    assert last.execution == good.id


async def test_a_rejected_image_is_not_applied_again(deploying: Deploying) -> None:
    deploying.manifest("web.yaml", workload())
    deploying.configure(apply("web.yaml", on_failure="rollback", wait="2s"))
    await deploying.deploy("1")
    await deploying.deploy("2-bad", digest=DIGEST)
    again = await deploying.deploy("3", digest=DIGEST)
    assert again.status is ExecutionStatus.SKIPPED
    assert "watcher events clear" in str(again.reason)
    assert deploying.image("Deployment") == f"{IMAGE}:1"


async def test_an_image_is_known_for_rejected_when_its_digest_is_looked_up_in_the_run(
    deploying: Deploying,
) -> None:
    deploying.manifest("web.yaml", workload())
    deploying.configure(apply("web.yaml", on_failure="rollback", wait="2s"))
    await deploying.deploy("1-bad", digest=LOOKED_UP)
    deploying.configure(apply("web.yaml", pin="digest"))
    execution = await deploying.execution(await deploying.submit("2"))
    context = replace(contexts(deploying)(execution, 0, StageLog()), image=FakeImage())
    with pytest.raises(StageError, match="its digest was rejected by the rollback"):
        await ApplyStage().run(context.spec.options, context)


async def test_a_stateful_set_goes_back_though_its_pod_is_stuck(deploying: Deploying) -> None:
    deploying.manifest("web.yaml", workload("StatefulSet", replicas=2))
    deploying.configure(apply("web.yaml", on_failure="rollback", wait="5s"))
    good = await deploying.deploy("1")
    assert good.status is SUCCEEDED, good.reason
    bad = await deploying.deploy("2-bad")
    assert bad.status is FAILED
    assert str(bad.reason).endswith("rolled back: apply")
    assert "pod/web-1" in bad.stages[0].log
    live = deploying.get("StatefulSet", "web")
    assert deploying.image("StatefulSet") == f"{IMAGE}:1"
    assert live["status"]["readyReplicas"] == 2


async def test_of_a_first_deployment_that_fails_what_it_created_is_deleted(
    deploying: Deploying,
) -> None:
    deploying.manifest("web.yaml", config_map(a="1"), workload())
    deploying.configure(apply("web.yaml", on_failure="rollback", wait="2s"))
    run = await deploying.deploy("1-bad")
    assert run.status is FAILED
    assert "rolled back: apply" in str(run.reason)
    assert "deployment.apps/web" in run.stages[0].log
    assert "deleted: this run had created it" in run.stages[0].log
    wait("the Deployment to go", lambda: not deploying.exists("Deployment", "web"))
    assert not deploying.exists("ConfigMap", "settings")
    assert await deploying.last_good() is None


async def test_what_another_tool_made_comes_back_as_it_was(deploying: Deploying) -> None:
    """There is no last good bundle: what was read before counts, fields taken over included."""
    before = config_map(a="1", b="2")
    deploying.manifest("before.yaml", before, workload(replicas=2, minReadySeconds=1))
    deploying.kubectl("apply", "-f", str(deploying.directory / "before.yaml"))
    deploying.kubectl("label", "configmap", "settings", "team=shop")
    deploying.kubectl("rollout", "status", "deployment/web")
    deploying.manifest("web.yaml", config_map(a="9", c="3"), workload(replicas=1))
    deploying.configure(apply("web.yaml", conflicts="force"), BROKEN)
    run = await deploying.deploy("1")
    assert run.status is FAILED
    assert "rolled back: apply" in str(run.reason), run.stages[0].log
    live = deploying.get("ConfigMap", "settings")
    assert live["data"] == {"a": "1", "b": "2"}
    assert live["metadata"]["labels"] == {"team": "shop"}
    spec = deploying.get("Deployment", "web")["spec"]
    assert (spec["replicas"], spec["minReadySeconds"]) == (2, 1)
    assert deploying.image("Deployment") == f"{IMAGE}:0"
    annotations = deploying.get("Deployment", "web")["metadata"]["annotations"]
    assert not [name for name in annotations if name.startswith("registry-watcher/")]


async def test_a_later_stage_that_fails_takes_a_good_rollout_back(deploying: Deploying) -> None:
    deploying.manifest("web.yaml", workload(), config_map(tag="${trigger.tag}"))
    deploying.configure(apply("web.yaml"))
    await deploying.deploy("1")
    deploying.configure(apply("web.yaml"), BROKEN)
    run = await deploying.deploy("2")
    assert run.status is FAILED
    assert str(run.reason).startswith("stage check: ")
    assert "rolled back: apply" in str(run.reason)
    assert deploying.image("Deployment") == f"{IMAGE}:1"
    assert deploying.get("ConfigMap", "settings")["data"] == {"tag": "1"}
    assert [rejection.tag for rejection in await deploying.rejections()] == ["2"]


async def test_secrets_come_back_and_their_values_are_in_no_state(deploying: Deploying) -> None:
    deploying.manifest("web.yaml", secret(password="old-value", user="old-user"))
    stage = apply("web.yaml", bind="off")
    deploying.configure(stage)
    await deploying.deploy("1")
    deploying.manifest("web.yaml", secret(password="new-value"))
    deploying.configure(stage, BROKEN)
    run = await deploying.deploy("2")
    assert "rolled back: apply" in str(run.reason), run.stages[0].log
    live = deploying.get("Secret", "login")
    assert live["data"] == {"password": "b2xkLXZhbHVl", "user": "b2xkLXVzZXI="}
    names = deploying.kubectl("get", "secrets", "-o", "name")
    assert "registry-watcher-undo" not in names
    await deploying.store.close()
    state = b"".join(path.read_bytes() for path in deploying.directory.glob("watcher.db*"))
    for value in (b"old-value", b"new-value", b"b2xkLXZhbHVl", b"bmV3LXZhbHVl"):
        assert value not in state


async def test_a_copy_of_a_secret_is_tidied_up_by_the_next_run(deploying: Deploying) -> None:
    deploying.manifest("web.yaml", secret(password="${trigger.tag}"))
    guard = {"command": ["true"], "name": "check", "on_failure": "rollback"}
    deploying.configure(apply("web.yaml"), guard)
    runs = [await deploying.deploy(tag) for tag in ("1", "2", "3")]
    assert [run.status for run in runs] == [SUCCEEDED] * 3
    names = deploying.kubectl("get", "secrets", "-o", "name", "-l", "registry-watcher/execution")
    assert len(names.split()) == 1
    deploying.configure(apply("web.yaml", on_failure="rollback"))
    await deploying.deploy("4")
    names = deploying.kubectl("get", "secrets", "-o", "name", "-l", "registry-watcher/execution")
    assert names == ""


async def test_a_copy_of_a_run_that_is_not_known_here_stays_for_seven_days(
    deploying: Deploying,
) -> None:
    deploying.manifest("web.yaml", secret(password="${trigger.tag}"))
    deploying.configure(apply("web.yaml"), {"command": ["true"], "on_failure": "rollback"})
    await deploying.deploy("1")
    await deploying.deploy("2")
    chosen = ("secret", "-l", "registry-watcher/execution")
    deploying.kubectl("label", "--overwrite", *chosen, "registry-watcher/execution=another")
    run = await deploying.deploy("3")
    theirs = ("get", "secret", "-o", "name", "-l", "registry-watcher/execution=another")
    assert len(deploying.kubectl(*theirs).split()) == 1
    execution = await deploying.execution(await deploying.submit("4"))
    later = datetime.now(UTC) + timedelta(days=8)
    context = replace(contexts(deploying)(execution, 0, StageLog()), now=lambda: later)
    assert run.status is SUCCEEDED
    await ApplyStage().run(context.spec.options, context)
    assert deploying.kubectl(*theirs) == ""


async def test_what_somebody_changed_since_is_left_alone(deploying: Deploying) -> None:
    deploying.manifest("web.yaml", workload(), config_map(a="1"))
    deploying.configure(apply("web.yaml"))
    await deploying.deploy("1")
    kubectl = ["kubectl", f"--kubeconfig={deploying.cluster.kubeconfig}", "-n", deploying.namespace]
    deploying.manifest("web.yaml", workload(), config_map(a="2"))
    change = [*kubectl, "set", "image", "deployment/web", "web=acme/web:by-hand"]
    deploying.configure(apply("web.yaml"), {"command": change}, BROKEN)
    run = await deploying.deploy("2")
    assert "rolled back: apply" in str(run.reason)
    assert "left alone: somebody has changed what it runs since" in run.stages[0].log
    assert deploying.image("Deployment") == "acme/web:by-hand"
    assert deploying.get("ConfigMap", "settings")["data"] == {"a": "1"}


async def test_when_all_of_it_is_left_alone_nothing_was_rolled_back_and_nothing_is_rejected(
    deploying: Deploying,
) -> None:
    kubectl = ["kubectl", f"--kubeconfig={deploying.cluster.kubeconfig}", "-n", deploying.namespace]
    deploying.manifest("web.yaml", workload())
    change = [*kubectl, "set", "image", "deployment/web", "web=acme/web:by-hand"]
    deploying.configure(apply("web.yaml"), {"command": change}, BROKEN)
    run = await deploying.deploy("2", digest=DIGEST)
    assert str(run.reason).endswith(
        f"; not rolled back: apply (deployment.apps/web in namespace {deploying.namespace} was "
        "left alone: somebody has changed what it runs since)"
    )
    assert await deploying.rejections() == []


async def test_fields_that_somebody_took_since_are_left_to_them(deploying: Deploying) -> None:
    deploying.manifest("web.yaml", workload(replicas=1))
    deploying.configure(apply("web.yaml"))
    await deploying.deploy("1")
    kubectl = ["kubectl", f"--kubeconfig={deploying.cluster.kubeconfig}", "-n", deploying.namespace]
    deploying.manifest("web.yaml", workload(replicas=2))
    scale = [*kubectl, "patch", "deployment/web", "-p", '{"spec": {"replicas": 3}}']
    deploying.configure(apply("web.yaml"), {"command": scale}, BROKEN)
    run = await deploying.deploy("2")
    assert "rolled back: apply" in str(run.reason), run.reason
    assert deploying.image("Deployment") == f"{IMAGE}:1"
    assert deploying.get("Deployment", "web")["spec"]["replicas"] == 3
    assert ".spec.replicas left to kubectl" in run.stages[0].log


async def test_nothing_is_rolled_back_or_rejected_when_nothing_was_applied(
    deploying: Deploying,
) -> None:
    deploying.manifest("web.yaml", workload(replcias=2))
    deploying.configure(apply("web.yaml", on_failure="rollback"))
    run = await deploying.deploy("1", digest=DIGEST)
    assert run.status is FAILED
    assert "replcias" in str(run.reason)
    assert "rolled back" not in str(run.reason)
    assert run.stages[0].undo is None
    assert await deploying.rejections() == []


async def test_namespaces_claims_and_jobs_are_never_taken_back(deploying: Deploying) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    pod = {"containers": [{"name": "x", "image": "acme/x:job-ok"}], "restartPolicy": "Never"}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "migrate"},
        "spec": {"template": {"spec": pod}},
    }
    other = f"{deploying.namespace}-more"
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": other}}
    place = deploying.settings(
        allowed_namespaces=[f"{deploying.namespace}*"], allowed_cluster_kinds=["Namespace"]
    )
    inside = config_map()
    inside["metadata"]["namespace"] = other
    deploying.manifest("web.yaml", namespace, claim, job, inside)
    deploying.configure(apply("web.yaml", bind="off"), BROKEN, clusters=[place])
    run = await deploying.deploy("1")
    assert str(run.reason).endswith("rolled back: apply"), run.reason
    for kind in ("Namespace", "PersistentVolumeClaim", "Job"):
        assert f"left alone: a {kind} is never rolled back" in run.stages[0].log
    names = deploying.kubectl("get", "pvc,job", "-o", "name")
    assert names.split() == ["persistentvolumeclaim/data", "job.batch/migrate"]
    path = f"/api/v1/namespaces/{other}"
    assert "deletionTimestamp" not in deploying.cluster.get(path)["metadata"]
    assert deploying.cluster.request("GET", f"{path}/configmaps/settings")[0] == 404, run.stages[
        0
    ].log


async def test_what_was_pruned_comes_back(deploying: Deploying) -> None:
    deploying.manifest("web.yaml", config_map(a="1"), config_map("other", b="2"))
    deploying.configure(apply("web.yaml", bind="off", prune=True))
    await deploying.deploy("1")
    deploying.manifest("web.yaml", config_map(a="1"))
    deploying.configure(apply("web.yaml", bind="off", prune=True), BROKEN)
    run = await deploying.deploy("2")
    assert "configmap/other" in run.stages[0].log
    assert "rolled back: apply" in str(run.reason)
    assert deploying.get("ConfigMap", "other")["data"] == {"b": "2"}


async def test_what_came_back_is_pruned_by_the_next_run_though_it_is_the_last_of_its_kind(
    deploying: Deploying,
) -> None:
    stage = apply("web.yaml", bind="off", prune=True)
    deploying.manifest("web.yaml", config_map(a="1"), secret(b="2"))
    deploying.configure(stage)
    await deploying.deploy("1")
    deploying.manifest("web.yaml", config_map(a="1"))
    deploying.configure(stage, BROKEN)
    await deploying.deploy("2")
    assert deploying.exists("Secret", "login")
    deploying.configure(stage)
    run = await deploying.deploy("3")
    assert run.status is SUCCEEDED, run.reason
    assert not deploying.exists("Secret", "login")


async def test_custom_resources_come_back_though_their_definition_changed_with_them(
    deploying: Deploying,
) -> None:
    """They can't be looked at before the definition is there, and yet they are not new."""
    group = f"{deploying.namespace}.example.com"
    place = deploying.settings(
        allowed_cluster_kinds=["CustomResourceDefinition.apiextensions.k8s.io"]
    )
    stage = apply("web.yaml", bind="off")
    deploying.manifest("web.yaml", *_crontab(group, "* * * * *", description="old"))
    deploying.configure(stage, clusters=[place])
    first = await deploying.deploy("1")
    assert first.status is SUCCEEDED, first.reason
    deploying.manifest("web.yaml", *_crontab(group, "0 0 * * *", description="new"))
    deploying.configure(stage, BROKEN, clusters=[place])
    run = await deploying.deploy("2")
    assert str(run.reason).endswith("rolled back: apply"), run.reason
    path = f"/apis/{group}/v1/namespaces/{deploying.namespace}/crontabs/backup"
    assert deploying.cluster.get(path)["spec"] == {"cron": "* * * * *"}
    assert "a CustomResourceDefinition is never rolled back" in run.stages[0].log


async def test_custom_resources_of_others_come_back_though_their_definition_changed_with_them(
    deploying: Deploying,
) -> None:
    group = f"{deploying.namespace}.example.com"
    definition, resource = _crontab(group, "* * * * *", description="old")
    for name, item in (("definition.yaml", definition), ("resource.yaml", resource)):
        deploying.manifest(name, item)
        deploying.kubectl("apply", "--server-side", "-f", str(deploying.directory / name))
        deploying.kubectl("wait", "--for=condition=established", f"crd/crontabs.{group}")
    place = deploying.settings(allowed_cluster_kinds=["CustomResourceDefinition"])
    deploying.manifest("web.yaml", *_crontab(group, "0 0 * * *", description="new"))
    deploying.configure(apply("web.yaml", bind="off", conflicts="force"), BROKEN, clusters=[place])
    run = await deploying.deploy("1")
    assert str(run.reason).endswith("rolled back: apply"), run.stages[0].log
    path = f"/apis/{group}/v1/namespaces/{deploying.namespace}/crontabs/backup"
    assert deploying.cluster.get(path)["spec"] == {"cron": "* * * * *"}


def _crontab(group: str, cron: str, *, description: str) -> list[dict[str, Json]]:
    spec = {"type": "object", "properties": {"cron": {"type": "string"}}}
    schema = {"type": "object", "description": description, "properties": {"spec": spec}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": "crontabs", "singular": "crontab", "kind": "CronTab"}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"crontabs.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [version]},
    }
    resource = {
        "apiVersion": f"{group}/v1",
        "kind": "CronTab",
        "metadata": {"name": "backup"},
        "spec": {"cron": cron},
    }
    return [definition, resource]


async def test_a_run_that_was_rolled_back_can_be_retried_by_a_person(deploying: Deploying) -> None:
    deploying.manifest("web.yaml", workload())
    deploying.configure(apply("web.yaml", on_failure="rollback", wait="2s"))
    await deploying.deploy("1")
    bad = await deploying.deploy("2-bad", digest=DIGEST)
    again = await deploying.retry(bad.id)
    assert again.status is FAILED
    assert "not found" in str(again.reason)
    assert str(again.reason).endswith("rolled back: apply")
    assert deploying.image("Deployment") == f"{IMAGE}:1"
