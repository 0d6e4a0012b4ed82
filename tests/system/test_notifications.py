"""Being told, by the real command and real receivers: each thing once, whatever dies or hangs in
between, and no secret of a notifier anywhere (SPEC 1, promise 4).
"""

from __future__ import annotations

import json
import signal
from pathlib import Path
from threading import Event
from typing import Any

from tests.receiving import Receiver, Reply
from tests.receiving import receiver as receiver
from tests.system.watching import Watcher, account, trigger, wait_until
from watcher.testing.access import BasicAuth
from watcher.testing.faults import Fault, Match, Respond
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry

WEB = "acme/web"
PATH = "zufall-im-pfad"
FAILING = [{"name": "deploy", "stages": [{"command": ["false"], "name": "go"}]}]


def config(
    registry: FakeRegistry, *notifiers: dict[str, Any], repositories: tuple[str, ...] = (WEB,)
) -> dict[str, Any]:
    return {
        "accounts": [account(registry.address, *repositories)],
        "triggers": [trigger("web", "deploy", *repositories)],
        "pipelines": FAILING,
        "notifiers": list(notifiers),
    }


def webhook(receiver: Receiver, name: str = "ops", **settings: Any) -> dict[str, Any]:
    url = f"{receiver.url}/{name}/{PATH}"
    return {"name": name, "webhook": {"url": url}, "group": "0s", **settings}


def apprise(receiver: Receiver, name: str = "chat", **settings: Any) -> dict[str, Any]:
    address = receiver.url.removeprefix("http://")
    return {"name": name, "url": f"json://{address}/{name}/{PATH}", "group": "0s", **settings}


def told(receiver: Receiver, name: str = "ops") -> list[dict[str, Any]]:
    return [r.json for r in receiver.requests if r.path.startswith(f"/{name}/")]


def kinds(receiver: Receiver, name: str = "ops") -> list[tuple[str, str]]:
    return [(body["event"], body["kind"]) for body in told(receiver, name)]


def keys(receiver: Receiver) -> list[str]:
    return [request.headers["idempotency-key"] for request in receiver.requests]


# Runs


def test_a_failed_run_is_told_by_webhook_and_apprise(
    tmp_path: Path, registry: FakeRegistry, receiver: Receiver
) -> None:
    registry.push(WEB, "1.0")
    watcher = Watcher(tmp_path, config(registry, webhook(receiver), apprise(receiver)))
    with watcher.running() as daemon:
        daemon.wait_for("baseline_recorded")
        registry.push(WEB, "2.0")
        daemon.wait_for("notification_sent", times=2)
    (body,) = told(receiver)
    assert (body["event"], body["kind"]) == ("execution", "FAILED")
    assert body["title"] == f"deploy FAILED for main/{WEB}:2.0"
    assert [message["title"] for message in told(receiver, "chat")] == [body["title"]]


def test_who_a_pipeline_names_is_told_of_the_statuses_it_wants(
    tmp_path: Path, registry: FakeRegistry, receiver: Receiver
) -> None:
    registry.push(WEB, "1.0")
    document = config(
        registry, webhook(receiver, "team", events=[]), webhook(receiver, "other", events=[])
    )
    wish = {"notifier": "team", "on": ["SUCCEEDED"]}
    stages = [{"command": ["true"], "name": "go"}]
    document["pipelines"] = [{"name": "deploy", "notify": [wish], "stages": stages}]
    watcher = Watcher(tmp_path, document)
    watcher.run("run", "--once")
    registry.push(WEB, "2.0")
    assert watcher.run("run", "--once").returncode == 0
    assert kinds(receiver, "team") == [("execution", "SUCCEEDED")]
    assert told(receiver, "other") == []


# Once, whatever dies


def test_what_could_not_be_sent_is_sent_by_the_next_pass_under_the_same_key(
    tmp_path: Path, registry: FakeRegistry, receiver: Receiver
) -> None:
    registry.push(WEB, "1.0")
    watcher = Watcher(tmp_path, config(registry, webhook(receiver)))
    watcher.run("run", "--once")
    registry.push(WEB, "2.0")
    receiver.replies = [Reply(503), Reply(200)]
    assert watcher.run("run", "--once").returncode == 1
    (waiting,) = watcher.json("notify", "ls")
    assert (waiting["status"], waiting["attempts"]) == ("waiting", 1)
    assert waiting["error"].endswith("answered 503")
    for _ in range(2):
        assert watcher.run("run", "--once").returncode == 0
    assert len(set(keys(receiver))) == 1
    assert len(receiver.requests) == 2
    assert [message["status"] for message in watcher.json("notify", "ls")] == ["sent"]


def test_a_daemon_killed_while_it_sends_sends_again_after_its_start(
    tmp_path: Path, registry: FakeRegistry, receiver: Receiver
) -> None:
    registry.push(WEB, "1.0")
    watcher = Watcher(tmp_path, config(registry, webhook(receiver)))
    watcher.run("run", "--once")
    registry.push(WEB, "2.0")
    go = Event()
    receiver.replies = [Reply(holds=go), Reply(200)]
    daemon = watcher.start()
    try:
        wait_until(lambda: receiver.requests, "the message on its way")
        daemon.send(signal.SIGKILL)
        daemon.wait()
    finally:
        daemon.kill()
        go.set()
    with watcher.running() as again:
        again.wait_for("notification_sent")
    assert kinds(receiver) == [("execution", "FAILED")] * 2
    assert len(set(keys(receiver))) == 1
    assert watcher.run("run", "--once").returncode == 0
    assert len(receiver.requests) == 2


def test_what_another_process_ended_is_told_by_the_daemon(
    tmp_path: Path, registry: FakeRegistry, receiver: Receiver
) -> None:
    registry.push(WEB, "1.0")
    document = config(registry, webhook(receiver, events=[]))
    wish = {"notifier": "ops", "on": ["CANCELED"]}
    stages = [{"wait": "1h", "name": "rest"}]
    document["pipelines"] = [{"name": "deploy", "notify": [wish], "stages": stages}]
    watcher = Watcher(tmp_path, document)
    with watcher.running() as daemon:
        daemon.wait_for("baseline_recorded")
        registry.push(WEB, "2.0")
        (started,) = daemon.wait_for("execution_started")
        wait_until(
            lambda: watcher.json("executions", started["execution"])[0]["status"] == "WAITING",
            "the run that rests",
        )
        assert watcher.run("cancel", started["execution"]).returncode == 0
        daemon.wait_for("notification_sent")
    assert kinds(receiver) == [("execution", "CANCELED")]


# What hangs


def test_a_notifier_that_hangs_delays_no_poll_no_run_and_no_other(
    tmp_path: Path, registry: FakeRegistry, receiver: Receiver
) -> None:
    registry.push(WEB, "1.0")
    go = Event()
    watcher = Watcher(tmp_path, config(registry, webhook(receiver), apprise(receiver)))
    original = receiver.answer

    def answer(request: Any) -> Reply:
        reply = original(request)
        return Reply(holds=go) if request.path.startswith("/chat/") else reply

    receiver.answer = answer  # type: ignore[method-assign]
    try:
        with watcher.running() as daemon:
            daemon.wait_for("baseline_recorded")
            for number in range(2, 5):
                registry.push(WEB, f"{number}.0")
                daemon.wait_for("execution_finished", times=number - 1)
                daemon.wait_for("notification_sent", notifier="ops", times=number - 1)
            assert daemon.events("notification_sent", notifier="chat") == []
    finally:
        go.set()


# What lasts


def test_a_registry_that_is_down_is_one_message_and_its_return_another(
    tmp_path: Path, registry: FakeRegistry, receiver: Receiver
) -> None:
    names = tuple(f"acme/service-{number}" for number in range(40))
    registry.seed(names, ["1.0"])
    document = config(registry, webhook(receiver), repositories=names)
    document["accounts"][0]["stale_after"] = "3s"
    watcher = Watcher(tmp_path, document)
    assert watcher.run("run", "--once").returncode == 0
    fault = Fault(action=Respond(500), match=Match(kind=Kind.TAGS))
    registry.fault(fault)
    with watcher.running() as daemon:
        daemon.wait_for("notification_sent")
    with watcher.running() as daemon:  # a restart neither repeats it nor forgets it
        assert watcher.run("poll", "main").returncode == 1
        registry.clear_faults()
        assert watcher.run("poll", "main").returncode == 0
        daemon.wait_for("notification_sent")
    assert kinds(receiver) == [("repository_stale", "begun"), ("repository_stale", "over")]
    begun, over = told(receiver)
    assert begun["title"].startswith(f"main: {registry.address} can't be polled (")
    assert begun["items"][0]["subject"] == "main"
    assert begun["count"] == over["count"] == 1


def test_a_credential_that_is_refused_is_told_once_and_so_is_its_end(
    tmp_path: Path, registry: FakeRegistry, receiver: Receiver
) -> None:
    names = (WEB, "acme/api", "acme/db")
    registry.seed(names, ["1.0"])
    registry.auth = BasicAuth(users={"acme": "good"})
    password = tmp_path / "password"
    password.write_text("bad")
    settings = webhook(receiver, events=["credential_failed"])
    document = config(registry, settings, repositories=names)
    document["accounts"][0] |= {"username": "acme", "password_file": str(password)}
    watcher = Watcher(tmp_path, document)
    for _ in range(2):
        assert watcher.run("run", "--once").returncode == 1
    with watcher.running() as daemon:
        daemon.wait_for("poll_failed", times=3)
        password.write_text("good")
        daemon.wait_for("notification_sent")
    assert kinds(receiver) == [("credential_failed", "begun"), ("credential_failed", "over")]
    assert told(receiver)[0]["items"][0]["account"] == "main"


def test_a_config_that_is_rejected_is_told_and_that_a_good_one_is_used(
    tmp_path: Path, registry: FakeRegistry, receiver: Receiver
) -> None:
    registry.push(WEB, "1.0")
    good = config(registry, webhook(receiver))
    watcher = Watcher(tmp_path, good)
    with watcher.running() as daemon:
        watcher.write({**good, "colour": "green"})
        daemon.send(signal.SIGHUP)
        daemon.wait_for("notification_sent")
        watcher.write(good)
        daemon.send(signal.SIGHUP)
        daemon.wait_for("notification_sent", times=2)
    assert kinds(receiver) == [("config_rejected", "begun"), ("config_rejected", "over")]
    assert "unknown key 'colour'" in told(receiver)[0]["text"]


def test_held_events_are_told_with_the_command_that_releases_them(
    tmp_path: Path, registry: FakeRegistry, receiver: Receiver
) -> None:
    registry.push(WEB, "1.0")
    document = config(registry, webhook(receiver))
    document["accounts"][0]["hold_above"] = 2
    watcher = Watcher(tmp_path, document)
    watcher.run("run", "--once")
    for number in range(3):
        registry.push(WEB, f"2.{number}")
    watcher.run("run", "--once")
    (body,) = told(receiver)
    assert (body["event"], body["items"][0]["events"]) == ("events_held", 3)
    assert f"watcher events release {body['items'][0]['batch']}" in body["text"]


# Dead letters, and trying


def test_what_waits_for_a_notifier_that_is_gone_is_said_listed_and_dropped(
    tmp_path: Path, registry: FakeRegistry, receiver: Receiver
) -> None:
    registry.push(WEB, "1.0")
    document = config(registry, webhook(receiver, "old"))
    watcher = Watcher(tmp_path, document)
    watcher.run("run", "--once")
    registry.push(WEB, "2.0")
    receiver.replies = [Reply(503)]
    watcher.run("run", "--once")
    document["notifiers"] = [webhook(receiver, "new")]
    watcher.write(document)
    done = watcher.run("run", "--once")
    assert "notification_dead" in done.stderr
    (dead,) = watcher.json("notify", "ls", "--dead")
    assert (dead["notifier"], dead["title"]) == ("old", f"deploy FAILED for main/{WEB}:2.0")
    warned = watcher.run("notify", "retry", "--dead")
    assert warned.stdout == "to be sent: 1 message\n"
    assert "the config has no notifier 'old'" in warned.stderr
    watcher.run("run", "--once")
    assert watcher.json("notify", "drop", "--dead") == {"dropped": [dead["id"]]}
    assert watcher.json("notify", "ls") == []


def test_a_person_who_retries_does_not_wait_for_the_rest_of_a_notifier(
    tmp_path: Path, registry: FakeRegistry, receiver: Receiver
) -> None:
    registry.push(WEB, "1.0")
    watcher = Watcher(tmp_path, config(registry, webhook(receiver)))
    with watcher.running() as daemon:
        daemon.wait_for("baseline_recorded")
        receiver.replies = [Reply(503, headers={"Retry-After": "3600"}), Reply(200)]
        registry.push(WEB, "2.0")
        daemon.wait_for("notification_failed")
        (waiting,) = watcher.json("notify", "ls")
        assert watcher.json("notify", "retry", str(waiting["id"])) == {"retried": [waiting["id"]]}
        daemon.wait_for("notification_sent")


def test_notify_test_says_what_became_of_each(
    tmp_path: Path, registry: FakeRegistry, receiver: Receiver
) -> None:
    missing = {"name": "gone", "webhook": {"url_file": str(tmp_path / "missing")}}
    document = config(registry, webhook(receiver), apprise(receiver), missing)
    watcher = Watcher(tmp_path, document)
    done = watcher.run("notify", "test", "--json")
    assert done.returncode == 1
    assert [(trial["notifier"], trial["ok"]) for trial in json.loads(done.stdout)] == [
        ("ops", True),
        ("chat", True),
        ("gone", False),
    ]
    assert kinds(receiver) == [("test", "test")]
    assert watcher.run("notify", "test", "ops", "chat").returncode == 0
    wrong = watcher.run("notify", "test", "opps")
    assert (wrong.returncode, "did you mean 'ops'?" in wrong.stderr) == (2, True)
    assert not watcher.state.exists()


# The ping


def test_the_ping_goes_out_while_all_is_polled_and_stays_out_when_one_account_is_not(
    tmp_path: Path, registry: FakeRegistry, receiver: Receiver
) -> None:
    registry.push(WEB, "1.0")
    document = config(registry)
    document["ping"] = {"url": f"{receiver.url}/{PATH}", "every": "1s"}
    watcher = Watcher(tmp_path, document)
    with watcher.running() as daemon:
        wait_until(lambda: len(receiver.requests) >= 2, "two pings")
        registry.fault(Fault(action=Respond(500), match=Match(kind=Kind.TAGS)))
        daemon.wait_for("poll_failed", times=2)
        silent = len(receiver.requests)
        daemon.wait_for("poll_failed", times=3)
        assert len(receiver.requests) == silent
        registry.clear_faults()
        wait_until(lambda: len(receiver.requests) > silent, "a ping after the return")
    assert {request.method for request in receiver.requests} == {"GET"}


def test_a_pass_pings_when_all_was_polled_and_a_ping_that_fails_is_a_line_in_the_log(
    tmp_path: Path, registry: FakeRegistry, receiver: Receiver
) -> None:
    registry.push(WEB, "1.0")
    document = config(registry)
    document["ping"] = {"url": f"{receiver.url}/{PATH}"}
    watcher = Watcher(tmp_path, document)
    assert watcher.run("run", "--once").returncode == 0
    assert len(receiver.requests) == 1
    watcher.run("poll", f"main/{WEB}")
    assert len(receiver.requests) == 1, "one repository is not all"
    receiver.replies = [Reply(500)]
    done = watcher.run("run", "--once")
    assert (done.returncode, "ping_failed" in done.stderr) == (0, True)
    assert PATH not in done.stderr
    registry.fault(Fault(action=Respond(500), match=Match(kind=Kind.TAGS)))
    assert watcher.run("run", "--once").returncode == 1
    assert len(receiver.requests) == 2


def test_no_pass_pings_that_polled_nothing_of_an_account(
    tmp_path: Path, registry: FakeRegistry, receiver: Receiver
) -> None:
    registry.push(WEB, "1.0")
    document = config(registry)
    document["ping"] = {"url": f"{receiver.url}/{PATH}"}
    document["accounts"].append({**account(registry.address), "name": "empty", "catalog": True})
    document["accounts"][1]["catalog"] = {"include": "none/.*"}
    document["accounts"][1].pop("repositories", None)
    watcher = Watcher(tmp_path, document)
    assert watcher.run("run", "--once").returncode == 0
    assert receiver.requests == []


# Secrets


def test_no_part_of_a_url_is_written_anywhere(
    tmp_path: Path, registry: FakeRegistry, receiver: Receiver
) -> None:
    registry.push(WEB, "1.0")
    vault, work = tmp_path / "vault", tmp_path / "work"
    vault.mkdir()
    work.mkdir()
    hook, chat = vault / "hook", vault / "chat"
    hook.write_text(f"{receiver.url}/ops/{PATH}")
    chat.write_text(apprise(receiver)["url"])
    document = config(
        registry,
        {"name": "ops", "webhook": {"url_file": str(hook)}, "group": "0s"},
        {"name": "chat", "url_file": str(chat), "group": "0s"},
        {"name": "mail", "url_env": "MAIL_URL", "group": "0s"},
    )
    document["ping"] = {"url_file": str(hook), "every": "1s"}
    document["pipelines"][0] = {"name": "deploy", "stages": [{"command": "env; false"}]}
    environment = {"MAIL_URL": chat.read_text()}
    watcher = Watcher(work, document)
    said = []
    receiver.replies = [Reply(), Reply(500), Reply(closes=True), Reply(401), Reply()]
    with watcher.running("--log-level", "debug", env=environment) as daemon:
        daemon.wait_for("baseline_recorded")
        registry.push(WEB, "2.0")
        daemon.wait_for("notification_failed")
        wait_until(lambda: len(receiver.requests) >= 6, "all kinds of answers")
    receiver.replies = [Reply(500)]
    for words in (
        ("run", "--once", "--log-level", "debug"),
        ("notify", "ls", "--json"),
        ("notify", "test", "--log-level", "debug"),
        ("state", "export"),
        ("executions", "--json"),
        ("validate",),
    ):
        done = watcher.run(*words, env=environment)
        said.append((str(words), (done.stdout + done.stderr).encode()))
    written = [(str(p), p.read_bytes()) for p in work.rglob("*") if p.is_file()]
    for name, content in [*said, *written]:
        assert PATH.encode() not in content, name
    assert any(b"notification_failed" in content for _, content in written)


# Storms


def test_a_thousand_repositories_of_a_registry_that_is_down_are_one_message(
    tmp_path: Path, registry: FakeRegistry, receiver: Receiver
) -> None:
    names = tuple(f"acme/service-{number}" for number in range(1000))
    registry.seed(names, ["1.0"])
    document = config(registry, webhook(receiver), apprise(receiver), repositories=names)
    document["accounts"][0]["stale_after"] = "1s"
    watcher = Watcher(tmp_path, document)
    assert watcher.run("run", "--once").returncode == 0
    assert told(receiver) == [], "a long pass is no trouble"
    registry.fault(Fault(action=Respond(500), match=Match(kind=Kind.TAGS)))
    for _ in range(2):
        assert watcher.run("run", "--once").returncode == 1
    stale = [body for body in told(receiver) if body["event"] == "repository_stale"]
    assert [body["title"] for body in stale] == [
        f"main: {registry.address} can't be polled (1000 of 1000 repositories)"
    ]
    assert len(told(receiver, "chat")) == len(told(receiver)) == 1
