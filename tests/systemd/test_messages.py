"""What the environment says of a service manager, and what one message to it looks like."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from tests.systemd.listening import listening
from watcher.telemetry.systemd import ServiceManager

PID = 42
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        pytest.param({}, ServiceManager(), id="none"),
        pytest.param({"NOTIFY_SOCKET": ""}, ServiceManager(), id="an empty name"),
        pytest.param({"NOTIFY_SOCKET": "@"}, ServiceManager(), id="an abstract name of nothing"),
        pytest.param({"NOTIFY_SOCKET": "run/notify"}, ServiceManager(), id="a relative path"),
        pytest.param({"NOTIFY_SOCKET": "vsock:2:1"}, ServiceManager(), id="another kind of socket"),
        pytest.param({"NOTIFY_SOCKET": "/run/n"}, ServiceManager(address="/run/n"), id="a path"),
        pytest.param({"NOTIFY_SOCKET": "@n"}, ServiceManager(address="@n"), id="an abstract name"),
        pytest.param(
            {"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "60000000"},
            ServiceManager(address="/run/n", watchdog=MINUTE),
            id="a watchdog for whoever is started",
        ),
        pytest.param(
            {"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "42"},
            ServiceManager(address="/run/n", watchdog=MINUTE),
            id="a watchdog for this process",
        ),
        pytest.param(
            {"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "7"},
            ServiceManager(address="/run/n"),
            id="a watchdog for its parent",
        ),
        *(
            pytest.param(
                {"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": odd},
                ServiceManager(address="/run/n"),
                id=f"no time at all: {odd[:10]}",
            )
            for odd in ("0", "-1", "soon", "", "1.5", "٣", "9" * 30, "9" * 5000)
        ),
    ],
)
def test_what_the_environment_says(environment: Mapping[str, str], found: ServiceManager) -> None:
    assert ServiceManager.of(environment, PID) == found


def test_a_status_of_several_lines_forges_no_other_message(tmp_path: Path) -> None:
    with listening(tmp_path) as heard:
        manager = ServiceManager(address=heard.address)
        assert manager.status("refused:\nWATCHDOG=1\nline 3")
        (message,) = heard.wait_for("STATUS")
    assert message.fields == {"STATUS": "refused:; WATCHDOG=1; line 3"}


def test_a_long_status_is_cut(tmp_path: Path) -> None:
    with listening(tmp_path) as heard:
        assert ServiceManager(address=heard.address).status("x" * 100_000)
        (message,) = heard.wait_for("STATUS")
    assert len(message.fields["STATUS"]) == 500


@pytest.mark.parametrize(
    "address", ["/nowhere/at/all", "@nobody-listens-here", f"/{'x' * 300}", "/run/\0x"]
)
def test_nobody_at_the_other_end_is_no_error(address: str) -> None:
    assert not ServiceManager(address=address).goes_on()


def test_without_a_service_manager_nothing_is_said() -> None:
    manager = ServiceManager()
    assert not manager.listens
    assert not manager.ready("all is well")
    assert not manager.stopping(MINUTE)


def test_a_service_manager_that_does_not_read_is_not_waited_for(tmp_path: Path) -> None:
    with listening(tmp_path, is_deaf=True) as deaf:
        manager = ServiceManager(address=deaf.address)
        assert not all(manager.goes_on() for _ in range(100_000))
