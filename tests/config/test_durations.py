"""Durations as users write them (SPEC 3)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.config.durations import LONGEST, parse, text_of


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("30s", timedelta(seconds=30)),
        ("5m", timedelta(minutes=5)),
        ("6h", timedelta(hours=6)),
        ("1h30m", timedelta(minutes=90)),
        ("2d", timedelta(days=2)),
        ("1w", timedelta(weeks=1)),
        ("1w2d3h4m5s", timedelta(days=9, hours=3, minutes=4, seconds=5)),
        ("0s", timedelta()),
        ("90m", timedelta(minutes=90)),
        ("520w", timedelta(weeks=520)),
    ],
)
def test_a_duration_is_read(text: str, duration: timedelta) -> None:
    assert parse(text) == duration


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "m",
        "5 m",
        "-5m",
        "1.5h",
        "5M",
        "30m1h",
        "1h1h",
        "5min",
        "1y",
        "5m ",
        "\u0665m",
        "1h30",
    ],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration such as"):
        parse(text)


@pytest.mark.parametrize("text", ["521w", "99999999999999999999s", "520w1s"])
def test_a_duration_of_more_than_ten_years_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="longer than ten years"):
        parse(text)


@given(st.integers(min_value=0, max_value=int(LONGEST.total_seconds())))
def test_what_is_written_reads_back(seconds: int) -> None:
    assert parse(text_of(timedelta(seconds=seconds))) == timedelta(seconds=seconds)
