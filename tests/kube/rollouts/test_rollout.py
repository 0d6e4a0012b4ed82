"""When what has replicas or completions counts as rolled out: a table for each kind."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kube.workloads import (
    condition,
    conditions,
    rolling,
    thing,
    workload,
)
from watcher.kube.objects import Object
from watcher.kube.rollouts.rollout import RolloutState, assess

PROGRESSING, READY = RolloutState.PROGRESSING, RolloutState.READY
FAILED = RolloutState.FAILED

REFUSED = condition(
    "ReplicaFailure", "True", "FailedCreate", 'pods "web-x" is forbidden: exceeded quota: small'
)
LATE = condition("Progressing", "False", "ProgressDeadlineExceeded", "has timed out")


def deployment(wanted: int | None = 3, /, *found: Any, spec: Any = None, **status: int) -> Object:
    size = {} if wanted is None else {"replicas": wanted}
    return workload(
        "Deployment", spec={**size, **(spec or {})}, status={**status, **conditions(*found)}
    )


def stateful_set(spec: Any = None, **status: Any) -> Object:
    found = {"currentRevision": "web-1", "updateRevision": "web-2", **status}
    return workload("StatefulSet", spec={"replicas": 3, **(spec or {})}, status=found)


def daemon_set(spec: Any = None, **status: Any) -> Object:
    return workload("DaemonSet", spec=spec, status=status)


def job(*found: Any, spec: Any = None, **status: Any) -> Object:
    return workload(
        "Job", spec={"completions": 1, **(spec or {})}, status={**status, **conditions(*found)}
    )


def partition(number: int) -> dict[str, Any]:
    return {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": number}}}


ON_DELETE = {"updateStrategy": {"type": "OnDelete"}}


@pytest.mark.parametrize(
    ("item", "state", "message"),
    [
        pytest.param(
            deployment(replicas=4, updatedReplicas=1, availableReplicas=3),
            PROGRESSING,
            "1 of 3 replicas updated",
            id="some updated",
        ),
        pytest.param(
            deployment(replicas=5, updatedReplicas=3, availableReplicas=5),
            PROGRESSING,
            "2 old replicas still to end",
            id="old pods left",
        ),
        pytest.param(
            deployment(replicas=3, updatedReplicas=3, availableReplicas=1),
            PROGRESSING,
            "1 of 3 updated replicas available",
            id="some available",
        ),
        pytest.param(
            deployment(replicas=3, updatedReplicas=3, availableReplicas=3),
            READY,
            "3 replicas updated and available",
            id="done",
        ),
        pytest.param(deployment(0), READY, "0 replicas updated and available", id="of none"),
        pytest.param(
            deployment(0, replicas=2),
            PROGRESSING,
            "2 old replicas still to end",
            id="to none, old pods left",
        ),
        pytest.param(
            deployment(None, replicas=1, updatedReplicas=1, availableReplicas=1),
            READY,
            "1 replica updated and available",
            id="one unless said",
        ),
        pytest.param(
            deployment(3, LATE, spec={"progressDeadlineSeconds": 6}, updatedReplicas=1),
            FAILED,
            "its progress deadline of 6 s has passed: 1 of 3 replicas updated, 0 available",
            id="deadline passed",
        ),
        pytest.param(
            deployment(3, LATE, REFUSED, availableReplicas=2),
            FAILED,
            "its progress deadline has passed: 0 of 3 replicas updated, 2 available; "
            'FailedCreate: pods "web-x" is forbidden: exceeded quota: small',
            id="deadline passed for want of quota",
        ),
        pytest.param(
            deployment(3, REFUSED, replicas=1, updatedReplicas=1),
            PROGRESSING,
            '1 of 3 replicas updated; FailedCreate: pods "web-x" is forbidden: '
            "exceeded quota: small",
            id="pods refused, waited for",
        ),
        pytest.param(
            deployment(3, spec={"paused": True}),
            FAILED,
            "is paused (spec.paused): its rollout can't end",
            id="paused",
        ),
        pytest.param(
            workload("Deployment", spec={"paused": True}, status={"observedGeneration": 1}),
            FAILED,
            "is paused (spec.paused): its rollout can't end",
            id="paused, before it is observed",
        ),
    ],
)
def test_a_deployment(item: Object, state: RolloutState, message: str) -> None:
    status = assess(item)
    assert (status.state, status.message) == (state, message)


@pytest.mark.parametrize(
    ("item", "state", "message"),
    [
        pytest.param(
            stateful_set(updatedReplicas=1, readyReplicas=3),
            PROGRESSING,
            "1 of 3 replicas updated",
            id="some updated",
        ),
        pytest.param(
            stateful_set(updatedReplicas=3, readyReplicas=2),
            PROGRESSING,
            "2 of 3 replicas ready",
            id="some ready",
        ),
        pytest.param(
            stateful_set(updatedReplicas=3, readyReplicas=3),
            PROGRESSING,
            "3 replicas updated, the revision is not complete yet",
            id="revisions differ",
        ),
        pytest.param(
            stateful_set(updatedReplicas=3, readyReplicas=3, currentRevision="web-2"),
            READY,
            "3 replicas updated and ready",
            id="done",
        ),
        pytest.param(
            stateful_set({"replicas": 0}, currentRevision="web-2"),
            READY,
            "0 replicas updated and ready",
            id="of none",
        ),
        pytest.param(
            stateful_set(
                {"minReadySeconds": 5}, updatedReplicas=3, readyReplicas=3, availableReplicas=1
            ),
            PROGRESSING,
            "1 of 3 replicas available",
            id="ready for too short a time",
        ),
        pytest.param(
            stateful_set(partition(2), updatedReplicas=0, readyReplicas=3),
            PROGRESSING,
            "0 of 1 replica updated",
            id="partition not reached",
        ),
        pytest.param(
            stateful_set(partition(2), updatedReplicas=1, readyReplicas=3),
            READY,
            "1 replica updated, the others kept by partition 2",
            id="partition reached",
        ),
        pytest.param(
            stateful_set(partition(9), readyReplicas=3),
            READY,
            "0 replicas updated, the others kept by partition 9",
            id="partition above all",
        ),
        pytest.param(
            stateful_set(partition(0), updatedReplicas=0, readyReplicas=3),
            PROGRESSING,
            "0 of 3 replicas updated",
            id="partition 0 is none",
        ),
        pytest.param(
            stateful_set(ON_DELETE, readyReplicas=3),
            READY,
            "applied, not rolled out: with OnDelete its pods change when they are deleted",
            id="OnDelete",
        ),
    ],
)
def test_a_stateful_set(item: Object, state: RolloutState, message: str) -> None:
    status = assess(item)
    assert (status.state, status.message) == (state, message)


@pytest.mark.parametrize(
    ("item", "state", "message"),
    [
        pytest.param(
            thing("DaemonSet", generation=1, status={"desiredNumberScheduled": 0}),
            PROGRESSING,
            "its controller has not seen the change yet",
            id="fresh, 0 of 0",
        ),
        pytest.param(
            daemon_set(desiredNumberScheduled=0),
            READY,
            "no node matches: it runs nowhere",
            id="no node",
        ),
        pytest.param(
            daemon_set(desiredNumberScheduled=3, updatedNumberScheduled=1, numberAvailable=3),
            PROGRESSING,
            "1 of 3 pods updated",
            id="some updated",
        ),
        pytest.param(
            daemon_set(desiredNumberScheduled=3, updatedNumberScheduled=3, numberAvailable=2),
            PROGRESSING,
            "2 of 3 updated pods available",
            id="some available",
        ),
        pytest.param(
            daemon_set(desiredNumberScheduled=3, updatedNumberScheduled=3, numberAvailable=3),
            READY,
            "3 of 3 pods updated and available",
            id="done",
        ),
        pytest.param(
            daemon_set(ON_DELETE, desiredNumberScheduled=3),
            READY,
            "applied, not rolled out: with OnDelete its pods change when they are deleted",
            id="OnDelete",
        ),
    ],
)
def test_a_daemon_set(item: Object, state: RolloutState, message: str) -> None:
    status = assess(item)
    assert (status.state, status.message) == (state, message)


@pytest.mark.parametrize(
    ("item", "state", "message"),
    [
        pytest.param(job(), PROGRESSING, "0 of 1 completions, 0 active", id="fresh"),
        pytest.param(
            job(active=1, failed=2),
            PROGRESSING,
            "0 of 1 completions, 1 active, 2 failed",
            id="running",
        ),
        pytest.param(
            workload("Job", status={"active": 2, "succeeded": 1}),
            PROGRESSING,
            "1 pod succeeded, 2 active",
            id="a work queue",
        ),
        pytest.param(
            job(condition("SuccessCriteriaMet"), active=1),
            PROGRESSING,
            "0 of 1 completions, 1 active",
            id="about to complete",
        ),
        pytest.param(
            job(condition("FailureTarget", reason="BackoffLimitExceeded"), active=1),
            PROGRESSING,
            "0 of 1 completions, 1 active",
            id="about to fail",
        ),
        pytest.param(job(condition("Complete")), READY, "completed", id="complete"),
        pytest.param(
            job(condition("Complete"), spec={"suspend": True}), READY, "completed", id="ended first"
        ),
        pytest.param(
            job(condition("Failed", "True", "BackoffLimitExceeded", "Job has reached the limit")),
            FAILED,
            "has failed: BackoffLimitExceeded: Job has reached the limit",
            id="failed",
        ),
        pytest.param(job(condition("Failed")), FAILED, "has failed", id="failed, unsaid why"),
        pytest.param(
            job(spec={"suspend": True}),
            FAILED,
            "is suspended (spec.suspend): it does not run",
            id="suspended",
        ),
    ],
)
def test_a_job(item: Object, state: RolloutState, message: str) -> None:
    status = assess(item)
    assert (status.state, status.message) == (state, message)


DELETION = {"deletionTimestamp": "2026-11-21T03:00:00Z"}


@pytest.mark.parametrize(
    ("item", "seen_before", "state"),
    [
        pytest.param(None, True, READY, id="gone"),
        pytest.param(None, False, PROGRESSING, id="not there yet"),
        pytest.param(
            job(condition("Complete")) | {"metadata": {**job()["metadata"], **DELETION}},
            True,
            READY,
            id="complete and being deleted",
        ),
        pytest.param(
            job() | {"metadata": {**job()["metadata"], **DELETION}},
            True,
            FAILED,
            id="running and being deleted",
        ),
    ],
)
def test_a_job_with_a_time_to_live(
    item: Object | None, seen_before: bool, state: RolloutState
) -> None:
    applied = job(spec={"ttlSecondsAfterFinished": 0})
    assert assess(item, applied=applied, seen_before=seen_before).state is state


def test_the_progress_of_a_rollout_reads_like_kubectl() -> None:
    assert assess(rolling(updated=1)).message == "1 of 3 replicas updated"


@pytest.mark.parametrize(
    ("entry", "state"),
    [
        pytest.param({"time": "2026-11-21T10:00:05Z"}, PROGRESSING, id="changed since"),
        pytest.param({"time": "2026-11-21T10:00:00Z"}, PROGRESSING, id="changed in that second"),
        pytest.param({"time": "2026-11-21T09:59:59Z"}, FAILED, id="changed before"),
        pytest.param(
            {"time": "2026-11-21T10:00:05Z", "manager": "kubectl-edit"},
            FAILED,
            id="changed by somebody else",
        ),
        pytest.param(
            {"time": "2026-11-21T10:00:05Z", "subresource": "status"}, FAILED, id="the status only"
        ),
        pytest.param({}, FAILED, id="it is not told when"),
    ],
)
def test_a_deadline_that_passed_before_our_change_says_nothing_about_it(
    entry: dict[str, str], state: RolloutState
) -> None:
    late = {**LATE, "lastUpdateTime": "2026-11-21T10:00:00Z"}
    item = deployment(3, late, updatedReplicas=3, replicas=4, availableReplicas=3)
    item["metadata"]["managedFields"] = [{"manager": "registry-watcher", **entry}]
    assert assess(item).state is state
