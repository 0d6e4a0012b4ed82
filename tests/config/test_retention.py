"""The `retention` section of the config."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.config.loading import ACCOUNT, load_text, problems
from watcher.core.retention import Retention

DEFAULT = Retention(activity=timedelta(days=90), executions=500, logs=timedelta(days=30))


@pytest.mark.parametrize(
    ("section", "kept"),
    [
        pytest.param("", DEFAULT, id="left out"),
        pytest.param("retention: {}\n", DEFAULT, id="empty"),
        pytest.param(
            "retention: {activity: 90d, executions: 500 per pipeline, logs: 30d}\n",
            DEFAULT,
            id="in words",
        ),
        pytest.param(
            "retention: {activity: 52w, executions: 20, logs: 12h}\n",
            Retention(activity=timedelta(weeks=52), executions=20, logs=timedelta(hours=12)),
            id="a bare number",
        ),
        pytest.param(
            "retention: {executions: '20'}\n",
            Retention(executions=20),
            id="a number in quotes",
        ),
    ],
)
def test_how_long_things_are_kept(tmp_path: Path, section: str, kept: Retention) -> None:
    assert load_text(tmp_path, section + ACCOUNT).retention == kept


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        pytest.param(
            "executions: 0",
            "executions: must be a whole number of at least 1, is 0",
            id="no runs at all",
        ),
        pytest.param(
            "executions: 500 a day",
            "executions: '500 a day' is not a whole number of at least 1, as 500 or "
            "`500 per pipeline`",
            id="another unit",
        ),
        pytest.param(
            "activity: 90",
            "activity: a bare number is no duration, the unit is missing (write 90h or 90d)",
            id="no unit",
        ),
        pytest.param("logs: 5m", "logs: must be at least 1h", id="too short"),
        pytest.param("traces: 5d", "traces: unknown key 'traces'", id="an unknown key"),
    ],
)
def test_what_may_not_be_said(tmp_path: Path, key: str, problem: str) -> None:
    (found,) = problems(tmp_path, f"retention: {{{key}}}\n{ACCOUNT}")
    assert found.startswith(f"1: retention.{problem}")
