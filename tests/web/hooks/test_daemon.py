"""A running daemon and a real docker-registry that calls it; and what operators see of that."""

from __future__ import annotations

import http.client
import json
import signal
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.servers import StartRegistry, free_port
from tests.servers import start_registry as start_registry
from tests.system.watching import Daemon, Watcher, account, trigger, wait_until
from tests.web.hooks import payloads
from watcher.testing.faults import Fault, Match, Respond
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry

REPOSITORY = "acme/web"
TOKEN = "a-hook-token-of-nobody"


def config(address: str, directory: Path, port: int = 0, **settings: Any) -> dict[str, Any]:
    token = directory / "hook-token"
    token.write_text(f"{TOKEN}\n")
    return {
        "accounts": [account(address, REPOSITORY, poll="1h", **settings)],
        "triggers": [trigger("release", "deploy", REPOSITORY)],
        "pipelines": [{"name": "deploy", "stages": [{"command": ["true"]}]}],
        "http": {"listen": f"127.0.0.1:{port}", "hook_token_file": str(token)},
    }


def baselined(directory: Path, document: dict[str, Any]) -> Watcher:
    """What is there now is known, so that the next push is news."""
    watcher = Watcher(directory, document)
    assert watcher.run("run", "--once").returncode == 0
    return watcher


def deliver(
    daemon: Daemon, sender: str, payload: Any, query: str = f"token={TOKEN}"
) -> tuple[int, Any]:
    address = daemon.wait_for("listening")[0]["address"]
    with closing(http.client.HTTPConnection(address, timeout=10)) as client:
        headers = {"content-type": "application/json"}
        body = payloads.encoded(payload)
        client.request("POST", f"/hooks/{sender}?{query}", body, headers)
        answer = client.getresponse()
        return answer.status, json.loads(answer.read())


def settled(daemon: Daemon) -> Daemon:
    """The first contact is over: from now on nothing is polled for an hour."""
    wait_until(lambda: get(daemon, "/readyz")[0] == 200, "the first contact")
    return daemon


def get(daemon: Daemon, path: str) -> tuple[int, str]:
    address = daemon.wait_for("listening")[0]["address"]
    with closing(http.client.HTTPConnection(address, timeout=10)) as client:
        client.request("GET", path)
        answer = client.getresponse()
        return answer.status, answer.read().decode()


def generic(registry: FakeRegistry, tag: str) -> dict[str, Any]:
    return {"registry": registry.address, "repository": REPOSITORY, "tag": tag, "id": tag}


def test_a_push_to_docker_registry_is_noticed_at_once(
    tmp_path: Path, start_registry: StartRegistry
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/hooks/distribution?token={TOKEN}"
    registry = start_registry(notify=url)
    registry.push(REPOSITORY, "v1")
    watcher = baselined(tmp_path, config(registry.address, tmp_path, port))
    with watcher.running() as daemon:
        settled(daemon)
        registry.push(REPOSITORY, "v2")
        (queued,) = daemon.wait_for("execution_queued")
        assert queued["tag"] == "v2"
        shown = wait_until(
            lambda: [
                row
                for row in watcher.json("activity", "--deliveries")
                if row["outcome"] == "polled" and row["tag"] == "v2"
            ],
            "a delivery in activity",
        )
        assert (shown[0]["sender"], shown[0]["account"]) == ("distribution", "main")
        registry.delete(REPOSITORY, "v2")
        wait_until(
            lambda: [row["change"] for row in watcher.json("activity")][:1] == ["deleted"],
            "the deletion",
        )
        assert TOKEN not in daemon.log.read_text()
    assert TOKEN.encode() not in watcher.state.read_bytes()


@pytest.fixture
def known(tmp_path: Path, registry: FakeRegistry) -> Watcher:
    registry.push(REPOSITORY, "v1")
    return baselined(tmp_path, config(registry.address, tmp_path))


def test_what_a_forger_sends_changes_nothing(known: Watcher, registry: FakeRegistry) -> None:
    with known.running() as daemon:
        settled(daemon)
        before = len(registry.requests)
        registry.push(REPOSITORY, "v2")
        assert deliver(daemon, "generic", generic(registry, "v2"), "token=wrong")[0] == 401
        assert deliver(daemon, "generic", {"repository": "../x"})[0] == 400
        assert deliver(daemon, "generic", {"repository": "acme/other"})[0] == 202
        assert len(registry.requests) == before
        metrics = get(daemon, "/metrics")[1]
        for outcome in ("forged", "refused", "unknown"):
            labels = f'{{outcome="{outcome}",sender="generic"}}'
            assert f"registry_watcher_webhook_deliveries_total{labels} 1.0" in metrics
        wait_until(lambda: len(known.json("activity", "--deliveries")) == 2, "both in activity")
        shown = known.json("activity", "--deliveries")
        assert [row["outcome"] for row in shown] == ["unknown", "refused"]
        assert json.loads(get(daemon, "/api/v1/deliveries")[1]) == shown
        assert json.loads(get(daemon, "/api/v1/deliveries?account=main")[1]) == []


def test_the_payload_itself_is_not_believed(known: Watcher, registry: FakeRegistry) -> None:
    with known.running() as daemon:
        assert deliver(daemon, "generic", generic(registry, "v9"))[0] == 202
        wait_until(lambda: len(known.json("activity", "--deliveries")), "the delivery")
        assert not daemon.events("execution_queued")
    assert known.json("executions") == []


def test_a_repeated_delivery_is_told_apart_after_a_restart(
    known: Watcher, registry: FakeRegistry
) -> None:
    with known.running() as daemon:
        assert deliver(daemon, "generic", generic(registry, "v1"))[0] == 202
        assert deliver(daemon, "generic", generic(registry, "v1"))[0] == 409
    with known.running() as daemon:
        assert deliver(daemon, "generic", generic(registry, "v1"))[0] == 409


def test_webhooks_can_be_switched_off_for_an_account(
    known: Watcher, registry: FakeRegistry
) -> None:
    with known.running() as daemon:
        assert known.json("webhooks", "disable", "main") == {"account": "main", "enabled": False}
        registry.push(REPOSITORY, "v2")

        def outcome(number: list[int] = [0]) -> bool:  # noqa: B006 - a counter for this test
            number[0] += 1
            payload = {**generic(registry, "v1"), "id": str(number[0])}
            return bool(deliver(daemon, "generic", payload)[1] == {"outcome": "disabled"})

        wait_until(outcome, "webhooks to be switched off", every=0.2)
    with known.running() as daemon:
        assert deliver(daemon, "generic", generic(registry, "late"))[1] == {"outcome": "disabled"}
        known.run("webhooks", "enable", "main")
        wait_until(lambda: known.json("webhooks", "ls")[0]["enabled"], "webhooks to be switched on")


def test_the_config_can_leave_an_account_out(tmp_path: Path, registry: FakeRegistry) -> None:
    registry.push(REPOSITORY, "v1")
    watcher = baselined(tmp_path, config(registry.address, tmp_path, webhooks=False))
    with watcher.running() as daemon:
        assert deliver(daemon, "generic", generic(registry, "v1"))[1] == {"outcome": "disabled"}


def test_webhooks_are_listed_with_the_url_to_enter(known: Watcher) -> None:
    (row,) = known.json("webhooks", "ls")
    assert row == {
        "account": "main",
        "enabled": True,
        "sender": "distribution",
        "url": "http://127.0.0.1:0/hooks/distribution",
        "last_delivery": None,
        "last_outcome": None,
    }
    assert TOKEN not in known.run("webhooks", "ls").stdout


def test_a_registry_that_asked_for_patience_is_left_alone(
    known: Watcher, registry: FakeRegistry
) -> None:
    with known.running() as daemon:
        settled(daemon)
        refusal = Respond(429, (("Retry-After", "600"),))
        registry.fault(Fault(match=Match(kind=Kind.TAGS), action=refusal))
        assert deliver(daemon, "generic", generic(registry, "v1"))[1] == {"outcome": "polled"}
        wait_until(lambda: known.json("status", "--hosts")[0]["parked"], "a parked host")
        before = len(registry.requests)
        assert deliver(daemon, "generic", generic(registry, "v2"))[1] == {"outcome": "parked"}
        wait_until(lambda: len(known.json("activity", "--deliveries")) == 2, "both in activity")
        assert len(registry.requests) == before
    shown = known.run("activity", "--deliveries").stdout
    assert "the registry asked for patience until" in shown
    assert "acme/web:v2" in shown
    (row,) = known.json("webhooks", "ls")
    assert row["last_outcome"] == "parked"


def test_what_waits_for_a_parked_registry_outlives_a_reload(
    known: Watcher, registry: FakeRegistry
) -> None:
    with known.running() as daemon:
        settled(daemon)
        refusal = Respond(429, (("Retry-After", "2"),))
        registry.fault(Fault(match=Match(kind=Kind.TAGS), action=refusal))
        assert deliver(daemon, "generic", generic(registry, "v2"))[1] == {"outcome": "polled"}
        daemon.wait_for("poll_parked")
        registry.clear_faults()
        registry.push(REPOSITORY, "v2")
        document = json.loads(known.config.read_text())
        document["accounts"][0]["limits"] = {"concurrency": 3}
        known.write(document)
        daemon.send(signal.SIGHUP)
        daemon.wait_for("config_loaded")
        daemon.wait_for("execution_finished")
