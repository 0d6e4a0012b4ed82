"""What a plan finds before anything is applied, asked of the real API server."""

from __future__ import annotations

import secrets
from dataclasses import replace

import pytest

from tests.kube.bench import (
    Bench,
    bench_of,
    config_map,
    deployment,
    documents,
    namespace_object,
)
from tests.kube.cluster import RealCluster, wait
from tests.kube.proxy import FaultProxy
from watcher.errors import StageError
from watcher.kube.applying.plan import Action
from watcher.kube.applying.preflight import make_plan
from watcher.kube.objects import Object

NO_DRY_RUN = r"^(?!.*dryRun=)"
PASSWORD = "correct-horse-battery"


def job(command: str) -> Object:
    variable = {"name": "PLAIN", "value": PASSWORD}
    container = {"name": "work", "image": "job-ok", "command": [command], "env": [variable]}
    pod = {"restartPolicy": "Never", "containers": [container]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "work"},
        "spec": {"template": {"spec": pod}},
    }


def stateful_set(service: str) -> Object:
    item = deployment()
    return {**item, "kind": "StatefulSet", "spec": {**item["spec"], "serviceName": service}}


async def refused(bench: Bench, *objects: Object, **options: object) -> StageError:
    """The plan's refusal. Nothing of the bundle may be there afterwards."""
    with pytest.raises(StageError) as caught:
        await bench.plan(*objects, **options)
    assert "nothing was applied" in str(caught.value)
    return caught.value


async def test_one_refused_object_means_that_nothing_is_applied_and_every_error_is_listed(
    cluster: RealCluster, cluster_proxy: FaultProxy
) -> None:
    async with bench_of(cluster, cluster_proxy.kubeconfig) as bench:
        error = await refused(
            bench,
            config_map("a"),
            config_map("b"),
            config_map("c") | {"dta": {}},
            config_map("d"),
            deployment(replcas=3),
        )
        lines = str(error).splitlines()
        assert lines[0] == "nothing was applied, 2 of 5 objects are refused:"
        assert "items[2]: configmap/c in namespace" in lines[1]
        assert "dta" in lines[1]
        assert "items[4]: deployment.apps/web in namespace" in lines[2]
        assert "spec.replcas" in lines[2]
        assert not error.temporary
        assert not cluster_proxy.writes()


async def test_a_field_with_a_typing_error_is_refused_by_name_and_not_tried_again(
    cluster: RealCluster, cluster_proxy: FaultProxy
) -> None:
    async with bench_of(cluster, cluster_proxy.kubeconfig) as bench:
        error = await refused(bench, deployment(replcas=3))
        assert "spec.replcas" in str(error)
        assert not error.temporary
        assert len(cluster_proxy.requests("PATCH")) == 1


async def test_a_value_of_the_wrong_type_is_refused_with_its_path_and_not_tried_again(
    cluster: RealCluster, cluster_proxy: FaultProxy
) -> None:
    async with bench_of(cluster, cluster_proxy.kubeconfig) as bench:
        error = await refused(bench, deployment(replicas="many"))
        assert "replicas" in str(error)
        assert len(cluster_proxy.requests("PATCH")) == 1


async def test_a_kind_that_nobody_knows_is_refused_after_one_more_look(
    cluster: RealCluster, cluster_proxy: FaultProxy
) -> None:
    unknown = {
        "apiVersion": "nowhere.example.com/v1",
        "kind": "Nothing",
        "metadata": {"name": "x"},
    }
    async with bench_of(cluster, cluster_proxy.kubeconfig) as bench:
        error = await refused(bench, config_map("a"), unknown)
        assert "nothing.nowhere.example.com/x" in str(error)
        assert "CustomResourceDefinition" in str(error.hint)
        assert len(cluster_proxy.requests("GET", "^/apis$")) <= 2
        assert not cluster_proxy.writes()


async def test_a_namespace_that_is_not_there_is_refused(cluster: RealCluster) -> None:
    async with bench_of(cluster, namespace=f"missing-{secrets.token_hex(4)}") as bench:
        error = await refused(bench, config_map("a"))
        assert f'namespaces "{bench.namespace}" not found' in str(error)
        assert error.hint == "create the namespace, or apply it too"


async def test_a_namespace_outside_the_allowed_ones_is_refused_before_anything_is_asked_about_it(
    cluster: RealCluster, cluster_proxy: FaultProxy
) -> None:
    foreign = config_map("a")
    foreign["metadata"]["namespace"] = "kube-system"
    async with bench_of(cluster, cluster_proxy.kubeconfig) as bench:
        with pytest.raises(StageError, match="not allowed") as caught:
            await bench.plan(config_map("b"), foreign)
        assert "allowed_namespaces" in str(caught.value.hint)
        assert not cluster_proxy.requests("", "kube-system|configmaps/")


async def test_a_kind_of_the_whole_cluster_is_refused_unless_it_is_allowed(
    cluster: RealCluster,
) -> None:
    async with bench_of(cluster) as bench:
        with pytest.raises(StageError, match="not allowed") as caught:
            await bench.plan(namespace_object("other"))
        assert "allowed_cluster_kinds" in str(caught.value.hint)


@pytest.mark.parametrize("name", ["../../kube-system/secrets/x", "a/status", "a?force=true"])
async def test_a_name_that_would_be_another_request_is_never_sent(
    name: str, cluster: RealCluster, cluster_proxy: FaultProxy
) -> None:
    async with bench_of(cluster, cluster_proxy.kubeconfig) as bench:
        document = documents(config_map("a"))[0]
        forged = replace(document, object=config_map(name))
        with pytest.raises(StageError, match="can't be the name of a ConfigMap"):
            await make_plan(bench.client, [forged], bench.with_options())
        assert not cluster_proxy.requests("", "secrets|status|force=true|configmaps/")


async def test_a_namespace_on_its_way_out_is_a_reason_to_try_again(cluster: RealCluster) -> None:
    async with bench_of(cluster) as bench:
        stuck = {**config_map("stuck"), "metadata": {"name": "stuck"}}
        stuck["metadata"]["finalizers"] = ["example.com/wait"]
        cluster.created(bench.path("ConfigMap"), stuck)
        place = f"/api/v1/namespaces/{bench.namespace}"
        cluster.request("DELETE", place)
        wait("the end to begin", lambda: cluster.get(place)["status"]["phase"] == "Terminating")
        error = await refused(bench, config_map("a"))
        assert error.temporary
        assert "terminat" in str(error)
        await bench.patch(stuck, {"metadata": {"finalizers": None}}, manager="test")


async def test_an_object_on_its_way_out_is_not_touched(cluster: RealCluster) -> None:
    async with bench_of(cluster) as bench:
        leaving = config_map("a")
        leaving["metadata"]["finalizers"] = ["example.com/wait"]
        cluster.created(bench.path("ConfigMap"), leaving)
        cluster.request("DELETE", f"{bench.path('ConfigMap')}/a")
        error = await refused(bench, config_map("a", x="1"))
        assert "it is being deleted" in str(error)
        assert error.temporary
        await bench.patch(leaving, {"metadata": {"finalizers": None}}, manager="test")


async def test_a_changed_selector_is_refused_and_the_deployment_stays(
    cluster: RealCluster, cluster_proxy: FaultProxy
) -> None:
    async with bench_of(cluster, cluster_proxy.kubeconfig) as bench:
        await bench.apply(deployment())
        before = bench.read("Deployment", "web")["metadata"]["uid"]
        changed = deployment()
        changed["spec"]["selector"]["matchLabels"]["tier"] = "front"
        changed["spec"]["template"]["metadata"]["labels"]["tier"] = "front"
        error = await refused(bench, changed)
        assert "spec.selector" in str(error)
        assert "`replace: [Deployment]` does so" in str(error.hint)
        assert bench.read("Deployment", "web")["metadata"]["uid"] == before
        assert not cluster_proxy.requests("DELETE")


async def test_what_is_never_replaced_is_refused_without_a_word_of_replace(
    cluster: RealCluster,
) -> None:
    def stateful(service: str) -> Object:
        item = {**deployment(), "kind": "StatefulSet"}
        item["spec"] = {**item["spec"], "serviceName": service}
        return item

    async with bench_of(cluster) as bench:
        await bench.apply(stateful("one"))
        error = await refused(bench, stateful("two"))
        assert error.hint == "give the object another name, or delete it by hand"


async def test_a_changed_job_is_refused_without_its_values(cluster: RealCluster) -> None:
    async with bench_of(cluster) as bench:
        await bench.apply(job("one"))
        error = await refused(bench, job("two"))
        assert "job.batch/work" in str(error)
        assert PASSWORD not in f"{error} {error.hint} {error.__cause__}"


async def test_a_changed_job_is_replaced_where_its_kind_may_be(
    cluster: RealCluster, cluster_proxy: FaultProxy
) -> None:
    async with bench_of(cluster, cluster_proxy.kubeconfig) as bench:
        await bench.apply(job("one"))
        old = bench.read("Job", "work")["metadata"]["uid"]
        plan = await bench.plan(job("two"), replace=frozenset({"Job"}))
        assert [item.action for item in plan.items] == [Action.REPLACED]
        cluster_proxy.clear()
        results = await bench.execute(plan, replace=frozenset({"Job"}))
        assert [result.action for result in results] == [Action.REPLACED]
        made = bench.read("Job", "work")
        assert made["metadata"]["uid"] != old
        assert made["spec"]["template"]["spec"]["containers"][0]["command"] == ["two"]
        deletion = cluster_proxy.requests("DELETE")[0].body.decode()
        assert old in deletion
        assert "Background" in deletion


async def test_what_could_not_be_created_anew_is_not_deleted(
    cluster: RealCluster, cluster_proxy: FaultProxy
) -> None:
    async with bench_of(cluster, cluster_proxy.kubeconfig) as bench:
        await bench.apply(job("one"))
        broken = job("two")
        broken["spec"]["template"]["spec"]["restartPolicy"] = "Sometimes"
        await refused(bench, broken, replace=frozenset({"Job"}))
        assert not cluster_proxy.requests("DELETE")


async def test_a_stateful_set_is_never_replaced(cluster: RealCluster) -> None:
    async with bench_of(cluster) as bench:
        await bench.apply(stateful_set("one"))
        error = await refused(bench, stateful_set("two"), replace=frozenset({"StatefulSet"}))
        assert "a StatefulSet is never replaced" in str(error.hint)


async def test_without_the_right_to_create_only_new_objects_are_refused(
    cluster: RealCluster,
) -> None:
    namespace = cluster.namespace()
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "patch"]}]
    cluster.kubectl("-n", namespace, "create", "configmap", "there")
    account = cluster.service_account(namespace, rules)
    async with bench_of(cluster, account, namespace) as bench:
        assert await bench.apply(config_map("there", x="1")) == {"there": Action.CONFIGURED}
        error = await refused(bench, config_map("there", x="2"), config_map("new"))
        assert "configmap/new" in str(error)
        assert "configmap/there" not in str(error)
        assert "grant create on configmaps" in str(error.hint)


async def test_an_object_larger_than_a_request_may_be_is_refused_at_once(
    cluster: RealCluster, cluster_proxy: FaultProxy
) -> None:
    async with bench_of(cluster, cluster_proxy.kubeconfig) as bench:
        error = await refused(bench, config_map("large", x="x" * (3_300 * 1024)))
        assert "large" in str(error)
        assert not error.temporary
        assert len(cluster_proxy.requests("PATCH")) == 1


async def test_a_dry_run_says_what_it_would_do_and_does_nothing(
    cluster: RealCluster, cluster_proxy: FaultProxy
) -> None:
    async with bench_of(cluster, cluster_proxy.kubeconfig) as bench:
        await bench.apply(config_map("a", x="1"), config_map("b", x="1"), prune=True)
        cluster_proxy.clear()
        bundle = (config_map("a", x="2"), config_map("c"))
        results = await bench.apply(*bundle, prune=True, dry_run=True)
        assert results == {"a": Action.CONFIGURED, "c": Action.CREATED, "b": Action.PRUNED}
        assert not cluster_proxy.writes()
        assert not bench.exists("ConfigMap", "c")
        place = f"in namespace {bench.namespace}"
        assert bench.told[-3:] == [
            f"configmap/a {place} configured (dry run)",
            f"configmap/c {place} created (dry run)",
            f"configmap/b {place} pruned (dry run)",
        ]
