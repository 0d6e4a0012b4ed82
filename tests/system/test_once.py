"""`run --once`: what a pass costs, what it says, its exit codes, and a state file in trouble."""

from __future__ import annotations

import json
import os
import resource
import signal
import sqlite3
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.system.watching import Watcher, account, trigger, wait_until
from watcher.testing.access import BearerAuth
from watcher.testing.faults import Fault, Gate, Hold, Match, Respond
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry

REPOSITORIES = tuple(f"acme/service-{number}" for number in range(10))
PIPELINE = {"name": "deploy", "stages": [{"command": ["true"], "name": "go"}]}

HEAVY = (
    "apprise",
    "apscheduler",
    "httpcore",
    "httpx",
    "jinja2",
    "kubernetes",
    "prometheus_client",
    "pydantic",
    "rich",
    "ruamel",
    "semantic_version",
    "starlette",
    "structlog",
    "tenacity",
    "uvicorn",
)
DRIVER = """\
import json, sys
from watcher.__main__ import main
try:
    main()
finally:
    json.dump(sorted(sys.modules), open(MODULES, "w"))
"""


def config(registry: FakeRegistry, *repositories: str, **settings: Any) -> dict[str, Any]:
    return {
        "accounts": [account(registry.address, *repositories, **settings)],
        "triggers": [trigger("all", "deploy", *repositories)],
        "pipelines": [PIPELINE],
    }


@pytest.fixture
def ten(tmp_path: Path, registry: FakeRegistry) -> Watcher:
    """Ten repositories with their baselines, and the log of requests empty."""
    registry.seed(REPOSITORIES, [f"1.{number}" for number in range(100)])
    watcher = Watcher(tmp_path, config(registry, *REPOSITORIES))
    assert watcher.run("run", "--once").returncode == 0
    registry.reset_log()
    return watcher


def commits(state: Path) -> int:
    """Transactions in the WAL since it was begun anew: frames whose header tells the size of the
    database are commits (https://www.sqlite.org/fileformat2.html#walformat)."""
    log = state.with_name(f"{state.name}-wal")
    content = log.read_bytes() if log.exists() else b""
    if len(content) < 32:
        return 0
    page_size, salts = struct.unpack_from(">I", content, 8)[0], content[16:24]
    frames = range(32, len(content) - 23, 24 + page_size)
    valid = [at for at in frames if content[at + 8 : at + 16] == salts]
    return sum(struct.unpack_from(">I", content, at + 4)[0] > 0 for at in valid)


def test_with_nothing_new_each_repository_is_asked_once_and_nothing_is_said(
    ten: Watcher, registry: FakeRegistry
) -> None:
    done = ten.run("run", "--once")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    asked = Counter((entry.kind, entry.repository) for entry in registry.requests)
    assert asked == {(Kind.TAGS, repository): 1 for repository in REPOSITORIES}


def test_with_nothing_new_one_transaction_is_written(ten: Watcher) -> None:
    """A reader that stays connected keeps SQLite from folding the WAL in at the end."""
    reader = sqlite3.connect(ten.state)
    try:
        reader.execute("SELECT count(*) FROM tag").fetchone()
        reader.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        assert commits(ten.state) == 0
        assert ten.run("run", "--once").returncode == 0
        assert commits(ten.state) == 1
    finally:
        reader.close()


def test_with_nothing_new_nothing_heavy_is_imported(
    ten: Watcher, registry: FakeRegistry, tmp_path: Path
) -> None:
    """Nor is what serves a daemon's `http`, which a pass does not, nor what sends messages."""
    quiet = {"name": "ops", "url": "json://127.0.0.1:9/"}
    hook = {"name": "hook", "webhook": {"url": "http://127.0.0.1:9/"}}
    told = {"http": {"listen": "127.0.0.1:0"}, "notifiers": [quiet, hook]}
    ten.write({**config(registry, *REPOSITORIES), **told})
    modules = tmp_path / "modules.json"
    driver = DRIVER.replace("MODULES", repr(str(modules)))
    command = [sys.executable, "-c", driver, "run", "--once", "-c", str(ten.config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    loaded = {name.partition(".")[0] for name in json.loads(modules.read_text())}
    assert "aiohttp" in loaded
    assert ten.json("notify", "ls") == []
    assert loaded.isdisjoint(HEAVY), loaded & set(HEAVY)


def test_a_new_tag_runs_to_its_end_and_is_said(ten: Watcher, registry: FakeRegistry) -> None:
    registry.push(REPOSITORIES[3], "2.0")
    done = ten.run("run", "--once")
    assert done.returncode == 0
    assert "2.0" in done.stdout
    (run,) = ten.json("executions")
    assert (run["tag"], run["status"]) == ("2.0", "SUCCEEDED")


def test_what_a_retry_after_parks_is_skipped_by_the_next_pass_and_named(
    tmp_path: Path, registry: FakeRegistry
) -> None:
    registry.push("acme/web", "1.0")
    watcher = Watcher(tmp_path, config(registry, "acme/web"))
    refusal = Respond(429, (("Retry-After", "600"),))
    registry.fault(Fault(action=refusal, match=Match(kind=Kind.TAGS), times=1))
    refused = watcher.run("run", "--once")
    assert refused.returncode == 1
    assert "0 repositories checked, nothing new, 1 parked" in refused.stdout
    registry.reset_log()
    done = watcher.run("run", "--once")
    assert done.returncode == 0
    assert "skipped main/acme/web: parked until " in done.stderr
    assert registry.requests == []


# Exit codes


def test_exit_code_1_when_a_poll_failed(ten: Watcher, registry: FakeRegistry) -> None:
    registry.fault(Fault(action=Respond(500), match=Match(repository=REPOSITORIES[0])))
    done = ten.run("run", "--once")
    assert done.returncode == 1
    assert REPOSITORIES[0] in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_exit_code_1_when_an_execution_failed(tmp_path: Path, registry: FakeRegistry) -> None:
    registry.push("acme/web", "1.0")
    document = config(registry, "acme/web")
    document["pipelines"] = [{"name": "deploy", "stages": [{"command": ["false"], "name": "go"}]}]
    watcher = Watcher(tmp_path, document)
    assert watcher.run("run", "--once").returncode == 0
    registry.push("acme/web", "2.0")
    assert watcher.run("run", "--once").returncode == 1
    assert watcher.run("run", "--once").returncode == 0, "an old failure is no failure of this pass"


@pytest.mark.parametrize("text", ["accounts: [", '{"colour": "green"}'], ids=["YAML", "key"])
def test_exit_code_2_when_the_config_is_bad(
    text: str, tmp_path: Path, registry: FakeRegistry
) -> None:
    watcher = Watcher(tmp_path, {})
    watcher.config.write_text(text)
    done = watcher.run("run", "--once")
    assert (done.returncode, done.stdout) == (2, "")
    assert str(watcher.config) in done.stderr
    assert not watcher.state.exists()


def test_exit_code_3_while_a_daemon_works(ten: Watcher) -> None:
    with ten.running():
        assert ten.run("run", "--once").returncode == 3


# A state file in trouble


def is_empty(state: Path) -> None:
    state.write_bytes(b"")


def is_text(state: Path) -> None:
    state.write_text("this is no database\n" * 500)


def is_cut(state: Path) -> None:
    content = state.read_bytes()
    state.write_bytes(content[: len(content) // 2])


def is_overwritten(state: Path) -> None:
    content = bytearray(state.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    state.write_bytes(bytes(content))


def is_from_another_program(state: Path) -> None:
    state.unlink()
    connection = sqlite3.connect(state)
    connection.execute("CREATE TABLE theirs (id INTEGER)")
    connection.close()


def is_newer(state: Path) -> None:
    connection = sqlite3.connect(state)
    connection.execute("PRAGMA user_version = 9999")
    connection.close()
    connection = sqlite3.connect(state)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


@pytest.mark.parametrize(
    ("harm", "word"),
    [
        (is_empty, "damaged"),
        (is_text, "damaged"),
        (is_cut, "damaged"),
        (is_overwritten, "damaged"),
        (is_from_another_program, "another program"),
        (is_newer, "newer version"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
@pytest.mark.parametrize("words", [("run", "--once"), ("run",)], ids=["once", "daemon"])
def test_a_state_file_that_cannot_be_used_is_said_in_one_line_and_left_as_it_is(
    words: tuple[str, ...], harm: Callable[[Path], None], word: str, ten: Watcher
) -> None:
    harm(ten.state)
    before = ten.state.read_bytes()
    done = ten.run(*words)
    assert done.returncode == 1, done
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    assert word in errors[0]
    assert "hint: " in done.stderr
    assert "Traceback" not in done.stderr
    assert ten.state.read_bytes() == before


def test_a_disk_that_is_full_is_said_and_nothing_is_lost(
    ten: Watcher, registry: FakeRegistry
) -> None:
    """The limit on file sizes stands in for the full disk; it stops root as well."""
    for number in range(200):
        registry.push(REPOSITORIES[0], f"2.{number}")
    before = ten.json("activity", "--limit", "100000")
    size = ten.state.stat().st_size

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2))

    done = subprocess.run(
        ten.command("run", "--once"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=limited,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 1, done
    assert "Traceback" not in done.stderr
    assert "can't be written" in done.stdout + done.stderr
    assert "check that the disk has room" in done.stdout + done.stderr
    assert ten.json("activity", "--limit", "100000") == before
    assert ten.json("state", "check")["ok"] is True
    assert ten.run("run", "--once").returncode == 0
    held = ten.json("events", "ls", "--held", "--limit", "1000")
    assert len(held) == 200


def test_a_directory_that_does_not_exist_is_said(tmp_path: Path, registry: FakeRegistry) -> None:
    document = config(registry, "acme/web") | {"state": "./missing/watcher.db"}
    done = Watcher(tmp_path, document).run("run", "--once")
    assert done.returncode == 1
    assert "missing" in done.stderr
    assert "hint: " in done.stderr
    assert "Traceback" not in done.stderr


# Tokens are reused


def test_a_pass_asks_for_one_token_per_scope_at_most(
    tmp_path: Path, registry: FakeRegistry
) -> None:
    registry.auth = BearerAuth(users={"acme": "s3cret"})
    registry.push("acme/web", "1.0")
    document = config(registry, "acme/web", username="acme", password="s3cret")
    watcher = Watcher(tmp_path, document)
    assert watcher.run("run", "--once").returncode == 0
    assert registry.counters.tokens == 1


def test_repositories_share_tokens_where_the_account_says_so(
    tmp_path: Path, registry: FakeRegistry
) -> None:
    registry.auth = BearerAuth(users={"acme": "secret"})
    registry.seed(REPOSITORIES, ["1.0"])
    shared = {"username": "acme", "password": "secret", "limits": {"scopes_per_token": 5}}
    watcher = Watcher(tmp_path, config(registry, *REPOSITORIES, **shared))
    assert watcher.run("run", "--once").returncode == 0
    assert registry.counters.tokens == 2


def test_sigterm_lets_a_stage_of_a_pass_end_and_the_next_pass_goes_on(
    tmp_path: Path, registry: FakeRegistry
) -> None:
    first, second, gate = (tmp_path / name for name in ("first", "second", "gate"))
    waiting = f"echo begun >> {first}; until [ -e {gate} ]; do sleep 0.05; done"
    stages = [{"command": ["sh", "-c", waiting]}, {"command": ["touch", str(second)]}]
    registry.push("acme/web", "1.0")
    slow = {**config(registry, "acme/web"), "pipelines": [{"name": "deploy", "stages": stages}]}
    watcher = Watcher(tmp_path, slow)
    assert watcher.run("run", "--once").returncode == 0
    registry.push("acme/web", "2.0")
    under_way = watcher.start("--once")
    try:
        wait_until(first.exists, "the stage runs")
        under_way.send(signal.SIGTERM)
        under_way.wait_for("stopping")
        gate.touch()
        assert under_way.wait() == 0
    finally:
        under_way.kill()
    assert not second.exists()
    assert watcher.run("run", "--once").returncode == 0
    assert second.exists()
    assert first.read_text() == "begun\n"


def test_sigterm_ends_a_pass_that_waits_for_a_registry(
    tmp_path: Path, registry: FakeRegistry
) -> None:
    registry.push("acme/web", "1.0")
    watcher = Watcher(tmp_path, config(registry, "acme/web"))
    gate = Gate()
    registry.fault(Fault(action=Hold(until=gate.passage)))
    under_way = watcher.start("--once")
    try:
        wait_until(lambda: gate.waiting > 0, "the registry is asked")
        under_way.send(signal.SIGTERM)
        assert under_way.wait(10) == 0
    finally:
        under_way.kill()
        gate.open()
    registry.clear_faults()
    assert watcher.json("status")[0]["state"] == "pending", "what was not polled is not known"
    assert watcher.run("run", "--once").returncode == 0


@pytest.mark.parametrize("command", ["poll", "baseline"])
def test_whoever_asks_for_a_poll_hears_that_sigterm_ended_it(
    tmp_path: Path, registry: FakeRegistry, command: str
) -> None:
    registry.push("acme/web", "1.0")
    watcher = Watcher(tmp_path, config(registry, "acme/web"))
    gate = Gate()
    registry.fault(Fault(action=Hold(until=gate.passage)))
    asked = watcher.command(command, "main")
    with subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as ran:
        try:
            wait_until(lambda: gate.waiting > 0, "the registry is asked")
            ran.send_signal(signal.SIGTERM)
            shown, said = ran.communicate(timeout=20)
        finally:
            ran.kill()
            gate.open()
    assert (ran.returncode, shown) == (1, "nothing was polled\n")
    assert "SIGTERM came before all was polled" in said
