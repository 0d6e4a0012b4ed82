"""Fields that others own: whose may be taken, and what is said of the rest."""

from __future__ import annotations

import pytest

from tests.kube.bench import Bench, bench_of, config_map, deployment, owned
from tests.kube.cluster import RealCluster
from watcher.errors import StageError
from watcher.kube.applying.plan import Action, Conflicts
from watcher.kube.objects import FIELD_MANAGER, Object

KUBECTL_SET = Conflicts(managers=frozenset({"kubectl-set"}))
EVERYBODY = Conflicts(managers=frozenset({"kubectl-set", "kubectl-edit", "hpa"}))


def image(item: Object) -> str:
    return str(item["spec"]["template"]["spec"]["containers"][0]["image"])


async def with_replicas_of(bench: Bench, manager: str, *, replicas: int = 4) -> None:
    """A deployment of ours whose replicas somebody else has set."""
    await bench.apply(deployment())
    await bench.patch(deployment(), {"spec": {"replicas": replicas}}, manager=manager)


async def test_a_field_that_somebody_edited_is_a_conflict_that_names_both(
    cluster: RealCluster,
) -> None:
    async with bench_of(cluster) as bench:
        await with_replicas_of(bench, "kubectl-edit")
        with pytest.raises(StageError) as caught:
            await bench.plan(config_map("a"), deployment(replicas=2))
        error = caught.value
        assert ".spec.replicas (by kubectl-edit)" in str(error)
        assert "nothing was applied" in str(error)
        assert "`conflicts: [kubectl-edit]` or `conflicts: force`" in str(error.hint)
        assert not error.temporary
        assert not bench.exists("ConfigMap", "a")


async def test_an_equal_value_is_owned_by_both(cluster: RealCluster) -> None:
    async with bench_of(cluster) as bench:
        await with_replicas_of(bench, "kubectl-edit")
        assert await bench.apply(deployment(replicas=4)) == {"web": Action.CONFIGURED}
        live = bench.read("Deployment", "web")
        assert "f:replicas" in owned(live)["f:spec"]
        assert "f:replicas" in owned(live, "kubectl-edit", "Update")["f:spec"]
        assert await bench.apply(deployment(replicas=4)) == {"web": Action.UNCHANGED}


async def test_what_an_autoscaler_set_stays_where_the_manifest_says_nothing(
    cluster: RealCluster,
) -> None:
    async with bench_of(cluster) as bench:
        await with_replicas_of(bench, "hpa")
        await bench.apply(deployment(image="web:2"))
        assert bench.read("Deployment", "web")["spec"]["replicas"] == 4


@pytest.mark.parametrize("manager", ["hpa", "kube-controller-manager", "vpa-updater"])
async def test_an_autoscaler_is_not_overruled_by_its_name(
    manager: str, cluster: RealCluster
) -> None:
    async with bench_of(cluster) as bench:
        await with_replicas_of(bench, manager)
        named = Conflicts(managers=frozenset({manager}))
        with pytest.raises(StageError) as caught:
            await bench.plan(deployment(replicas=2), conflicts=named)
        assert f".spec.replicas (by {manager})" in str(caught.value)
        assert "remove the field from the manifest" in str(caught.value.hint)
        await bench.apply(deployment(replicas=2), conflicts=Conflicts(force=True))
        assert bench.read("Deployment", "web")["spec"]["replicas"] == 2


async def test_a_listed_manager_is_overruled_and_no_longer_owns_the_field(
    cluster: RealCluster,
) -> None:
    async with bench_of(cluster) as bench:
        await bench.apply(deployment(image="web:1"))
        bench.kubectl("set", "image", "deployment/web", "web=web:by-hand")
        assert await bench.apply(deployment(image="web:2"), conflicts=KUBECTL_SET) == {
            "web": Action.CONFIGURED
        }
        live = bench.read("Deployment", "web")
        assert image(live) == "web:2"
        assert "kubectl-set" not in {each["manager"] for each in live["metadata"]["managedFields"]}


@pytest.mark.parametrize("conflicts", [KUBECTL_SET, EVERYBODY], ids=["listed", "with_hpa"])
async def test_one_manager_that_may_not_be_overruled_protects_the_whole_object(
    conflicts: Conflicts, cluster: RealCluster
) -> None:
    async with bench_of(cluster) as bench:
        await with_replicas_of(bench, "hpa")
        bench.kubectl("set", "image", "deployment/web", "web=web:by-hand")
        with pytest.raises(StageError, match="by hpa"):
            await bench.plan(deployment(image="web:2", replicas=2), conflicts=conflicts)
        assert image(bench.read("Deployment", "web")) == "web:by-hand"


async def test_what_our_own_patches_changed_is_no_conflict(cluster: RealCluster) -> None:
    async with bench_of(cluster) as bench:
        await bench.apply(deployment(image="web:1"))
        container = {"name": "web", "image": "web:patched"}
        patched = {"spec": {"template": {"spec": {"containers": [container]}}}}
        await bench.patch(deployment(), patched, manager=FIELD_MANAGER)
        assert await bench.apply(deployment(image="web:2")) == {"web": Action.CONFIGURED}
        live = bench.read("Deployment", "web")
        assert image(live) == "web:2"
        assert await bench.apply(deployment(image="web:2")) == {"web": Action.UNCHANGED}


async def test_force_is_sent_only_where_there_is_a_conflict(cluster: RealCluster) -> None:
    async with bench_of(cluster) as bench:
        await with_replicas_of(bench, "kubectl-edit")
        bundle = (config_map("a"), deployment(replicas=2))
        plan = await bench.plan(*bundle, conflicts=Conflicts(force=True))
        assert {item.key.name: item.force for item in plan.items} == {"a": False, "web": True}


async def test_fields_without_an_owner_on_record_can_be_taken_by_name(
    cluster: RealCluster,
) -> None:
    async with bench_of(cluster) as bench:
        bench.kubectl("create", "configmap", "a", "--from-literal=x=1")
        cleared: Object = {"metadata": {"managedFields": [{}]}}
        await bench.patch(config_map("a"), cleared, manager="test")
        with pytest.raises(StageError, match="by before-first-apply"):
            await bench.plan(config_map("a", x="2"))
        before = Conflicts(managers=frozenset({"before-first-apply"}))
        await bench.apply(config_map("a", x="2"), conflicts=before)
        assert bench.read("ConfigMap", "a")["data"] == {"x": "2"}
