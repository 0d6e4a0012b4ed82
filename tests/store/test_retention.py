"""What is over is let go, and never what a promise rests on."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from tests.store.builders import NOW, baseline, digest, fired, held, pipeline, run_of
from watcher.core import stepping
from watcher.core.delivery import Delivery, DeliveryOutcome
from watcher.core.deployment import Bundle, Rejection
from watcher.core.message import MessageStatus
from watcher.core.notice import Notice, NoticeEvent, NoticeKind
from watcher.core.notifier import Audience, Notifier
from watcher.core.pipeline import Done, Execution, Failed, NewExecution, Waiting
from watcher.core.retention import STRIDE, Retention, reckoned
from watcher.errors import UsageError
from watcher.store.maintenance import check
from watcher.store.retention import TRIMMED
from watcher.store.sqlite import EventSelector, Store

DAY = timedelta(days=1)
TWO = Retention(executions=2)


def after(duration: timedelta) -> float:
    return (NOW + duration).timestamp()


def prune(
    store: Store, retention: Retention = TWO, age: timedelta = timedelta(0), *, most: int = 100
) -> dict[str, int]:
    """All rounds that there are to make, `age` after everything happened."""
    gone: dict[str, int] = {}
    while batch := store.prune(retention, after(age), most):
        gone = {word: gone.get(word, 0) + batch.get(word, 0) for word in {*gone, *batch}}
    return gone


def run(
    store: Store,
    tag: str,
    outcome: Done | Failed | Waiting | None = None,
    *,
    name: str = "deploy",
    parent: str | None = None,
    at: datetime = NOW,
) -> Execution:
    """A run that was queued for this tag and, with an outcome, came so far."""
    new = replace(run_of(tag, of=pipeline(name=name, most=99)), created=at)
    store.submit(new, parent)
    return go_on(store, new, outcome, at) if outcome else stored(store, new.id)


def go_on(
    store: Store, new: NewExecution, outcome: Done | Failed | Waiting, at: datetime = NOW
) -> Execution:
    others = {each.id for each in store.executions(None)} - {new.id}
    (execution,) = store.claim(at, others, 1).executions
    began = store.save_start(stepping.begin(execution, 0, at), 0)
    ended = stepping.conclude(began, 0, outcome, at, "said so\n")
    step = stepping.next_step(ended, at)
    if isinstance(step, stepping.Finish):
        ended = stepping.finish(ended, step.status, step.reason, at)
    return store.save(ended, 0, None)


def stored(store: Store, identifier: str) -> Execution:
    execution = store.execution(identifier)
    assert execution is not None
    return execution


def tags(store: Store) -> list[str | None]:
    """Of the runs that are there, the oldest first."""
    return [each.tag for each in reversed(store.executions(None))]


# Runs


def test_the_newest_ended_runs_of_each_pipeline_stay(store: Store) -> None:
    for number in range(5):
        run(store, f"1.{number}", Done())
        run(store, f"2.{number}", Failed("no"), name="other")
    assert prune(store) == {"executions": 6}
    assert tags(store) == ["1.3", "2.3", "1.4", "2.4"]
    assert prune(store) == {}
    assert check(store.path).ok


@pytest.mark.parametrize("most", [1, 2, 7])
def test_few_go_in_one_transaction(store: Store, most: int) -> None:
    for number in range(9):
        run(store, f"1.{number}", Done())
    before = store.commits
    assert prune(store, most=most) == {"executions": 7}
    assert store.commits - before == -(-7 // most)


def test_runs_that_have_not_ended_stay_and_do_not_count(store: Store) -> None:
    run(store, "1.0", Waiting(None, "time"))
    run(store, "1.1")
    for number in range(2, 5):
        run(store, f"1.{number}", Done())
    assert prune(store) == {"executions": 1}
    assert tags(store) == ["1.0", "1.1", "1.3", "1.4"]


@pytest.mark.parametrize(
    ("parent", "stays"),
    [
        pytest.param(Waiting(None, "time"), True, id="that waits"),
        pytest.param(None, True, id="that is queued"),
        pytest.param(Done(), False, id="that ended long ago"),
    ],
)
def test_a_run_stays_as_long_as_the_one_that_started_it(
    store: Store, parent: Done | Waiting | None, stays: bool
) -> None:
    first = run(store, "1.0", parent)
    run(store, "2.0", Done(), name="child", parent=first.id)
    for number in range(1, 4):
        run(store, f"1.{number}", Done())
        run(store, f"2.{number}", Done(), name="child")
    prune(store)
    assert ("2.0" in tags(store), "1.0" in tags(store)) == (stays, stays)
    assert check(store.path).ok


@pytest.mark.parametrize(
    "child",
    [
        pytest.param(None, id="that is queued"),
        pytest.param(Done(), id="that is among the newest of its own pipeline"),
    ],
)
def test_a_run_stays_as_long_as_one_that_it_started(store: Store, child: Done | None) -> None:
    first = run(store, "1.0", Done())
    run(store, "2.0", child, name="child", parent=first.id)
    for number in range(1, 4):
        run(store, f"1.{number}", Done())
    prune(store)
    assert "1.0" in tags(store)


def test_relatives_go_together_however_few_may_go_at_once(store: Store) -> None:
    for number in range(3):
        first = run(store, f"1.{number}", Done())
        run(store, f"2.{number}", Done(), name="child", parent=first.id)
    assert prune(store, Retention(executions=1), most=1) == {"executions": 4}
    assert tags(store) == ["1.2", "2.2"]
    assert check(store.path).ok


def test_the_run_of_the_last_good_bundle_stays(store: Store) -> None:
    first = run(store, "1.0")
    store.propose("deploy", "note-0", bundle_of(first))
    go_on(store, run_of("1.0", of=pipeline(most=99)), Done())
    for number in range(1, 5):
        run(store, f"1.{number}", Done())
    prune(store)
    assert tags(store) == ["1.0", "1.3", "1.4"]
    assert store.last_good("deploy", "note-0") == bundle_of(first)


def test_the_run_of_a_rejection_stays_until_that_is_cleared(store: Store) -> None:
    first = run(store, "1.0", Failed("no"))
    for number in range(1, 4):
        run(store, f"1.{number}", Done())
    store.reject(rejection_of(first))
    prune(store)
    assert tags(store) == ["1.0", "1.2", "1.3"]
    store.clear_rejections([1])
    prune(store)
    assert tags(store) == ["1.2", "1.3"]


def test_an_event_outlives_its_run_and_can_be_replayed(store: Store) -> None:
    store.record_poll(baseline("0.9"))
    store.record_poll(fired("1.0"))
    was = stored(store, run_of("1.0").id)
    go_on(store, run_of("1.0"), Done())
    for number in range(1, 4):
        run(store, f"1.{number}", Done())
    prune(store)
    assert "1.0" not in tags(store)
    (event,) = store.events()
    assert (event["outcome"], event["execution"]) == ("fired", None)
    again = stored(store, store.replay(event["id"]))
    for name in NewExecution.__dataclass_fields__.keys() - {"key", "created"}:
        assert getattr(again, name) == getattr(was, name), name


# Activity


def test_activity_goes_by_its_age_with_its_events(store: Store) -> None:
    store.record_poll(baseline("0.9"))
    store.record_poll(fired("1.0"))
    store.record_poll(replace(fired("1.1"), at=NOW + 80 * DAY))
    assert prune(store, age=89 * DAY) == {}
    assert len(store.activity()) == 3
    assert prune(store, age=91 * DAY)["activity"] == 2
    assert [row["tag"] for row in store.activity()] == ["1.1"]
    assert [event["tag"] for event in store.events()] == ["1.1"]
    assert check(store.path).ok


def test_deliveries_of_webhooks_go_by_the_same_age(store: Store) -> None:
    for moment in (NOW, NOW + 80 * DAY):
        store.deliveries.record(
            [
                Delivery(
                    time=moment,
                    sender="quay",
                    outcome=DeliveryOutcome.POLLED,
                    reason="polled now",
                )
            ]
        )
    assert prune(store, age=91 * DAY) == {"deliveries": 1}
    assert [delivery.time for delivery in store.deliveries.listed(9)] == [NOW + 80 * DAY]


def test_held_events_stay_until_they_are_decided(store: Store) -> None:
    store.record_poll(baseline("0.9"))
    store.record_poll(held("1.0", "1.1"))
    store.record_poll(replace(fired("2.0"), at=NOW + 200 * DAY))
    prune(store, age=200 * DAY)
    assert [event["tag"] for event in store.events("held")] == ["1.0", "1.1"]
    store.drop(EventSelector(event=1))
    assert prune(store, age=200 * DAY)["activity"] == 1
    assert len(store.release(EventSelector(trigger="t"))) == 1
    assert prune(store, age=200 * DAY)["activity"] == 1
    with pytest.raises(UsageError, match="no event 1"):
        store.replay(1)


def test_numbers_of_events_are_never_given_twice(store: Store) -> None:
    store.record_poll(baseline("0.9"))
    store.record_poll(fired("1.0"))
    (before,) = store.events()
    prune(store, age=500 * DAY)
    store.record_poll(replace(fired("1.1"), at=NOW + 500 * DAY))
    assert max(event["id"] for event in store.events()) > before["id"]


def test_tags_that_are_gone_keep_their_change_numbers(store: Store) -> None:
    store.record_poll(baseline("0.9"))
    store.record_poll(fired("1.0"))
    before = store.known("dockerhub", "acme/demoapp")
    prune(store, Retention(executions=1), age=500 * DAY)
    assert store.known("dockerhub", "acme/demoapp") == before


# What stages said


def said(store: Store, execution: Execution) -> tuple[str, object]:
    stage = stored(store, execution.id).stages[0]
    return stage.log, stage.outputs


def test_what_stages_said_is_let_go_after_a_while_and_the_run_stays(store: Store) -> None:
    ended = run(store, "1.0", Done({"url": "x"}))
    recent = run(store, "1.1", Done({"url": "y"}), at=NOW + 20 * DAY)
    assert prune(store, age=29 * DAY) == {}
    assert prune(store, age=31 * DAY) == {"texts": 1}
    assert said(store, ended) == (TRIMMED, None)
    assert said(store, recent) == ("said so\n", {"url": "y"})
    assert prune(store, age=31 * DAY) == {}


def test_what_a_retry_would_read_stays(store: Store) -> None:
    """What its own earlier stages and the runs that it started came to."""
    failed = run(store, "1.0", Failed("no"))
    child = run(store, "2.0", Done({"url": "x"}), name="child", parent=failed.id)
    other = run(store, "3.0", Done({"url": "y"}))
    assert prune(store, age=31 * DAY) == {"texts": 3}
    assert said(store, child) == (TRIMMED, {"url": "x"})
    assert said(store, other) == (TRIMMED, None)


def test_what_a_run_that_was_tried_again_says_is_let_go_once_more(store: Store) -> None:
    failed = run(store, "1.0", Failed("no"))
    prune(store, age=31 * DAY)
    assert store.retry(failed.id)
    go_on(store, run_of("1.0", of=pipeline(most=99)), Done(), NOW + 40 * DAY)
    assert "said so" in said(store, failed)[0]
    assert prune(store, age=71 * DAY) == {"texts": 1}
    assert said(store, failed)[0] == TRIMMED


def test_what_commands_were_told_is_let_go_after_a_day(store: Store) -> None:
    for _ in range(3):
        store.finish_request(store.request("poll", {}), {"polls": []})
    waits = store.request("poll", {})
    assert prune(store, age=DAY * 2) == {"requests": 3}
    assert [request.id for request in store.pending_requests()] == [waits]


def test_messages_that_no_notifier_took_are_let_go_as_activity_is(store: Store) -> None:
    notice = Notice(
        event=NoticeEvent.CONFIG_REJECTED,
        kind=NoticeKind.BEGUN,
        subject="config.yaml",
        text="no",
        time=NOW.timestamp(),
    )
    store.outbox.tell(notice)
    store.outbox.fill(Audience((Notifier(name="ops"),)))
    store.outbox.bury_orphans([])
    assert prune(store, age=89 * DAY) == {}
    assert len(store.outbox.messages(MessageStatus.DEAD)) == 1
    assert prune(store, age=91 * DAY) == {"messages": 1}
    assert store.outbox.messages() == []


# Rounds


def test_a_round_is_due_when_the_last_was_long_ago(store: Store) -> None:
    now = after(timedelta(0))
    assert store.is_retention_due(now, DAY)
    store.begin_retention(now)
    assert not store.is_retention_due(now + 3600, DAY)
    assert store.is_retention_due(now + 3600, timedelta(hours=1))
    assert store.is_retention_due(now + 86400, DAY)
    assert store.is_retention_due(now - 5, DAY), "a clock that was set back"


@pytest.mark.parametrize(
    ("now", "last", "moment"),
    [
        pytest.param(DAY, None, DAY, id="the first round"),
        pytest.param(2 * DAY, DAY, 2 * DAY, id="a day later"),
        pytest.param(365 * DAY, DAY, DAY + STRIDE, id="a clock that runs away, or a long rest"),
        pytest.param(DAY, 365 * DAY, DAY, id="a clock that is set back"),
    ],
)
def test_a_clock_is_not_believed_at_once(
    now: timedelta, last: timedelta | None, moment: timedelta
) -> None:
    seconds = None if last is None else last.total_seconds()
    assert reckoned(now.total_seconds(), seconds) == moment.total_seconds()


def test_a_clock_that_is_wrong_by_a_year_costs_two_days_of_history(store: Store) -> None:
    store.record_poll(baseline("0.9"))
    store.record_poll(replace(fired("1.0"), at=NOW + 89 * DAY))
    store.begin_retention(after(89 * DAY))
    moment = store.begin_retention(after(89 * DAY + 365 * DAY))
    store.prune(Retention(), moment)
    assert [row["tag"] for row in store.activity()] == ["1.0"]
    assert store.begin_retention(after(89 * DAY)) == after(89 * DAY)


def test_a_clock_that_began_in_1970_does_not_stop_retention_for_a_year(store: Store) -> None:
    store.record_poll(baseline("0.9"))
    store.record_poll(fired("1.0"))
    store.begin_retention(after(89 * DAY))
    for hour in range(3):
        store.begin_retention(hour * 3600.0)
    for _ in range(6):
        moment = store.begin_retention(after(91 * DAY))
    assert moment == after(91 * DAY)


def bundle_of(execution: Execution) -> Bundle:
    return Bundle(
        objects=(),
        cluster="prod",
        namespace="web",
        execution=execution.id,
        event_time=NOW,
        tag=execution.tag,
        digest=digest("a"),
    )


def rejection_of(execution: Execution) -> Rejection:
    return Rejection(
        pipeline="deploy",
        account=execution.account,
        repository=execution.repository,
        tag=execution.tag,
        digest=execution.digest,
        execution=execution.id,
        reason="no",
        time=NOW,
        number=0,
    )
