"""`apply` on the real API server: from manifests to a rollout."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from tests.stages.deploying import (
    DIGEST,
    IMAGE,
    Deploying,
    apply,
    config_map,
    until,
    workload,
)
from watcher.core.pipeline import ExecutionStatus, Json

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


async def test_the_same_again_changes_nothing(deploying: Deploying) -> None:
    deploying.manifest("web.yaml", workload())
    deploying.configure(apply("web.yaml"))
    await deploying.deploy("1")
    before = deploying.get("Deployment", "web")["metadata"]["resourceVersion"]
    run = await deploying.deploy("1")
    assert run.status is SUCCEEDED
    assert [each["result"] for each in run.stages[0].outputs["objects"]] == ["unchanged"]
    assert deploying.get("Deployment", "web")["metadata"]["resourceVersion"] == before
    assert run.stages[0].undo is None


@pytest.mark.parametrize("where", ["stage", "pipeline"])
async def test_a_dry_run_changes_nothing_and_keeps_nothing(
    where: str, deploying: Deploying
) -> None:
    deploying.manifest("web.yaml", workload(), config_map(a="1"))
    stage = apply("web.yaml", dry_run=where == "stage")
    deploying.configure(stage, dry_run=where == "pipeline")
    run = await deploying.deploy("1")
    assert run.status is SUCCEEDED, run.reason
    assert {each["result"] for each in run.stages[0].outputs["objects"]} == {"created"}
    assert "deployment.apps/web" in run.stages[0].log
    assert not deploying.exists("Deployment", "web")
    assert run.stages[0].undo is None
    assert await deploying.last_good() is None


async def test_an_older_event_never_takes_the_place_of_a_newer_one(deploying: Deploying) -> None:
    deploying.manifest("web.yaml", workload())
    deploying.configure(apply("web.yaml"))
    now = datetime.now(UTC)
    await deploying.deploy("2", created=now)
    run = await deploying.deploy("1", created=now - timedelta(microseconds=1))
    assert run.status is SKIPPED
    assert "newer event" in str(run.reason)
    assert deploying.image("Deployment") == f"{IMAGE}:2"
    again = await deploying.deploy("3", created=now)
    assert again.status is SUCCEEDED


async def test_a_run_that_is_overtaken_in_its_wait_ends_as_neither(deploying: Deploying) -> None:
    deploying.manifest("web.yaml", workload())
    deploying.configure(apply("web.yaml", on_failure="rollback"))
    identifier = await deploying.submit("1-hang")
    runner = deploying.runner()
    running = asyncio.create_task(runner.run(until_idle=True))
    await until(lambda: deploying.exists("Deployment", "web"))
    await until(lambda: "observedGeneration" in deploying.get("Deployment", "web")["status"])
    deploying.kubectl("set", "image", "deployment/web", "web=acme/web:newer")
    await running
    run = await deploying.execution(identifier)
    assert run.status is SKIPPED
    assert "has replaced" in str(run.reason)
    assert deploying.image("Deployment") == "acme/web:newer"


async def test_a_pinned_image_is_the_one_that_was_seen(deploying: Deploying) -> None:
    deploying.manifest("web.yaml", workload())
    deploying.configure(apply("web.yaml", pin="digest", bind="required"))
    run = await deploying.deploy("1", digest=DIGEST)
    assert run.status is SUCCEEDED, run.reason
    assert deploying.image("Deployment") == f"{IMAGE}@{DIGEST}"
    annotations = deploying.get("Deployment", "web")["metadata"]["annotations"]
    assert annotations["registry-watcher/tag"] == "1"
    assert annotations["registry-watcher/digest"] == DIGEST
    assert annotations["registry-watcher/execution"] == run.id
    template = deploying.get("Deployment", "web")["spec"]["template"]["metadata"]
    assert "annotations" not in template


@pytest.mark.parametrize(
    ("objects", "options", "words"),
    [
        pytest.param(
            [config_map(tag="${trigger.tag}")],
            {"bind": "required"},
            "no container of the manifests runs index.docker.io/acme/web",
            id="required, and nowhere",
        ),
        pytest.param(
            [workload(image="acme/other:1.0")],
            {},
            "mention the new tag 1 of index.docker.io/acme/web nowhere",
            id="mentioned nowhere",
        ),
        pytest.param(
            [workload(image="acme/web:not a tag!")],
            {"bind": "off"},
            "deployment.apps/web: spec.template.spec.containers[0].image",
            id="no image at all",
        ),
        pytest.param(
            [workload(), config_map(), config_map()], {}, "stands in", id="an object twice"
        ),
        pytest.param(
            [workload() | {"metadata": {"name": "web", "namespace": "elsewhere"}}],
            {},
            "`allowed_namespaces`",
            id="another namespace",
        ),
    ],
)
async def test_what_would_not_be_right_is_refused_before_anything_is_applied(
    objects: list[dict[str, Json]], options: dict[str, Json], words: str, deploying: Deploying
) -> None:
    deploying.manifest("web.yaml", *objects)
    deploying.configure(apply("web.yaml", on_failure="rollback", **options))
    run = await deploying.deploy("1")
    assert run.status is FAILED
    assert words in str(run.reason)
    assert "rolled back" not in str(run.reason)
    assert not deploying.exists("Deployment", "web")
    assert not deploying.exists("ConfigMap", "settings")


async def test_without_binding_manifests_stay_as_they_are(deploying: Deploying) -> None:
    deploying.manifest("web.yaml", workload())
    deploying.configure(apply("web.yaml", bind="off"))
    run = await deploying.deploy("1")
    assert run.status is SUCCEEDED, run.reason
    assert deploying.image("Deployment") == f"{IMAGE}:0"
    assert run.stages[0].outputs["images"] == []


async def test_a_deleted_tag_is_not_bound(deploying: Deploying) -> None:
    deploying.manifest("web.yaml", workload())
    deploying.configure(apply("web.yaml"))
    run = await deploying.deploy("1", change="deleted")
    assert run.status is SUCCEEDED, run.reason
    assert deploying.image("Deployment") == f"{IMAGE}:0"
    deploying.configure(apply("web.yaml", bind="required"))
    run = await deploying.deploy("1", change="deleted")
    assert "this run has no image to bind" in str(run.reason)


async def test_images_of_custom_kinds_are_bound_where_the_config_says(
    deploying: Deploying,
) -> None:
    """A ConfigMap is good enough for a custom kind here."""
    deploying.manifest("web.yaml", config_map(image="docker.io/acme/web:0"))
    deploying.configure(
        apply("web.yaml", bind="required", bind_paths={"ConfigMap": ["data.image"]})
    )
    run = await deploying.deploy("1")
    assert run.status is SUCCEEDED, run.reason
    assert deploying.get("ConfigMap", "settings")["data"]["image"] == "docker.io/acme/web:1"
    assert "configmap/settings: data.image: docker.io/acme/web:0 -> " in run.stages[0].log


async def test_one_pipeline_works_in_several_clusters(deploying: Deploying) -> None:
    """Two contexts of one server, each with a namespace of its own."""
    other = deploying.cluster.namespace()
    deploying.manifest("web.yaml", workload())
    deploying.configure(
        apply("web.yaml", cluster="one"),
        apply("web.yaml", cluster="two"),
        clusters=[deploying.settings(name="one"), deploying.settings(name="two", namespace=other)],
    )
    run = await deploying.deploy("1")
    assert run.status is SUCCEEDED, run.reason
    places = [stage.outputs["objects"][0]["namespace"] for stage in run.stages]
    assert places == [deploying.namespace, other]


async def test_an_expression_chooses_among_allowed_namespaces(deploying: Deploying) -> None:
    allowed = [deploying.namespace, "web-*"]
    deploying.manifest("web.yaml", config_map(tag="${trigger.tag}"))
    place = deploying.settings(allowed_namespaces=allowed)
    deploying.configure(apply("web.yaml", namespace="${trigger.tag}"), clusters=[place])
    good = await deploying.deploy(deploying.namespace)
    assert good.status is SUCCEEDED, good.reason
    bad = await deploying.deploy("kube-system")
    assert bad.status is FAILED
    assert "the namespace kube-system is not allowed" in str(bad.reason)


async def test_an_expression_that_gives_nothing_does_not_mean_the_usual_namespace(
    deploying: Deploying,
) -> None:
    deploying.manifest("web.yaml", config_map(tag="${trigger.tag}"))
    place = deploying.settings(allowed_namespaces=[deploying.namespace])
    deploying.configure(apply("web.yaml", namespace="${trigger.tag[:0]}"), clusters=[place])
    run = await deploying.deploy("1")
    assert run.status is FAILED
    assert "names none: its value is empty" in str(run.reason)
    assert not deploying.exists("ConfigMap", "settings")


async def test_without_a_wait_the_rollout_is_not_followed(deploying: Deploying) -> None:
    deploying.manifest("web.yaml", workload())
    deploying.configure(apply("web.yaml", wait=False))
    run = await deploying.deploy("1-hang")
    assert run.status is SUCCEEDED, run.reason
    assert "available" not in deploying.get("Deployment", "web")["status"]


async def test_a_run_that_is_stopped_in_its_wait_goes_on_waiting(deploying: Deploying) -> None:
    deploying.manifest("web.yaml", workload())
    deploying.configure(apply("web.yaml"))
    identifier = await deploying.submit("1-slow")
    await deploying.stopped(lambda: deploying.exists("Deployment", "web"))
    before = deploying.get("Deployment", "web")
    assert not before["status"].get("availableReplicas")
    run = await deploying.ended(identifier)
    assert run.status is SUCCEEDED, run.reason
    after = deploying.get("Deployment", "web")
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert after["status"]["availableReplicas"] == 1
    assert [each["result"] for each in run.stages[0].outputs["objects"]] == ["unchanged"]


async def test_pruning_waits_for_the_rollout(deploying: Deploying) -> None:
    deploying.manifest("web.yaml", workload(), config_map(), config_map("other"))
    deploying.configure(apply("web.yaml", prune=True))
    await deploying.deploy("1")
    deploying.manifest("web.yaml", workload(), config_map())
    deploying.configure(apply("web.yaml", prune=True, wait="2s"))
    bad = await deploying.deploy("2-bad")
    assert bad.status is FAILED
    assert deploying.exists("ConfigMap", "other")
    good = await deploying.deploy("3")
    assert good.status is SUCCEEDED, good.reason
    assert not deploying.exists("ConfigMap", "other")
    assert good.stages[0].outputs["objects"][-1]["result"] == "pruned"


async def test_our_own_patches_are_no_conflict(deploying: Deploying) -> None:
    deploying.manifest("web.yaml", workload())
    deploying.configure(apply("web.yaml"))
    await deploying.deploy("1")
    deploying.configure({"set_image": {"workload": "deployment/web", "container": "web"}})
    assert (await deploying.deploy("2")).status is SUCCEEDED
    deploying.configure(apply("web.yaml"))
    run = await deploying.deploy("3")
    assert run.status is SUCCEEDED, run.reason
    assert deploying.image("Deployment") == f"{IMAGE}:3"
    annotations = deploying.get("Deployment", "web")["metadata"]["annotations"]
    assert annotations["registry-watcher/tag"] == "3"


async def test_somebody_elses_field_is_named_with_its_owner(deploying: Deploying) -> None:
    deploying.manifest("web.yaml", workload(replicas=1))
    deploying.configure(apply("web.yaml"))
    await deploying.deploy("1")
    deploying.kubectl("patch", "deployment/web", "-p", '{"spec": {"replicas": 2}}')
    run = await deploying.deploy("2")
    assert run.status is FAILED
    assert ".spec.replicas" in str(run.reason)
    assert "kubectl-patch" in str(run.reason)
    deploying.configure(apply("web.yaml", conflicts=["kubectl-patch"]))
    assert (await deploying.deploy("2")).status is SUCCEEDED
    assert deploying.get("Deployment", "web")["spec"]["replicas"] == 1
