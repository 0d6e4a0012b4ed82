"""The rollout rules on what real API servers answered: the oldest supported and a current one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from watcher.kube.objects import Object
from watcher.kube.rollouts.owned_pods import (
    newest_replica_set,
    selector_text,
    sorted_pods,
    worst_of,
)
from watcher.kube.rollouts.rollout import RolloutState, assess

RECORDED = Path(__file__).parents[1] / "fixtures"
VERSIONS = ["1.20.2", "1.36.1"]


@pytest.fixture(params=VERSIONS)
def recorded(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The answers' bodies of one server, by case."""
    pairs = json.loads((RECORDED / f"fixtures-{request.param}.json").read_text())
    return {pair["case"]: pair["response"]["body"] for pair in pairs}


@pytest.mark.parametrize(
    ("case", "state", "message"),
    [
        (
            "deployment create",
            RolloutState.PROGRESSING,
            "its controller has not seen the change yet",
        ),
        (
            "deployment status (unobserved/observed)",
            RolloutState.READY,
            "2 replicas updated and available",
        ),
        (
            "deployment just after update",
            RolloutState.PROGRESSING,
            "its controller has not seen the change yet",
        ),
        (
            "deployment progress deadline exceeded",
            RolloutState.FAILED,
            "its progress deadline of 3 s has passed: 1 of 2 replicas updated, 2 available",
        ),
        ("deployment done", RolloutState.READY, "2 replicas updated and available"),
        ("job create", RolloutState.PROGRESSING, "0 of 1 completions, 0 active"),
        ("job done", RolloutState.READY, "completed"),
        ("crd create", RolloutState.PROGRESSING, "is not established yet"),
        ("crd established", RolloutState.READY, "established"),
        ("cr create", RolloutState.READY, "applied"),
        ("configmap create", RolloutState.READY, "applied"),
        ("namespace create", RolloutState.READY, "active"),
        ("delete namespace", RolloutState.FAILED, "is being deleted"),
    ],
)
def test_a_recorded_object(
    recorded: dict[str, Any], case: str, state: RolloutState, message: str
) -> None:
    status = assess(recorded[case])
    assert (status.state, status.message) == (state, message)


def test_the_status_straight_after_an_apply_looks_done_and_does_not_count(
    recorded: dict[str, Any],
) -> None:
    item = recorded["deployment just after update"]
    assert item["status"]["availableReplicas"] == item["spec"]["replicas"]
    applied = recorded["deployment bad image"]
    assert assess(item, applied=applied).state is RolloutState.PROGRESSING


def test_an_answer_from_before_the_apply_does_not_count(recorded: dict[str, Any]) -> None:
    before = recorded["deployment status (unobserved/observed)"]
    applied = recorded["deployment bad image"]
    assert assess(before, applied=applied).state is RolloutState.PROGRESSING


def test_the_next_rollout_supersedes_the_one_before(recorded: dict[str, Any]) -> None:
    status = assess(recorded["deployment done"], applied=recorded["deployment bad image"])
    assert status.state is RolloutState.SUPERSEDED
    assert "generation 3 (nginx:2) has replaced generation 2" in status.message


def test_the_newest_replica_set_leads_to_the_pod_at_fault(recorded: dict[str, Any]) -> None:
    deployment = recorded["deployment progress deadline exceeded"]
    newest = newest_replica_set(
        recorded["replicasets of it"]["items"], deployment["metadata"]["uid"]
    )
    assert newest is not None
    found = [pod for pod in recorded["pods of it"]["items"] if _has_labels(newest, pod)]
    fault = worst_of(sorted_pods(deployment, newest, found))
    assert fault is not None
    assert fault.fatal
    assert str(fault).endswith('container c: ImagePullBackOff: Back-off pulling image "nginx:bad"')


def _has_labels(newest: Object, pod: Object) -> bool:
    wanted = (selector_text(newest) or "").split(",")
    held = {f"{key}={value}" for key, value in pod["metadata"]["labels"].items()}
    return set(wanted) <= held
