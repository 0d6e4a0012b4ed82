"""Pruning on the real API server: only what an earlier run of the same stage applied goes."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.kube.bench import Bench, bench_of, config_map, deployment, secret
from tests.kube.cluster import RealCluster
from tests.kube.proxy import Delay, FaultProxy
from watcher.errors import StageError
from watcher.kube.applying.applyset import (
    GROUP_KINDS,
    ID,
    NAMESPACES,
    PART_OF,
    PRUNE,
    TOOLING,
    parent_name,
    set_id,
)
from watcher.kube.applying.inventory import prune
from watcher.kube.applying.plan import Action, Conflicts
from watcher.kube.objects import Object


def members(*names: str) -> tuple[Object, ...]:
    return tuple(config_map(name, x="1") for name in names)


def parent(bench: Bench) -> Object:
    return bench.read("ConfigMap", parent_name(bench.with_options()))


def claim(name: str) -> Object:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    metadata = {"name": name}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


async def test_what_leaves_the_bundle_is_deleted_and_all_else_stays(cluster: RealCluster) -> None:
    async with bench_of(cluster) as bench:
        bench.kubectl("create", "configmap", "stranger")
        await bench.apply(*members("a", "b"), secret("s"), deployment(), prune=True)
        results = await bench.apply(*members("a"), prune=True)
        assert results == {
            "a": Action.UNCHANGED,
            "web": Action.PRUNED,
            "b": Action.PRUNED,
            "s": Action.PRUNED,
        }
        assert list(results) == ["a", "web", "b", "s"]
        assert bench.exists("ConfigMap", "stranger")
        assert not bench.exists("ConfigMap", "b")
        assert f"configmap/b in namespace {bench.namespace} pruned" in bench.told


async def test_the_marks_are_those_of_an_apply_set(cluster: RealCluster) -> None:
    async with bench_of(cluster) as bench:
        await bench.apply(config_map("a"), deployment(), prune=True)
        metadata = parent(bench)["metadata"]
        identifier = set_id(bench.with_options())
        assert metadata["labels"] == {ID: identifier}
        assert metadata["annotations"][TOOLING] == "registry-watcher/v1"
        assert metadata["annotations"][GROUP_KINDS] == "ConfigMap,Deployment.apps"
        assert metadata["annotations"][NAMESPACES] == ""
        live = bench.read("Deployment", "web")
        assert live["metadata"]["labels"] == {PART_OF: identifier}
        assert PART_OF not in live["spec"]["template"]["metadata"]["labels"]
        await bench.apply(config_map("a"), prune=True)
        assert parent(bench)["metadata"]["annotations"][GROUP_KINDS] == "ConfigMap"


async def test_the_next_run_finishes_what_a_run_that_ended_before_pruning_left(
    cluster: RealCluster,
) -> None:
    async with bench_of(cluster) as bench:
        await bench.apply(*members("a", "b"), deployment(), prune=True)
        plan = await bench.plan(*members("a"), secret("s"), prune=True)
        await bench.execute(plan, prune=True)
        results = await bench.apply(*members("a"), secret("s"), prune=True)
        assert results["b"] is results["web"] is Action.PRUNED


async def test_other_stages_prune_nothing_of_this_one(cluster: RealCluster) -> None:
    async with bench_of(cluster) as bench:
        await bench.apply(*members("a", "b"), prune=True)
        await bench.apply(*members("c", "d"), prune=True, stage="other")
        await bench.apply(*members("c"), prune=True, stage="other")
        assert bench.exists("ConfigMap", "b")
        assert not bench.exists("ConfigMap", "d")


async def test_an_object_is_in_one_set_only(cluster: RealCluster) -> None:
    async with bench_of(cluster) as bench:
        await bench.apply(*members("a"), prune=True)
        with pytest.raises(StageError, match="belongs to another stage's or tool's ApplySet"):
            await bench.plan(*members("a"), prune=True, stage="other")
        forced = Conflicts(force=True)
        await bench.apply(*members("a"), prune=True, stage="other", conflicts=forced)
        await bench.apply(config_map("b"), prune=True)
        assert bench.exists("ConfigMap", "a")


async def test_a_protected_object_is_kept_and_let_go(cluster: RealCluster) -> None:
    async with bench_of(cluster) as bench:
        kept = config_map("kept")
        kept["metadata"]["annotations"] = {PRUNE: "disabled"}
        await bench.apply(config_map("a"), kept, prune=True)
        assert await bench.apply(config_map("a"), prune=True) == {
            "a": Action.UNCHANGED,
            "kept": Action.KEPT,
        }
        assert "labels" not in bench.read("ConfigMap", "kept")["metadata"]
        assert await bench.apply(config_map("a"), prune=True) == {"a": Action.UNCHANGED}


async def test_without_the_right_to_let_a_protected_object_go_it_keeps_its_label(
    cluster: RealCluster,
) -> None:
    namespace = cluster.namespace()
    kept = secret("kept")
    kept["metadata"]["annotations"] = {PRUNE: "disabled"}
    async with bench_of(cluster, namespace=namespace) as bench:
        await bench.apply(config_map("a"), kept, prune=True)
    maps = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]}
    secrets = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["list", "delete"]}
    account = cluster.service_account(namespace, [maps, secrets])
    async with bench_of(cluster, account, namespace) as bench:
        results = await bench.apply(config_map("a"), prune=True)
        assert results == {"a": Action.UNCHANGED, "kept": Action.KEPT}
        assert f"its label {PART_OF} stays: " in "\n".join(bench.told)
        assert "grant patch on secrets" in "\n".join(bench.told)


async def test_a_copy_that_carries_the_label_is_kept(cluster: RealCluster) -> None:
    async with bench_of(cluster) as bench:
        await bench.apply(config_map("a"), prune=True)
        copied = config_map("copy")
        copied["metadata"]["labels"] = bench.read("ConfigMap", "a")["metadata"]["labels"]
        bench.kubectl("create", "-f", "-", text=json.dumps(copied))
        results = await bench.apply(config_map("a"), prune=True)
        assert results["copy"] is Action.KEPT
        assert bench.exists("ConfigMap", "copy")


async def test_a_volume_claim_is_never_pruned(cluster: RealCluster) -> None:
    async with bench_of(cluster) as bench:
        await bench.apply(config_map("a"), claim("data"), prune=True)
        assert await bench.apply(config_map("a"), prune=True) == {"a": Action.UNCHANGED}
        path = f"/api/v1/namespaces/{bench.namespace}/persistentvolumeclaims/data"
        assert cluster.request("GET", path)[0] == 200


async def test_an_empty_bundle_prunes_nothing(cluster: RealCluster) -> None:
    async with bench_of(cluster) as bench:
        await bench.apply(*members("a"), prune=True)
        with pytest.raises(StageError, match="there is nothing to apply"):
            await bench.apply(prune=True)
        assert bench.exists("ConfigMap", "a")


async def test_after_an_apply_that_did_not_reach_its_end_nothing_is_pruned(
    cluster: RealCluster,
) -> None:
    async with bench_of(cluster) as bench:
        await bench.apply(*members("a", "b"), prune=True)
        options = bench.with_options(prune=True)
        plan = await bench.plan(*members("a", "c"), prune=True)
        results = await bench.execute(plan, prune=True)
        with pytest.raises(StageError, match="before all objects of the stage are applied"):
            await prune(bench.client, plan, results[:1], options, tell=bench.told.append)
        assert bench.exists("ConfigMap", "b")


async def test_most_of_a_stage_is_not_deleted_at_once(
    cluster: RealCluster, cluster_proxy: FaultProxy
) -> None:
    names = [f"map-{number}" for number in range(10)]
    async with bench_of(cluster, cluster_proxy.kubeconfig) as bench:
        await bench.apply(*members(*names), prune=True)
        cluster_proxy.clear()
        with pytest.raises(
            StageError, match="nothing was applied: pruning would delete 6 of the 10 objects"
        ) as caught:
            await bench.plan(*members(*names[:4]), prune=True)
        assert "in steps" in str(caught.value.hint)
        assert not cluster_proxy.writes()
        results = await bench.apply(*members(*names[:5]), prune=True)
        assert list(results.values()).count(Action.PRUNED) == 5
        results = await bench.apply(*members("map-0"), prune=True)
        assert list(results.values()).count(Action.PRUNED) == 4


@pytest.mark.parametrize(
    ("annotations", "words"),
    [({TOOLING: "kubectl/v1.32.0"}, "belongs to kubectl/v1.32.0"), ({}, "was not made for this")],
    ids=["of_another_tool", "of_nobody"],
)
async def test_the_parent_of_another_tool_is_refused(
    annotations: dict[str, str], words: str, cluster: RealCluster
) -> None:
    async with bench_of(cluster) as bench:
        foreign = config_map(parent_name(bench.with_options()))
        foreign["metadata"]["annotations"] = annotations
        cluster.created(bench.path("ConfigMap"), foreign)
        with pytest.raises(StageError, match=words):
            await bench.plan(config_map("a"), prune=True)
        assert not bench.exists("ConfigMap", "a")


async def test_what_took_the_place_of_a_member_meanwhile_is_kept(
    cluster: RealCluster, cluster_proxy: FaultProxy
) -> None:
    async with bench_of(cluster, cluster_proxy.kubeconfig) as bench:
        await bench.apply(*members("a", "b"), prune=True)
        plan = await bench.plan(*members("a"), prune=True)
        results = await bench.execute(plan, prune=True)
        deletion = cluster_proxy.fault("DELETE", "configmaps/b", Delay(2.0))
        options = bench.with_options(prune=True)
        pruning = asyncio.create_task(
            prune(bench.client, plan, results, options, tell=bench.told.append)
        )
        assert await asyncio.to_thread(deletion.struck.wait, 30)
        cluster.request("DELETE", f"{bench.path('ConfigMap')}/b")
        cluster.created(bench.path("ConfigMap"), config_map("b"))
        done = await pruning
        assert [(result.action, result.reason) for result in done] == [
            (Action.KEPT, "somebody changed it meanwhile")
        ]
        assert bench.exists("ConfigMap", "b")


async def test_a_parent_that_somebody_wrote_into_leads_nowhere_else(
    cluster: RealCluster, cluster_proxy: FaultProxy
) -> None:
    async with bench_of(cluster, cluster_proxy.kubeconfig) as bench:
        await bench.apply(*members("a", "b"), prune=True)
        written = {"metadata": {"annotations": {NAMESPACES: "kube-system"}}}
        await bench.patch(parent(bench), written, manager="kubectl-edit")
        results = await bench.apply(*members("a"), prune=True)
        assert results == {"a": Action.UNCHANGED, "b": Action.PRUNED}
        assert "the namespace kube-system is not pruned: not allowed" in bench.told
        assert not cluster_proxy.requests("", "kube-system")


async def test_without_the_right_to_delete_nothing_is_applied(cluster: RealCluster) -> None:
    namespace = cluster.namespace()
    verbs = ["get", "list", "create", "patch"]
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": verbs}]
    account = cluster.service_account(namespace, rules)
    async with bench_of(cluster, account, namespace) as bench:
        await bench.apply(*members("a", "b"), prune=True)
        with pytest.raises(StageError, match="nothing was applied, 2 of 2") as caught:
            await bench.plan(*members("c"), prune=True)
        assert "configmap/a" in str(caught.value)
        assert "grant delete on configmaps" in str(caught.value)
        assert not bench.exists("ConfigMap", "c")


async def test_without_prune_no_mark_is_made(cluster: RealCluster) -> None:
    async with bench_of(cluster) as bench:
        await bench.apply(*members("a"))
        assert "labels" not in bench.read("ConfigMap", "a")["metadata"]
        assert not bench.exists("ConfigMap", parent_name(bench.with_options()))
