"""The unit files as systemd's own tools judge them, and that the two services agree."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.systemd.box import UNITS

SERVICES = ("registry-watcher.service", "registry-watcher-once.service")
PROGRAM = "/opt/registry-watcher/bin/watcher"
EXPOSURE = 20  # tenths; the tool goes from 0 to 100


@pytest.fixture
def analyze() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        reason = "systemd-analyze is not installed (apt-get install systemd)"
        if os.environ.get("TESTS_REQUIRE_SYSTEMD"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def said(*command: str) -> tuple[int, str]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def settings(unit: str) -> list[str]:
    lines = (UNITS / unit).read_text().splitlines()
    return [line for line in lines if line and not line.startswith(("#", "["))]


def test_systemd_has_nothing_to_say_against_them(tmp_path: Path, analyze: str) -> None:
    program = tmp_path / "watcher"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for unit in UNITS.iterdir():
        (tmp_path / unit.name).write_text(unit.read_text().replace(PROGRAM, str(program)))
    names = [str(tmp_path / unit.name) for unit in UNITS.iterdir()]
    assert said(analyze, "verify", *names) == (0, "")


@pytest.mark.parametrize("service", SERVICES)
def test_what_they_leave_open_is_little(service: str, analyze: str) -> None:
    words = ("security", "--no-pager", "--offline=true", f"--threshold={EXPOSURE}")
    code, report = said(analyze, *words, str(UNITS / service))
    assert code == 0, report


def test_a_pass_may_no_more_than_the_daemon() -> None:
    daemon, once = (settings(service) for service in SERVICES)
    own = ("Type", "ExecStart", "TimeoutStartSec", "Description")
    assert [line for line in once if line not in daemon and not line.startswith(own)] == []
    confinement = daemon[daemon.index("User=registry-watcher") : daemon.index("OOMPolicy=continue")]
    assert [line for line in confinement if line not in once] == []
    assert len(confinement) > 30


@pytest.mark.parametrize("service", SERVICES)
def test_the_drain_of_stages_fits_into_the_time_to_stop(service: str) -> None:
    assert "TimeoutStopSec=30" in settings(service)
