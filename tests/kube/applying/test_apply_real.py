"""Applying to the real API server: order, what is awaited, what stays, what a failure leaves."""

from __future__ import annotations

import json
import resource
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from tests.kube.bench import (
    bench_of,
    config_map,
    deployment,
    namespace_object,
    secret,
)
from tests.kube.cluster import RealCluster, wait
from tests.kube.proxy import FaultProxy
from watcher.kube.applying.notes import event_text
from watcher.kube.applying.plan import EVENT_NOTE, Action, ApplyFailed, Newer
from watcher.kube.objects import FIELD_MANAGER, Object, ObjectKey

EARLY = datetime(2026, 11, 21, 8, 0, 0, 250_000, tzinfo=UTC)
LATE = EARLY + timedelta(microseconds=1)
WEB = frozenset({ObjectKey("apps", "Deployment", "", "web")})
MANY = 200


def definition(group: str, kind: str = "CronTab") -> Object:
    """A CRD with a schema of its own."""
    plural = f"{kind.lower()}s"
    spec = {"type": "object", "properties": {"image": {"type": "string"}}}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "names": {"kind": kind, "plural": plural},
            "scope": "Namespaced",
            "versions": [version],
        },
    }


def custom(group: str, **spec: object) -> Object:
    return {
        "apiVersion": f"{group}/v1",
        "kind": "CronTab",
        "metadata": {"name": "nightly"},
        "spec": spec,
    }


def noted(time: datetime, tag: str) -> dict[str, object]:
    notes = {EVENT_NOTE: event_text(time), "registry-watcher/tag": tag}
    return {"event_time": time, "notes": notes, "noted": WEB}


@contextmanager
def new_group(cluster: RealCluster) -> Iterator[str]:
    """A group of custom kinds whose CRD is deleted at the end."""
    group = f"test-{secrets.token_hex(4)}.example.com"
    yield group
    base = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    cluster.request("DELETE", f"{base}/crontabs.{group}")


async def test_the_same_bundle_again_is_unchanged_and_sends_no_write(
    cluster: RealCluster, cluster_proxy: FaultProxy
) -> None:
    async with bench_of(cluster, cluster_proxy.kubeconfig) as bench:
        bundle = (config_map("a", x="1"), secret("s", stringData={"k": "v"}), deployment())
        assert set((await bench.apply(*bundle, prune=True)).values()) == {Action.CREATED}
        before = bench.read("ConfigMap", "a")["metadata"]["resourceVersion"]
        cluster_proxy.clear()
        again = await bench.apply(*bundle, prune=True)
        assert set(again.values()) == {Action.UNCHANGED}
        assert bench.read("ConfigMap", "a")["metadata"]["resourceVersion"] == before
        assert not cluster_proxy.writes()


async def test_another_way_to_write_a_quantity_is_no_change(cluster: RealCluster) -> None:
    def limited(cpu: str) -> Object:
        item = deployment()
        item["spec"]["template"]["spec"]["containers"][0]["resources"] = {"limits": {"cpu": cpu}}
        return item

    async with bench_of(cluster) as bench:
        await bench.apply(limited("0.5"))
        assert await bench.apply(limited("500m")) == {"web": Action.UNCHANGED}


async def test_kubectl_sees_no_drift_in_what_was_applied(cluster: RealCluster) -> None:
    async with bench_of(cluster) as bench:
        bundle = [config_map("a", x="1"), deployment(replicas=2)]
        await bench.apply(*bundle)
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": bundle})
        manager = f"--field-manager={FIELD_MANAGER}"
        assert not bench.kubectl("diff", "--server-side", manager, "-f", "-", text=text)


async def test_a_namespace_and_what_lives_in_it_come_in_one_bundle(cluster: RealCluster) -> None:
    name = f"test-{secrets.token_hex(5)}"
    async with bench_of(cluster, namespace=name) as bench:
        bench.settings["allowed_cluster_kinds"] = frozenset({"Namespace"})
        bundle = (config_map("a", x="1"), namespace_object(name))
        plan = await bench.plan(*bundle)
        assert [(item.key.kind, item.deferred) for item in plan.items] == [
            ("Namespace", False),
            ("ConfigMap", True),
        ]
        assert await bench.apply(*bundle, prune=True) == {name: Action.CREATED, "a": Action.CREATED}
        again = await bench.apply(*bundle, prune=True)
        assert again == {name: Action.UNCHANGED, "a": Action.UNCHANGED}


async def test_a_kind_and_an_object_of_it_come_in_one_bundle(cluster: RealCluster) -> None:
    with new_group(cluster) as group:
        async with bench_of(cluster) as bench:
            bench.settings["allowed_cluster_kinds"] = frozenset({"CustomResourceDefinition"})
            bundle = (custom(group, image="web:1"), definition(group))
            results = await bench.apply(*bundle, prune=True)
            assert set(results.values()) == {Action.CREATED}
            assert bench.told[1].startswith(f"crontab.{group}/nightly in namespace")
            again = await bench.apply(*bundle, prune=True)
            assert set(again.values()) == {Action.UNCHANGED}
            gone = await bench.apply(definition(group), prune=True)
            assert gone["nightly"] is Action.PRUNED


async def test_an_object_refused_after_its_kind_was_made_names_what_is_applied(
    cluster: RealCluster,
) -> None:
    with new_group(cluster) as group:
        async with bench_of(cluster) as bench:
            bench.settings["allowed_cluster_kinds"] = frozenset({"CustomResourceDefinition"})
            plan = await bench.plan(
                custom(group, image=1), definition(group), config_map("after", x="1")
            )
            with pytest.raises(ApplyFailed) as caught:
                await bench.execute(plan)
            failure = caught.value
            assert "spec.image" in str(failure)
            crd = f"customresourcedefinition.apiextensions.k8s.io/crontabs.{group}"
            assert f"applied before: {crd}; not applied: " in str(failure)
            assert [result.action for result in failure.results] == [
                Action.CREATED,
                Action.NOT_APPLIED,
                Action.NOT_APPLIED,
            ]
            assert not bench.exists("ConfigMap", "after")


async def test_a_failure_in_the_middle_names_what_is_applied_and_what_not(
    cluster: RealCluster, cluster_proxy: FaultProxy
) -> None:
    async with bench_of(cluster, cluster_proxy.kubeconfig) as bench:
        plan = await bench.plan(config_map("a"), secret("s"), deployment("b"), deployment("c"))
        quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}}
        place = f"/api/v1/namespaces/{bench.namespace}/resourcequotas"
        cluster.created(place, {**quota, "spec": {"hard": {"count/secrets": "0"}}})
        wait("the quota", lambda: "status" in cluster.get(f"{place}/q"))
        wait("its count", lambda: bool(cluster.get(f"{place}/q")["status"].get("used")))
        with pytest.raises(ApplyFailed) as caught:
            await bench.execute(plan)
        actions = {result.key.name: result.action for result in caught.value.results}
        assert list(actions) == ["s", "a", "b", "c"]
        assert actions["s"] is Action.FAILED
        assert actions["b"] is actions["c"] is Action.NOT_APPLIED
        assert "exceeded quota" in str(caught.value)
        assert "not applied: deployment.apps/b in" in str(caught.value)
        assert any(
            line.endswith(f"/c in namespace {bench.namespace} not applied") for line in bench.told
        )


async def test_what_strangers_set_survives_ten_applies(cluster: RealCluster) -> None:
    async with bench_of(cluster) as bench:
        await bench.apply(deployment(image="web:0"))
        await bench.patch(deployment(), {"spec": {"replicas": 4}}, manager="hpa")
        bench.kubectl("annotate", "deployment", "web", "team=blue")
        bench.kubectl("rollout", "restart", "deployment", "web")
        restarted = "kubectl.kubernetes.io/restartedAt"
        first = bench.read("Deployment", "web")["spec"]["template"]["metadata"]["annotations"]
        for number in range(1, 11):
            result = await bench.apply(deployment(image=f"web:{number}"))
            assert result == {"web": Action.CONFIGURED}
        live = bench.read("Deployment", "web")
        assert live["spec"]["replicas"] == 4
        assert live["metadata"]["annotations"]["team"] == "blue"
        template = live["spec"]["template"]
        assert template["metadata"]["annotations"][restarted] == first[restarted]
        assert template["spec"]["containers"][0]["image"] == "web:10"


async def test_a_field_that_the_bundle_drops_is_removed(cluster: RealCluster) -> None:
    async with bench_of(cluster) as bench:
        await bench.apply(config_map("a", x="1", y="2"))
        assert await bench.apply(config_map("a", x="1")) == {"a": Action.CONFIGURED}
        assert bench.read("ConfigMap", "a")["data"] == {"x": "1"}


async def test_a_key_that_leaves_string_data_leaves_the_secret(cluster: RealCluster) -> None:
    async with bench_of(cluster) as bench:
        await bench.apply(secret("s", stringData={"a": "1", "b": "2"}))
        await bench.apply(secret("s", stringData={"a": "1"}))
        assert list(bench.read("Secret", "s")["data"]) == ["a"]


async def test_notes_alone_are_no_reason_to_write(
    cluster: RealCluster, cluster_proxy: FaultProxy
) -> None:
    async with bench_of(cluster, cluster_proxy.kubeconfig) as bench:
        await bench.apply(deployment(image="web:1"), **noted(EARLY, "1"))
        first = bench.read("Deployment", "web")["metadata"]["annotations"]
        assert first[EVENT_NOTE] == "2026-11-21T08:00:00.250000Z"
        cluster_proxy.clear()
        again = await bench.apply(deployment(image="web:1"), **noted(LATE, "1"))
        assert again == {"web": Action.UNCHANGED}
        assert not cluster_proxy.writes()
        changed = await bench.apply(deployment(image="web:2"), **noted(LATE, "2"))
        assert changed == {"web": Action.CONFIGURED}
        annotations = bench.read("Deployment", "web")["metadata"]["annotations"]
        assert annotations[EVENT_NOTE] == "2026-11-21T08:00:00.250001Z"
        assert annotations["registry-watcher/tag"] == "2"
        assert "annotations" not in bench.read("Deployment", "web")["spec"]["template"]["metadata"]


async def test_a_note_that_somebody_else_wrote_is_left_to_them(cluster: RealCluster) -> None:
    cause = "kubernetes.io/change-cause"
    async with bench_of(cluster) as bench:
        await bench.apply(deployment())
        bench.kubectl("annotate", "deployment", "web", f"{cause}=by hand")
        options = {"notes": {cause: "web:2", "registry-watcher/tag": "2"}, "noted": WEB}
        assert await bench.apply(deployment(image="web:2"), **options) == {"web": Action.CONFIGURED}
        annotations = bench.read("Deployment", "web")["metadata"]["annotations"]
        assert annotations[cause] == "by hand"
        assert annotations["registry-watcher/tag"] == "2"


async def test_an_older_event_never_replaces_what_a_newer_one_applied(
    cluster: RealCluster, cluster_proxy: FaultProxy
) -> None:
    async with bench_of(cluster, cluster_proxy.kubeconfig) as bench:
        await bench.apply(deployment(image="web:2"), **noted(LATE, "2"))
        cluster_proxy.clear()
        with pytest.raises(Newer, match=r"already has what a newer event wanted \(tag 2\)"):
            await bench.plan(deployment(image="web:1"), **noted(EARLY, "1"))
        assert not cluster_proxy.writes()


async def test_an_older_event_that_planned_first_does_not_win_either(cluster: RealCluster) -> None:
    async with bench_of(cluster) as old, bench_of(cluster, namespace=old.namespace) as new:
        await old.apply(deployment(image="web:0"))
        plan = await old.plan(deployment(image="web:1"), **noted(EARLY, "1"))
        await new.apply(deployment(image="web:2"), **noted(LATE, "2"))
        with pytest.raises(Newer) as caught:
            await old.execute(plan, **noted(EARLY, "1"))
        assert "nothing was applied" in str(caught.value)
        live = new.read("Deployment", "web")
        assert live["spec"]["template"]["spec"]["containers"][0]["image"] == "web:2"


async def test_a_change_of_the_status_since_the_plan_is_no_obstacle(
    cluster: RealCluster, cluster_proxy: FaultProxy
) -> None:
    async with bench_of(cluster, cluster_proxy.kubeconfig) as bench:
        await bench.apply(deployment(image="web:1"))
        plan = await bench.plan(deployment(image="web:2"))
        bench.kubectl("annotate", "deployment", "web", "team=blue")
        cluster_proxy.clear()
        results = await bench.execute(plan)
        assert [result.action for result in results] == [Action.CONFIGURED]
        assert len(cluster_proxy.requests("PATCH")) >= 2
        live = bench.read("Deployment", "web")
        assert live["metadata"]["annotations"]["team"] == "blue"
        assert live["spec"]["template"]["spec"]["containers"][0]["image"] == "web:2"


async def test_what_somebody_changed_since_the_plan_is_not_overwritten(
    cluster: RealCluster,
) -> None:
    async with bench_of(cluster) as bench:
        await bench.apply(config_map("a", x="1"), config_map("b", x="1"))
        plan = await bench.plan(config_map("a", x="2"), config_map("b", x="2"))
        bench.kubectl("patch", "configmap", "b", "-p", '{"data":{"y":"theirs"}}')
        with pytest.raises(ApplyFailed, match="somebody changed it since the dry run") as caught:
            await bench.execute(plan)
        assert caught.value.temporary
        assert bench.read("ConfigMap", "b")["data"] == {"x": "1", "y": "theirs"}


async def test_what_somebody_deleted_since_the_plan_is_not_brought_back(
    cluster: RealCluster,
) -> None:
    async with bench_of(cluster) as bench:
        await bench.apply(config_map("a", x="1"))
        plan = await bench.plan(config_map("a", x="2"))
        bench.kubectl("delete", "configmap", "a")
        with pytest.raises(ApplyFailed, match="somebody deleted it meanwhile"):
            await bench.execute(plan)
        assert not bench.exists("ConfigMap", "a")


async def test_two_hundred_objects_are_applied_in_ten_seconds(
    cluster: RealCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = [
        *(config_map(f"map-{number:03}", number=str(number)) for number in range(MANY - 20)),
        *(deployment(f"web-{number:02}", replicas=0) for number in range(20)),
    ]
    async with bench_of(cluster) as bench:
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for expected in (Action.CREATED, Action.UNCHANGED):
            sent, began = bench.client.sent, time.monotonic()
            results = await bench.apply(*bundle, prune=True)
            took, requests = time.monotonic() - began, bench.client.sent - sent
            with capsys.disabled():
                print(f"\n{MANY} objects {expected} in {took:.1f} s with {requests} requests")
            assert set(results.values()) == {expected}
            assert len(results) == MANY
            assert took < 10
            assert requests <= 3 * MANY + 20
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 150 * 1024


async def test_an_empty_plan_is_carried_out_without_a_request(
    cluster: RealCluster, cluster_proxy: FaultProxy
) -> None:
    async with bench_of(cluster, cluster_proxy.kubeconfig) as bench:
        assert await bench.apply() == {}
        assert not cluster_proxy.requests()
