"""Rollouts by real controllers behind a real API server: what a wait says of them, and when."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.kube.cluster import RealCluster
from tests.kube.proxy import FaultProxy, Hang, Reset
from watcher.core.cluster import Cluster
from watcher.errors import ClusterError, ClusterFault
from watcher.kube.client import ClusterClient
from watcher.kube.connecting.exchange import Patience
from watcher.kube.objects import Object
from watcher.kube.rollouts.follow import GRACE, Followed, Rollout, follow
from watcher.kube.rollouts.rollout import RolloutState, assess

LONG = timedelta(seconds=60)
READERS = [
    {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "create", "patch"]}
]


@dataclass(kw_only=True)
class Bench:
    """A namespace of the real cluster, a client for it, and what waits told."""

    cluster: RealCluster
    client: ClusterClient
    namespace: str
    told: list[str] = field(default_factory=list)

    async def apply(self, item: Object, *, client: ClusterClient | None = None) -> Followed:
        item = {**item, "metadata": {**item["metadata"], "namespace": self.namespace}}
        client = client or self.client
        resource = await client.resource(item["apiVersion"], item["kind"])
        applied = await client.apply(resource, item)
        return Followed(resource=resource, applied=applied.object)

    async def wait(
        self,
        *targets: Followed,
        timeout: timedelta = LONG,
        grace: timedelta = GRACE,
        client: ClusterClient | None = None,
    ) -> Rollout:
        return await follow(
            client or self.client, targets, timeout=timeout, tell=self.told.append, grace=grace
        )

    def read(self, target: Followed) -> Object:
        name = target.applied["metadata"]["name"]
        return self.cluster.get(target.resource.path(self.namespace, name))

    def kubectl(self, *arguments: str) -> str:
        return self.cluster.kubectl("--namespace", self.namespace, *arguments)


async def connected(kubeconfig: Path, **options: Any) -> ClusterClient:
    return await ClusterClient.connect(
        Cluster(name="test", kubeconfig=kubeconfig), environment={}, **options
    )


@pytest.fixture
async def bench(cluster: RealCluster) -> AsyncIterator[Bench]:
    client = await connected(cluster.kubeconfig)
    yield Bench(cluster=cluster, client=client, namespace=cluster.namespace())
    await client.close()


def workload(
    kind: str = "Deployment",
    image: str = "web:1",
    *,
    pod: Mapping[str, Any] | None = None,
    container: Mapping[str, Any] | None = None,
    **spec: Any,
) -> Object:
    labels = {"app": "web"}
    own: dict[str, Any] = {"selector": {"matchLabels": labels}}
    containers = [{"name": "web", "image": image, **(container or {})}]
    template = {"metadata": {"labels": labels}, "spec": {"containers": containers, **(pod or {})}}
    if kind == "StatefulSet":
        own["serviceName"] = "web"
    if kind == "Job":
        own = {}
        template["spec"] = {"restartPolicy": "Never", **dict(template["spec"])}
    return {
        "apiVersion": "batch/v1" if kind == "Job" else "apps/v1",
        "kind": kind,
        "metadata": {"name": "web"},
        "spec": {**own, "template": template, **spec},
    }


@pytest.mark.parametrize(
    ("first", "second", "last_words"),
    [
        pytest.param(
            workload(replicas=2),
            workload(image="web:2", replicas=2),
            "2 replicas updated and available",
            id="Deployment",
        ),
        pytest.param(
            workload("StatefulSet", replicas=2),
            workload("StatefulSet", "web:2", replicas=2),
            "2 replicas updated and ready",
            id="StatefulSet",
        ),
        pytest.param(
            workload("DaemonSet"),
            workload("DaemonSet", "web:2"),
            "1 of 1 pods updated and available",
            id="DaemonSet",
        ),
    ],
)
async def test_a_good_image_is_rolled_out_at_the_first_apply_and_at_the_next(
    bench: Bench, first: Object, second: Object, last_words: str
) -> None:
    for item in (first, second):
        target = await bench.apply(item)
        rollout = await bench.wait(target)
        assert (rollout.state, rollout.reasons) == (RolloutState.READY, ())
        live = bench.read(target)
        assert live["status"]["observedGeneration"] == live["metadata"]["generation"]
        assert bench.told[-1].endswith(last_words)
    bench.kubectl("rollout", "status", f"{first['kind'].lower()}/web", "--timeout=1s")


async def test_the_status_of_before_the_change_never_counts(bench: Bench) -> None:
    await bench.wait(await bench.apply(workload(replicas=2)))
    with bench.cluster.pause_kubelet():
        target = await bench.apply(workload(image="web:2", replicas=2))
        assert bench.read(target)["status"]["availableReplicas"] == 2
        rollout = await bench.wait(target, timeout=timedelta(seconds=2))
        assert rollout.state is RolloutState.FAILED
        assert "not rolled out after 2s" in rollout.reasons[0]
    assert (await bench.wait(target)).state is RolloutState.READY


async def test_replicas_of_none_are_rolled_out(bench: Bench) -> None:
    items = [workload(replicas=0), workload("StatefulSet", replicas=0)]
    targets = [await bench.apply(item) for item in items]
    assert (await bench.wait(*targets)).state is RolloutState.READY


async def test_a_bad_image_fails_with_its_reason_while_the_old_pods_still_serve(
    bench: Bench,
) -> None:
    await bench.wait(await bench.apply(workload(replicas=2)))
    target = await bench.apply(
        workload(image="shop/web:bad", replicas=2, progressDeadlineSeconds=4)
    )
    rollout = await bench.wait(target)
    assert rollout.state is RolloutState.FAILED
    assert rollout.outcomes[0].status.reason == "ProgressDeadlineExceeded"
    (reason,) = rollout.reasons
    assert reason.startswith(
        f"deployment.apps/web in namespace {bench.namespace}: its progress deadline of 4 s has "
        "passed: 1 of 2 replicas updated, 2 available; pod web-"
    )
    assert 'container web: ImagePullBackOff: Back-off pulling image "shop/web:bad"' in reason
    assert 'Failed to pull image "shop/web:bad"' in reason
    assert bench.read(target)["status"]["availableReplicas"] == 2


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        pytest.param("shop/web:bad", "ImagePullBackOff: Back-off pulling", id="missing image"),
        pytest.param("web:not a tag!", "InvalidImageName: Failed to apply", id="no image name"),
        pytest.param(
            "web:no-config",
            'CreateContainerConfigError: configmap "settings" not found',
            id="missing settings",
        ),
    ],
)
async def test_what_does_not_heal_by_itself_fails_after_the_grace(
    bench: Bench, image: str, expected: str
) -> None:
    target = await bench.apply(workload(image=image))
    begun = time.monotonic()
    rollout = await bench.wait(target, timeout=timedelta(minutes=5), grace=timedelta(seconds=2))
    assert rollout.state is RolloutState.FAILED
    assert rollout.outcomes[0].status.reason == "PodsFailing"
    assert expected in rollout.reasons[0]
    assert time.monotonic() - begun < 60


async def test_a_crash_loop_shows_the_last_lines_of_the_log(bench: Bench) -> None:
    target = await bench.apply(workload(image="web:crash"))
    rollout = await bench.wait(target, grace=timedelta(seconds=2))
    assert rollout.state is RolloutState.FAILED
    assert "CrashLoopBackOff: exit code 1" in rollout.reasons[0]
    assert "its log ends with: panic: cannot open the database" in rollout.reasons[0]
    assert bench.told[-2:] == [
        "    | reading the settings",
        "    | panic: cannot open the database",
    ]


async def test_pods_that_fit_no_node_are_told(bench: Bench) -> None:
    resources = {"resources": {"requests": {"cpu": "100"}}}
    target = await bench.apply(workload(container=resources))
    rollout = await bench.wait(target, timeout=timedelta(seconds=3), grace=timedelta(seconds=1))
    assert rollout.outcomes[0].status.reason == "TimedOut"
    assert "Unschedulable: 0/1 nodes are available: 1 Insufficient cpu." in rollout.reasons[0]


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
async def test_a_quota_that_stops_pods_is_told(bench: Bench, kind: str) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "small"},
        "spec": {"hard": {"pods": "0"}},
    }
    await bench.apply(quota)
    await _enforced(bench)
    target = await bench.apply(workload(kind))
    rollout = await bench.wait(target, timeout=timedelta(seconds=4))
    assert rollout.outcomes[0].status.reason == "TimedOut"
    assert "exceeded quota: small" in rollout.reasons[0]


async def _enforced(bench: Bench) -> None:
    """A quota counts as soon as its controller has reckoned up what is there."""
    path = f"/api/v1/namespaces/{bench.namespace}/resourcequotas/small"
    for _ in range(600):
        if bench.cluster.get(path).get("status", {}).get("hard"):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the quota is not reckoned up")


async def test_a_paused_deployment_fails_at_once(bench: Bench) -> None:
    rollout = await bench.wait(await bench.apply(workload(paused=True)))
    assert rollout.state is RolloutState.FAILED
    assert "is paused (spec.paused)" in rollout.reasons[0]


async def test_a_deployment_that_somebody_deletes_fails_at_once(bench: Bench) -> None:
    target = await bench.apply(workload(image="web:hang"))
    waiting = asyncio.create_task(bench.wait(target, timeout=timedelta(minutes=5)))
    await asyncio.to_thread(bench.kubectl, "delete", "deployment/web", "--wait=false")
    rollout = await asyncio.wait_for(waiting, 30)
    assert rollout.outcomes[0].status.reason == "Deleted"


async def test_a_newer_image_by_another_supersedes(bench: Bench) -> None:
    target = await bench.apply(workload(image="web:hang"))
    waiting = asyncio.create_task(bench.wait(target, timeout=timedelta(minutes=5)))
    await asyncio.to_thread(bench.kubectl, "set", "image", "deployment/web", "web=web:3")
    rollout = await asyncio.wait_for(waiting, 30)
    assert rollout.state is RolloutState.SUPERSEDED
    assert "(web:3) has replaced generation 1" in rollout.reasons[0]


@pytest.mark.parametrize(
    "arguments",
    [("rollout", "restart", "deployment/web"), ("scale", "deployment/web", "--replicas=3")],
    ids=["restarted", "scaled"],
)
async def test_a_restart_or_another_size_supersedes_nothing(
    bench: Bench, arguments: Sequence[str]
) -> None:
    target = await bench.apply(workload(image="web:slow"))
    await asyncio.to_thread(bench.kubectl, *arguments)
    rollout = await bench.wait(target)
    assert rollout.state is RolloutState.READY
    live = bench.read(target)
    assert live["metadata"]["generation"] > target.applied["metadata"]["generation"]


async def test_a_stateful_set_stays_stuck_on_a_bad_pod_until_it_is_deleted(bench: Bench) -> None:
    await bench.wait(await bench.apply(workload("StatefulSet", replicas=2)))
    bad = await bench.apply(workload("StatefulSet", "web:2-bad", replicas=2))
    rollout = await bench.wait(bad, grace=timedelta(seconds=1))
    assert "pod web-1, container web: " in rollout.reasons[0]
    good = await bench.apply(workload("StatefulSet", "web:3", replicas=2))
    rollout = await bench.wait(good, grace=timedelta(seconds=1))
    assert rollout.state is RolloutState.FAILED
    way_out = f"kubectl delete pod web-1 --namespace {bench.namespace}"
    assert f"holds up the update until it is deleted: {way_out}" in rollout.reasons[0]
    # Its own wait looks for the name, which another pod may have by then.
    bench.kubectl("delete", "pod", "web-1", "--wait=false")
    assert (await bench.wait(good)).state is RolloutState.READY


@pytest.mark.parametrize(
    ("strategy", "last_words"),
    [
        pytest.param(
            {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}},
            "1 replica updated, the others kept by partition 1",
            id="partition",
        ),
        pytest.param({"type": "OnDelete"}, "its pods change when they are deleted", id="OnDelete"),
    ],
)
async def test_a_stateful_set_that_keeps_pods_back(
    bench: Bench, strategy: Mapping[str, Any], last_words: str
) -> None:
    first = workload("StatefulSet", replicas=2, updateStrategy=strategy)
    await bench.wait(await bench.apply(first))
    second = workload("StatefulSet", "web:2", replicas=2, updateStrategy=strategy)
    target = await bench.apply(second)
    assert (await bench.wait(target)).state is RolloutState.READY
    assert bench.told[-1].endswith(last_words)


async def test_a_daemon_set_without_a_node_runs_nowhere_and_says_so(bench: Bench) -> None:
    target = await bench.apply(workload("DaemonSet", pod={"nodeSelector": {"disk": "fast"}}))
    assert (await bench.wait(target)).state is RolloutState.READY
    assert bench.told[-1].endswith("no node matches: it runs nowhere")


async def test_a_job_that_ends_well(bench: Bench) -> None:
    target = await bench.apply(workload("Job", "migrate:job-ok"))
    assert (await bench.wait(target)).state is RolloutState.READY


async def test_a_job_that_fails_is_told_with_its_pod(bench: Bench) -> None:
    target = await bench.apply(workload("Job", "migrate:job-fail", backoffLimit=0))
    rollout = await bench.wait(target)
    assert rollout.state is RolloutState.FAILED
    assert rollout.outcomes[0].status.reason == "BackoffLimitExceeded"
    assert "container web: Error: exit code 1" in rollout.reasons[0]


async def test_several_objects_are_waited_for_together_and_reported_together(
    bench: Bench,
) -> None:
    good = await bench.apply(workload(image="web:1"))
    bad = await bench.apply(workload("StatefulSet", "web:bad"))
    rollout = await bench.wait(good, bad, grace=timedelta(seconds=2))
    assert rollout.state is RolloutState.FAILED
    states = {str(outcome.key.kind): outcome.status.state for outcome in rollout.outcomes}
    assert states == {"StatefulSet": RolloutState.FAILED, "Deployment": RolloutState.READY}
    assert len(rollout.reasons) == 1


async def test_without_the_right_to_read_pods_the_verdict_stands(bench: Bench) -> None:
    kubeconfig = bench.cluster.service_account(bench.namespace, READERS)
    client = await connected(kubeconfig)
    target = await bench.apply(workload(image="web:bad", progressDeadlineSeconds=2), client=client)
    rollout = await bench.wait(target, client=client)
    await client.close()
    assert rollout.outcomes[0].status.reason == "ProgressDeadlineExceeded"
    for right in ("list replicasets.apps", "list pods", "list events"):
        assert f"no right to {right} in namespace {bench.namespace}" in rollout.reasons[0]


async def test_without_the_right_to_read_the_object_the_wait_ends_with_the_refusal(
    bench: Bench,
) -> None:
    target = await bench.apply(workload(image="web:hang"))
    client = await connected(bench.cluster.service_account(bench.namespace))
    with pytest.raises(ClusterError) as caught:
        await bench.wait(target, client=client)
    await client.close()
    assert caught.value.fault is ClusterFault.FORBIDDEN


@pytest.mark.parametrize(
    "fault", [Reset(), Hang()], ids=["connections are reset", "nothing answers"]
)
async def test_a_server_that_goes_away_leaves_the_state_unknown_at_the_time_out(
    bench: Bench, cluster_proxy: FaultProxy, fault: Reset | Hang
) -> None:
    client = await connected(cluster_proxy.kubeconfig, patience=Patience(tries=2))
    target = await bench.apply(workload(image="web:hang"), client=client)
    cluster_proxy.fault("GET", "/deployments/web", fault, after=1, times=None)
    begun = time.monotonic()
    rollout = await bench.wait(target, client=client, timeout=timedelta(seconds=4))
    assert 4 <= time.monotonic() - begun < 7
    await client.close()
    assert rollout.state is RolloutState.UNKNOWN
    assert "its state is unknown after 4s" in rollout.reasons[0]
    assert "last seen: " in rollout.reasons[0]


async def test_a_rollout_costs_few_requests(bench: Bench) -> None:
    target = await bench.apply(workload(image="web:slow", replicas=2))
    before = bench.client.sent
    await bench.wait(target)
    assert bench.client.sent - before < 30


async def test_definitions_and_namespaces_get_ready(bench: Bench) -> None:
    group = f"{bench.namespace}.example.com"
    names = {"plural": "widgets", "singular": "widget", "kind": "Widget"}
    schema = {"openAPIV3Schema": {"type": "object"}}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{group}"},
        "spec": {
            "group": group,
            "names": names,
            "scope": "Namespaced",
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }
    resource = await bench.client.resource("apiextensions.k8s.io/v1", "CustomResourceDefinition")
    applied = await bench.client.apply(resource, definition)
    rollout = await bench.wait(Followed(resource=resource, applied=applied.object))
    assert rollout.state is RolloutState.READY
    await bench.client.delete(resource, "", f"widgets.{group}")
    assert assess(bench.cluster.get(f"/api/v1/namespaces/{bench.namespace}")).message == "active"
