from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from watcher.core.account import PollSchedule
from watcher.core.schedule import backoff, check_cron, first_due, interval, next_cron, next_due

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC).timestamp()  # a Wednesday
MINUTELY = PollSchedule(every=timedelta(seconds=60))
EXACT = PollSchedule(every=timedelta(seconds=60), jitter=timedelta(0))
HOUR = 3600.0


def cron(expression: str, timezone: str = "UTC", jitter: timedelta | None = None) -> PollSchedule:
    return PollSchedule(every=None, cron=expression, timezone=timezone, jitter=jitter)


def keys(count: int) -> list[str]:
    return [f"dockerhub/acme/app{number}" for number in range(count)]


def test_first_polls_are_spread_evenly_over_the_interval() -> None:
    seconds = [first_due(MINUTELY, key=key, now=NOW) - NOW for key in keys(6000)]
    per_second = [sum(int(second) == whole for second in seconds) for whole in range(60)]
    assert sum(per_second) == 6000
    assert max(per_second) < 150
    assert min(per_second) > 50


def test_a_process_restarted_within_every_interval_still_comes_to_poll() -> None:
    hourly = PollSchedule(every=timedelta(hours=1))
    for key in keys(50):
        starts = [NOW + minutes * 60 for minutes in range(0, 120, 20)]
        dues = [first_due(hourly, key=key, now=start) for start in starts]
        assert any(due < start + 20 * 60 for start, due in zip(starts, dues, strict=True))


def test_the_same_poll_has_the_same_answer() -> None:
    assert next_due(MINUTELY, key="a", now=NOW) == next_due(MINUTELY, key="a", now=NOW)


def test_jitter_moves_polls_to_both_sides_and_keeps_the_interval_on_average() -> None:
    waits = [next_due(MINUTELY, key=key, now=NOW) - NOW for key in keys(1000)]
    assert min(waits) >= 57
    assert max(waits) <= 63
    assert sum(waits) / len(waits) == pytest.approx(60, abs=0.2)
    assert len(set(waits)) > 900


def test_without_jitter_the_interval_is_exact() -> None:
    assert next_due(EXACT, key="a", now=NOW) == NOW + 60


@pytest.mark.parametrize(
    ("failures", "minutes"), [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (8, 60), (5000, 60)]
)
def test_failures_double_the_wait_to_an_hour(failures: int, minutes: int) -> None:
    assert next_due(EXACT, key="a", now=NOW, failures=failures) == NOW + 60 * minutes


def test_a_backoff_is_jittered_and_never_over_an_hour() -> None:
    waits = [next_due(MINUTELY, key=key, now=NOW, failures=9) - NOW for key in keys(100)]
    assert min(waits) >= 0.9 * HOUR
    assert max(waits) <= HOUR
    assert len(set(waits)) > 90


def test_an_interval_over_an_hour_is_never_shortened_by_failures() -> None:
    assert backoff(timedelta(hours=6), 5, key="a", jitter=0) == timedelta(hours=6)


def test_nothing_is_due_while_blocked_and_not_all_in_the_moment_after() -> None:
    until = NOW + 6 * HOUR
    dues = [next_due(MINUTELY, key=key, now=NOW, blocked_until=until) for key in keys(100)]
    assert min(dues) >= until
    assert max(dues) < until + 6
    assert len(set(dues)) == 100
    assert next_due(EXACT, key="a", now=NOW, blocked_until=NOW + 5) == NOW + 60


@pytest.mark.parametrize(
    ("expression", "timezone", "expected"),
    [
        ("*/5 * * * *", "UTC", "2026-03-04T12:05:00+00:00"),
        ("0 9 * * 0", "UTC", "2026-03-08T09:00:00+00:00"),
        ("0 9 * * 7", "UTC", "2026-03-08T09:00:00+00:00"),
        ("0 9 * * 1", "UTC", "2026-03-09T09:00:00+00:00"),
        ("0 9 * * sun", "UTC", "2026-03-08T09:00:00+00:00"),
        ("30 14 * * *", "Europe/Vienna", "2026-03-04T13:30:00+00:00"),
        ("0 3 29 3 *", "Europe/Vienna", "2026-03-29T01:00:00+00:00"),
    ],
)
def test_cron_counts_weekdays_from_sunday_in_its_time_zone(
    expression: str, timezone: str, expected: str
) -> None:
    moment = next_cron(cron(expression, timezone), NOW)
    assert datetime.fromtimestamp(moment, UTC).isoformat() == expected


def test_cron_polls_wait_for_their_time_and_are_spread_a_little() -> None:
    tick = NOW + 300
    dues = [next_due(cron("*/5 * * * *"), key=key, now=NOW) for key in keys(100)]
    assert min(dues) >= tick
    assert max(dues) < tick + 30
    assert first_due(cron("*/5 * * * *", jitter=timedelta(0)), key="a", now=NOW) == tick


@pytest.mark.parametrize(("failures", "minutes"), [(0, 5), (1, 5), (2, 10), (3, 20), (9, 60)])
def test_failures_skip_times_of_a_cron_schedule(failures: int, minutes: int) -> None:
    schedule = cron("*/5 * * * *", jitter=timedelta(0))
    assert next_due(schedule, key="a", now=NOW, failures=failures) == NOW + 60 * minutes


def test_the_interval_of_a_cron_schedule_is_the_time_between_two_polls() -> None:
    assert interval(cron("0 */6 * * *"), NOW) == timedelta(hours=6)
    assert interval(MINUTELY, NOW) == timedelta(minutes=1)


@pytest.mark.parametrize(
    ("expression", "timezone", "sentence"),
    [
        ("bad", "UTC", "'bad' has not the five fields of a cron expression"),
        ("* * * * * *", "UTC", "has not the five fields"),
        ("61 * * * *", "UTC", "is no cron expression: Bad minute"),
        ("0 0 30 2 *", "UTC", "is no cron expression"),
        ("* * * * *", "Mars/Olympus", "'Mars/Olympus' is not a time zone"),
        ("* * * * *", "../etc/passwd", "is not a time zone"),
        ("* * * * *", "", "is not a time zone"),
    ],
)
def test_a_cron_schedule_that_cant_be_used_is_told(
    expression: str, timezone: str, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        check_cron(expression, timezone)


def test_a_leap_day_is_a_time_that_comes() -> None:
    check_cron("0 0 29 2 *", "Europe/Vienna")
    moment = next_cron(cron("0 0 29 2 *", "Europe/Vienna"), NOW)
    assert datetime.fromtimestamp(moment, ZoneInfo("Europe/Vienna")).date().isoformat() == (
        "2028-02-29"
    )
