"""A year of runs and activity: the state file and the process stay as small as they became."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from watcher.store.maintenance import check

RUNS = 100_000
KEPT = 500


@pytest.mark.soak
@pytest.mark.timeout(3000)
def test_a_year_of_a_hundred_thousand_runs_fits_into_a_file_that_stays_as_it_is(
    tmp_path: Path,
) -> None:
    """From the month on in which what is kept for longest, the activity, has its age."""
    state = tmp_path / "watcher.db"
    command = [sys.executable, "-m", "tests.system.long_life", str(state), str(RUNS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stderr
    months = [json.loads(line) for line in done.stdout.splitlines()]
    steady = months[4:]
    assert months[-1]["runs"] > 0.95 * RUNS
    assert {month["kept"] for month in steady} == {KEPT}
    assert steady[-1]["mebibytes"] <= 1.05 * steady[0]["mebibytes"]
    assert steady[-1]["resident"] <= steady[0]["resident"] + 2
    assert check(state).ok
