"""The daemon as an operator meets it: signals, reloads, a second instance, commands beside it."""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.system.watching import Watcher, account, trigger, wait_until
from watcher.store.sqlite import Store
from watcher.testing.access import BasicAuth
from watcher.testing.faults import Action, Change, Fault, Match, Respond
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry

WEB, API = "acme/web", "acme/api"
AN_HOUR = "1h"


def pipeline(*stages: Any, name: str = "deploy") -> dict[str, Any]:
    return {"name": name, "stages": list(stages) or [{"command": ["true"], "name": "go"}]}


def config(registry: FakeRegistry, *stages: Any, **settings: Any) -> dict[str, Any]:
    """One account with one repository, a trigger for each of its tags, and one pipeline."""
    return {
        "accounts": [account(registry.address, WEB, **settings)],
        "triggers": [trigger("web", "deploy", WEB)],
        "pipelines": [pipeline(*stages)],
    }


def watched(directory: Path, registry: FakeRegistry, *stages: Any, **settings: Any) -> Watcher:
    """A watcher whose repository has its baseline."""
    registry.push(WEB, "1.0")
    watcher = Watcher(directory, config(registry, *stages, **settings))
    assert watcher.run("run", "--once").returncode == 0
    return watcher


def runs_by_tag(watcher: Watcher) -> Mapping[str, str]:
    return {run["tag"]: run["status"] for run in watcher.json("executions")}


# Signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_ends_an_idle_daemon_with_exit_code_0(
    number: signal.Signals, tmp_path: Path, registry: FakeRegistry
) -> None:
    daemon = watched(tmp_path, registry).start()
    try:
        daemon.wait_for("started")
        daemon.send(number)
        assert daemon.wait(5) == 0
        assert [line["event"] for line in daemon.lines()][-2:] == ["stopping", "stopped"]
    finally:
        daemon.kill()


@pytest.mark.timeout(90)
def test_sigterm_while_a_stage_runs_ends_within_20_s_and_the_stage_is_run_again(
    tmp_path: Path, registry: FakeRegistry
) -> None:
    marks = tmp_path / "marks"
    once_more = f"echo begun >> '{marks}'; [ $(wc -l < '{marks}') -gt 1 ] || sleep 600"
    watcher = watched(tmp_path, registry, {"command": ["sh", "-c", once_more], "name": "slow"})
    daemon = watcher.start()
    try:
        daemon.wait_for("started")
        registry.push(WEB, "2.0")
        wait_until(marks.exists, "the stage runs")
        began = time.monotonic()
        daemon.send(signal.SIGTERM)
        assert daemon.wait(25) == 0
        assert time.monotonic() - began <= 20.5
    finally:
        daemon.kill()
    with watcher.running():
        wait_until(lambda: runs_by_tag(watcher) == {"2.0": "SUCCEEDED"}, "it is done", every=0.3)


def test_sigterm_lets_a_short_stage_end_and_starts_no_other(
    tmp_path: Path, registry: FakeRegistry
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    gate = tmp_path / "gate"
    watcher = watched(
        tmp_path,
        registry,
        {
            "command": ["sh", "-c", f"touch {first}; until [ -e {gate} ]; do sleep 0.05; done"],
            "name": "first",
        },
        {"command": ["touch", str(second)], "name": "second"},
    )
    daemon = watcher.start()
    try:
        daemon.wait_for("started")
        registry.push(WEB, "2.0")
        wait_until(first.exists, "the stage runs")
        daemon.send(signal.SIGTERM)
        daemon.wait_for("stopping")
        gate.touch()
        assert daemon.wait(10) == 0
    finally:
        daemon.kill()
    assert not second.exists()
    (run,) = watcher.json("executions")
    stages = [(stage["status"], stage["attempts"]) for stage in run["stages"]]
    assert stages == [("SUCCEEDED", 1), ("PENDING", 0)]


def test_a_second_signal_ends_at_once(tmp_path: Path, registry: FakeRegistry) -> None:
    begun = tmp_path / "begun"
    watcher = watched(
        tmp_path, registry, {"command": ["sh", "-c", f"touch {begun}; sleep 30"], "name": "slow"}
    )
    daemon = watcher.start()
    try:
        daemon.wait_for("started")
        registry.push(WEB, "2.0")
        wait_until(begun.exists, "the stage runs")
        daemon.send(signal.SIGTERM)
        daemon.wait_for("stopping")
        daemon.send(signal.SIGTERM)
        assert daemon.wait(2) == -signal.SIGTERM
    finally:
        daemon.kill()
    assert watcher.json("state", "check")["ok"] is True


# Reload


def with_more(registry: FakeRegistry) -> dict[str, Any]:
    """The config with a second account, repository and trigger."""
    document = config(registry)
    second = account(registry.address, API) | {"name": "second"}
    document["accounts"].append(second)
    document["triggers"].append(trigger("api", "deploy", API) | {"account": "second"})
    return document


@pytest.mark.parametrize("signalled", [True, False], ids=["SIGHUP", "changed file"])
def test_a_reload_takes_up_a_new_account_and_trigger(
    signalled: bool, tmp_path: Path, registry: FakeRegistry
) -> None:
    registry.push(API, "1.0")
    watcher = watched(tmp_path, registry)
    with watcher.running() as daemon:
        watcher.write(with_more(registry))
        if signalled:
            daemon.send(signal.SIGHUP)
        daemon.wait_for("config_loaded", accounts=2)
        daemon.wait_for("baseline_recorded", repository=API)
        registry.push(API, "2.0")
        daemon.wait_for("execution_finished", status="SUCCEEDED")
        assert runs_by_tag(watcher) == {"2.0": "SUCCEEDED"}
        assert len(daemon.events("config_loaded")) == 1


def test_a_reload_does_not_poll_an_unchanged_account_anew(
    tmp_path: Path, registry: FakeRegistry
) -> None:
    """With an hour between polls a first poll would come within the hour, not now; so one that
    is made by command is the only one, and stays it over the reload."""
    registry.push(API, "1.0")
    watcher = watched(tmp_path, registry, poll=AN_HOUR)
    more = with_more(registry)
    more["accounts"][0]["poll"] = AN_HOUR
    with watcher.running() as daemon:
        assert watcher.json("poll")["ok"] is True
        asked = registry.count(Kind.TAGS, WEB)
        connections = registry.counters.connections
        watcher.write(more)
        daemon.send(signal.SIGHUP)
        daemon.wait_for("baseline_recorded", repository=API)
        assert registry.count(Kind.TAGS, WEB) == asked
        assert watcher.json("poll", "main")["ok"] is True
        assert registry.count(Kind.TAGS, WEB) == asked + 1
        assert registry.counters.connections <= connections + 1, "the account connected anew"


def test_an_account_that_is_gone_after_a_reload_is_polled_no_more(
    tmp_path: Path, registry: FakeRegistry
) -> None:
    registry.push(API, "1.0")
    watcher = watched(tmp_path, registry)
    watcher.write(with_more(registry))
    with watcher.running() as daemon:
        daemon.wait_for("baseline_recorded", repository=API)
        watcher.write(config(registry))
        daemon.send(signal.SIGHUP)
        daemon.wait_for("config_loaded", accounts=1)
        asked, others = registry.count(Kind.TAGS, API), registry.count(Kind.TAGS, WEB)
        wait_until(lambda: registry.count(Kind.TAGS, WEB) >= others + 2, "the other goes on")
        assert registry.count(Kind.TAGS, API) == asked


BAD_CONFIGS = {
    "no YAML": "accounts: [",
    "an unknown key": '{"accounts": [], "colour": "green"}',
    "an unknown pipeline": '{"triggers": [{"name": "x", "account": "gone", "pipeline": "gone"}]}',
    "another state file": '{"state": "./other.db"}',
    "an empty file": "",
}


def test_a_bad_config_keeps_the_old_one_and_says_so(tmp_path: Path, registry: FakeRegistry) -> None:
    watcher = watched(tmp_path, registry)
    with watcher.running() as daemon:
        good = watcher.config.read_text()
        for name, text in BAD_CONFIGS.items():
            rejected = len(daemon.events("config_rejected"))
            watcher.config.write_text(text)
            daemon.send(signal.SIGHUP)
            line = daemon.wait_for("config_rejected", times=rejected + 1)[-1]
            assert (line["level"], bool(line["error"])) == ("error", True), name
        registry.push(WEB, "2.0")
        daemon.wait_for("execution_finished", status="SUCCEEDED")
        assert daemon.events("config_loaded") == []
        watcher.config.write_text(good)
        daemon.send(signal.SIGHUP)
        daemon.wait_for("config_loaded")


def test_a_file_that_became_bad_is_noticed_and_said_once(
    tmp_path: Path, registry: FakeRegistry
) -> None:
    watcher = watched(tmp_path, registry)
    with watcher.running() as daemon:
        good = watcher.config.read_text()
        watcher.config.write_text(BAD_CONFIGS["an unknown key"])
        (line,) = daemon.wait_for("config_rejected")
        assert "colour" in line["error"]
        watcher.config.write_text(good)
        daemon.wait_for("config_loaded")
        assert len(daemon.events("config_rejected")) == 1


# Beside a daemon


def test_a_second_instance_exits_3_and_names_the_first(
    tmp_path: Path, registry: FakeRegistry
) -> None:
    watcher = watched(tmp_path, registry)
    with watcher.running() as daemon:
        for words in (["run"], ["run", "--once"]):
            second = watcher.run(*words)
            assert second.returncode == 3
            assert f"process {daemon.pid} (watcher run)" in second.stderr
            assert second.stdout == ""
            assert "Traceback" not in second.stderr


def test_poll_beside_a_daemon_is_done_by_the_daemon(tmp_path: Path, registry: FakeRegistry) -> None:
    watcher = watched(tmp_path, registry, poll=AN_HOUR)
    with watcher.running() as daemon:
        daemon.wait_for("ready")
        registry.push(WEB, "2.0")
        answer = watcher.json("poll", f"main/{WEB}")
        assert answer["ok"] is True
        assert [poll["result"] for poll in answer["polls"]] == ["changed"]
        (identifier,) = answer["polls"][0]["executions"]
        daemon.wait_for("execution_finished", execution=identifier, status="SUCCEEDED")


def test_baseline_beside_a_daemon_fires_nothing(tmp_path: Path, registry: FakeRegistry) -> None:
    watcher = watched(tmp_path, registry, poll=AN_HOUR)
    with watcher.running() as daemon:
        daemon.wait_for("ready")
        registry.push(WEB, "2.0")
        assert watcher.json("baseline", f"main/{WEB}")["ok"] is True
        assert watcher.json("poll")["polls"][0]["result"] == "unchanged"
        assert watcher.json("executions") == []


def test_a_baseline_that_a_daemon_left_undone_takes_nothing_as_seen_later(
    tmp_path: Path, registry: FakeRegistry
) -> None:
    """Both the daemon and who asked it were killed; tags were pushed before the next one starts."""
    names = [f"acme/r{number}" for number in range(5)]
    for name in names:
        registry.push(name, "1.0")
    document = config(registry, poll=AN_HOUR, repositories=names)
    document["triggers"] = [trigger("web", "deploy", *names)]
    watcher = Watcher(tmp_path, document)
    assert watcher.run("run", "--once").returncode == 0
    with Store.open(watcher.state) as store:
        store.request("baseline", {"account": "main", "repository": None})
    for name in names:
        registry.push(name, "2.0")
    with watcher.running() as daemon, Store.open(watcher.state) as store:
        daemon.wait_for("ready")
        wait_until(lambda: not store.pending_requests(), "the daemon has answered")
        assert watcher.json("poll")["ok"] is True
        daemon.wait_for("execution_finished", times=len(names))
    assert sorted(run["repository"] for run in watcher.json("executions")) == names


def test_cancel_beside_a_daemon_stops_the_stage(tmp_path: Path, registry: FakeRegistry) -> None:
    begun, ended = tmp_path / "begun", tmp_path / "ended"
    script = f"trap 'touch {ended}; exit 1' TERM; touch {begun}; while :; do sleep 0.05; done"
    watcher = watched(tmp_path, registry, {"command": ["sh", "-c", script], "name": "slow"})
    with watcher.running() as daemon:
        registry.push(WEB, "2.0")
        wait_until(begun.exists, "the stage runs")
        (run,) = watcher.json("executions")
        assert watcher.run("cancel", run["id"]).returncode == 0
        daemon.wait_for("execution_finished", execution=run["id"], status="CANCELED")
        assert ended.exists()


def test_disable_and_enable_beside_a_daemon_switch_a_trigger(
    tmp_path: Path, registry: FakeRegistry
) -> None:
    watcher = watched(tmp_path, registry)
    with watcher.running() as daemon:
        assert watcher.run("disable", "web").returncode == 0
        wait_for_look(registry)
        registry.push(WEB, "2.0")
        daemon.wait_for("tag_new", tag="2.0")
        assert watcher.json("executions") == []
        (seen,) = [one for one in watcher.json("activity") if one["tag"] == "2.0"]
        assert [t["outcome"] for t in seen["triggers"]] == ["disabled"]
        assert watcher.run("enable", "web").returncode == 0
        wait_for_look(registry)
        registry.push(WEB, "3.0")
        daemon.wait_for("execution_finished", status="SUCCEEDED")
        assert runs_by_tag(watcher) == {"3.0": "SUCCEEDED"}


def wait_for_look(registry: FakeRegistry) -> None:
    """Two more polls of a second each: meanwhile the daemon looked at its state file twice."""
    asked = registry.count(Kind.TAGS)
    wait_until(lambda: registry.count(Kind.TAGS) >= asked + 2, "two more polls")


def test_released_events_beside_a_daemon_run(tmp_path: Path, registry: FakeRegistry) -> None:
    watcher = watched(tmp_path, registry, hold_above=2, poll=AN_HOUR)
    with watcher.running() as daemon:
        for tag in ("2.0", "3.0", "4.0"):
            registry.push(WEB, tag)
        assert watcher.json("poll")["ok"] is True
        daemon.wait_for("events_held")
        assert watcher.json("executions") == []
        assert watcher.run("events", "release", "web").returncode == 0
        daemon.wait_for("execution_finished", times=3, status="SUCCEEDED")
        assert set(runs_by_tag(watcher)) == {"2.0", "3.0", "4.0"}


def test_retry_beside_a_daemon_runs_from_the_failed_stage(
    tmp_path: Path, registry: FakeRegistry
) -> None:
    marks, gate = tmp_path / "marks", tmp_path / "gate"
    watcher = watched(
        tmp_path,
        registry,
        {"command": ["sh", "-c", f"echo first >> {marks}"], "name": "first"},
        {"command": ["test", "-e", str(gate)], "name": "second"},
    )
    with watcher.running() as daemon:
        registry.push(WEB, "2.0")
        (line,) = daemon.wait_for("execution_finished", status="FAILED")
        gate.touch()
        assert watcher.run("retry", line["execution"]).returncode == 0
        daemon.wait_for("execution_finished", execution=line["execution"], status="SUCCEEDED")
    assert marks.read_text() == "first\n"


def test_a_state_file_that_was_moved_away_is_told_and_gone_on_with_when_it_is_back(
    tmp_path: Path, registry: FakeRegistry
) -> None:
    watcher = watched(tmp_path, registry)
    elsewhere = tmp_path / "elsewhere.db"
    with watcher.running() as daemon:
        watcher.state.rename(elsewhere)
        registry.push(WEB, "2.0")
        (line, *_) = daemon.wait_for("poll_failed")
        assert "was moved, deleted or replaced while it was open" in line["error"]
        assert "restart" in line["hint"]
        elsewhere.rename(watcher.state)
        daemon.wait_for("execution_finished", status="SUCCEEDED")
    assert runs_by_tag(watcher) == {"2.0": "SUCCEEDED"}


# A registry that goes away


def test_a_registry_that_goes_away_is_shown_and_recovers(
    tmp_path: Path, registry: FakeRegistry
) -> None:
    watcher = watched(tmp_path, registry)
    registry.fault(Fault(action=Respond(500), match=Match(kind=Kind.TAGS)))
    with watcher.running() as daemon:
        daemon.wait_for("poll_failed", times=2)
    (row,) = watcher.json("status")
    assert row["state"] == "failing"
    assert "500" in row["last_error"]
    assert row["last_success"]
    registry.clear_faults()
    with watcher.running() as daemon:
        daemon.wait_for("poll_recovered")
        registry.push(WEB, "2.0")
        daemon.wait_for("execution_finished", status="SUCCEEDED")
    (row,) = watcher.json("status")
    assert (row["state"], row["last_error"], row["tags"]) == ("ok", None, 2)


@pytest.mark.timeout(90)
def test_status_beside_a_daemon_does_not_say_for_a_minute_what_is_over(
    tmp_path: Path, registry: FakeRegistry
) -> None:
    watcher = watched(tmp_path, registry)

    def becomes(state: str) -> bool:
        return bool(watcher.json("status")[0]["state"] == state)

    with watcher.running() as daemon:
        daemon.wait_for("ready")
        registry.fault(Fault(action=Respond(500), match=Match(kind=Kind.TAGS)))
        wait_until(lambda: becomes("failing"), "failing", within=40)
        registry.clear_faults()
        wait_until(lambda: becomes("ok"), "ok", within=40)


USED_UP = (
    ("X-RateLimit-Limit", "100"),
    ("X-RateLimit-Remaining", "0"),
    ("X-RateLimit-Reset", "600"),
)


@pytest.mark.parametrize(
    "action",
    [
        pytest.param(Respond(429, (("Retry-After", "600"),)), id="Retry-After"),
        pytest.param(Change(headers=USED_UP), id="a quota that is used up"),
    ],
)
def test_what_is_parked_outlives_a_daemon_that_is_killed(
    tmp_path: Path, registry: FakeRegistry, action: Action
) -> None:
    """What a host asked for can't wait for the next batch of bookkeeping."""
    watcher = watched(tmp_path, registry)
    daemon = watcher.start()
    try:
        daemon.wait_for("started")
        registry.fault(Fault(action=action, times=1))
        daemon.wait_for("poll_parked")
        wait_until(lambda: watcher.json("status")[0]["state"] == "parked", "it is written")
    finally:
        daemon.kill()
    registry.reset_log()
    assert "parked until" in watcher.run("run", "--once").stderr
    assert registry.requests == []


# The log


def test_every_log_line_is_json_with_a_time_a_level_and_an_event(
    tmp_path: Path, registry: FakeRegistry
) -> None:
    """At DEBUG, so that lines of third parties are among them."""
    watcher = watched(tmp_path, registry)
    with watcher.running("--log-level", "debug") as daemon:
        registry.push(WEB, "2.0")
        daemon.wait_for("execution_finished", status="SUCCEEDED")
        registry.auth = BasicAuth(users={"acme": "unknown"})
        daemon.wait_for("poll_failed")
    lines = daemon.lines()
    assert daemon.log.read_bytes().endswith(b"\n")
    assert all({"timestamp", "level", "event"} <= line.keys() for line in lines)
    libraries = {line["library"] for line in lines if line["event"] == "library"}
    assert libraries & {"apscheduler.scheduler", "httpx", "asyncio"}, libraries
