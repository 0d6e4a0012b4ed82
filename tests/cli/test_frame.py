"""What holds for every command: options, errors, exit codes, and what a start imports."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Bench
from watcher import __version__
from watcher.cli.app import COMMANDS
from watcher.testing.registry import FakeRegistry

HEAVY = (
    "apscheduler",
    "jinja2",
    "pydantic",
    "rich",
    "ruamel.yaml",
    "kubernetes",
    "semantic_version",
    "structlog",
    "tenacity",
)


def test_help_lists_every_command(bench: Bench) -> None:
    listed = bench.run("--help").stdout
    assert [name for name in COMMANDS if f"  {name} " not in listed] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(bench: Bench, name: str) -> None:
    said = bench.run(name, "--help").stdout
    assert "--json" in said
    assert "-c, --config" in said


def test_the_version_is_told(bench: Bench) -> None:
    assert __version__ in bench.run("--version").stdout


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("-c", "other.yaml", "--json", "status"), id="before the command"),
        pytest.param(("status", "-c", "other.yaml", "--json"), id="after the command"),
        pytest.param(("--json", "status", "--config=other.yaml"), id="on both sides"),
        pytest.param(("--log-level", "debug", "status", "-cother.yaml", "--json"), id="short"),
    ],
)
def test_global_options_are_taken_on_both_sides(bench: Bench, words: tuple[str, ...]) -> None:
    bench.run("init", "other.yaml")
    rows = json.loads(bench.run(*words).stdout)
    assert [row["repository"] for row in rows] == ["library/nginx"]


def test_a_group_takes_global_options_in_its_middle(bench: Bench) -> None:
    bench.run("init", "other.yaml")
    assert json.loads(bench.run("events", "-c", "other.yaml", "ls", "--json").stdout) == []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        pytest.param(("stauts",), 2, "Did you mean 'status'?", id="misspelt command"),
        pytest.param(("status", "--jsno"), 2, "--json", id="misspelt option"),
        pytest.param(("trigger", "web"), 2, "--tag", id="missing option"),
        pytest.param(("status", "-c", "none.yaml"), 2, "none.yaml", id="no such config"),
        pytest.param(("status",), 2, "watcher init", id="no config at all"),
        pytest.param(("try", "Not An Image"), 2, "repository name", id="no image"),
        pytest.param(("executions", "ID", "--limit", "0"), 2, "--limit", id="bad number"),
    ],
)
def test_a_mistake_is_told_in_a_line_with_a_hint(
    bench: Bench, words: tuple[str, ...], code: int, said: str
) -> None:
    result = bench.run(*words, code=code)
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert said in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("stauts", "--json"), id="usage"),
        pytest.param(("status", "--json"), id="config"),
        pytest.param(("--json", "state", "check", "-c", "bad.yaml"), id="broken config"),
    ],
)
def test_an_error_is_one_json_value_too(bench: Bench, words: tuple[str, ...]) -> None:
    bench.write("bad.yaml", "accounts: 3\nacounts: []\n")
    result = bench.run(*words, code=2)
    shape = json.loads(result.stdout)
    assert shape["error"]
    assert "hint" in shape
    assert "error: " in result.stderr


def test_all_problems_of_a_config_are_told_at_once(bench: Bench) -> None:
    bench.write("config.yaml", "accounts:\n  - nam: x\n    poll: 5\nstages: []\n")
    lines = [
        line for line in bench.run("status", code=2).stderr.splitlines() if "config.yaml:" in line
    ]
    assert len(lines) >= 3


def test_control_characters_of_a_stranger_do_not_reach_the_terminal(bench: Bench) -> None:
    result = bench.run("explain", "\x1b[31mred\x07", "-c", "none\x1b]0;title\x07.yaml", code=2)
    assert "\x1b" not in result.output
    assert "\x07" not in result.output


def test_a_reader_that_goes_away_is_no_error(bench: Bench) -> None:
    bench.run("init")
    done = subprocess.run(
        f"{sys.executable} -m watcher schema | head -c 1",
        shell=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("{", "")


def test_a_pass_with_nothing_new_imports_nothing_heavy(
    polled: Bench, registry: FakeRegistry
) -> None:
    script = (
        "import sys\n"
        "sys.argv = ['watcher', 'run', '--once']\n"
        "from watcher.__main__ import main\n"
        "try:\n    main()\n"
        f"finally:\n    print(*[name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )
    assert (done.stdout.strip(), done.stderr, done.returncode) == ("", "", 0)


def test_the_module_runs_like_the_command(bench: Bench, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "watcher", "--version"], capture_output=True, text=True, timeout=60
    )
    assert __version__ in done.stdout
