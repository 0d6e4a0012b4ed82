"""Taking over what the real kubectl made by its client-side commands."""

from __future__ import annotations

import json

import pytest

from tests.kube.bench import Bench, bench_of, config_map, deployment, owned
from tests.kube.cluster import RealCluster
from tests.kube.proxy import FaultProxy
from watcher.errors import StageError
from watcher.kube.applying.comparing import LAST_APPLIED
from watcher.kube.applying.plan import Action, ApplyFailed
from watcher.kube.objects import Object


def client_side_apply(bench: Bench, item: Object) -> None:
    bench.kubectl("apply", "-f", "-", text=json.dumps(item))


async def test_a_field_that_kubectl_applied_and_the_bundle_drops_is_removed(
    cluster: RealCluster,
) -> None:
    async with bench_of(cluster) as bench:
        client_side_apply(bench, config_map("a", kept="1", dropped="2"))
        assert await bench.apply(config_map("a", kept="1")) == {"a": Action.CONFIGURED}
        live = bench.read("ConfigMap", "a")
        assert live["data"] == {"kept": "1"}
        assert owned(live, "kubectl-client-side-apply", "Update") is None
        assert any("client-side" in line for line in bench.told)
        assert await bench.apply(config_map("a", kept="1")) == {"a": Action.UNCHANGED}


async def test_a_changed_value_of_kubectls_is_no_conflict(cluster: RealCluster) -> None:
    async with bench_of(cluster) as bench:
        client_side_apply(bench, deployment(image="web:1", replicas=3))
        assert await bench.apply(deployment(image="web:2")) == {"web": Action.CONFIGURED}
        live = bench.read("Deployment", "web")
        assert live["spec"]["replicas"] == 1
        assert live["spec"]["template"]["spec"]["containers"][0]["image"] == "web:2"


async def test_what_kubectl_created_is_taken_over_too(cluster: RealCluster) -> None:
    async with bench_of(cluster) as bench:
        bench.kubectl("create", "configmap", "a", "--from-literal=x=1", "--from-literal=y=2")
        await bench.apply(config_map("a", x="9"))
        assert bench.read("ConfigMap", "a")["data"] == {"x": "9"}


async def test_kubectls_own_note_stays_with_it(cluster: RealCluster) -> None:
    async with bench_of(cluster) as bench:
        client_side_apply(bench, config_map("a", x="1"))
        await bench.apply(config_map("a", x="2"))
        live = bench.read("ConfigMap", "a")
        assert LAST_APPLIED in live["metadata"]["annotations"]
        assert "f:metadata" not in owned(live)


async def test_what_was_changed_in_one_place_by_hand_stays_a_conflict(
    cluster: RealCluster,
) -> None:
    async with bench_of(cluster) as bench:
        client_side_apply(bench, deployment(image="web:1"))
        bench.kubectl("set", "image", "deployment/web", "web=web:by-hand")
        with pytest.raises(StageError, match=r"by kubectl-set\)"):
            await bench.plan(deployment(image="web:2"))


async def test_kubectl_is_taken_over_from_once_and_then_respected(cluster: RealCluster) -> None:
    async with bench_of(cluster) as bench:
        await bench.apply(config_map("a", x="1", y="1"))
        client_side_apply(bench, config_map("a", x="theirs", y="1"))
        with pytest.raises(StageError, match="by kubectl-client-side-apply"):
            await bench.plan(config_map("a", x="2", y="1"))


async def test_a_change_in_the_middle_of_taking_over_is_seen_and_got_over(
    cluster: RealCluster, cluster_proxy: FaultProxy
) -> None:
    async with bench_of(cluster, cluster_proxy.kubeconfig) as bench:
        client_side_apply(bench, config_map("a", kept="1", dropped="2"))
        plan = await bench.plan(config_map("a", kept="1"))
        bench.kubectl("annotate", "configmap", "a", "team=blue")
        cluster_proxy.clear()
        results = await bench.execute(plan)
        assert [result.action for result in results] == [Action.CONFIGURED]
        take_overs = [
            request
            for request in cluster_proxy.requests("PATCH")
            if "application/json-patch+json" in request.headers.values()
        ]
        assert len(take_overs) == 2
        live = bench.read("ConfigMap", "a")
        assert live["data"] == {"kept": "1"}
        assert live["metadata"]["annotations"]["team"] == "blue"


async def test_a_value_that_changed_before_taking_over_is_not_overwritten(
    cluster: RealCluster,
) -> None:
    async with bench_of(cluster) as bench:
        client_side_apply(bench, config_map("a", x="1"))
        plan = await bench.plan(config_map("a", x="2"))
        client_side_apply(bench, config_map("a", x="theirs"))
        with pytest.raises(ApplyFailed, match="somebody changed it since the dry run"):
            await bench.execute(plan)
        live = bench.read("ConfigMap", "a")
        assert live["data"] == {"x": "theirs"}
        assert owned(live) is None


async def test_a_dry_run_takes_nothing_over(
    cluster: RealCluster, cluster_proxy: FaultProxy
) -> None:
    async with bench_of(cluster, cluster_proxy.kubeconfig) as bench:
        client_side_apply(bench, config_map("a", x="1", y="2"))
        plan = await bench.plan(config_map("a", x="2"), dry_run=True)
        assert plan.items[0].migrate
        assert any("a dry run does not show" in text for text in plan.items[0].warnings)
        await bench.execute(plan, dry_run=True)
        assert not cluster_proxy.writes()
