"""run --once, trigger, poll, baseline, events, executions, switches: without a daemon."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any

import pytest

from tests.cli.conftest import REPOSITORY, Bench
from watcher.store.sqlite import Store
from watcher.testing.faults import Fault, Match, Respond
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry

EXECUTION_KEYS = {
    "id", "pipeline", "trigger", "status", "account", "repository", "tag", "digest", "change",
    "created", "started", "finished", "parameters", "source", "stages",
}  # fmt: skip
STAGE_KEYS = {"name", "type", "status", "attempts", "started", "finished", "error", "outputs"}
STATUS_KEYS = {
    "account", "repository", "state", "tags", "last_check", "last_success", "last_error",
    "next_check", "parked_until", "parked_by",
}  # fmt: skip


def outcomes(bench: Bench) -> list[tuple[str, str]]:
    """Tag and outcome of everything that was seen, newest first."""
    return [
        (row["tag"], trigger["outcome"])
        for row in bench.json("activity")
        for trigger in row["triggers"]
    ]


# run --once


def test_the_first_pass_is_a_baseline_and_the_second_fires(
    bench: Bench, registry: FakeRegistry
) -> None:
    registry.push(REPOSITORY, "1.0")
    bench.configure(registry.address)
    assert "first sight, 1 tag recorded" in bench.run("run", "--once").stdout
    registry.push(REPOSITORY, "1.1")
    report = bench.json("run", "--once")
    assert report["ok"]
    (run,) = report["executions"]
    assert (run["tag"], run["status"], run["trigger"]) == ("1.1", "SUCCEEDED", "web")


def test_a_pass_with_nothing_new_is_silent_where_nobody_looks(polled: Bench) -> None:
    result = polled.run("run", "--once")
    assert (result.stdout, result.stderr) == ("", "")
    assert [poll["result"] for poll in polled.json("run", "--once")["polls"]] == ["unchanged"]


def test_a_dry_run_shows_what_would_fire_and_changes_nothing(
    polled: Bench, registry: FakeRegistry
) -> None:
    registry.push(REPOSITORY, "1.1")
    before = (polled.directory / "watcher.db").read_bytes()
    assert "would fire: web for 1.1" in polled.run("run", "--once", "--dry-run").stdout
    decision = polled.json("run", "--dry-run")["polls"][0]["decisions"][0]
    assert (decision["tag"], decision["outcome"]) == ("1.1", "fired")
    assert polled.json("executions") == []
    assert (polled.directory / "watcher.db").read_bytes() == before


def test_a_failed_poll_is_exit_code_1(polled: Bench, registry: FakeRegistry) -> None:
    registry.fault(Fault(match=Match(kind=Kind.TAGS), action=Respond(404)))
    report = polled.json("run", "--once", code=1)
    assert not report["ok"]
    assert report["polls"][0]["error"]


def test_a_failed_execution_is_exit_code_1(bench: Bench, registry: FakeRegistry) -> None:
    registry.push(REPOSITORY, "1.0")
    bench.configure(registry.address, stages="- command: [sh, -c, 'echo because; exit 3']")
    bench.run("run", "--once")
    registry.push(REPOSITORY, "1.1")
    bench.run("run", "--once", code=1)
    (run,) = bench.json("executions")
    assert [stage["status"] for stage in run["stages"]] == ["SUCCEEDED", "FAILED"]


def test_a_pass_names_the_runs_of_earlier_requests_that_it_carried_out(polled: Bench) -> None:
    polled.run("trigger", "web", "--tag", "1.0")
    (queued,) = polled.json("executions")
    result = polled.run("run", "--once")
    assert f"execution {queued['id']}  SUCCEEDED  deploy  acme/web:1.0" in result.stdout
    polled.run("trigger", "web", "--tag", "1.0")
    (run,) = polled.json("run", "--once")["executions"]
    assert (run["tag"], run["change"], run["status"]) == ("1.0", "manual", "SUCCEEDED")


def test_a_skipped_stage_is_no_error_of_its_run(bench: Bench, registry: FakeRegistry) -> None:
    registry.push(REPOSITORY, "1.0")
    bench.configure(registry.address, stages="- {wait: 1s, if: false}")
    bench.run("run", "--once")
    shown = bench.run("trigger", "web", "--tag", "1.0", "--wait").stdout
    assert shown.rstrip().endswith("SUCCEEDED  deploy  acme/web:1.0")
    assert "`if` is false" not in bench.run("executions").stdout


def test_what_is_parked_is_skipped_and_named(polled: Bench, registry: FakeRegistry) -> None:
    registry.fault(
        Fault(match=Match(kind=Kind.TAGS), action=Respond(429, headers=(("Retry-After", "600"),)))
    )
    polled.run("run", "--once", code=1)
    registry.clear_faults()
    assert f"skipped fake/{REPOSITORY}: parked until" in polled.run("run", "--once").stderr
    assert polled.json("status")[0]["state"] == "parked"


def test_the_daemon_has_no_json_result(polled: Bench) -> None:
    assert "--once" in polled.run("run", "--json", code=2).stderr


# status and activity


@pytest.mark.parametrize(
    ("seconds", "is_shown"),
    [
        pytest.param(-60.0, False, id="over"),
        pytest.param(3590.0, True, id="still to come"),
        pytest.param(None, False, id="none was planned"),
    ],
)
def test_a_check_that_a_daemon_had_planned_is_shown_until_its_time(
    polled: Bench, seconds: float | None, is_shown: bool
) -> None:
    planned = None if seconds is None else time.time() + seconds
    with closing(Store.open(polled.directory / "watcher.db")) as store:
        (status,) = store.repository_statuses()
        status.next_check = planned
        store.flush([status], {})
    (row,) = polled.json("status")
    assert (row["next_check"] is not None) is is_shown
    assert row["last_check"] is not None
    assert ("(in 59m" in polled.run("status").stdout) is is_shown


def test_of_a_repository_that_was_never_listed_no_number_of_tags_is_told(bench: Bench) -> None:
    bench.configure("127.0.0.1:1")
    assert bench.run("status").stdout.splitlines()[1].split()[3] == "-"


def test_status_has_the_keys_of_the_contract(polled: Bench) -> None:
    (row,) = polled.json("status")
    assert set(row) == STATUS_KEYS
    assert (row["account"], row["repository"], row["state"], row["tags"]) == (
        "fake",
        REPOSITORY,
        "ok",
        1,
    )
    assert row["last_success"].endswith("Z")


def test_status_shows_what_was_never_polled(bench: Bench) -> None:
    bench.configure("127.0.0.1:1")
    assert [row["state"] for row in bench.json("status")] == ["pending"]
    assert "pending" in bench.run("status").stdout


def test_status_shows_the_last_error(polled: Bench, registry: FakeRegistry) -> None:
    registry.fault(Fault(match=Match(kind=Kind.TAGS), action=Respond(404)))
    polled.run("run", "--once", code=1)
    (row,) = polled.json("status")
    assert row["state"] == "failing"
    assert row["last_error"]


@pytest.mark.parametrize(
    ("selection", "code", "rows"),
    [
        pytest.param("fake", 0, 1, id="account"),
        pytest.param(f"fake/{REPOSITORY}", 0, 1, id="repository"),
        pytest.param("fake/acme/other", 0, 0, id="another repository"),
        pytest.param("fak", 2, None, id="no account"),
    ],
)
def test_status_takes_a_selection(
    polled: Bench, selection: str, code: int, rows: int | None
) -> None:
    shape = polled.json("status", selection, code=code)
    assert len(shape) == rows if rows is not None else "error" in shape


def test_activity_has_the_keys_of_the_contract(polled: Bench, registry: FakeRegistry) -> None:
    registry.push(REPOSITORY, "1.1")
    polled.run("run", "--once")
    row = polled.json("activity")[0]
    assert {"time", "account", "repository", "tag", "digest", "change", "triggers"} == set(row)
    (trigger,) = row["triggers"]
    assert {"name", "outcome", "reason", "execution"} == set(trigger)
    assert trigger["execution"] == polled.json("executions")[0]["id"]
    assert "1.1" in polled.run("activity").stdout


# trigger


def test_trigger_queues_and_the_next_pass_runs_it(polled: Bench) -> None:
    assert "no daemon runs" in polled.run("trigger", "web", "--tag", "1.0").stdout
    assert [run["status"] for run in polled.json("executions")] == ["QUEUED"]
    polled.run("run", "--once")
    assert [run["status"] for run in polled.json("executions")] == ["SUCCEEDED"]


def test_trigger_waits_and_shows_the_stages(polled: Bench) -> None:
    result = polled.run("trigger", "web", "--tag", "1.0", "--wait", "--param", "greeting=hi there")
    assert "stage greet: SUCCEEDED" in result.stderr
    (run,) = polled.json("executions", polled.json("executions")[0]["id"])
    assert run["parameters"] == {"greeting": "hi there"}
    assert run["stages"][0]["log"] == "hi there 1.0\n"


def test_trigger_that_waits_for_a_failure_is_exit_code_1(
    bench: Bench, registry: FakeRegistry
) -> None:
    bench.configure(registry.address, stages="- command: ['false']")
    shape = bench.json("trigger", "web", "--tag", "1.0", "--wait", code=1)
    assert shape["status"] == "FAILED"


@pytest.mark.parametrize(
    ("rule", "tag", "refusal"),
    [
        pytest.param("tag: v.*", "1.0", "no_match", id="tag"),
        pytest.param("", "latest", "no_match", id="latest"),
        pytest.param("order: semver", "edge", "no_match", id="order"),
        pytest.param("enabled: false", "1.0", "disabled", id="switched off"),
    ],
)
def test_trigger_names_the_rule_that_refuses(
    bench: Bench, rule: str, tag: str, refusal: str
) -> None:
    bench.configure("127.0.0.1:1", trigger=rule)
    stderr = bench.run("trigger", "web", "--tag", tag, code=2).stderr
    assert f"({refusal})" in stderr
    assert "--force" in stderr
    assert not (bench.directory / "watcher.db").exists()
    assert bench.json("trigger", "web", "--tag", tag, "--force")["status"] == "QUEUED"


def test_trigger_refuses_what_is_older_than_what_fired(
    bench: Bench, registry: FakeRegistry
) -> None:
    registry.push(REPOSITORY, "1.0")
    bench.configure(registry.address, trigger="order: semver")
    bench.run("run", "--once")
    registry.push(REPOSITORY, "2.0")
    bench.run("run", "--once")
    assert "(older)" in bench.run("trigger", "web", "--tag", "1.0", code=2).stderr


def test_trigger_warns_of_a_tag_that_nobody_has_seen(polled: Bench) -> None:
    assert "no tag '1.O'" in polled.run("trigger", "web", "--tag", "1.O").stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(("wbe", "--tag", "1"), "did you mean 'web'?", id="trigger"),
        pytest.param(("web", "--tag", "1", "--repository", "x/y"), "watch", id="repository"),
        pytest.param(("web", "--tag", "1", "--param", "x=1"), "parameter 'x'", id="parameter"),
        pytest.param(("web", "--tag", "a b"), "not a tag", id="tag"),
    ],
)
def test_trigger_says_what_there_is_not(bench: Bench, words: tuple[str, ...], said: str) -> None:
    bench.configure("127.0.0.1:1")
    assert said in bench.run("trigger", *words, code=2).stderr


def test_trigger_wants_to_know_which_repository(bench: Bench) -> None:
    path = bench.configure("127.0.0.1:1")
    text = path.read_text().replace("[acme/web]", "[acme/web, acme/api]")
    text = text.replace("repository: acme/web", "repository: [acme/web, acme/api]")
    path.write_text(text)
    assert "--repository" in bench.run("trigger", "web", "--tag", "1", code=2).stderr
    run = bench.json("trigger", "web", "--tag", "1", "--repository", "acme/api")
    assert run["repository"] == "acme/api"


# executions


def test_executions_have_the_keys_of_the_contract(polled: Bench) -> None:
    polled.run("trigger", "web", "--tag", "1.0", "--wait")
    (run,) = polled.json("executions")
    assert set(run) >= EXECUTION_KEYS
    assert set(run["stages"][0]) >= STAGE_KEYS
    assert run["source"]["artifacts"][0]["version"] == "1.0"
    assert run["created"].endswith("Z")


def test_one_execution_is_shown_with_stages_log_and_source(polled: Bench) -> None:
    polled.run("trigger", "web", "--tag", "1.0", "--wait")
    identifier = polled.json("executions")[0]["id"]
    shown = polled.run("executions", identifier[:6]).stdout
    for word in ("SUCCEEDED", "log of greet:", "hello 1.0", "source:", '"repository": "acme/web"'):
        assert word in shown


@pytest.mark.parametrize("words", [("executions", "feed"), ("cancel", "feed"), ("retry", "feed")])
def test_an_execution_that_is_not_there_is_a_usage_error(
    polled: Bench, words: tuple[str, ...]
) -> None:
    assert "there is no execution 'feed'" in polled.run(*words, code=2).stderr


@pytest.mark.parametrize(
    ("options", "found"),
    [
        pytest.param(("--status", "queued"), 1, id="status"),
        pytest.param(("--status", "FAILED"), 0, id="another status"),
        pytest.param(("--pipeline", "deploy"), 1, id="pipeline"),
        pytest.param(("--pipeline", "other"), 0, id="another pipeline"),
    ],
)
def test_executions_can_be_filtered(polled: Bench, options: tuple[str, ...], found: int) -> None:
    polled.run("trigger", "web", "--tag", "1.0")
    assert len(polled.json("executions", *options)) == found


def test_a_queued_run_can_be_canceled_and_only_once(polled: Bench) -> None:
    identifier = polled.json("trigger", "web", "--tag", "1.0")["id"]
    polled.run("cancel", identifier)
    polled.run("run", "--once", code=None)
    assert polled.json("executions")[0]["status"] == "CANCELED"
    assert "is over" in polled.run("cancel", identifier, code=2).stderr


def test_a_failed_run_can_be_retried(bench: Bench, registry: FakeRegistry) -> None:
    bench.configure(registry.address, stages="- command: [test, -e, flag]")
    identifier = bench.json("trigger", "web", "--tag", "1.0", "--wait", code=1)["id"]
    bench.write("flag", "")
    bench.run("retry", identifier)
    bench.run("run", "--once", code=None)
    assert bench.json("executions")[0]["status"] == "SUCCEEDED"
    assert "only a failed" in bench.run("retry", identifier, code=2).stderr


# poll and baseline


def test_poll_polls_and_runs(polled: Bench, registry: FakeRegistry) -> None:
    registry.push(REPOSITORY, "1.1")
    shape = polled.json("poll", f"fake/{REPOSITORY}")
    assert [(poll["result"], poll["changes"]) for poll in shape["polls"]] == [("changed", 1)]
    assert polled.json("executions")[0]["status"] == "SUCCEEDED"


def test_poll_of_what_is_not_watched_is_a_usage_error(polled: Bench) -> None:
    assert "does not watch" in polled.run("poll", "fake/acme/other", code=2).stderr


def test_baseline_takes_what_is_there_as_seen(polled: Bench, registry: FakeRegistry) -> None:
    registry.push(REPOSITORY, "1.1")
    polled.run("baseline", "fake")
    polled.run("run", "--once")
    assert polled.json("executions") == []
    registry.push(REPOSITORY, "1.2")
    polled.run("run", "--once")
    assert [run["tag"] for run in polled.json("executions")] == ["1.2"]


# switches


def test_a_trigger_that_is_switched_off_does_not_fire(
    polled: Bench, registry: FakeRegistry
) -> None:
    assert polled.json("disable", "web") == {"trigger": "web", "enabled": False}
    registry.push(REPOSITORY, "1.1")
    polled.run("run", "--once")
    assert ("1.1", "disabled") in outcomes(polled)
    polled.run("enable", "web")
    registry.push(REPOSITORY, "1.2")
    polled.run("run", "--once")
    assert [run["tag"] for run in polled.json("executions")] == ["1.2"]


def test_a_state_file_that_a_command_makes_is_said(bench: Bench) -> None:
    bench.configure("127.0.0.1:1")
    looked = bench.run("status").stderr
    assert f"there is no state file {bench.directory / 'watcher.db'} yet" in looked
    made = bench.run("disable", "web").stderr
    assert f"a new state file is made: {bench.directory / 'watcher.db'}" in made
    assert "$STATE_DIRECTORY" in made
    assert bench.run("enable", "web").stderr == ""
    assert bench.run("status").stderr == ""


def test_only_a_known_trigger_can_be_switched(polled: Bench) -> None:
    assert "did you mean 'web'?" in polled.run("disable", "webb", code=2).stderr


# events


@pytest.fixture
def held(bench: Bench, registry: FakeRegistry) -> Bench:
    """Three events of one poll, held as a batch."""
    registry.push(REPOSITORY, "1.0")
    bench.configure(registry.address, account="hold_above: 2")
    bench.run("run", "--once")
    for tag in ("1.3", "1.1", "1.2"):
        registry.push(REPOSITORY, tag)
    bench.run("run", "--once")
    return bench


def events(bench: Bench, *options: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = bench.json("events", "ls", *options)
    return found


def test_held_events_are_listed_with_their_batch(held: Bench) -> None:
    found = events(held, "--held")
    assert {event["tag"] for event in found} == {"1.1", "1.2", "1.3"}
    assert len({event["batch"] for event in found}) == 1
    assert "held" in held.run("events", "ls").stdout


@pytest.mark.parametrize("selector", ["batch", "trigger", "repository"])
def test_a_batch_is_released_in_rising_order(held: Bench, selector: str) -> None:
    word = {
        "batch": events(held)[0]["batch"],
        "trigger": "web",
        "repository": f"fake/{REPOSITORY}",
    }[selector]
    assert [run["tag"] for run in held.json("events", "release", word)] == ["1.1", "1.2", "1.3"]
    held.run("run", "--once")
    assert {run["status"] for run in held.json("executions")} == {"SUCCEEDED"}


def test_one_event_is_dropped_and_the_others_stay_held(held: Bench) -> None:
    number = events(held, "--held")[0]["id"]
    assert held.json("events", "drop", str(number)) == {"dropped": [number]}
    assert len(events(held, "--held")) == 2
    assert [event["id"] for event in events(held, "--outcome", "dropped")] == [number]


def test_a_dropped_event_can_be_replayed(held: Bench) -> None:
    number = events(held, "--held")[0]["id"]
    held.run("events", "drop", str(number))
    assert held.json("events", "replay", str(number))["status"] == "QUEUED"


@pytest.mark.parametrize("action", ["release", "drop"])
@pytest.mark.parametrize("selector", ["4711", "b4711", "nobody", "fake/none"])
def test_a_selector_that_takes_nothing_is_a_usage_error(
    held: Bench, action: str, selector: str
) -> None:
    assert "takes no held event" in held.run("events", action, selector, code=2).stderr


def test_replaying_what_is_not_there_is_a_usage_error(held: Bench) -> None:
    assert "no event 4711" in held.run("events", "replay", "4711", code=2).stderr
