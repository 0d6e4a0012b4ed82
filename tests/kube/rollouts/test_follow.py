"""Waiting for rollouts: when it ends, how, with what words. No test takes real time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from tests.kube.scripted import (
    Answer,
    ScriptedCluster,
    followed,
    refused,
    unreachable,
    warning,
)
from tests.kube.workloads import (
    condition,
    conditions,
    crashed,
    is_waiting,
    pod,
    replica_set,
    rolled_out,
    rolling,
    workload,
)
from watcher.errors import ClusterError, ClusterFault
from watcher.kube.objects import Object
from watcher.kube.rollouts.follow import Followed, Rollout, follow
from watcher.kube.rollouts.rollout import RolloutState

WEB = "deployment.apps/web in namespace shop"


@dataclass(kw_only=True)
class Wait:
    """A wait for what a cluster plays, and what it told."""

    cluster: ScriptedCluster = field(default_factory=ScriptedCluster)
    told: list[str] = field(default_factory=list)

    async def __call__(
        self,
        targets: Sequence[Followed] | None = None,
        *,
        timeout: timedelta = timedelta(minutes=5),
        grace: timedelta = timedelta(seconds=60),
    ) -> Rollout:
        return await follow(
            self.cluster,
            targets if targets is not None else [followed(rolling())],
            timeout=timeout,
            tell=self.told.append,
            grace=grace,
            sleep=self.cluster.sleep,
            clock=self.cluster.clock,
        )

    @property
    def seconds(self) -> float:
        return self.cluster.now - 1000


@pytest.fixture
def wait() -> Wait:
    return Wait()


async def test_a_rollout_that_ends_well(wait: Wait) -> None:
    old = rolled_out(image="web:1", generation=1)
    wait.cluster.plays(
        old, rolling(updated=1), rolling(updated=1), rolling(updated=2), rolled_out()
    )
    rollout = await wait()
    assert rollout.state is RolloutState.READY
    assert rollout.reasons == ()
    assert wait.told == [
        f"{WEB}: its controller has not seen the change yet",
        f"{WEB}: 1 of 3 replicas updated",
        f"{WEB}: 2 of 3 replicas updated",
        f"{WEB}: 3 replicas updated and available",
    ]


async def test_nothing_to_follow_is_ready(wait: Wait) -> None:
    assert (await wait([])).state is RolloutState.READY
    assert wait.told == []


async def test_what_is_rolled_out_costs_one_request_and_no_pause(wait: Wait) -> None:
    wait.cluster.plays(rolled_out())
    await wait()
    assert wait.cluster.asked == ["get Deployment/web"]
    assert wait.cluster.slept == []


async def test_polls_every_second_then_every_two_then_every_five(wait: Wait) -> None:
    wait.cluster.plays(rolling())
    await wait(timeout=timedelta(minutes=2))
    for number, (pause, least) in enumerate(
        zip(wait.cluster.slept[:-1], [1.0] * 10 + [2.0] * 10 + [5.0] * 100, strict=False)
    ):
        assert 0.8 * least <= pause <= 1.2 * least, number
    assert len(set(wait.cluster.slept)) > 10
    assert wait.cluster.asked.count("get Deployment/web") < 45
    assert wait.seconds == pytest.approx(120)


async def test_at_the_time_out_it_has_failed_with_what_it_waited_for(wait: Wait) -> None:
    wait.cluster.plays(rolling())
    item = pod(replica_set(rolling(), revision=2), labels={"app": "web", "pod-template-hash": "2"})
    wait.cluster.lists = {
        "ReplicaSet": [replica_set(rolling(), revision=2)],
        "Pod": [item],
        "Event": [warning(item, "FailedMount", 'secret "db" not found')],
    }
    rollout = await wait(timeout=timedelta(seconds=90))
    assert rollout.state is RolloutState.FAILED
    assert rollout.reasons == (
        f"{WEB}: not rolled out after 1m30s: 1 of 3 replicas updated; "
        'pod web-1-a: FailedMount: secret "db" not found',
    )
    assert rollout.outcomes[0].status.reason == "TimedOut"
    assert wait.told[-1] == rollout.reasons[0]


def troubled(wait: Wait, item: Object) -> None:
    """A Deployment whose newest ReplicaSet has this pod, and that gets no further."""
    newest = replica_set(rolling(), revision=2)
    item["metadata"]["labels"] = newest["metadata"]["labels"]
    item["metadata"]["ownerReferences"] = pod(newest)["metadata"]["ownerReferences"]
    wait.cluster.plays(rolling())
    wait.cluster.lists = {"ReplicaSet": [newest], "Pod": [item]}


async def test_a_missing_image_fails_after_the_grace_not_at_the_time_out(wait: Wait) -> None:
    troubled(wait, pod(web=is_waiting("ErrImagePull", "manifest unknown")))
    rollout = await wait()
    assert rollout.state is RolloutState.FAILED
    assert rollout.reasons == (
        f"{WEB}: 1 of 3 replicas updated, no better for 1m; "
        "pod web-1-a, container web: ErrImagePull: manifest unknown (image web:2)",
    )
    assert 60 <= wait.seconds <= 75


async def test_a_crash_loop_tells_the_last_lines_of_its_log(wait: Wait) -> None:
    troubled(wait, pod(phase="Running", web=crashed(2)))
    wait.cluster.logs["web-1-a", True] = "reading the settings\npanic: no database\n"
    rollout = await wait(grace=timedelta(seconds=10))
    assert rollout.reasons[0].endswith(
        "CrashLoopBackOff: exit code 2, 3 restarts; its log ends with: panic: no database"
    )
    assert wait.told[-2:] == ["    | reading the settings", "    | panic: no database"]


async def test_an_image_that_comes_late_within_the_grace_is_no_failure(wait: Wait) -> None:
    troubled(wait, pod(web=is_waiting("ErrImagePull", "manifest unknown")))
    wait.cluster.plays(*[rolling()] * 25, rolled_out())
    rollout = await wait()
    assert rollout.state is RolloutState.READY
    assert any("ErrImagePull" in line for line in wait.told)
    assert rollout.outcomes[0].cause.message == ""


async def test_pods_without_a_node_are_waited_for_to_the_time_out(wait: Wait) -> None:
    found = (condition("PodScheduled", "False", "Unschedulable", "0/3 nodes"),)
    troubled(wait, pod(found=found))
    rollout = await wait()
    assert rollout.reasons == (
        f"{WEB}: not rolled out after 5m: 1 of 3 replicas updated; "
        "pod web-1-a: Unschedulable: 0/3 nodes",
    )
    assert wait.seconds == pytest.approx(300)


async def test_refused_pods_are_shown_once_and_waited_for_to_the_time_out(wait: Wait) -> None:
    quota = condition("ReplicaFailure", "True", "FailedCreate", "exceeded quota: small")
    wait.cluster.plays(rolling(**conditions(quota)))
    rollout = await wait()
    assert rollout.reasons == (
        f"{WEB}: not rolled out after 5m: 1 of 3 replicas updated; "
        "FailedCreate: exceeded quota: small",
    )
    assert len(wait.told) == 2


async def test_causes_are_not_looked_for_at_every_poll(wait: Wait) -> None:
    wait.cluster.plays(rolling())
    await wait(timeout=timedelta(minutes=2))
    assert wait.cluster.asked.count("list ReplicaSet") <= 25


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        pytest.param([rolling(), None], "was deleted by somebody", id="deleted"),
        pytest.param(
            [workload("Deployment", spec={"paused": True})],
            "is paused (spec.paused): its rollout can't end",
            id="paused",
        ),
        pytest.param(
            [rolling(**conditions(condition("Progressing", "False", "ProgressDeadlineExceeded")))],
            "its progress deadline has passed: 1 of 3 replicas updated, 3 available",
            id="its own deadline",
        ),
    ],
)
async def test_a_failure_ends_the_wait_at_once(
    wait: Wait, answers: list[Answer], message: str
) -> None:
    wait.cluster.plays(*answers)
    rollout = await wait()
    assert (rollout.state, rollout.reasons) == (RolloutState.FAILED, (f"{WEB}: {message}",))
    assert wait.seconds < 2


async def test_a_first_failure_does_not_hide_the_others(wait: Wait) -> None:
    wait.cluster.plays(rolling("api"), name="api")
    wait.cluster.plays(rolled_out("done"), name="done")
    wait.cluster.plays(rolling(), None)
    targets = [followed(rolling(name)) for name in ("api", "done", "web")]
    rollout = await wait(targets)
    assert rollout.state is RolloutState.FAILED
    assert rollout.reasons == (
        f"{WEB}: was deleted by somebody",
        "deployment.apps/api in namespace shop: 1 of 3 replicas updated",
    )
    assert [outcome.key.name for outcome in rollout.outcomes] == ["web", "api", "done"]


async def test_what_is_settled_is_not_read_again(wait: Wait) -> None:
    wait.cluster.plays(rolled_out("done"), name="done")
    wait.cluster.plays(rolling(), rolling(), rolled_out())
    await wait([followed(rolling("done")), followed(rolling())])
    assert wait.cluster.asked.count("get Deployment/done") == 1


async def test_a_superseded_object_is_named_with_its_generation(wait: Wait) -> None:
    wait.cluster.plays(rolling(), rolled_out(image="web:3", generation=3))
    rollout = await wait()
    assert rollout.state is RolloutState.SUPERSEDED
    assert rollout.reasons == (
        f"{WEB}: generation 3 (web:3) has replaced generation 2, which was applied here",
    )


async def test_the_others_are_waited_for_when_one_is_superseded(wait: Wait) -> None:
    wait.cluster.plays(rolled_out(image="web:3", generation=3))
    wait.cluster.plays(rolling("api"), rolling("api"), rolled_out("api"), name="api")
    rollout = await wait([followed(rolling()), followed(rolling("api"))])
    assert rollout.state is RolloutState.SUPERSEDED
    states = [outcome.status.state for outcome in rollout.outcomes]
    assert states == [RolloutState.SUPERSEDED, RolloutState.READY]


async def test_a_failure_beside_what_was_superseded_is_a_failure(wait: Wait) -> None:
    wait.cluster.plays(rolled_out(image="web:3", generation=3))
    wait.cluster.plays(None, name="api")
    rollout = await wait([followed(rolling()), followed(rolling("api"))])
    assert rollout.state is RolloutState.FAILED
    states = [outcome.status.state for outcome in rollout.outcomes]
    assert states == [RolloutState.FAILED, RolloutState.SUPERSEDED]


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(refused("deployments.apps is forbidden"), id="forbidden"),
        pytest.param(
            ClusterError("no such user", fault=ClusterFault.UNAUTHORIZED), id="unauthorized"
        ),
    ],
)
async def test_a_refusal_ends_the_wait_with_that_error(wait: Wait, error: ClusterError) -> None:
    wait.cluster.plays(rolling(), error)
    with pytest.raises(ClusterError) as caught:
        await wait()
    assert caught.value is error


async def test_an_unreachable_cluster_is_asked_again(wait: Wait) -> None:
    wait.cluster.plays(rolling(), unreachable(), unreachable(), rolling(), rolled_out())
    rollout = await wait()
    assert rollout.state is RolloutState.READY
    assert wait.told == [
        f"{WEB}: 1 of 3 replicas updated",
        "the cluster can't be read, trying again: connection refused",
        f"{WEB}: 3 replicas updated and available",
    ]


async def test_unreachable_to_the_end_the_state_is_unknown_and_not_failed(wait: Wait) -> None:
    wait.cluster.plays(rolling(), unreachable())
    rollout = await wait()
    assert rollout.state is RolloutState.UNKNOWN
    assert rollout.reasons == (
        f"{WEB}: its state is unknown after 5m: connection refused; "
        "last seen: 1 of 3 replicas updated",
    )
    assert wait.seconds == pytest.approx(300)


async def test_never_reached_nothing_is_known(wait: Wait) -> None:
    wait.cluster.plays(unreachable("no route to host"))
    rollout = await wait(timeout=timedelta(seconds=30))
    assert rollout.reasons == (f"{WEB}: its state is unknown after 30s: no route to host",)


async def test_a_job_that_removed_itself_has_ended_well(wait: Wait) -> None:
    item = workload("Job", spec={"ttlSecondsAfterFinished": 1})
    wait.cluster.plays(item, None, kind="Job")
    assert (await wait([followed(item)])).state is RolloutState.READY


async def test_a_job_that_removed_itself_after_a_failure_has_failed(wait: Wait) -> None:
    item = workload("Job", spec={"ttlSecondsAfterFinished": 0})
    wait.cluster.plays(item, None, kind="Job")
    wait.cluster.lists["Event"] = [warning(item, "BackoffLimitExceeded", "the limit is reached")]
    rollout = await wait([followed(item)])
    assert rollout.reasons == (
        "job.batch/web in namespace shop: has failed: BackoffLimitExceeded: the limit is reached",
    )


async def test_a_pod_that_fails_in_a_job_does_not_end_the_wait(wait: Wait) -> None:
    item = workload("Job", status={"active": 1, "failed": 3})
    wait.cluster.plays(item, kind="Job")
    wait.cluster.lists["Pod"] = [pod(item, labels={"app": "web"}, web=crashed(1))]
    rollout = await wait([followed(item)], timeout=timedelta(minutes=10))
    assert rollout.outcomes[0].status.reason == "TimedOut"
    assert wait.seconds == pytest.approx(600)


async def test_explanations_of_many_objects_are_bounded(wait: Wait) -> None:
    names = [f"web-{number}" for number in range(40)]
    for name in names:
        wait.cluster.plays(rolling(name), name=name)
    rollout = await wait([followed(rolling(name)) for name in names], timeout=timedelta(seconds=3))
    assert len(rollout.reasons) == 40
    assert wait.cluster.asked.count("list ReplicaSet") <= 30
