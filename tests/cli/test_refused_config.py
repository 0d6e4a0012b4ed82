"""Commands while the config on disk is refused: beside a process that goes on with the one before
they show and change what its state file has, and without one they refuse.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.cli.conftest import REPOSITORY, Bench
from tests.cli.test_beside_daemon import PATIENCE, wait_for
from watcher.store.lock import StateLock
from watcher.store.sqlite import Store
from watcher.testing.faults import Fault, Match, Respond
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry

Break = Callable[[str], str]

MISSPELT = "accounts[0].plain_htpp: unknown key 'plain_htpp'"


def misspelt(config: str) -> str:
    return config.replace("plain_http", "plain_htpp")


def not_yaml(config: str) -> str:
    return config + "notifiers: [\n"


TIMES = ("last_check", "last_success", "next_check")
"""Which the daemon knows better than its file."""

Words = tuple[str, ...]

BREAKS = [pytest.param(misspelt, id="a wrong key"), pytest.param(not_yaml, id="not YAML")]

LOOKING = [
    ("status",),
    ("status", "fake"),
    ("status", f"fake/{REPOSITORY}"),
    ("status", "--hosts"),
    ("activity",),
    ("activity", f"fake/{REPOSITORY}"),
    ("activity", "--deliveries"),
    ("executions",),
    ("events", "ls"),
    ("events", "rejected"),
    ("notify", "ls"),
    ("state", "export"),
]

REFUSING = [
    ("run",),
    ("run", "--once"),
    ("poll",),
    ("baseline", "fake"),
    ("trigger", "web", "--tag", "1.0"),
    ("explain", "web"),
    ("plan",),
    ("render", "deploy", "--image", "acme/web:1.0"),
    ("validate",),
    ("events", "release", f"fake/{REPOSITORY}"),
    ("webhooks", "ls"),
    ("notify", "test"),
    ("state", "vacuum"),
]


def break_config(bench: Bench, how: Break) -> None:
    path = bench.directory / "config.yaml"
    path.write_text(how(path.read_text()))


@pytest.fixture
def daemon(bench: Bench, registry: FakeRegistry) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon with a state file that only the config names, and one run that failed."""
    registry.push(REPOSITORY, "1.0")
    path = bench.configure(
        registry.address, account="poll: 1d", stages='- name: break\n  command: ["false"]'
    )
    path.write_text(f"state: kept/state.db\n{path.read_text()}")
    (bench.directory / "kept").mkdir()
    bench.run("run", "--once")
    registry.push(REPOSITORY, "1.1")
    bench.run("run", "--once", code=1)
    with running(bench) as process:
        yield process


@contextmanager
def running(bench: Bench) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon with the config as it is."""
    log = bench.write("daemon.log", "")
    words = (sys.executable, "-m", "watcher", "run", "--log-file", str(log))
    process = subprocess.Popen(words, env=dict(os.environ))
    try:
        wait_for(lambda: " ready " in log.read_text())
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize("how", BREAKS)
def test_what_is_looked_at_is_shown_with_a_warning_beside_the_daemon(
    bench: Bench, daemon: subprocess.Popen[bytes], how: Break
) -> None:
    before = {words: bench.json(*words) for words in LOOKING}
    break_config(bench, how)
    for words in LOOKING:
        shown = bench.run(*words, "--json")
        assert shape_of(json.loads(shown.stdout)) == shape_of(before[words]), words
        assert "warning: the config on disk can't be used: config.yaml:" in shown.stderr, words
        assert f"process {daemon.pid} (watcher run) goes on" in shown.stderr, words
        assert str(bench.directory / "kept" / "state.db") in shown.stderr, words
        assert "`watcher validate`" in shown.stderr, words


def shape_of(value: object) -> object:
    """What does not change from one second to the next; of an export its tables."""
    if isinstance(value, dict) and "tables" in value:
        return set(value["tables"])
    if isinstance(value, dict):
        return {k: shape_of(v) for k, v in value.items() if k not in TIMES}
    return [shape_of(each) for each in value] if isinstance(value, list) else value


def test_a_refused_config_changes_no_exit_code(
    bench: Bench, daemon: subprocess.Popen[bytes]
) -> None:
    break_config(bench, misspelt)
    assert MISSPELT in bench.run("status").stderr
    assert "no execution 'none'" in bench.run("executions", "none", code=2).stderr
    assert "no account 'none'" in bench.run("status", "none", code=2).stderr
    assert "nothing of 'none'" in bench.run("activity", "none", code=2).stderr
    assert "no trigger 'none'" in bench.run("disable", "none", code=2).stderr
    assert "no account 'none'" in bench.run("webhooks", "disable", "none", code=2).stderr
    refused = bench.json("executions", "none", code=2)
    assert refused["error"].startswith("there is no execution")


@pytest.mark.parametrize("words", REFUSING, ids=" ".join)
def test_what_needs_the_config_itself_refuses_beside_a_daemon(polled: Bench, words: Words) -> None:
    config = polled.directory / "config.yaml"
    with StateLock(polled.directory / "watcher.db", command="watcher run", config=config):
        break_config(polled, misspelt)
        assert f"error: config.yaml:4: {MISSPELT}" in polled.run(*words, code=2).stderr


def test_what_the_daemon_answered_does_not_fill_its_state_file(
    bench: Bench, daemon: subprocess.Popen[bytes]
) -> None:
    break_config(bench, misspelt)
    assert bench.json("status")
    with closing(Store.open(bench.directory / "kept" / "state.db", create=False)) as store:
        asked = store.request_result(1)
    assert asked is not None
    assert (asked.finished, asked.result) == (True, None)


@pytest.mark.parametrize("how", BREAKS)
def test_runs_events_and_switches_are_changed_in_the_daemons_state_file(
    bench: Bench, registry: FakeRegistry, daemon: subprocess.Popen[bytes], how: Break
) -> None:
    config = (bench.directory / "config.yaml").read_text()
    break_config(bench, how)
    (run,) = bench.json("executions")
    assert bench.json("retry", run["id"])["status"] == "QUEUED"
    wait_for(lambda: bench.json("executions")[0]["status"] == "FAILED")
    assert bench.json("events", "replay", "1")["tag"] == "1.1"
    assert bench.json("disable", "web") == {"trigger": "web", "enabled": False}
    assert bench.json("webhooks", "disable", "fake") == {"account": "fake", "enabled": False}
    (bench.directory / "config.yaml").write_text(config)
    registry.push(REPOSITORY, "1.2")
    bench.run("poll")
    outcomes = [trigger["outcome"] for trigger in bench.json("activity")[0]["triggers"]]
    assert outcomes == ["disabled"]


def test_the_state_file_is_checked_and_copied_though_its_retention_is_not_known(
    bench: Bench, daemon: subprocess.Popen[bytes]
) -> None:
    break_config(bench, misspelt)
    report = bench.json("state", "check")
    assert (report["ok"], report["over"]) == (True, None)
    bench.run("state", "backup", "copy.db")
    assert (bench.directory / "copy.db").exists()


@pytest.mark.parametrize("words", [("health",), ("health", "--live")], ids=" ".join)
def test_health_finds_the_daemon_though_the_config_is_no_yaml(
    bench: Bench, daemon: subprocess.Popen[bytes], words: Words
) -> None:
    break_config(bench, not_yaml)
    assert bench.run(*words).stdout == "well\n"


def test_health_says_what_the_daemon_complains_of(bench: Bench, registry: FakeRegistry) -> None:
    registry.push(REPOSITORY, "1.0")
    bench.configure(registry.address, account="poll: {every: 1s, jitter: 0s}\nstale_after: 2s")
    with running(bench):
        break_config(bench, misspelt)
        assert bench.json("health") == {"well": True, "complaints": []}
        registry.fault(Fault(match=Match(kind=Kind.TAGS), action=Respond(500)))
        wait_for(lambda: bench.run("health", code=None).exit_code == 1)
        (complaint,) = bench.json("health", code=1)["complaints"]
    assert (complaint["ailment"], complaint["about"]) == ("stale", f"fake/{REPOSITORY}")


# Whose state file it is has to be certain


@pytest.mark.parametrize("words", LOOKING, ids=" ".join)
def test_without_a_process_that_holds_the_state_file_all_refuse(
    polled: Bench, words: Words
) -> None:
    break_config(polled, misspelt)
    refused = polled.run(*words, code=2)
    assert f"error: config.yaml:4: {MISSPELT}" in refused.stderr
    assert "warning" not in refused.stderr


@pytest.mark.parametrize(
    "reads",
    [
        pytest.param(None, id="none"),
        pytest.param("other.yaml", id="another one"),
        pytest.param("gone.yaml", id="one that is gone"),
        pytest.param("no\0name", id="what names no file"),
    ],
)
def test_a_process_that_reads_no_such_config_vouches_for_nothing(
    polled: Bench, reads: str | None
) -> None:
    polled.write("other.yaml", (polled.directory / "config.yaml").read_text())
    break_config(polled, misspelt)
    config = None if reads is None else polled.directory / reads
    with StateLock(polled.directory / "watcher.db", command="watcher run", config=config):
        assert MISSPELT in polled.run("executions", code=2).stderr


def test_a_state_file_that_the_broken_config_moves_is_not_opened(
    polled: Bench, tmp_path: Path
) -> None:
    config = polled.directory / "config.yaml"
    with StateLock(polled.directory / "watcher.db", command="watcher run", config=config):
        break_config(polled, lambda text: f"state: other.db\n{misspelt(text)}")
        assert MISSPELT in polled.run("executions", code=2).stderr
    assert not (tmp_path / "other.db").exists()


def test_of_two_state_files_in_use_none_is_taken(polled: Bench) -> None:
    config = polled.directory / "config.yaml"
    held = [
        StateLock(polled.directory / name, command="watcher run", config=config)
        for name in ("watcher.db", "other.db")
    ]
    with held[0], held[1]:
        break_config(polled, lambda text: f"state: other.db\n{not_yaml(text)}")
        assert "not valid YAML" in polled.run("executions", code=2).stderr


def test_the_environment_names_the_state_file_of_a_config_that_can_not_be_read(
    polled: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = polled.directory / "kept"
    kept.mkdir()
    (polled.directory / "watcher.db").rename(kept / "watcher.db")
    config = polled.directory / "config.yaml"
    break_config(polled, not_yaml)
    with StateLock(kept / "watcher.db", command="watcher run", config=config):
        assert "not valid YAML" in polled.run("activity", code=2).stderr
        monkeypatch.setenv("STATE_DIRECTORY", str(kept))
        assert [row["change"] for row in polled.json("activity")] == ["baseline"]


def test_what_only_the_daemons_environment_has_is_not_needed_to_look(
    polled: Bench, registry: FakeRegistry
) -> None:
    """As `$CREDENTIALS_DIRECTORY`, which systemd gives to the service alone."""
    config = polled.configure(
        registry.address, account="username: bot\npassword_file: $ONLY_THERE/password"
    )
    with StateLock(polled.directory / "watcher.db", command="watcher run", config=config):
        shown = polled.run("executions")
    assert "ONLY_THERE is not set" in shown.stderr


def test_a_config_is_the_same_by_another_name(polled: Bench) -> None:
    config = polled.directory / "config.yaml"
    (polled.directory / "link.yaml").symlink_to(config)
    break_config(polled, misspelt)
    with StateLock(polled.directory / "watcher.db", command="watcher run", config=config):
        assert polled.json("-c", "link.yaml", "executions") == []


def test_a_pass_that_answers_no_requests_leaves_status_refused(polled: Bench) -> None:
    config = polled.directory / "config.yaml"
    break_config(polled, misspelt)
    with StateLock(polled.directory / "watcher.db", command="watcher run --once", config=config):
        assert polled.json("executions") == []
        refused = polled.run("status", code=2).stderr
    assert "did not answer" in refused
    assert f"error: config.yaml:4: {MISSPELT}" in refused
