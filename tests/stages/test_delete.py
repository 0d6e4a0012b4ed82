"""`delete` on the real API server."""

from __future__ import annotations

import pytest

from tests.stages.deploying import Deploying, apply, config_map, workload
from watcher.core.pipeline import ExecutionStatus, Json

SUCCEEDED, FAILED = ExecutionStatus.SUCCEEDED, ExecutionStatus.FAILED


async def have(deploying: Deploying, *objects: dict[str, Json]) -> None:
    deploying.manifest("have.yaml", *objects)
    deploying.kubectl("apply", "-f", str(deploying.directory / "have.yaml"))


async def test_named_objects_are_deleted_and_missing_ones_are_no_fault(
    deploying: Deploying,
) -> None:
    await have(deploying, workload(), config_map(), config_map("other"))
    objects = ["cm/settings", "service/missing"]
    deploying.configure({"delete": {"workload": "deployment/web", "objects": objects}})
    run = await deploying.deploy("1")
    assert run.status is SUCCEEDED, run.reason
    place = f" in namespace {deploying.namespace}"
    assert run.stages[0].outputs["deleted"] == [
        f"deployment.apps/web{place}",
        f"configmap/settings{place}",
    ]
    assert f"service/missing{place} is not there" in run.stages[0].log
    assert not deploying.exists("Deployment", "web")
    assert not deploying.exists("ConfigMap", "settings")
    assert deploying.exists("ConfigMap", "other")


async def test_an_object_that_is_named_twice_is_refused(deploying: Deploying) -> None:
    deploying.manifest("gone.yaml", config_map("d"))
    for options in (
        {"objects": ["cm/d", "configmap/d"]},
        {"workload": "deploy/d", "objects": ["deployment/d"]},
    ):
        deploying.configure({"delete": options})
        run = await deploying.deploy("1")
        assert str(run.reason).endswith("/d is named twice")
    deploying.configure({"delete": {"objects": ["cm/d"], "manifests": ["gone.yaml"]}})
    run = await deploying.deploy("1")
    assert str(run.reason).endswith(
        f"configmap/d in namespace {deploying.namespace} stands in cm/d too"
    )


async def test_what_manifests_hold_is_deleted(deploying: Deploying) -> None:
    unknown = {"apiVersion": "example.com/v1", "kind": "Gone", "metadata": {"name": "x"}}
    await have(deploying, config_map("settings-1"))
    deploying.manifest("gone.yaml", config_map("settings-${trigger.tag}"), unknown)
    deploying.configure({"delete": {"manifests": ["gone.yaml"]}})
    run = await deploying.deploy("1")
    assert run.status is SUCCEEDED, run.reason
    assert not deploying.exists("ConfigMap", "settings-1")
    assert "the cluster has no such kind" in run.stages[0].log


@pytest.mark.parametrize(
    ("item", "words"),
    [
        pytest.param(
            {**config_map(), "metadata": {"name": "x", "namespace": "kube-system"}},
            "this namespace is not allowed",
            id="outside of the allowed namespaces",
        ),
        pytest.param(
            {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}},
            "is never deleted: what it holds would go with it",
            id="what holds data",
        ),
        pytest.param(
            {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "test-node"}},
            "`allowed_cluster_kinds`",
            id="what belongs to the whole cluster",
        ),
    ],
)
async def test_what_may_not_go_is_refused_before_anything_goes(
    item: dict[str, Json], words: str, deploying: Deploying
) -> None:
    await have(deploying, config_map())
    deploying.manifest("gone.yaml", item)
    deploying.configure({"delete": {"objects": ["cm/settings"], "manifests": ["gone.yaml"]}})
    run = await deploying.deploy("1")
    assert run.status is FAILED
    assert words in str(run.reason)
    assert deploying.exists("ConfigMap", "settings")


async def test_what_is_held_is_named_when_the_time_is_up(deploying: Deploying) -> None:
    held = config_map()
    held["metadata"]["finalizers"] = ["example.com/hold"]
    await have(deploying, held)
    deploying.configure({"delete": {"objects": ["configmap/settings"], "wait": "1s"}})
    run = await deploying.deploy("1")
    assert run.status is FAILED
    assert "still there after 1s" in str(run.reason)
    assert "held by example.com/hold" in str(run.reason)
    deploying.kubectl("patch", "cm/settings", "-p", '{"metadata": {"finalizers": null}}')


async def test_what_is_made_anew_meanwhile_stays(deploying: Deploying) -> None:
    held = config_map()
    held["metadata"]["finalizers"] = ["example.com/hold"]
    await have(deploying, held)
    deploying.configure({"delete": {"objects": ["configmap/settings"], "wait": "5m"}})
    identifier = await deploying.submit("1")
    await deploying.stopped(
        lambda: "deletionTimestamp" in deploying.get("ConfigMap", "settings")["metadata"]
    )
    deploying.kubectl("patch", "cm/settings", "-p", '{"metadata": {"finalizers": null}}')
    await have(deploying, config_map(a="new"))
    run = await deploying.ended(identifier)
    assert run.status is SUCCEEDED, run.reason
    assert deploying.get("ConfigMap", "settings")["data"] == {"a": "new"}


async def test_a_dry_run_deletes_nothing(deploying: Deploying) -> None:
    await have(deploying, config_map())
    deploying.configure({"delete": {"objects": ["configmap/settings"]}}, dry_run=True)
    run = await deploying.deploy("1")
    assert run.status is SUCCEEDED, run.reason
    assert "would be deleted" in run.stages[0].log
    assert deploying.exists("ConfigMap", "settings")


async def test_an_unknown_kind_is_named_with_those_that_are_known(deploying: Deploying) -> None:
    deploying.configure({"delete": {"objects": ["gizmo/x${trigger.tag}"]}}, apply("none.yaml"))
    run = await deploying.deploy("1")
    assert "'gizmo/x1' is not KIND/NAME" in str(run.reason)
    assert "deployment, statefulset" in str(run.reason)
