"""Images that a rollback rejected: kept until they are cleared, and kept from being queued."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.store.builders import (
    ACCOUNT,
    NOW,
    REPOSITORY,
    baseline,
    change,
    digest,
    fired,
    held,
    pipeline,
    polled,
    run_of,
)
from watcher.core import stepping
from watcher.core.change import ChangeKind
from watcher.core.deployment import Rejection
from watcher.core.pipeline import ExecutionStatus, NewExecution
from watcher.core.verdict import Verdict
from watcher.errors import StateChanged, UsageError
from watcher.store.sqlite import EventSelector, Store

BAD = digest("a")
REJECTED = Rejection(
    pipeline="deploy",
    account=ACCOUNT,
    repository=REPOSITORY,
    tag="1.0",
    digest=BAD,
    execution="0123456789abcdef",
    reason="the rollout failed",
    time=NOW,
)
WHY = (
    "its digest was rejected by the rollback of execution 0123456789abcdef: the rollout failed; "
    "`watcher events clear 1` lets it go again"
)


def outcomes(store: Store) -> list[tuple[str, str]]:
    return [(event["tag"], event["outcome"]) for event in store.events()]


def test_a_rejection_is_kept_as_it_was_given_with_a_number(path: Path, store: Store) -> None:
    store.reject(REJECTED)
    with Store.open(path) as other:
        assert other.rejections() == [replace(REJECTED, number=1)]


@pytest.mark.parametrize(
    ("second", "count"),
    [
        pytest.param(replace(REJECTED, tag="1.1", reason="again"), 1, id="the same digest"),
        pytest.param(replace(REJECTED, digest=digest("b")), 2, id="another digest"),
        pytest.param(replace(REJECTED, pipeline="other"), 2, id="another pipeline"),
        pytest.param(replace(REJECTED, digest=None), 2, id="its tag, without a digest"),
    ],
)
def test_the_first_rejection_of_an_image_stands(
    store: Store, second: Rejection, count: int
) -> None:
    store.reject(REJECTED)
    store.reject(second)
    store.reject(second)
    assert len(store.rejections()) == count
    assert store.rejections()[0].reason == "the rollout failed"


def test_rejections_are_listed_oldest_first_and_by_pipeline(store: Store) -> None:
    store.reject(REJECTED)
    store.reject(replace(REJECTED, pipeline="other"))
    store.reject(replace(REJECTED, digest=digest("b")))
    assert [r.number for r in store.rejections()] == [1, 2, 3]
    assert [r.number for r in store.rejections("deploy")] == [1, 3]
    assert store.rejections("nobody") == []


def test_what_is_cleared_is_gone_and_can_be_rejected_again(store: Store) -> None:
    store.reject(REJECTED)
    store.reject(replace(REJECTED, pipeline="other"))
    assert store.clear_rejections([1, 1, 99]) == 1
    assert [r.pipeline for r in store.rejections()] == ["other"]
    store.reject(REJECTED)
    assert [r.pipeline for r in store.rejections()] == ["other", "deploy"]


def test_a_number_is_never_given_twice(store: Store) -> None:
    store.reject(REJECTED)
    store.clear_rejections([1])
    store.reject(REJECTED)
    assert [r.number for r in store.rejections()] == [2]


# Queueing


def test_a_poll_that_decided_before_the_rejection_is_outdated(store: Store) -> None:
    store.record_poll(baseline("1.0"))
    store.reject(REJECTED)
    with pytest.raises(StateChanged, match="rejected an image"):
        store.record_poll(fired("1.1"))
    assert (store.executions(), store.events()) == ([], [])


def test_a_deletion_brings_no_image(store: Store) -> None:
    store.record_poll(baseline("1.0"))
    store.reject(REJECTED)
    gone = replace(run_of("1.0"), change="deleted", digest=None)
    record = polled([change("1.0", ChangeKind.DELETED)], Verdict.FIRED)
    assert store.record_poll(replace(record, executions=(gone,))) == (gone.id,)


def rejected_event(store: Store) -> int:
    """An event that a rejection kept out; its id."""
    record = polled([change("1.1")], Verdict.REJECTED)
    store.record_poll(replace(record, held={("t", "1.1", 1): run_of("1.1")}))
    (event,) = store.events("rejected")
    number: int = event["id"]
    return number


def test_a_rejected_event_is_seen_and_has_no_batch(store: Store) -> None:
    store.record_poll(baseline("1.0"))
    rejected_event(store)
    assert store.events()[0]["batch"] is None
    (trigger,) = store.activity()[0]["triggers"]
    assert (trigger["outcome"], trigger["execution"]) == ("rejected", None)
    assert store.release(EventSelector(trigger="t")) == ()


def test_a_rejected_event_is_replayed_once_its_image_is_cleared(store: Store) -> None:
    store.record_poll(baseline("1.0"))
    store.reject(REJECTED)
    event = rejected_event(store)
    with pytest.raises(UsageError, match="watcher events clear 1"):
        store.replay(event)
    store.clear_rejections([1])
    again = store.replay(event)
    assert [(run.id, run.tag) for run in store.executions()] == [(again, "1.1")]


def test_an_event_that_fired_is_not_replayed_after_a_rejection(store: Store) -> None:
    store.record_poll(baseline("1.0"))
    store.record_poll(fired("1.1"))
    store.reject(REJECTED)
    with pytest.raises(UsageError, match="event 1 can't run again: its digest was rejected"):
        store.replay(1)
    assert len(store.executions()) == 1


def test_of_a_held_batch_what_was_rejected_meanwhile_is_not_released(store: Store) -> None:
    store.record_poll(baseline("1.0"))
    store.record_poll(held("1.1", "1.2"))
    store.reject(replace(REJECTED, digest=None, tag="1.1"))
    assert store.release(EventSelector.parse("b1")) == (run_of("1.2").id,)
    assert outcomes(store) == [("1.1", "rejected"), ("1.2", "fired")]
    assert store.events("rejected")[0]["reason"].startswith("it was rejected by")
    store.clear_rejections([1])
    store.replay(1)
    assert {run.tag for run in store.executions()} == {"1.1", "1.2"}


# Runs that were queued before


def queued(store: Store, new: NewExecution, parent: str | None = None) -> str:
    assert store.submit(new, parent)
    return new.id


def failed(store: Store, identifier: str) -> None:
    """The run has begun, and failed."""
    (execution,) = store.claim(NOW, (), 1).executions
    assert execution.id == identifier
    store.save(stepping.finish(execution, ExecutionStatus.FAILED, "no", NOW), None, None)


def test_a_run_whose_image_was_rejected_while_it_was_queued_never_begins(store: Store) -> None:
    first, second = queued(store, run_of("1.0")), queued(store, run_of("1.1"))
    third = queued(store, replace(run_of("1.2"), digest=digest("b")))
    failed(store, first)
    store.reject(REJECTED)
    claimed = store.claim(NOW, (), 5)
    assert [run.id for run in claimed.executions] == [third]
    assert [(run.id, run.status.value, run.reason) for run in claimed.settled] == [
        (second, "SKIPPED", WHY)
    ]


@pytest.mark.parametrize(
    ("new", "begins"),
    [
        pytest.param(run_of("1.1"), False, id="by a trigger"),
        pytest.param(replace(run_of("1.1"), change="manual"), True, id="by hand"),
        pytest.param(replace(run_of("1.1"), change="deleted", digest=None), True, id="a deletion"),
        pytest.param(run_of("1.1", of=pipeline(name="other")), True, id="another pipeline"),
    ],
)
def test_only_what_nobody_asked_for_is_kept_from_beginning(
    store: Store, new: NewExecution, begins: bool
) -> None:
    store.reject(REJECTED)
    identifier = queued(store, new)
    assert [run.id for run in store.claim(NOW, (), 5).executions] == [identifier] * begins


def test_a_person_may_retry_what_was_rejected(store: Store) -> None:
    identifier = queued(store, run_of("1.0"))
    failed(store, identifier)
    store.reject(REJECTED)
    assert store.retry(identifier)
    assert [run.id for run in store.claim(NOW, (), 5).executions] == [identifier]


@pytest.mark.parametrize("retried", [True, False], ids=["retried by a person", "by itself"])
def test_a_run_that_another_started_is_kept_out_as_that_one_is(store: Store, retried: bool) -> None:
    parent = queued(store, run_of("1.0", of=pipeline(name="release")))
    failed(store, parent)
    if retried:
        store.retry(parent)
    store.claim(NOW, (), 1)
    store.reject(REJECTED)
    child = queued(store, replace(run_of("1.0"), key="child"), parent)
    claimed = store.claim(NOW, {parent}, 5)
    assert [run.id for run in claimed.executions] == [child] * retried
    assert [run.id for run in claimed.settled] == [child] * (not retried)


def test_a_run_under_way_learns_of_the_rejection_of_what_its_tag_turned_out_to_be(
    store: Store,
) -> None:
    unseen = queued(store, replace(run_of("1.1"), digest=None))
    by_hand = queued(store, replace(run_of("1.1"), key="by hand", change="manual"))
    assert store.rejection_of_run("deploy", unseen, BAD) is None
    store.reject(REJECTED)
    assert store.rejection_of_run("deploy", unseen, None) is None
    assert store.rejection_of_run("deploy", unseen, BAD) == replace(REJECTED, number=1)
    assert store.rejection_of_run("deploy", unseen, digest("b")) is None
    assert store.rejection_of_run("deploy", by_hand, BAD) is None
