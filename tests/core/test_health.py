"""The one word for a repository, and its next check, when the status may lag behind."""

from __future__ import annotations

from datetime import timedelta

import pytest

from watcher.core.health import (
    BOOKKEEPING,
    Ailment,
    Complaint,
    HealthReport,
    is_overdue,
    planned_check,
    repository_state,
)
from watcher.core.poll import RepositoryState, RepositoryStatus

NOW = 100_000.0
INTERVAL = timedelta(seconds=10)


def status(**values: float) -> RepositoryStatus:
    found = RepositoryStatus(account="a", repository="r")
    for name, value in values.items():
        setattr(found, name, value)
    return found


@pytest.mark.parametrize(
    ("age", "lag", "state"),
    [
        pytest.param(30, timedelta(0), RepositoryState.OK, id="three intervals"),
        pytest.param(31, timedelta(0), RepositoryState.STALE, id="more than three intervals"),
        pytest.param(89, BOOKKEEPING, RepositoryState.OK, id="as old as a daemon's file may be"),
        pytest.param(91, BOOKKEEPING, RepositoryState.STALE, id="older than that"),
    ],
)
def test_a_repository_is_stale_only_when_its_status_can_not_just_be_late(
    age: float, lag: timedelta, state: RepositoryState
) -> None:
    found = status(last_check=NOW - age, last_success=NOW - age)
    assert repository_state(found, now=NOW, limit=3 * INTERVAL + lag) is state


@pytest.mark.parametrize(
    ("values", "due"),
    [
        pytest.param({}, None, id="not polled yet, nothing planned"),
        pytest.param({"next_check": NOW + 3}, NOW + 3, id="still to come"),
        pytest.param({"last_check": NOW - 4}, NOW + 6, id="the last poll was just recorded"),
        pytest.param(
            {"last_check": NOW - 4, "next_check": NOW - 30}, NOW + 6, id="planned before that poll"
        ),
        pytest.param(
            {"last_check": NOW - 44, "next_check": NOW - 34}, NOW + 6, id="carried out meanwhile"
        ),
    ],
)
def test_the_next_check_of_a_running_daemon_is_never_past(
    values: dict[str, float], due: float | None
) -> None:
    assert planned_check(status(**values), now=NOW, interval=INTERVAL) == due


@pytest.mark.parametrize(
    ("last_success", "now", "overdue"),
    [
        pytest.param(None, 100.0, False, id="not polled yet, just started"),
        pytest.param(None, 181.0, True, id="never polled since the start"),
        pytest.param(90.0, 270.0, False, id="a success in time"),
        pytest.param(90.0, 271.0, True, id="a success too long ago"),
        pytest.param(
            -9000.0, 100.0, False, id="a success before a long stop counts from the start"
        ),
        pytest.param(9000.0, 181.0, True, id="a success in the future: the clock was set back"),
    ],
)
def test_a_repository_is_overdue_whatever_kept_it_from_being_polled(
    last_success: float | None, now: float, *, overdue: bool
) -> None:
    failing = RepositoryStatus(account="a", repository="r", last_success=last_success, failures=3)
    found = is_overdue(failing, now=now, since=0.0, limit=timedelta(minutes=3))
    assert found is overdue


def test_a_restart_is_asked_for_only_where_something_stands_still() -> None:
    stale = Complaint(ailment=Ailment.STALE, about="hub/web", message="no poll for 5 min")
    stuck = Complaint(ailment=Ailment.STUCK, about="loop", message="no turn for 60 s")
    ill = HealthReport(ready=True, complaints=(stale,))
    assert (ill.well, ill.alive) == (False, True)
    assert not HealthReport(ready=True, complaints=(stale, stuck)).alive
    assert HealthReport(ready=False).well
