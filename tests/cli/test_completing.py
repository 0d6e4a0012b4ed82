"""The shell completes names of the config, by the scripts that `watcher completion` prints."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Bench

CONFIG = """\
accounts:
  - {name: hub, address: index.docker.io, repositories: [acme/web, acme/worker]}
  - {name: house, address: registry.example, catalog: true}
triggers:
  - {name: web-release, account: hub, repository: acme/web, pipeline: deploy-web}
  - {name: tools, account: house, repository: tools/cli, pipeline: deploy-all}
pipelines:
  - {name: deploy-web, stages: [{wait: 1s}]}
  - {name: deploy-all, stages: [{wait: 1s}]}
notifiers:
  - {name: ops, webhook: {url: "http://127.0.0.1:1/"}}
"""

TRIGGERS = ["web-release", "tools"]
ACCOUNTS = ["hub", "house"]
PIPELINES = ["deploy-web", "deploy-all"]
PLACES = ["hub/acme/web", "hub/acme/worker", "house/tools/cli"]
REPOSITORIES = ["acme/web", "acme/worker", "tools/cli"]


@pytest.fixture
def watcher(bench: Bench) -> Path:
    """The command in a directory of its own, as it is found in PATH."""
    command = bench.directory / "bin" / "watcher"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m watcher "$@"\n')
    command.chmod(0o755)
    bench.write("config.yaml", CONFIG)
    return command


def completed(command: Path, *words: str) -> list[str]:
    """What bash's script is answered for the last of the words, as far as that is typed."""
    answer = subprocess.run(
        [command],
        env={
            **os.environ,
            "_WATCHER_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(["watcher", *words]),
            "COMP_CWORD": str(len(words)),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert (answer.returncode, answer.stderr) == (0, "")
    return [line.removeprefix("plain,") for line in answer.stdout.splitlines() if line]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("enable", ""), TRIGGERS),
        (("disable", "we"), ["web-release"]),
        (("trigger", ""), TRIGGERS),
        (("trigger", "tools", "--repository", ""), REPOSITORIES),
        (("explain", "t"), ["tools"]),
        (("explain", "tools", "--repository", "acme/wo"), ["acme/worker"]),
        (("render", ""), PIPELINES),
        (("render", "deploy-web", "--trigger", ""), TRIGGERS),
        (("executions", "--pipeline", ""), PIPELINES),
        (("events", "rejected", "--pipeline", ""), PIPELINES),
        (("events", "clear", "--pipeline", "deploy-w"), ["deploy-web"]),
        (("events", "release", ""), TRIGGERS + PLACES),
        (("events", "drop", "hub/"), PLACES[:2]),
        (("poll", ""), ACCOUNTS),
        (("baseline", "hub"), ["hub", *PLACES[:2]]),
        (("status", "hub/acme/wo"), ["hub/acme/worker"]),
        (("activity", "house/"), PLACES[2:]),
        (("webhooks", "enable", ""), ACCOUNTS),
        (("webhooks", "disable", "ho"), ["house"]),
        (("notify", "test", ""), ["ops"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_names_of_the_config_are_completed(
    watcher: Path, words: tuple[str, ...], names: list[str]
) -> None:
    assert completed(watcher, *words) == names


@pytest.mark.parametrize(
    "words", [("-c", "other.yaml", "enable", ""), ("enable", "-c", "other.yaml", "")]
)
def test_the_config_that_was_named_counts(
    bench: Bench, watcher: Path, words: tuple[str, ...]
) -> None:
    bench.write("other.yaml", CONFIG.replace("web-release", "another"))
    assert completed(watcher, *words) == ["another", "tools"]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("accounts: [\n", id="not YAML"),
        pytest.param(CONFIG.replace("address", "adress"), id="a wrong key"),
        pytest.param("", id="empty"),
    ],
)
def test_a_broken_config_completes_nothing_and_says_nothing(
    bench: Bench, watcher: Path, text: str
) -> None:
    bench.write("config.yaml", text)
    assert completed(watcher, "enable", "") == []


def test_what_is_no_file_is_not_read(bench: Bench, watcher: Path) -> None:
    os.mkfifo(bench.directory / "pipe")
    assert completed(watcher, "-c", "pipe", "enable", "") == []
    assert completed(watcher, "-c", "gone.yaml", "enable", "") == []
    assert "status" in completed(watcher, "unknown", "")


def test_bash_itself_completes_a_name(watcher: Path) -> None:
    """As its users have it: the script is read, and asked as the TAB key asks."""
    script = """
        PATH="$PWD/bin:$PATH"
        eval "$(watcher completion bash)"
        COMP_WORDS=(watcher enable we) COMP_CWORD=2
        _watcher_completion watcher we enable
        echo "${COMPREPLY[@]}"
    """
    answer = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, timeout=20
    )
    assert (answer.stdout, answer.stderr) == ("web-release\n", "")
