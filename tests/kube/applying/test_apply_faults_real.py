"""Applying through a network and a server that fail: what is tried again, and what is said."""

from __future__ import annotations

import time

import pytest

from tests.kube.bench import Bench, bench_of, config_map, deployment
from tests.kube.clients import SHORT, Time
from tests.kube.cluster import RealCluster
from tests.kube.proxy import Answer, Fault, FaultProxy, Hang, Reset
from tests.kube.webhooks import CLOSED, refusing_server, webhook
from watcher.errors import ClusterError, ClusterFault, StageError
from watcher.kube.applying.plan import Action, ApplyFailed

DRY = r"/configmaps/\S+dryRun=All"
REAL = r"/configmaps/[^?]+\?(?!\S*dryRun)"
PAGE = Answer(status=200, body=b"<html>Log in</html>", headers={"Content-Type": "text/html"})


def generation(bench: Bench) -> int:
    return int(bench.read("Deployment", "web")["metadata"]["generation"])


async def test_a_server_that_asks_for_patience_gets_it_and_one_change_is_reported(
    cluster: RealCluster, cluster_proxy: FaultProxy
) -> None:
    time_ = Time()
    busy = Answer(status=429, headers={"Retry-After": "2"})
    async with bench_of(
        cluster, cluster_proxy.kubeconfig, sleep=time_.sleep, clock=time_.clock, now=time_.now
    ) as bench:
        cluster_proxy.fault("PATCH", REAL, busy)
        assert await bench.apply(config_map("a", x="1")) == {"a": Action.CREATED}
        assert max(time_.slept) >= 2
        assert bench.told == [f"configmap/a in namespace {bench.namespace} created"]
        assert len(cluster_proxy.requests("PATCH", REAL)) == 2


async def test_a_server_that_is_away_applies_nothing_and_is_tried_again_later(
    cluster: RealCluster, cluster_proxy: FaultProxy
) -> None:
    time_ = Time()
    async with bench_of(
        cluster, cluster_proxy.kubeconfig, sleep=time_.sleep, clock=time_.clock, now=time_.now
    ) as bench:
        cluster_proxy.fault("PATCH", DRY, Answer(status=503), times=None)
        with pytest.raises(ClusterError, match="nothing was applied") as caught:
            await bench.plan(config_map("a", x="1"), config_map("b", x="1"))
        assert caught.value.fault is ClusterFault.UNAVAILABLE
        assert caught.value.temporary
        cluster_proxy.clear()
        await bench.apply(config_map("a", x="1"), config_map("b", x="1"))


async def test_a_server_that_goes_away_in_the_middle_leaves_nothing_unnamed(
    cluster: RealCluster, cluster_proxy: FaultProxy
) -> None:
    time_ = Time()
    async with bench_of(
        cluster, cluster_proxy.kubeconfig, sleep=time_.sleep, clock=time_.clock, now=time_.now
    ) as bench:
        bundle = (config_map("a", x="1"), deployment())
        plan = await bench.plan(*bundle)
        cluster_proxy.fault("PATCH", r"/deployments/", Answer(status=503), times=None)
        with pytest.raises(ApplyFailed) as caught:
            await bench.execute(plan)
        place = f"in namespace {bench.namespace}"
        assert str(caught.value).endswith(f"applied before: configmap/a {place}")
        assert caught.value.temporary
        assert [result.action for result in caught.value.results] == [
            Action.CREATED,
            Action.FAILED,
        ]
        cluster_proxy.clear()
        again = await bench.apply(*bundle)
        assert again == {"a": Action.UNCHANGED, "web": Action.CREATED}


@pytest.mark.parametrize("is_new", [True, False], ids=["created", "configured"])
async def test_an_answer_that_was_lost_does_not_make_two_changes_of_one(
    is_new: bool, cluster: RealCluster, cluster_proxy: FaultProxy
) -> None:
    async with bench_of(cluster, cluster_proxy.kubeconfig) as bench:
        if not is_new:
            await bench.apply(deployment(replicas=0))
            bench.kubectl("rollout", "status", "deployment/web")
        plan = await bench.plan(deployment(image="web:2", replicas=0))
        before = 0 if is_new else generation(bench)
        cluster_proxy.clear()
        cluster_proxy.fault("PATCH", r"/deployments/", Reset(forwarded=True))
        bench.told.clear()
        results = await bench.execute(plan)
        expected = Action.CREATED if is_new else Action.CONFIGURED
        assert [result.action for result in results] == [expected]
        assert len(cluster_proxy.requests("PATCH", "/deployments/")) == 2
        assert generation(bench) == before + 1
        assert bench.told == [f"deployment.apps/web in namespace {bench.namespace} {expected}"]


async def test_a_server_that_never_answers_is_given_up_in_time(
    cluster: RealCluster, cluster_proxy: FaultProxy
) -> None:
    async with bench_of(cluster, cluster_proxy.kubeconfig, patience=SHORT) as bench:
        plan = await bench.plan(config_map("a", x="1"))
        cluster_proxy.clear()
        cluster_proxy.fault("", "/configmaps/", Hang(), times=None)
        began = time.monotonic()
        with pytest.raises(ApplyFailed) as caught:
            await bench.execute(plan)
        assert caught.value.temporary
        waits = SHORT.first_wait * (1 + 2 + 4 + 8) * 1.5
        assert time.monotonic() - began < SHORT.tries * 1.0 + waits + 5
        assert len(cluster_proxy.requests()) == SHORT.tries


@pytest.mark.parametrize(
    ("method", "pattern"), [("GET", "/configmaps/"), ("PATCH", DRY)], ids=["read", "dry_run"]
)
async def test_a_login_page_is_no_success(
    method: str, pattern: str, cluster: RealCluster, cluster_proxy: FaultProxy
) -> None:
    async with bench_of(cluster, cluster_proxy.kubeconfig) as bench:
        cluster_proxy.fault(method, pattern, PAGE, times=None)
        with pytest.raises(ClusterError, match="no answer of a Kubernetes API server") as caught:
            await bench.plan(config_map("a", x="1"))
        assert caught.value.fault is ClusterFault.NOT_KUBERNETES
        assert "nothing was applied" in str(caught.value)
        assert not cluster_proxy.writes()


async def test_a_page_in_the_place_of_an_applied_object_is_no_success_either(
    cluster: RealCluster, cluster_proxy: FaultProxy
) -> None:
    async with bench_of(cluster, cluster_proxy.kubeconfig) as bench:
        plan = await bench.plan(config_map("a", x="1"))
        cluster_proxy.fault("PATCH", REAL, PAGE, times=None)
        with pytest.raises(ApplyFailed, match="no answer of a Kubernetes API server"):
            await bench.execute(plan)


@pytest.mark.parametrize(
    ("status", "fault"),
    [(401, ClusterFault.UNAUTHORIZED), (500, ClusterFault.UNAVAILABLE)],
    ids=["credential", "server"],
)
async def test_what_is_no_fault_of_the_objects_is_said_once(
    status: int, fault: ClusterFault, cluster: RealCluster, cluster_proxy: FaultProxy
) -> None:
    time_ = Time()
    failure: Fault = Answer(
        status=status,
        body={
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "reason": "Unauthorized" if status == 401 else "InternalError",
            "message": "etcdserver: request timed out",
            "code": status,
        },
    )
    async with bench_of(
        cluster, cluster_proxy.kubeconfig, sleep=time_.sleep, clock=time_.clock, now=time_.now
    ) as bench:
        cluster_proxy.fault("", "/configmaps/", failure, times=None)
        with pytest.raises(ClusterError) as caught:
            await bench.plan(*(config_map(f"map-{number}") for number in range(30)))
        assert caught.value.fault is fault
        assert len(str(caught.value).splitlines()) == 1
        assert len(cluster_proxy.requests("", "/configmaps/")) <= 4 * 5


async def test_an_admission_webhook_that_is_down_is_a_reason_to_try_again(
    cluster: RealCluster,
) -> None:
    time_ = Time()
    async with bench_of(cluster, sleep=time_.sleep, clock=time_.clock, now=time_.now) as bench:
        with webhook(cluster, bench.namespace, CLOSED):
            with pytest.raises(ClusterError, match="nothing was applied") as caught:
                await bench.plan(config_map("a", x="1"))
            assert caught.value.fault is ClusterFault.UNAVAILABLE
            assert caught.value.temporary
            assert "failed calling webhook" in str(caught.value)
            assert time_.slept
        await bench.apply(config_map("a", x="1"))


async def test_an_admission_webhook_that_refuses_is_quoted_and_not_asked_again(
    cluster: RealCluster,
) -> None:
    async with bench_of(cluster) as bench:
        with (
            refusing_server(cluster, "images come from our registry only") as url,
            webhook(cluster, bench.namespace, url),
            pytest.raises(StageError) as caught,
        ):
            await bench.plan(config_map("a", x="1"))
        assert "nothing was applied" in str(caught.value)
        assert "images come from our registry only" in str(caught.value)
        assert caught.value.hint == "an admission policy of the cluster says so"
        assert not caught.value.temporary
