"""What a person sees of a run while it is under way: its stages, and what these say."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cli.conftest import REPOSITORY, Bench
from tests.contract.conftest import run_of, stage
from watcher.cli.progress import Onlooker, Tail, Teller, watched
from watcher.core import stepping, undoing
from watcher.core.pipeline import Done, Execution, Failed, StageOutcome, Waiting
from watcher.store.sqlite import Store
from watcher.testing.registry import FakeRegistry

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PATIENCE = 20.0


@pytest.mark.parametrize(
    ("texts", "shown"),
    [
        pytest.param(["a\n", "a\nb\n", "a\nb\n"], [["a"], ["b"], []], id="a line more each time"),
        pytest.param(["a\nb", "a\nbc\n"], [["a"], ["bc"]], id="half a line waits for its end"),
        pytest.param(["", "a\n"], [[], ["a"]], id="from nothing"),
        pytest.param(["a\nb\nc\n", "c\nd\n"], [["a", "b", "c"], ["d"]], id="the beginning is cut"),
        pytest.param(["abc\n", "c\nd\n"], [["abc"], ["d"]], id="cut within a line"),
        pytest.param(["a\nb\n", "c\nd\n"], [["a", "b"], ["c", "d"]], id="nothing of it is left"),
        pytest.param(
            ["a\na\nb\n", "a\nb\na\nb\n"],
            [["a", "a", "b"], ["a", "b"]],
            id="cut, with lines that come again",
        ),
    ],
)
def test_only_new_complete_lines_are_shown(texts: list[str], shown: list[list[str]]) -> None:
    tail = Tail()
    assert [tail.fresh(text, ended=False) for text in texts] == shown


def test_at_the_end_the_last_line_need_not_be_complete() -> None:
    tail = Tail()
    assert tail.fresh("a\nb", ended=False) == ["a"]
    assert tail.fresh("a\nb", ended=True) == ["b"]
    assert tail.fresh("a\nb", ended=True) == []


@given(chunks=st.lists(st.text(alphabet="ab\n", max_size=6), max_size=12))
def test_whatever_comes_when_each_line_is_shown_once(chunks: list[str]) -> None:
    tail, text, shown = Tail(), "", list[str]()
    for chunk in chunks:
        text += chunk
        shown += tail.fresh(text, ended=False)
    assert shown + tail.fresh(text, ended=True) == text.splitlines()


def test_the_end_of_a_full_log_is_found_quickly() -> None:
    tail = Tail()
    before = "the same line again\n" * 3300
    tail.fresh(before, ended=False)
    began = time.process_time()
    assert tail.fresh(before[7:] + "news\n", ended=False) == ["news"]
    assert time.process_time() - began < 0.5


# One run


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "watcher.db") as opened:
        yield opened


def begun(store: Store, key: str = "key") -> Execution:
    new = run_of(
        stage("deploy", "web", on_failure="rollback"), stage("note"), key=key, pipeline="deploy"
    )
    new = replace(
        new, pipeline=replace(new.pipeline, concurrency=replace(new.pipeline.concurrency, max=9))
    )
    store.submit(new)
    busy = {run.id for run in store.executions()} - {new.id}
    (execution,) = store.claim(NOW, busy, 1).executions
    return store.save_start(stepping.begin(execution, 0, NOW), 0)


def says(store: Store, execution: Execution, text: str) -> None:
    store.save_logs({(execution.id, 0): text})


def concludes(store: Store, execution: Execution, outcome: StageOutcome, text: str) -> Execution:
    return store.save(stepping.conclude(execution, 0, outcome, NOW, text), 0, NOW)


def test_a_stage_is_followed_from_its_start_to_its_end(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    execution = begun(store)
    teller = Teller(store, execution.id)
    teller.look()
    says(store, execution, "Deployment web: 1 of 3\n")
    teller.look()
    teller.look()
    says(store, execution, "Deployment web: 1 of 3\nDeployment web: 2 of 3\nDeploy")
    teller.look()
    concludes(store, execution, Done(), "Deployment web: 1 of 3\nDeployment web: 2 of 3\nready")
    teller.look()
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "stage web: RUNNING",
        "web | Deployment web: 1 of 3",
        "web | Deployment web: 2 of 3",
        "web | ready",
        "stage web: SUCCEEDED",
    ]
    assert not teller.is_done


def test_a_rollback_is_followed_too(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    execution = begun(store)
    teller = Teller(store, execution.id)
    failed = concludes(store, execution, Failed("no image"), "applied\n")
    teller.look()
    store.save_start(undoing.begin_undo(failed, 0), 0)
    says(store, failed, "applied\nput back\n")
    teller.look()
    assert capsys.readouterr().err.splitlines() == [
        "web | applied",
        "stage web: FAILED: no image",
        "web | put back",
    ]


def test_what_a_stage_says_can_t_drive_the_terminal(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    execution = begun(store)
    says(store, execution, "\x1b[2Jgone\x07\n")
    Teller(store, execution.id).look()
    assert capsys.readouterr().err.splitlines()[1] == "web |  [2Jgone "


@pytest.mark.parametrize(
    ("outcome", "done"),
    [
        pytest.param(Waiting(None, stepping.FOR_PERSON), True, id="a person"),
        pytest.param(Waiting(NOW, stepping.FOR_PERSON), True, id="a person, for so long"),
        pytest.param(Waiting(None, "execution:abc"), False, id="another run"),
        pytest.param(Waiting(NOW, "the time"), False, id="time"),
    ],
)
def test_following_ends_where_the_run_waits_for_a_person(
    store: Store, outcome: Waiting, done: bool
) -> None:
    execution = begun(store)
    concludes(store, execution, outcome, "")
    assert Teller(store, execution.id).is_done is done


# Several runs


def test_of_several_runs_each_line_names_its_own(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [begun(store, key) for key in ("1.1", "1.2")]
    onlooker = Onlooker(lambda: store)
    says(store, runs[0], "first\n")
    onlooker.look()
    ended = concludes(store, runs[0], Failed("no"), "first\n")
    store.save(stepping.finish(ended, ended.status.FAILED, "no", NOW), None, None)
    onlooker.look()
    onlooker.look()
    assert sorted(capsys.readouterr().err.splitlines()) == [
        "deploy 1.1: stage web: FAILED: no",
        "deploy 1.1: stage web: RUNNING",
        "deploy 1.1: web | first",
        "deploy 1.2: stage web: RUNNING",
    ]


def test_the_last_words_of_a_run_are_shown_too(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    run = begun(store, "1.1")
    onlooker = Onlooker(lambda: store)
    onlooker.end()
    assert capsys.readouterr().err == ""
    onlooker.look()
    ended = concludes(store, run, Done(), "ready\n")
    store.save(stepping.finish(ended, ended.status.SUCCEEDED, "", NOW), None, None)
    onlooker.end()
    assert capsys.readouterr().err.splitlines()[1:] == [
        "deploy 1.1: web | ready",
        "deploy 1.1: stage web: SUCCEEDED",
    ]


async def test_work_that_is_over_at_once_is_not_looked_at() -> None:
    looks: list[int] = []

    async def work() -> str:
        return "done"

    assert await watched(work(), lambda: looks.append(1)) == "done"
    assert looks == []


async def test_work_is_ended_before_its_onlooker_leaves() -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("work")

    def look() -> None:
        raise KeyError("the onlooker fails")

    with pytest.raises(KeyError):
        await watched(work(), look)
    assert ended == ["work"]


# Commands

SLOW = "- command: [sh, -c, 'echo half way; until test -e go; do sleep 0.05; done; echo through']"


def test_trigger_shows_what_the_stages_say_and_keeps_json_clean(polled: Bench) -> None:
    words = ("trigger", "web", "--tag", "1.0", "--wait")
    assert "greet | hello 1.0\n" in polled.run(*words).stderr
    assert polled.json(*words)["status"] == "SUCCEEDED"


def test_a_rolled_back_run_is_listed_with_how_that_went(polled: Bench) -> None:
    with Store.open(polled.directory / "watcher.db") as opened:
        failed = concludes(opened, begun(opened), Failed("no image"), "")
        undone = undoing.conclude_undo(failed, 0, "the server is away", NOW)
        step = stepping.next_step(undone, NOW)
        opened.save(undone, 0, None)
        assert isinstance(step, stepping.Finish)
        opened.save(stepping.finish(undone, step.status, step.reason, NOW), None, None)
    expected = "stage web: no image; ROLLBACK FAILED: stage web: the server is away"
    assert expected in polled.run("executions").stdout


class Terminal:
    """A command whose stderr is a terminal."""

    def __init__(self, *words: str, cwd: Path) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "watcher", *words],
            stdout=subprocess.PIPE,
            stderr=theirs,
            cwd=cwd,
            env=dict(os.environ),
        )
        os.close(theirs)
        self.said = ""

    def until(self, word: str) -> None:
        while word not in self.said:
            self.said += os.read(self._ours, 65536).decode()

    def end(self) -> tuple[int, str]:
        """The exit code and stdout; what is still said on the terminal is kept."""
        out, _ = self.process.communicate(timeout=PATIENCE)
        os.set_blocking(self._ours, False)
        with suppress(OSError):  # the other end is closed, and nothing is left
            self.said += os.read(self._ours, 65536).decode()
        os.close(self._ours)
        return self.process.returncode, out.decode()


@pytest.mark.parametrize("as_json", [False, True], ids=["for people", "with --json"])
def test_one_pass_on_a_terminal_shows_what_takes_its_time(
    bench: Bench, registry: FakeRegistry, as_json: bool
) -> None:
    registry.push(REPOSITORY, "1.0")
    bench.configure(registry.address, stages=SLOW)
    bench.run("run", "--once")
    registry.push(REPOSITORY, "1.1")
    terminal = Terminal("run", "--once", *["--json"] * as_json, cwd=bench.directory)
    terminal.until("command | half way")
    assert "deploy 1.1: stage command: RUNNING" in terminal.said
    bench.write("go", "")
    code, out = terminal.end()
    assert code == 0
    assert "command |" not in out
    if as_json:
        shape: dict[str, Any] = json.loads(out)
        assert [run["status"] for run in shape["executions"]] == ["SUCCEEDED"]


def test_one_pass_off_a_terminal_says_nothing_on_the_way(
    bench: Bench, registry: FakeRegistry
) -> None:
    registry.push(REPOSITORY, "1.0")
    bench.configure(registry.address)
    bench.run("run", "--once")
    registry.push(REPOSITORY, "1.1")
    assert "greet |" not in bench.run("run", "--once").stderr
