"""What a person is told about a rollout that does not come to its end."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kube.scripted import ScriptedCluster, refused, unreachable, warning
from tests.kube.workloads import (
    condition,
    conditions,
    crashed,
    is_waiting,
    pod,
    replica_set,
    rolling,
    thing,
    workload,
)
from watcher.kube.objects import Object
from watcher.kube.rollouts.causes import Cause, explain, failure_of_vanished, glance
from watcher.kube.rollouts.owned_pods import newest_replica_set, selector_text


def a_rollout(*pods: Object, events: Any = ()) -> tuple[Object, Object, ScriptedCluster]:
    """A Deployment, its newest ReplicaSet, and a cluster with the pods: by default the newest's."""
    deployment = rolling()
    old, new = replica_set(deployment, revision=9), replica_set(deployment, revision=10)
    stranger = replica_set(rolling("other"), revision=99)
    stranger["metadata"]["labels"]["app"] = "web"
    for item in pods:
        item["metadata"]["labels"] = dict(new["metadata"]["labels"])
        item["metadata"]["ownerReferences"] = [
            {"kind": "ReplicaSet", "uid": new["metadata"]["uid"], "controller": True}
        ]
    earlier = pod(old, name="old", labels=old["metadata"]["labels"], web=crashed(1))
    lists = {"ReplicaSet": [old, new, stranger], "Pod": [earlier, *pods], "Event": [*events]}
    return deployment, new, ScriptedCluster(lists=dict(lists))


async def test_only_the_newest_replica_set_s_pods_count() -> None:
    item = pod(web=is_waiting("ErrImagePull", "manifest unknown"))
    deployment, _, cluster = a_rollout(item)
    cause = await glance(cluster, deployment)
    assert str(cause) == (
        "pod web-1-a, container web: ErrImagePull: manifest unknown (image web:2)"
    )
    assert (cause.fatal, cause.subject) == (True, "uid-of-web-1-a")
    assert cluster.asked == ["list ReplicaSet", "list Pod"]


async def test_the_events_say_why_an_image_can_not_be_pulled() -> None:
    item = pod(web=is_waiting("ImagePullBackOff", 'Back-off pulling image "web:2"'))
    deployment, _, cluster = a_rollout(
        item,
        events=[
            warning(item, "Failed", 'Failed to pull image "web:2": manifest unknown'),
            warning(item, "Failed", "Error: ImagePullBackOff", at="2026-11-21T03:00:09Z"),
        ],
    )
    assert (await explain(cluster, deployment)).message == (
        'pod web-1-a, container web: ImagePullBackOff: Back-off pulling image "web:2"; '
        'Failed to pull image "web:2": manifest unknown'
    )


async def test_a_crash_shows_the_last_lines_of_its_log_cut_and_plain() -> None:
    deployment, _, cluster = a_rollout(pod(phase="Running", web=crashed(2)))
    lines = [f"line {number}" for number in range(20)]
    cluster.logs["web-1-a", True] = "\n".join(
        [*lines, "  \x1b[31mpanic:\tno database\x1b[0m", "", "x" * 900]
    )
    cause = await explain(cluster, deployment)
    assert len(cause.log) <= 10
    assert cause.log[0] == "line 13"
    assert cause.log[-2:] == ("   [31mpanic: no database [0m", "x" * 200)
    assert str(cause).startswith(
        "pod web-1-a, container web: CrashLoopBackOff: exit code 2, 3 restarts; "
        "its log ends with: xxx"
    )
    assert cluster.asked[-1] == "log web-1-a/web previous"


async def test_no_password_that_a_program_says_at_its_end_is_shown() -> None:
    item = pod(phase="Running", web=crashed(2))
    ended = item["status"]["containerStatuses"][0]["lastState"]["terminated"]
    ended["message"] = "gave up on postgres://me:hunter2@db, with password=hunter2"
    deployment, _, cluster = a_rollout(item)
    cluster.logs["web-1-a", True] = (
        "token=hunter2\n" + "x" * 190 + " postgres://me:hunter2@db/shop refuses us"
    )
    cause = await explain(cluster, deployment)
    assert "hunter2" not in f"{cause}{cause.log}"
    assert "gave up on postgres://…@db" in cause.message


async def test_the_present_log_serves_where_the_previous_one_is_gone() -> None:
    deployment, _, cluster = a_rollout(pod(phase="Running", web=crashed(2)))
    gone = refused("previous terminated container not found")
    gone.fault = type(gone.fault).INVALID
    cluster.logs = {("web-1-a", True): gone, ("web-1-a", False): "starting"}
    cause = await explain(cluster, deployment)
    assert (cause.log, cause.unread) == (("starting",), ())


async def test_a_failed_probe_is_told_by_its_event() -> None:
    item = pod(
        phase="Running",
        found=(condition("Ready", "False"),),
        web={"ready": False, "state": {"running": {}}},
    )
    deployment, _, cluster = a_rollout(
        item, events=[warning(item, "Unhealthy", "Readiness probe failed: HTTP 503")]
    )
    assert (await explain(cluster, deployment)).message == (
        "pod web-1-a: NotReady: running, but not ready: web; Readiness probe failed: HTTP 503"
    )


async def test_pods_that_can_not_be_created_are_told_by_the_condition() -> None:
    deployment, new, cluster = a_rollout()
    refusal = condition("ReplicaFailure", "True", "FailedCreate", "exceeded quota: small")
    new["status"] = conditions(refusal)
    assert (await glance(cluster, deployment)).message == "FailedCreate: exceeded quota: small"


async def test_a_pod_that_can_not_start_comes_before_pods_that_can_not_be_created() -> None:
    deployment, new, cluster = a_rollout(pod(web=is_waiting("InvalidImageName")))
    new["status"] = conditions(condition("ReplicaFailure", "True", "FailedCreate", "quota"))
    assert "InvalidImageName" in (await glance(cluster, deployment)).message


async def test_pods_that_can_not_be_created_come_before_one_that_takes_its_time() -> None:
    waiting = pod(found=(condition("PodScheduled", "False", "Unschedulable", "0/3 nodes"),))
    deployment, new, cluster = a_rollout(waiting)
    new["status"] = conditions(condition("ReplicaFailure", "True", "FailedCreate", "quota"))
    assert (await glance(cluster, deployment)).message == "FailedCreate: quota"


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet", "Job"])
async def test_where_no_pod_comes_the_newest_warning_is_told(kind: str) -> None:
    item = workload(kind)
    events = [
        warning(item, "FailedCreate", "denied by a webhook", at="2026-11-21T03:00:09Z"),
        warning(item, "FailedCreate", "earlier", at="2026-11-21T03:00:01Z"),
        warning(workload(kind, name="other"), "FailedCreate", "of another"),
    ]
    cluster = ScriptedCluster(lists={"Event": events})
    cause = await explain(cluster, item)
    assert (str(cause), cause.fatal) == ("FailedCreate: denied by a webhook", False)


async def test_the_pods_of_a_spec_that_nobody_has_seen_yet_are_not_blamed() -> None:
    deployment, _, cluster = a_rollout(pod(phase="Running", web=crashed(2)))
    cluster.lists["Event"] = [warning(deployment, "FailedCreate", "exceeded quota: small")]
    cause = await explain(cluster, deployment, observed=False)
    assert str(cause) == "FailedCreate: exceeded quota: small"
    assert cluster.asked == ["list Event"]


async def test_a_pod_that_only_hangs_is_told_by_its_newest_warning() -> None:
    item = pod(web=is_waiting("ContainerCreating"))
    deployment, _, cluster = a_rollout(
        item, events=[warning(item, "FailedMount", 'configmap "settings" not found')]
    )
    assert str(await explain(cluster, deployment)) == (
        'pod web-1-a: FailedMount: configmap "settings" not found'
    )


def stateful_pod(item: Object, revision: str, **containers: Any) -> Object:
    labels = {"app": "web", "controller-revision-hash": revision}
    return pod(item, name=f"web-{revision}", labels=labels, **containers)


async def test_a_stuck_pod_of_an_earlier_revision_is_named_with_the_way_out() -> None:
    item = workload("StatefulSet", status={"updateRevision": "good"})
    stuck = stateful_pod(item, "bad", web=is_waiting("ErrImagePull", "not found"))
    cluster = ScriptedCluster(lists={"Pod": [stateful_pod(item, "good"), stuck]})
    cause = await explain(cluster, item)
    assert str(cause) == (
        "pod web-bad, container web: ErrImagePull: not found (image web:2); it runs an earlier "
        "revision and holds up the update until it is deleted: "
        "kubectl delete pod web-bad --namespace shop"
    )
    assert cause.fatal


async def test_a_daemon_set_s_pods_of_an_earlier_template_do_not_count() -> None:
    key = "deprecated.daemonset.template.generation"
    item = workload("DaemonSet", metadata={"annotations": {key: "2"}})
    old, new = {"app": "web", "pod-template-generation": "1"}, {"app": "web"}
    new["pod-template-generation"] = "2"
    pods = [pod(item, labels=old, web=crashed()), pod(item, name="new", labels=new)]
    cluster = ScriptedCluster(lists={"Pod": pods})
    assert str(await glance(cluster, item)) == ""


async def test_a_job_s_own_limit_ends_its_crashes_but_not_a_missing_image() -> None:
    item = workload("Job")
    labels = {"app": "web"}
    crashing = ScriptedCluster(lists={"Pod": [pod(item, labels=labels, web=crashed())]})
    assert not (await glance(crashing, item)).fatal
    missing = pod(item, labels=labels, web=is_waiting("ErrImagePull"))
    assert (await glance(ScriptedCluster(lists={"Pod": [missing]}), item)).fatal


async def test_a_single_pod_explains_itself_without_any_list() -> None:
    cluster = ScriptedCluster()
    cause = await glance(cluster, pod(web=is_waiting("ErrImagePull")))
    assert cause.fatal
    assert cluster.asked == []


async def test_a_custom_workload_s_pods_are_known_by_their_images() -> None:
    item = workload("Widget")
    labels = {"app": "web"}
    pods = [
        pod(name="old", image="web:1", labels=labels, web=crashed()),
        pod(name="new", image="web:2", labels=labels, web=is_waiting("ErrImagePull")),
    ]
    cause = await glance(ScriptedCluster(lists={"Pod": pods}), item)
    assert cause.message.startswith("pod new, container web: ErrImagePull")


async def test_the_selector_of_what_creates_no_pods_is_left_alone() -> None:
    item = thing("Widget", spec={"selector": {"matchLabels": {"app": "web"}}})
    cluster = ScriptedCluster(lists={"Pod": [pod(labels={"app": "web"}, web=crashed())]})
    assert await glance(cluster, item) == Cause()


async def test_missing_rights_are_named_and_hide_nothing_else() -> None:
    item = pod(web=is_waiting("ImagePullBackOff"), labels={"app": "web"})
    cluster = ScriptedCluster(lists={"ReplicaSet": refused(), "Pod": [item], "Event": refused()})
    assert str(await explain(cluster, rolling())) == (
        "pod web-1-a, container web: ImagePullBackOff: image web:2; "
        "no right to list replicasets.apps in namespace shop, where the reason may stand; "
        "no right to list events in namespace shop, where the reason may stand"
    )


async def test_without_any_right_the_rights_are_all_that_is_told() -> None:
    cluster = ScriptedCluster(lists={"ReplicaSet": refused(), "Pod": refused(), "Event": refused()})
    cause = await explain(cluster, rolling())
    assert cause.message == ""
    assert [words.split(",")[0] for words in cause.unread] == [
        "no right to list replicasets.apps in namespace shop",
        "no right to list pods in namespace shop",
        "no right to list events in namespace shop",
    ]


async def test_a_log_that_may_not_be_read_is_named() -> None:
    deployment, _, cluster = a_rollout(pod(phase="Running", web=crashed(2)))
    cluster.logs = {("web-1-a", True): refused(), ("web-1-a", False): refused()}
    cause = await explain(cluster, deployment)
    assert cause.unread == (
        "no right to get pods/log in namespace shop, where the reason may stand",
    )


async def test_a_cluster_that_can_not_be_reached_ends_no_explanation() -> None:
    cluster = ScriptedCluster(lists={"ReplicaSet": unreachable(), "Pod": unreachable()})
    cause = await glance(cluster, rolling())
    assert cause.unread[0] == (
        "could not list replicasets.apps in namespace shop: connection refused"
    )


@pytest.mark.parametrize(
    ("events", "told"),
    [
        pytest.param(
            [("BackoffLimitExceeded", "Job has reached the specified backoff limit")],
            "BackoffLimitExceeded: Job has reached the specified backoff limit",
            id="failed",
        ),
        pytest.param([("FailedCreate", "quota")], "", id="trouble on the way"),
        pytest.param([], "", id="nothing"),
    ],
)
async def test_the_events_of_a_job_that_is_gone_tell_its_failure(
    events: list[tuple[str, str]], told: str
) -> None:
    item = workload("Job")
    cluster = ScriptedCluster(lists={"Event": [warning(item, *words) for words in events]})
    assert await failure_of_vanished(cluster, item) == told


def test_the_newest_replica_set_is_that_of_the_highest_number() -> None:
    deployment = rolling()
    sets = [replica_set(deployment, revision=number) for number in (9, 10, 2)]
    sets[2]["metadata"]["annotations"] = {}
    newest = newest_replica_set(sets, "uid-of-web")
    assert newest is not None
    assert newest["metadata"]["name"] == "web-10"
    assert newest_replica_set(sets, "uid-of-another") is None


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({"matchLabels": {"app": "web", "tier": "a"}}, "app=web,tier=a"),
        (
            {"matchExpressions": [{"key": "a", "operator": "In", "values": ["x", "y"]}]},
            "a in (x,y)",
        ),
        (
            {"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["x"]}]},
            "a notin (x)",
        ),
        (
            {
                "matchExpressions": [
                    {"key": "a", "operator": "Exists"},
                    {"key": "b", "operator": "DoesNotExist"},
                ]
            },
            "a,!b",
        ),
        ({}, None),
        (None, None),
    ],
    ids=["labels", "in", "not in", "exists", "empty", "none"],
)
def test_a_selector_as_a_request_has_it(selector: Any, expected: str | None) -> None:
    assert selector_text(thing("Deployment", spec={"selector": selector})) == expected
