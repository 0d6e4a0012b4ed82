from __future__ import annotations

import pytest

from tests.core.builders import ACCOUNT, NOW, REPOSITORY, digest, known, moved, new, trigger
from watcher.core.change import Change, ChangeKind
from watcher.core.pipeline import NewExecution, Parameter, Pipeline
from watcher.core.planning import Held, plan_executions, plan_manual, resolve_parameters
from watcher.core.trigger import Trigger, decide
from watcher.errors import UsageError

PIPELINE = Pipeline(
    name="deploy",
    stages=(),
    parameters={
        "replicas": Parameter(default=2),
        "zone": Parameter(required=True),
        "note": Parameter(),
    },
)
RULE = trigger(changes=(ChangeKind.NEW, ChangeKind.MOVED), parameters={"zone": "a"})


def planned(
    changes: list[Change], *, hold_above: int = 50, rule: Trigger = RULE
) -> tuple[tuple[NewExecution, ...], Held]:
    decided = decide(
        [rule], known(["stable"]), changes, now=NOW, hold_above=hold_above, enabled={"t"}
    )
    return plan_executions(
        decided,
        [rule],
        {"deploy": PIPELINE},
        account=ACCOUNT,
        registry="index.docker.io",
        repository=REPOSITORY,
        now=NOW,
    )


def test_an_execution_says_all_that_expressions_may_ask() -> None:
    (execution,), held = planned([moved("stable", digest("b"), number=4)])
    assert held == {}
    assert execution.key == f"t|dockerhub|acme/demoapp|stable|{digest('b')}|4"
    assert execution.parameters == {"replicas": 2, "zone": "a", "note": None}
    assert execution.source == {
        "name": "t",
        "type": "docker",
        "account": "dockerhub",
        "registry": "index.docker.io",
        "repository": "acme/demoapp",
        "namespace": "acme",
        "tag": "stable",
        "digest": digest("b"),
        "previous_digest": digest("a"),
        "change": "moved",
        "time": "2026-03-01T12:00:00Z",
        "artifacts": [
            {
                "type": "docker/image",
                "name": "index.docker.io/acme/demoapp",
                "version": "stable",
                "reference": "index.docker.io/acme/demoapp:stable",
            }
        ],
        "parameters": {"replicas": 2, "zone": "a", "note": None},
        "user": "registry-watcher",
    }


def test_executions_queue_in_rising_order_and_nothing_else_is_planned() -> None:
    executions, _ = planned([new("b10"), new("b9"), new("latest")])
    assert [e.key for e in executions] == [
        "t|dockerhub|acme/demoapp|b9|-|1",
        "t|dockerhub|acme/demoapp|b10|-|1",
    ]


def test_what_is_held_is_planned_for_its_release() -> None:
    executions, held = planned([new("a"), new("b")], hold_above=1)
    assert executions == ()
    assert {place: execution.tag for place, execution in held.items()} == {
        ("t", "a", 1): "a",
        ("t", "b", 1): "b",
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "pipeline 'deploy' needs a value for its parameter 'zone'"),
        ({"zone": None}, "pipeline 'deploy' needs a value for its parameter 'zone'"),
        ({"zone": "a", "zome": "b"}, "pipeline 'deploy' takes no parameter 'zome'"),
    ],
)
def test_a_run_with_wrong_parameters_is_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        resolve_parameters(PIPELINE, given)


def by_hand(word: str, rule: Trigger | None = RULE) -> NewExecution:
    return plan_manual(
        PIPELINE,
        trigger=rule,
        account=ACCOUNT,
        registry="index.docker.io",
        repository="library/nginx",
        tag="1.27",
        digest=None,
        parameters={"replicas": 5, "zone": "b"},
        user="ann",
        word=word,
        now=NOW,
    )


def test_a_run_by_hand_has_a_key_of_its_own_and_names_the_person() -> None:
    run = by_hand("k3x")
    assert run.key == "t|dockerhub|library/nginx|1.27|-|manual-k3x"
    assert run.id != by_hand("k3y").id
    assert (run.change, run.source["user"], run.source["namespace"]) == ("manual", "ann", "library")
    assert run.parameters == {"replicas": 5, "zone": "b", "note": None}


def test_a_run_by_hand_needs_no_trigger() -> None:
    run = by_hand("w", rule=None)
    assert (run.trigger, run.key) == (None, "-|dockerhub|library/nginx|1.27|-|manual-w")
