"""Which repositories were not polled well for too long, and from when on that is counted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from watcher.core.account import Account, PollSchedule
from watcher.core.reference import Registry
from watcher.engine.board import StatusBoard
from watcher.engine.overdue import Overdue

START = 1_800_000_000.0
WEB, API = "acme/web", "acme/api"
LIMIT = 180.0


def overdue_of(
    board: StatusBoard, *, now: float = START, poll: PollSchedule | None = None
) -> Overdue:
    account = Account(
        name="main", registry=Registry.parse("r.example"), poll=poll or PollSchedule()
    )
    return Overdue(account, board, now=now)


@pytest.fixture
def board() -> StatusBoard:
    return StatusBoard()


def names(overdue: Overdue, now: float, *asked: str) -> list[str]:
    return [status.repository for status in overdue.among(asked or (WEB,), now)]


def test_the_count_begins_with_the_start(board: StatusBoard) -> None:
    board.get("main", WEB).last_success = START - 9000
    overdue = overdue_of(board)
    assert names(overdue, START + LIMIT) == []
    assert names(overdue, START + LIMIT + 1) == [WEB]


def test_a_success_counts_until_it_is_too_old(board: StatusBoard) -> None:
    board.get("main", WEB).last_success = START + 1000
    overdue = overdue_of(board)
    assert names(overdue, START + 1000 + LIMIT) == []
    assert names(overdue, START + 1000 + LIMIT + 1) == [WEB]


def test_who_joins_later_has_as_much_time_as_the_others_had(board: StatusBoard) -> None:
    overdue = overdue_of(board)
    overdue.joined((WEB,), (WEB, API), START + 1000)
    assert names(overdue, START + 1000 + LIMIT, WEB, API) == [WEB]
    assert names(overdue, START + 1000 + LIMIT + 1, WEB, API) == [WEB, API]


def test_who_was_there_gains_no_time_by_a_reload(board: StatusBoard) -> None:
    overdue = overdue_of(board)
    overdue.joined((WEB,), (WEB,), START + LIMIT)
    assert names(overdue, START + LIMIT + 1) == [WEB]


def test_after_the_machine_slept_the_count_begins_anew(board: StatusBoard) -> None:
    overdue = overdue_of(board)
    woken = START + 30_000
    overdue.count_anew(woken)
    assert names(overdue, woken + LIMIT) == []
    assert names(overdue, woken + LIMIT + 1) == [WEB]


def test_a_success_in_the_future_is_none_since_the_clock_was_set_back(board: StatusBoard) -> None:
    board.get("main", WEB).last_success = START + 90_000
    overdue = overdue_of(board)
    assert names(overdue, START + LIMIT + 1) == [WEB]


@pytest.mark.parametrize(
    ("last", "found"),
    [
        pytest.param("2026-11-20 16:00", [], id="the third last of the times before was kept"),
        pytest.param("2026-11-20 15:59", [WEB], id="three times were missed"),
    ],
)
def test_a_schedule_that_rests_at_weekends_is_not_overdue_on_monday(
    board: StatusBoard, last: str, found: list[str]
) -> None:
    office_hours = PollSchedule(every=None, cron="0 8-18 * * 1-5")
    board.get("main", WEB).last_success = _at(last)
    overdue = overdue_of(board, now=_at("2026-11-01 00:00"), poll=office_hours)
    assert names(overdue, _at("2026-11-23 07:59")) == found  # a Monday; the 20th is a Friday
    assert overdue.limit(_at("2026-11-23 07:59")) == timedelta(days=2, hours=15, minutes=59)


def _at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
