"""Images that a rollback rejected do not fire for that pipeline, whatever tag they come with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.core.builders import (
    ACCOUNT,
    NOW,
    REPOSITORY,
    deleted,
    digest,
    known,
    known_tag,
    moved,
    new,
    trigger,
)
from watcher.core.change import Change, ChangeKind, TriggerState
from watcher.core.deployment import Rejection, rejection_of
from watcher.core.explain import explain
from watcher.core.pipeline import Pipeline
from watcher.core.planning import plan_executions
from watcher.core.selector import OrderKind
from watcher.core.trigger import Backfill, Fire, Trigger, baseline, decide
from watcher.core.verdict import Decided

BAD, GOOD = digest("b"), digest("c")
ALL_KINDS = tuple(ChangeKind)
REJECTED = Rejection(
    pipeline="deploy",
    account=ACCOUNT,
    repository=REPOSITORY,
    tag="1.2",
    digest=BAD,
    execution="0123456789abcdef",
    reason="the rollout failed",
    time=NOW,
    number=7,
)
BY_TAG = replace(REJECTED, digest=None)


def decided(
    rule: Trigger,
    changes: Sequence[Change],
    rejections: Sequence[Rejection] = (REJECTED,),
    *,
    highest: str | None = None,
    hold_above: int = 50,
    enabled: bool = True,
) -> Decided:
    return decide(
        [rule],
        known(["1.0"], triggers={"t": TriggerState(highest=highest)}),
        changes,
        now=NOW,
        hold_above=hold_above,
        enabled={"t"} if enabled else (),
        rejections=rejections,
    )


def verdicts(result: Decided) -> list[tuple[str, str]]:
    return [(d.change.tag, d.verdict.value) for d in result.decisions]


@pytest.mark.parametrize(
    ("rule", "change", "rejection", "verdict"),
    [
        pytest.param(trigger(), new("1.2", digest=BAD), REJECTED, "rejected", id="the same tag"),
        pytest.param(trigger(), new("1.3", digest=BAD), REJECTED, "rejected", id="a new tag of it"),
        pytest.param(
            trigger(changes=ALL_KINDS), moved("stable", BAD), REJECTED, "rejected", id="moved to it"
        ),
        pytest.param(
            trigger(changes=ALL_KINDS), moved("1.2", GOOD), REJECTED, "fired", id="moved away"
        ),
        pytest.param(trigger(), new("1.2", digest=GOOD), REJECTED, "fired", id="pushed anew"),
        pytest.param(trigger(), new("1.2"), REJECTED, "rejected", id="no digest: by its tag"),
        pytest.param(trigger(), new("1.3"), REJECTED, "fired", id="no digest: another tag"),
        pytest.param(
            trigger(), new("1.2", digest=GOOD), BY_TAG, "rejected", id="rejected without a digest"
        ),
        pytest.param(trigger(), new("1.3", digest=GOOD), BY_TAG, "fired", id="another tag"),
        pytest.param(
            trigger(changes=ALL_KINDS), deleted("1.2"), REJECTED, "fired", id="a deletion"
        ),
        pytest.param(
            trigger(),
            new("1.2", digest=BAD),
            replace(REJECTED, pipeline="other"),
            "fired",
            id="another pipeline",
        ),
        pytest.param(
            trigger(),
            new("1.2", digest=BAD),
            replace(REJECTED, account="mirror", repository="acme/copy", tag="x"),
            "rejected",
            id="the digest counts wherever it was rejected",
        ),
        pytest.param(
            trigger(),
            new("1.2"),
            replace(BY_TAG, repository="acme/copy"),
            "fired",
            id="the tag counts in its repository only",
        ),
    ],
)
def test_a_rejected_image_does_not_fire(
    rule: Trigger, change: Change, rejection: Rejection, verdict: str
) -> None:
    assert verdicts(decided(rule, [change], [rejection])) == [(change.tag, verdict)]


def test_the_reason_names_the_run_its_failure_and_the_command_that_lets_it_go() -> None:
    (decision,) = decided(trigger(), [new("1.3", digest=BAD)]).decisions
    assert decision.reason == (
        "its digest was rejected by the rollback of execution 0123456789abcdef: the rollout "
        "failed; `watcher events clear 7` lets it go again"
    )


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        pytest.param("no\nline 2\nline 3", "no…", id="several lines"),
        pytest.param("x" * 500, "x" * 200 + "…", id="a long line"),
        pytest.param("", "", id="none"),
    ],
)
def test_a_long_reason_is_cut(reason: str, shown: str) -> None:
    assert f"0123456789abcdef: {shown}; `watcher" in replace(REJECTED, reason=reason).why


def test_what_has_no_digest_is_not_said_to_have_one() -> None:
    assert BY_TAG.why.startswith("it was rejected by")


def test_a_rejected_newest_does_not_stand_in_the_way_of_the_next() -> None:
    rule = trigger(order=OrderKind.SEMVER, fire=Fire.NEWEST)
    changes = [new("1.1", digest=GOOD), new("1.2", digest=BAD), new("1.0.1", digest=GOOD)]
    result = decided(rule, changes)
    assert verdicts(result) == [("1.2", "rejected"), ("1.0.1", "superseded"), ("1.1", "fired")]
    assert result.states == {"t": TriggerState(highest="1.1")}


@pytest.mark.parametrize(
    ("highest", "enabled", "verdict"),
    [
        pytest.param("2.0", True, "older", id="older"),
        pytest.param(None, False, "disabled", id="switched off"),
    ],
)
def test_a_rule_of_the_trigger_comes_before_the_rejection(
    highest: str | None, enabled: bool, verdict: str
) -> None:
    rule = trigger(order=OrderKind.SEMVER)
    result = decided(rule, [new("1.2", digest=BAD)], highest=highest, enabled=enabled)
    assert verdicts(result) == [("1.2", verdict)]


def test_what_is_rejected_does_not_count_for_the_hold() -> None:
    changes = [new("1.2", digest=BAD), new("1.3", digest=GOOD)]
    assert verdicts(decided(trigger(), changes, hold_above=1)) == [
        ("1.2", "rejected"),
        ("1.3", "fired"),
    ]


def test_a_backfill_leaves_rejected_images_out_and_says_so() -> None:
    result = baseline(
        [trigger(order=OrderKind.SEMVER, backfill=Backfill.NEWEST)],
        known(baselined=False, triggers={}),
        ["1.1", "1.2"],
        {"1.1": GOOD, "1.2": BAD},
        now=NOW,
        hold_above=50,
        enabled={"t"},
        rejections=[REJECTED],
    )
    assert verdicts(result) == [("1.2", "rejected"), ("1.1", "fired")]


def test_a_rejected_event_keeps_what_a_replay_would_queue() -> None:
    rule = trigger()
    executions, held = plan_executions(
        decided(rule, [new("1.2", digest=BAD)]),
        [rule],
        {"deploy": Pipeline(name="deploy", stages=())},
        account=ACCOUNT,
        registry="index.docker.io",
        repository=REPOSITORY,
        now=NOW,
    )
    assert executions == ()
    assert [(key, run.digest) for key, run in held.items()] == [(("t", "1.2", 1), BAD)]


def test_the_first_rejection_that_fits_is_found() -> None:
    second = replace(REJECTED, number=8)
    found = rejection_of(
        [replace(REJECTED, digest=GOOD), REJECTED, second],
        pipeline="deploy",
        account=ACCOUNT,
        repository=REPOSITORY,
        tag="9",
        digest=BAD,
    )
    assert found is REJECTED


def test_explain_drops_rejected_tags_and_says_why() -> None:
    tags = {"1.1": known_tag(digest=GOOD), "1.2": known_tag(), "1.3": known_tag(digest=BAD)}
    explanation = explain(trigger(order=OrderKind.SEMVER), tags, known(tags), [REJECTED])
    assert [(row.tag, row.kept) for row in explanation.tags] == [
        ("1.1", True),
        ("1.2", False),
        ("1.3", False),
    ]
    assert {row.reason for row in explanation.tags if not row.kept} == {REJECTED.why}
    assert explanation.winner == "1.1"


def test_explain_says_of_a_tag_that_no_rule_keeps_which_rule_that_is() -> None:
    (row,) = explain(trigger(), ["latest"], known(["latest"]), [replace(BY_TAG, tag="latest")]).tags
    assert "exactly 'latest'" in row.reason
