"""The log goes on, wherever its lines go and whatever becomes of that place."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from watcher.telemetry.events import Event
from watcher.telemetry.log import Log


def lines(*files: Path) -> list[Any]:
    """The accounts that the lines name, file after file; each line is whole."""
    texts = [line for file in files for line in file.read_text().splitlines()]
    return [json.loads(text).get("account") for text in texts]


def say(log: Log, *numbers: int) -> None:
    for number in numbers:
        log.info(Event.CATALOG_READ, account=number)


def moved(path: Path) -> Path:
    """As logrotate does by itself; the daemon makes the next file."""
    return path.rename(path.with_suffix(".1"))


def moved_and_made(path: Path) -> Path:
    """As logrotate does with `create`."""
    old = moved(path)
    path.touch(0o640)
    return old


def copied_and_truncated(path: Path) -> Path:
    """As logrotate does with `copytruncate`."""
    old = path.with_suffix(".1")
    shutil.copy(path, old)
    os.truncate(path, 0)
    return old


@pytest.mark.parametrize("rotate", [moved, moved_and_made, copied_and_truncated])
def test_a_file_that_is_rotated_loses_no_line(
    tmp_path: Path, rotate: Callable[[Path], Path]
) -> None:
    path = tmp_path / "watcher.log"
    log = Log("info", "json", file=path)
    say(log, 1, 2)
    old = rotate(path)
    say(log, 3, 4)
    assert (lines(old), lines(path)) == ([1, 2], [3, 4])
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_file_that_is_deleted_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "watcher.log"
    log = Log("info", "json", file=path)
    say(log, 1)
    path.unlink()
    say(log, 2)
    assert lines(path) == [2]


def test_a_line_that_a_library_gets_wrong_is_written_as_well_as_it_can_be() -> None:
    stream, root = StringIO(), logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        Log("debug", "json", stream).capture_libraries()
        logging.getLogger("lib").warning("%d things", "many")
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    assert json.loads(stream.getvalue())["message"] == "%d things"


def test_a_file_that_is_there_is_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "watcher.log"
    for number in (1, 2):
        say(Log("info", "json", file=path), number)
    assert lines(path) == [1, 2]


def test_a_directory_that_is_gone_for_a_while_costs_only_the_lines_of_that_while(
    tmp_path: Path,
) -> None:
    path = tmp_path / "logs" / "watcher.log"
    path.parent.mkdir()
    log = Log("info", "json", file=path)
    say(log, 1)
    path.parent.rename(tmp_path / "old")
    say(log, 2, 3)
    path.parent.mkdir()
    say(log, 4, 5)
    assert lines(tmp_path / "old" / "watcher.log") == [1]
    assert lines(path) == [4, None, 5]
    said = json.loads(path.read_text().splitlines()[1])
    assert (said["event"], said["lost"], said["level"]) == ("log_resumed", 2, "warning")
    assert said["error"] == "No such file or directory"


def test_a_file_that_can_t_be_opened_at_first_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Log(file=tmp_path / "nowhere" / "watcher.log")


class Full(StringIO):
    """A stream whose disk is full."""

    full = True

    def write(self, text: str) -> int:
        if self.full:
            raise OSError(28, "No space left on device")
        return super().write(text)


def test_lines_that_a_stream_can_t_take_are_counted_and_said_later() -> None:
    stream = Full()
    log = Log("info", "json", stream=stream)
    say(log, 1, 2, 3)
    stream.full = False
    say(log, 4, 5)
    said = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["event"], line.get("lost")) for line in said] == [
        ("catalog_read", None),
        ("log_resumed", 3),
        ("catalog_read", None),
    ]


FULL_DISK = """
import resource, sys
from pathlib import Path
from watcher.telemetry.events import Event
from watcher.telemetry.log import Log

path = Path(sys.argv[1])
log = Log("info", "json", file=path)
log.info(Event.CATALOG_READ, account=1)
size, most = path.stat().st_size, resource.RLIM_INFINITY
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, most))
log.info(Event.CATALOG_READ, account=2)
log.info(Event.CATALOG_READ, account=3)
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
log.info(Event.CATALOG_READ, account=4)
"""


def test_a_disk_that_is_full_in_the_middle_of_a_line_spoils_only_that_line(tmp_path: Path) -> None:
    path = tmp_path / "watcher.log"
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    first, torn, fourth, resumed = path.read_text().splitlines()
    assert json.loads(first)["account"] == 1
    assert len(torn) == 20
    assert json.loads(fourth)["account"] == 4
    assert json.loads(resumed)["lost"] == 2


def test_what_a_reader_that_hangs_leaves_no_room_for_is_said_where_it_is_missing() -> None:
    reading, writing = os.pipe()
    with open(writing, "w") as stream, open(reading) as reader:
        log = Log("info", "json", stream)
        with log.in_background():
            for number in range(300):
                log.info(Event.CATALOG_READ, account=number, error="x" * 10_000)
            lost = log.lost
            taken = 300 - lost
            said = [json.loads(reader.readline()) for _ in range(taken + 1)]
            say(log, 300)
            said.append(json.loads(reader.readline()))
    assert 0 < lost < 300
    assert [line.get("account") for line in said] == [*range(taken), None, 300]
    assert (said[taken]["event"], said[taken]["lost"]) == ("log_resumed", lost)
    assert said[taken]["error"] == "lines were taken too slowly, or not at all"


def test_what_fails_in_the_background_is_counted_and_said_as_well() -> None:
    stream = Full()
    log = Log("info", "json", stream=stream)
    with log.in_background():
        say(log, 1, 2, 3)
    assert log.lost == 3
    stream.full = False
    with log.in_background():
        say(log, 4, 5)
    said = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["event"], line.get("lost")) for line in said] == [
        ("catalog_read", None),
        ("log_resumed", 3),
        ("catalog_read", None),
    ]


def test_a_reader_that_hangs_keeps_the_end_waiting_for_two_seconds_at_most() -> None:
    reading, writing = os.pipe()
    with open(reading) as reader, open(writing, "w") as stream:
        log = Log("info", "json", stream)
        began = time.monotonic()
        with log.in_background():
            for number in range(10):
                log.info(Event.CATALOG_READ, account=number, error="x" * 10_000)
        assert 1 < time.monotonic() - began < 10
        say(log, 10)
        assert log.lost == 1
        said = [json.loads(reader.readline())["account"] for _ in range(10)]  # lets its thread end
    assert said == [*range(10)]


STDERR = """
import os, sys
from watcher.telemetry.events import Event
from watcher.telemetry.log import Log

log = Log("info", "json")
for number in range(3):
    log.info(Event.CATALOG_READ, account=number)
print("done", flush=True)
"""


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "2> >(true)"])
def test_without_a_stderr_that_takes_anything_the_process_goes_on(redirection: str) -> None:
    command = f"exec '{sys.executable}' -c \"$0\" {redirection}"
    done = subprocess.run(
        ["bash", "-c", command, STDERR], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "done\n")
