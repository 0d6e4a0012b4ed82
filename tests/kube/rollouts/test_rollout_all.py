"""What holds for the rollout of every kind: deletion, what is newer, and odd statuses."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kube.workloads import CLASSES, condition, conditions, pod, rolled_out, thing, workload
from watcher.kube.objects import Object
from watcher.kube.rollouts.rollout import RESTARTED_AT, RolloutState, assess

PROGRESSING, READY = RolloutState.PROGRESSING, RolloutState.READY
SUPERSEDED, FAILED = RolloutState.SUPERSEDED, RolloutState.FAILED

DELETION = {"deletionTimestamp": "2026-11-21T03:00:00Z"}


@pytest.mark.parametrize("kind", CLASSES)
def test_what_was_deleted_has_failed(kind: str) -> None:
    assert assess(None, applied=thing(kind)).state is FAILED
    assert assess(None, applied=thing(kind), seen_before=False).state is PROGRESSING


@pytest.mark.parametrize("kind", CLASSES)
def test_what_is_being_deleted_has_failed(kind: str) -> None:
    status = assess(thing(kind, metadata=DELETION))
    assert (status.state, status.message) == (FAILED, "is being deleted")


def changed(item: Object, *, image: str | None = None, generation: int = 3) -> Object:
    other = copy.deepcopy(item)
    other["metadata"]["generation"] = generation
    other["status"]["observedGeneration"] = generation
    if image is not None:
        other["spec"]["template"]["spec"]["containers"][0]["image"] = image
    return other


def test_a_newer_pod_template_supersedes_what_was_applied() -> None:
    status = assess(changed(rolled_out(), image="web:3"), applied=rolled_out())
    assert status.state is SUPERSEDED
    assert status.message == (
        "generation 3 (web:3) has replaced generation 2, which was applied here"
    )


def test_more_replicas_supersede_nothing() -> None:
    scaled = changed(rolled_out())
    scaled["spec"]["replicas"] = 5
    status = assess(scaled, applied=rolled_out())
    assert (status.state, status.message) == (PROGRESSING, "3 of 5 replicas updated")


def test_a_restart_supersedes_nothing() -> None:
    restarted = changed(rolled_out())
    restarted["spec"]["template"]["metadata"]["annotations"] = {RESTARTED_AT: "2026-11-21"}
    assert assess(restarted, applied=rolled_out()).state is READY


def test_an_answer_older_than_what_was_applied_counts_for_nothing() -> None:
    status = assess(rolled_out(image="web:1", generation=1), applied=rolled_out())
    assert (status.state, status.reason) == (PROGRESSING, "Unobserved")


def test_a_new_object_of_that_name_supersedes_with_another_template_only() -> None:
    again = rolled_out(generation=1)
    again["metadata"]["uid"] = "another"
    assert assess(again, applied=rolled_out()).state is READY
    other = changed(again, image="web:3", generation=1)
    assert assess(other, applied=rolled_out()).state is SUPERSEDED


def test_a_pod_with_another_image_supersedes() -> None:
    other = pod(image="web:3", phase="Running", found=(condition("Ready"),))
    assert assess(other, applied=pod(image="web:2")).state is SUPERSEDED


def test_a_custom_resource_without_a_pod_template_is_never_superseded() -> None:
    newer = thing("Widget", generation=3, spec={"size": 2})
    assert assess(newer, applied=thing("Widget", spec={"size": 1})).state is READY


def test_remote_messages_are_cut_and_hold_no_control_characters() -> None:
    ugly = condition("Failed", "True", "Bad\x1b[31m", "line one\nline two " + "x" * 9000)
    message = assess(workload("Job", status=conditions(ugly))).message
    assert message.isprintable()
    assert "line one line two" in message
    assert len(message) < 400


NUMBERS = st.integers(min_value=0, max_value=6)
WORKLOADS = st.sampled_from(["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"])
COUNTED = (
    "replicas",
    "updatedReplicas",
    "readyReplicas",
    "availableReplicas",
    "desiredNumberScheduled",
    "updatedNumberScheduled",
    "numberAvailable",
)
COUNTS = st.fixed_dictionaries(dict.fromkeys(COUNTED, NUMBERS))


@given(kind=WORKLOADS, counts=COUNTS, wanted=NUMBERS, observed=st.none() | NUMBERS)
def test_nothing_is_ready_by_a_status_older_than_the_spec(
    kind: str, counts: dict[str, int], wanted: int, observed: int | None
) -> None:
    item = workload(kind, generation=4, spec={"replicas": wanted}, status=counts)
    item["status"]["observedGeneration"] = observed
    if observed is None or observed < 4:
        assert assess(item).state is PROGRESSING


@given(counts=COUNTS, wanted=NUMBERS)
def test_a_ready_deployment_has_all_its_replicas_updated_and_available(
    counts: dict[str, int], wanted: int
) -> None:
    item = workload("Deployment", spec={"replicas": wanted}, status=counts)
    if assess(item).state is READY:
        status = item["status"]
        assert status["updatedReplicas"] >= wanted
        assert status["availableReplicas"] >= wanted
        assert status["replicas"] <= status["updatedReplicas"]


@given(kind=WORKLOADS, counts=COUNTS, seen=NUMBERS, applied=NUMBERS)
def test_nothing_is_ready_before_the_generation_that_was_applied(
    kind: str, counts: dict[str, int], seen: int, applied: int
) -> None:
    live = workload(kind, generation=seen, status=counts)
    status = assess(live, applied=workload(kind, generation=applied))
    if seen < applied:
        assert status.state is PROGRESSING


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["conditions", "type", "status", "reason", "phase", "observedGeneration", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(kind=st.sampled_from(sorted(CLASSES)), status=JSON_VALUES, spec=JSON_VALUES)
def test_whatever_a_status_holds_there_is_a_verdict_in_one_line(
    kind: str, status: Any, spec: Any
) -> None:
    item = {**thing(kind), "status": status, "spec": spec}
    verdict = assess(item, applied=thing(kind))
    assert verdict.message.isprintable()
    assert verdict.state is not RolloutState.UNKNOWN


@given(
    updated=NUMBERS,
    partition_at=NUMBERS,
    ready=NUMBERS,
    wanted=NUMBERS,
    revisions=st.sampled_from([("web-1", "web-2"), ("web-2", "web-2")]),
)
def test_a_ready_stateful_set_has_updated_all_above_its_partition(
    updated: int, partition_at: int, ready: int, wanted: int, revisions: tuple[str, str]
) -> None:
    item = workload(
        "StatefulSet",
        spec={
            "replicas": wanted,
            "updateStrategy": {"rollingUpdate": {"partition": partition_at}},
        },
        status={
            "updatedReplicas": updated,
            "readyReplicas": ready,
            "currentRevision": revisions[0],
            "updateRevision": revisions[1],
        },
    )
    if assess(item).state is READY:
        assert updated >= wanted - partition_at
        assert ready >= wanted
        assert partition_at or revisions[0] == revisions[1]
