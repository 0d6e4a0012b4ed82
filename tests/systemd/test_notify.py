"""A real daemon as systemd sees it: ready when it is, reloads, its status line, and its end."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.system.conftest import registry as registry
from tests.system.watching import Watcher, account, trigger, wait_until
from tests.systemd.listening import ServiceManagerSocket, listening
from watcher.testing.faults import Fault, Gate, Hold, Respond
from watcher.testing.registry import FakeRegistry

WEB = "acme/web"


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[ServiceManagerSocket]:
    with listening(tmp_path) as opened:
        yield opened


def config(registry: FakeRegistry, **settings: Any) -> dict[str, Any]:
    return {
        "accounts": [account(registry.address, WEB, **settings)],
        "triggers": [trigger("web", "deploy", WEB)],
        "pipelines": [{"name": "deploy", "stages": [{"command": ["true"], "name": "go"}]}],
    }


def test_ready_waits_for_the_first_answer_and_says_so_meanwhile(
    tmp_path: Path, registry: FakeRegistry, manager: ServiceManagerSocket
) -> None:
    registry.push(WEB, "1.0")
    gate = Gate()
    registry.fault(Fault(action=Hold(until=gate.passage)))
    watcher = Watcher(tmp_path, config(registry))
    with watcher.running(env=manager.environment()):
        waiting = manager.wait_for_status("waits for the first answer of main")
        assert waiting == "starts; waits for the first answer of main"
        assert manager.wait_for("EXTEND_TIMEOUT_USEC", times=2)
        assert not manager.messages("READY")
        gate.open()
        (ready,) = manager.wait_for("READY")
        assert ready.fields["STATUS"].startswith("1 account, 1 repository: 1 ok; next poll in ")


def test_an_account_that_polls_seldom_is_asked_at_once(
    tmp_path: Path, registry: FakeRegistry, manager: ServiceManagerSocket
) -> None:
    registry.push(WEB, "1.0")
    watcher = Watcher(tmp_path, config(registry, poll="6h"))
    with watcher.running(env=manager.environment()):
        manager.wait_for("READY", within=15)
    assert registry.requests


def test_a_refusal_is_an_answer_too(
    tmp_path: Path, registry: FakeRegistry, manager: ServiceManagerSocket
) -> None:
    registry.fault(Fault(action=Respond(status=503)))
    watcher = Watcher(tmp_path, config(registry))
    with watcher.running(env=manager.environment()):
        manager.wait_for("READY")
        manager.wait_for_status("1 repository: 1 failing")


def test_a_reload_is_announced_and_ends_also_where_the_config_is_refused(
    tmp_path: Path, registry: FakeRegistry, manager: ServiceManagerSocket
) -> None:
    watcher = Watcher(tmp_path, config(registry))
    with watcher.running(env=manager.environment()) as daemon:
        manager.wait_for("READY")
        before = time.monotonic_ns() // 1000
        daemon.send(signal.SIGHUP)
        _, again = manager.wait_for("READY", times=2)
        (reloading,) = manager.messages("RELOADING")
        assert before <= int(reloading.fields["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
        assert reloading.at <= again.at
        watcher.config.write_text("accounts: [")
        daemon.send(signal.SIGHUP)
        *_, refused = manager.wait_for("READY", times=3)
        assert "the new config is refused, the one before holds" in refused.fields["STATUS"]
        watcher.write(config(registry))
        *_, well = manager.wait_for("READY", times=4)
        assert "refused" not in well.fields["STATUS"]


def test_its_end_is_announced_and_nothing_is_said_after_it(
    tmp_path: Path, registry: FakeRegistry, manager: ServiceManagerSocket
) -> None:
    watcher = Watcher(tmp_path, config(registry))
    with watcher.running(env=manager.environment()) as daemon:
        manager.wait_for("READY")
        daemon.terminate()
    *_, last = manager.messages()
    assert (last.fields["STOPPING"], last.fields["STATUS"]) == ("1", "stops")
    assert int(last.fields["EXTEND_TIMEOUT_USEC"]) >= 20_000_000


def test_a_config_that_can_not_be_used_is_said_where_systemctl_shows_it(
    tmp_path: Path, registry: FakeRegistry, manager: ServiceManagerSocket
) -> None:
    watcher = Watcher(tmp_path, {"triggers": []})
    assert watcher.run("run", env=manager.environment()).returncode == 2
    assert manager.wait_for_status("there is no account in it")
    assert not manager.messages("READY")


def test_the_watchdog_is_fed_twice_in_its_time(
    tmp_path: Path, registry: FakeRegistry, manager: ServiceManagerSocket
) -> None:
    registry.push(WEB, "1.0")
    watcher = Watcher(tmp_path, config(registry))
    with watcher.running(env=manager.environment(WATCHDOG_USEC="1000000")):
        fed = manager.wait_for("WATCHDOG", times=6)
    gaps = [later.at - earlier.at for earlier, later in pairwise(fed)]
    assert max(gaps) < 1.0
    assert min(gaps) > 0.3


def test_the_watchdog_of_another_process_is_not_ours(
    tmp_path: Path, registry: FakeRegistry, manager: ServiceManagerSocket
) -> None:
    watcher = Watcher(tmp_path, config(registry))
    other = manager.environment(WATCHDOG_USEC="200000", WATCHDOG_PID="1")
    with watcher.running(env=other):
        manager.wait_for("READY")
    assert not manager.messages("WATCHDOG")


def test_a_service_manager_that_went_away_disturbs_nothing(
    tmp_path: Path, registry: FakeRegistry
) -> None:
    registry.push(WEB, "1.0")
    watcher = Watcher(tmp_path, config(registry))
    gone = {"NOTIFY_SOCKET": str(tmp_path / "gone"), "WATCHDOG_USEC": "200000"}
    with watcher.running(env=gone) as daemon:
        daemon.wait_for("baseline_recorded")


def test_a_socket_with_an_abstract_name_is_found(tmp_path: Path, registry: FakeRegistry) -> None:
    watcher = Watcher(tmp_path, config(registry))
    with (
        listening(tmp_path, is_abstract=True) as manager,
        watcher.running(env=manager.environment()),
    ):
        manager.wait_for("READY")


def test_a_loop_that_stands_is_not_fed_and_one_that_goes_on_again_is(
    tmp_path: Path, registry: FakeRegistry, manager: ServiceManagerSocket
) -> None:
    watcher = Watcher(tmp_path, config(registry))
    with watcher.running(env=manager.environment(WATCHDOG_USEC="400000")) as daemon:
        manager.wait_for("READY")
        daemon.send(signal.SIGSTOP)
        stopped = time.monotonic()
        wait_until(lambda: time.monotonic() > stopped + 1.5, "more than the watchdog waits")
        assert [message for message in manager.messages() if message.at > stopped + 0.1] == []
        daemon.send(signal.SIGCONT)
        fed = len(manager.messages("WATCHDOG"))
        manager.wait_for("WATCHDOG", times=fed + 3)
        assert not daemon.events("standstill")
