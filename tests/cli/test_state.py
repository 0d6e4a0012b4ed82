"""state check, backup, export, import: and what a broken state file does to every command."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing

import pytest

from tests.cli.conftest import Bench


def test_a_sound_file_is_sound(polled: Bench) -> None:
    shape = polled.json("state", "check")
    assert shape["ok"]
    assert shape["rows"]["repository"] == 1
    assert "is sound" in polled.run("state", "check").stdout


def test_an_export_makes_the_same_state_again(polled: Bench) -> None:
    polled.run("trigger", "web", "--tag", "1.0", "--wait")
    before = (polled.json("executions"), polled.json("activity"), polled.json("status"))
    polled.run("state", "export", "state.json")
    assert polled.json("state", "export") == json.loads(
        (polled.directory / "state.json").read_text()
    )
    (polled.directory / "watcher.db").unlink()
    polled.run("state", "import", "state.json")
    assert (polled.json("executions"), polled.json("activity"), polled.json("status")) == before


def test_a_backup_is_a_state_file(polled: Bench) -> None:
    polled.run("state", "backup", "copy.db")
    config = polled.directory / "config.yaml"
    config.write_text("state: copy.db\n" + config.read_text())
    assert polled.json("state", "check")["rows"]["repository"] == 1


def test_backups_for_a_timer_go_into_a_directory(polled: Bench) -> None:
    (polled.directory / "copies").mkdir()
    shape = polled.json("state", "backup", "copies", "--keep", "1")
    assert [f"copies/{name}" for name in os.listdir(polled.directory / "copies")] == [
        shape["backup"]
    ]
    assert shape["removed"] == []
    assert "no directory" in polled.run("state", "backup", "gone", "--keep", "1", code=2).stderr


def test_a_vacuum_says_how_large_the_file_was_and_is(polled: Bench) -> None:
    before = polled.json("status")
    shape = polled.json("state", "vacuum")
    assert shape["after"] == (polled.directory / "watcher.db").stat().st_size <= shape["before"]
    assert "MiB" in polled.run("state", "vacuum").stdout
    assert polled.json("status") == before


def test_a_check_says_how_large_the_file_is_and_what_is_over(polled: Bench) -> None:
    polled.run("trigger", "web", "--tag", "1.0", "--wait")
    polled.run("trigger", "web", "--tag", "1.0", "--wait")
    config = polled.directory / "config.yaml"
    config.write_text("retention: {executions: 1}\n" + config.read_text())
    shape = polled.json("state", "check")
    assert shape["over"] == {"executions": 1}
    assert shape["size"] > 0
    assert "over, by the config's retention: executions 1" in polled.run("state", "check").stdout


def test_a_pass_lets_go_of_what_is_over_once_a_day(polled: Bench) -> None:
    for _ in range(3):
        polled.run("trigger", "web", "--tag", "1.0", "--wait")
    config = polled.directory / "config.yaml"
    config.write_text("retention: {executions: 2}\n" + config.read_text())
    polled.run("run", "--once")
    assert len(polled.json("executions")) == 3, "the last round was less than a day ago"
    with closing(sqlite3.connect(polled.directory / "watcher.db")) as state, state:
        state.execute("UPDATE retention SET looked = looked - 86400, reckoned = reckoned - 86400")
    done = polled.run("run", "--once", "--log-format", "json")
    (line,) = [json.loads(line) for line in done.stderr.splitlines() if "state_pruned" in line]
    assert (line["executions"], line["level"]) == (1, "info")
    assert len(polled.json("executions")) == 2


@pytest.mark.parametrize("words", [("backup", "mine"), ("export", "mine")])
def test_nothing_is_overwritten(polled: Bench, words: tuple[str, ...]) -> None:
    mine = polled.write("mine", "mine")
    polled.run("state", *words, code=2)
    assert mine.read_text() == "mine"


def test_an_import_never_replaces_a_state_file(polled: Bench) -> None:
    polled.run("state", "export", "state.json")
    before = (polled.directory / "watcher.db").read_bytes()
    polled.run("state", "import", "state.json", code=2)
    assert (polled.directory / "watcher.db").read_bytes() == before


@pytest.mark.parametrize("text", ["", "{}", "[1]", "no json"], ids=["empty", "{}", "list", "text"])
def test_what_is_no_export_is_refused(bench: Bench, text: str) -> None:
    bench.configure("127.0.0.1:1")
    bench.write("state.json", text)
    bench.run("state", "import", "state.json", code=2)
    assert not (bench.directory / "watcher.db").exists()


@pytest.mark.parametrize("command", ["check", "export"])
def test_without_a_state_file_that_is_said(bench: Bench, command: str) -> None:
    bench.configure("127.0.0.1:1")
    assert "no state file" in bench.run("state", command, code=2).stderr
    assert not (bench.directory / "watcher.db").exists()


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("status",), id="status"),
        pytest.param(("executions",), id="executions"),
        pytest.param(("run", "--once"), id="run"),
        pytest.param(("disable", "web"), id="disable"),
        pytest.param(("trigger", "web", "--tag", "1.0"), id="trigger"),
        pytest.param(("state", "check"), id="check"),
    ],
)
def test_a_damaged_file_is_told_in_a_line_and_left_alone(
    bench: Bench, words: tuple[str, ...]
) -> None:
    bench.configure("127.0.0.1:1")
    state = bench.write("watcher.db", "this is not a database" * 100)
    before = state.read_bytes()
    stderr = bench.run(*words, code=1).stderr
    assert "watcher.db" in stderr
    assert state.read_bytes() == before


@pytest.mark.parametrize("words", [("backup", "copy"), ("export", "copy")])
def test_a_copy_of_the_state_is_closed_to_others(polled: Bench, words: tuple[str, ...]) -> None:
    polled.run("state", *words)
    assert (polled.directory / "copy").stat().st_mode & 0o007 == 0
