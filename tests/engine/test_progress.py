"""Whether an account's workers get on, told from what they hold and what waits."""

from __future__ import annotations

from datetime import timedelta

import pytest

from watcher.engine.progress import SLACK, Progress

ALLOWED = timedelta(minutes=5)
LATE = SLACK.total_seconds() + 1


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def progress(clock: Clock) -> Progress:
    return Progress(2, lambda name: ALLOWED, monotonic=clock)


def test_rest_is_no_standstill(progress: Progress, clock: Clock) -> None:
    clock.now += 1e6
    assert progress.standstill() is None


def test_a_poll_that_outlives_its_bound_is_named(progress: Progress, clock: Clock) -> None:
    with progress.working_on("acme/web", 0):
        clock.now += ALLOWED.total_seconds() + SLACK.total_seconds()
        assert progress.standstill() is None
        clock.now += 1
        assert progress.standstill() == "acme/web is in hand for 331 s, 300 s are allowed"
    assert progress.standstill() is None


def test_what_waits_while_somebody_is_free_stands_still(progress: Progress, clock: Clock) -> None:
    progress.waiting(3)
    clock.now += LATE
    assert progress.standstill() == "what is due waits for 31 s, and nobody takes it"
    progress.waiting(0)
    assert progress.standstill() is None


def test_what_waits_while_all_are_at_work_does_not(progress: Progress, clock: Clock) -> None:
    with progress.working_on("acme/web", 5), progress.working_on("acme/api", 4):
        clock.now += ALLOWED.total_seconds()
        assert progress.standstill() is None
    assert progress.standstill() is None  # somebody is free only from now on
    clock.now += LATE
    assert progress.standstill() is not None


def test_more_that_comes_does_not_hide_that_nobody_takes_it(
    progress: Progress, clock: Clock
) -> None:
    for waiting in range(1, 5):
        progress.waiting(waiting)
        clock.now += LATE / 4
    assert progress.standstill() is not None


def test_a_worker_that_takes_one_shows_that_they_get_on(progress: Progress, clock: Clock) -> None:
    progress.waiting(2)
    clock.now += LATE
    with progress.working_on("acme/web", 1):
        assert progress.standstill() is None
