"""Held events wait for a person's word; released, they are runs like all others (SPEC 6.4)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.store.builders import ACCOUNT, NOW, REPOSITORY, baseline, fired, held, run_of
from watcher.core.change import TriggerState
from watcher.core.selector import Ordering, OrderKind
from watcher.core.trigger import Trigger
from watcher.errors import UsageError
from watcher.store.sqlite import EventSelector, Store

TRIGGER = Trigger(
    name="t", account=ACCOUNT, pipeline="deploy", order=Ordering(kind=OrderKind.SEMVER)
)


@pytest.fixture
def holding(store: Store) -> Store:
    """Three events of one poll are held."""
    store.record_poll(replace(baseline("1.0"), triggers={"t": TriggerState(highest="1.0.0")}))
    store.record_poll(held("1.1.0", "1.2.0", "1.10.0"))
    return store


def outcomes(store: Store) -> list[tuple[str, str]]:
    return [(event["tag"], event["outcome"]) for event in store.events()]


def test_held_events_queue_nothing_and_form_one_batch(holding: Store) -> None:
    assert holding.executions() == []
    assert {event["batch"] for event in holding.events("held")} == {"b1"}
    assert [event["tag"] for event in holding.events("held")] == ["1.1.0", "1.2.0", "1.10.0"]


def test_a_released_batch_queues_in_rising_order_and_raises_the_highest(holding: Store) -> None:
    released = holding.release(EventSelector.parse("b1"), [TRIGGER])
    assert released == tuple(run_of(tag).id for tag in ("1.1.0", "1.2.0", "1.10.0"))
    assert [e.tag for e in reversed(holding.executions())] == ["1.1.0", "1.2.0", "1.10.0"]
    assert {(e["outcome"], e["reason"]) for e in holding.events()} == {("fired", "released")}
    assert holding.known(ACCOUNT, REPOSITORY).triggers["t"].highest == "1.10.0"
    assert holding.release(EventSelector.parse("b1"), [TRIGGER]) == ()


def test_the_highest_never_falls_by_a_release(holding: Store) -> None:
    holding.release(EventSelector.parse("3"), [TRIGGER])
    holding.release(EventSelector.parse("1"), [TRIGGER])
    assert holding.known(ACCOUNT, REPOSITORY).triggers["t"].highest == "1.10.0"


def test_a_result_computed_before_a_release_is_outdated(holding: Store) -> None:
    generation = holding.known(ACCOUNT, REPOSITORY).generation
    holding.release(EventSelector.parse("b1"), [TRIGGER])
    assert holding.known(ACCOUNT, REPOSITORY).generation > generation


@pytest.mark.parametrize(
    ("word", "taken"),
    [
        pytest.param("2", {"1.2.0"}, id="an event"),
        pytest.param("b1", {"1.1.0", "1.2.0", "1.10.0"}, id="a batch"),
        pytest.param("t", {"1.1.0", "1.2.0", "1.10.0"}, id="a trigger"),
        pytest.param(f"{ACCOUNT}/{REPOSITORY}", {"1.1.0", "1.2.0", "1.10.0"}, id="a repository"),
        pytest.param("other", set(), id="another trigger"),
        pytest.param("99", set(), id="no such event"),
    ],
)
def test_events_are_selected_by_word(holding: Store, word: str, taken: set[str]) -> None:
    assert len(holding.drop(EventSelector.parse(word))) == len(taken)
    assert {tag for tag, outcome in outcomes(holding) if outcome == "dropped"} == taken


def test_a_dropped_event_is_not_released_but_can_be_replayed(holding: Store) -> None:
    holding.drop(EventSelector.parse("b1"))
    assert holding.release(EventSelector.parse("b1")) == ()
    again = holding.replay(2)
    assert [(e.id, e.tag) for e in holding.executions()] == [(again, "1.2.0")]


def test_each_replay_is_a_run_of_its_own(store: Store) -> None:
    store.record_poll(baseline("1.0"))
    store.record_poll(fired("1.1"))
    runs = {run_of("1.1").id, store.replay(1), store.replay(1)}
    assert len(runs) == 3
    assert {execution.id for execution in store.executions()} == runs
    assert {execution.tag for execution in store.executions()} == {"1.1"}


@pytest.mark.parametrize("event", [pytest.param(1, id="held"), pytest.param(99, id="unknown")])
def test_what_never_had_a_run_is_not_replayed(holding: Store, event: int) -> None:
    with pytest.raises(UsageError):
        holding.replay(event)


def test_switches_of_triggers_are_kept(store: Store) -> None:
    store.set_enabled("t", False)
    store.set_enabled("u", False)
    store.set_enabled("u", True)
    assert store.enabled_overrides() == {"t": False, "u": True}


def test_a_request_is_answered_once(store: Store) -> None:
    asked = store.request("poll", {"account": ACCOUNT})
    assert [(r.id, r.kind, r.payload) for r in store.pending_requests()] == [
        (asked, "poll", {"account": ACCOUNT})
    ]
    open_request = store.request_result(asked)
    assert open_request is not None
    assert not open_request.finished
    store.finish_request(asked, {"ok": True})
    store.finish_request(asked, {"ok": False})
    answered = store.request_result(asked)
    assert answered is not None
    assert (answered.finished, answered.result) == (True, {"ok": True})
    assert store.pending_requests() == []
    assert store.request_result(99) is None


@pytest.mark.parametrize("answered", [True, False], ids=["answered", "not answered"])
def test_of_a_request_that_nobody_waits_for_no_answer_is_kept(
    store: Store, *, answered: bool
) -> None:
    asked = store.request("status", {"account": ACCOUNT})
    if answered:
        store.finish_request(asked, {"rows": ["many"]})
    store.close_request(asked)
    store.finish_request(asked, {"rows": ["late"]})
    closed = store.request_result(asked)
    assert closed is not None
    assert (closed.finished, closed.result) == (True, None)
    assert store.pending_requests() == []


def test_time_is_kept_to_the_microsecond(store: Store) -> None:
    odd = NOW + timedelta(microseconds=1)
    store.submit(replace(run_of(), created=odd))
    assert store.executions()[0].created == odd
