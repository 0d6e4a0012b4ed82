"""The units as they are shipped, under a real systemd, with all that they forbid."""

from __future__ import annotations

import json
import signal
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.servers import free_port
from tests.system.conftest import registry as registry
from tests.system.watching import account, trigger, wait_until
from tests.systemd.box import Box, running_box
from watcher.testing.access import BasicAuth
from watcher.testing.registry import FakeRegistry

WEB = "acme/web"
SERVICE, ONCE = "registry-watcher.service", "registry-watcher-once.service"
TIMER = "registry-watcher-once.timer"
CONFIG = "/etc/registry-watcher/config.yaml"
SECRET = "/etc/registry-watcher/secrets/fake"
USER, PASSWORD = "bot", "of-nobody-1"
WATCHER = "/opt/registry-watcher/bin/watcher"
VARIABLES = (
    "STATE_DIRECTORY=/var/lib/registry-watcher",
    f"CREDENTIALS_DIRECTORY=/run/credentials/{SERVICE}",
)
"""What an operator sets to use the command beside the service."""


def drop_in(*lines: str, unit: str = SERVICE) -> dict[str, str]:
    return {f"/etc/systemd/system/{unit}.d/test.conf": "\n".join(["[Service]", *lines, ""])}


class Host:
    """A box with the units, a config and a registry."""

    def __init__(self, directory: Path, registry: FakeRegistry, running: ExitStack) -> None:
        self._directory = directory
        self._running = running
        self._registry = registry
        registry.push(WEB, "1.0")

    def config(self, *command: str, http: Any = None, **settings: Any) -> str:
        """As text; the pipeline runs the command."""
        document = {
            **({"http": http} if http else {}),
            "accounts": [account(self._registry.address, WEB, **settings)],
            "triggers": [trigger("web", "deploy", WEB)],
            "pipelines": [
                {"name": "deploy", "stages": [{"name": "go", "command": [*command] or ["true"]}]}
            ],
        }
        return json.dumps(document)

    def boot(self, config: str, **files: str) -> Box:
        return self._running.enter_context(running_box(self._directory, {CONFIG: config, **files}))


@pytest.fixture
def host(tmp_path: Path, registry: FakeRegistry) -> Iterator[Host]:
    with ExitStack() as running:
        yield Host(tmp_path, registry, running)


def told(box: Box, *words: str) -> Any:
    """What the command tells root, beside the service."""
    done = box.run("env", *VARIABLES, WATCHER, *words, "--json", "--config", CONFIG)
    assert done.returncode == 0, done
    return json.loads(done.stdout)


def finished_run(box: Box) -> Any:
    """The one execution, when it has ended."""

    def look() -> Any:
        ended = [run for run in told(box, "executions") if run["finished"]]
        return ended[0] if ended else None

    return wait_until(look, "the execution ends", every=0.3)


def process_figures(exposition: str) -> dict[str, float]:
    """What `/metrics` says of the process itself."""
    families = text_string_to_metric_families(exposition)
    samples = [sample for family in families for sample in family.samples]
    return {each.name: each.value for each in samples if each.name.startswith("process_")}


def output_of(run: Any) -> list[str]:
    """The lines that its command wrote."""
    assert run["status"] == "SUCCEEDED", run
    lines: list[str] = run["stages"][0]["outputs"]["stdout"].splitlines()
    return lines


def test_the_service_is_started_when_the_registry_has_answered_and_says_what_it_does(
    host: Host,
) -> None:
    box = host.boot(host.config())
    box.systemctl("start", SERVICE)
    status = box.show(SERVICE, "StatusText")
    assert status.startswith("1 account, 1 repository: 1 ok; next poll in ")
    assert "baseline_recorded" in box.log()
    assert box.run("stat", "-c", "%a", "/var/lib/private/registry-watcher").stdout == "700\n"
    box.systemctl("stop", SERVICE)
    assert box.show(SERVICE, "Result") == "success"


def test_passwords_come_from_credentials_which_commands_do_not_see(
    host: Host, registry: FakeRegistry
) -> None:
    registry.auth = BasicAuth(users={USER: PASSWORD})
    secret = {"username": USER, "password_file": "$CREDENTIALS_DIRECTORY/fake"}
    box = host.boot(
        host.config("env", **secret),
        **{SECRET: PASSWORD},
        **drop_in(f"LoadCredential=fake:{SECRET}"),
    )
    box.systemctl("start", SERVICE)
    assert ": 1 ok;" in box.show(SERVICE, "StatusText"), box.log()
    registry.push(WEB, "2.0")
    said = output_of(finished_run(box))
    names = {line.partition("=")[0] for line in said}
    assert "HOME=/var/cache/registry-watcher" in said
    assert not names & {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "CREDENTIALS_DIRECTORY"}


def test_a_command_has_no_rights_but_its_own_places(host: Host, registry: FakeRegistry) -> None:
    status = "grep -E '^(CapBnd|NoNewPrivs|Seccomp):' /proc/self/status"
    writing = (
        "for d in /etc /opt /var/tmp /tmp $HOME; do touch $d/mine 2>/dev/null && echo $d; done"
    )
    reading = "ls /root /home /etc/registry-watcher 2>/dev/null; true"
    box = host.boot(host.config("sh", "-c", f"{status}; {writing}; {reading}"))
    box.systemctl("start", SERVICE)
    registry.push(WEB, "2.0")
    said = [line.replace("\t", " ") for line in output_of(finished_run(box))]
    assert said == [
        "CapBnd: 0000000000000000",
        "NoNewPrivs: 1",
        "Seccomp: 2",
        "/var/tmp",
        "/tmp",
        "/var/cache/registry-watcher",
        "/etc/registry-watcher:",
        "config.yaml",
    ]
    assert box.run("sh", "-c", "ls /tmp/mine /var/tmp/mine").stdout == ""  # these are its own


def test_a_password_command_works_in_its_confinement(host: Host, registry: FakeRegistry) -> None:
    registry.auth = BasicAuth(users={USER: PASSWORD})
    command = 'cat "$CREDENTIALS_DIRECTORY/fake"'
    box = host.boot(
        host.config(username=USER, password_command=command),
        **{SECRET: PASSWORD},
        **drop_in(f"LoadCredential=fake:{SECRET}"),
    )
    box.systemctl("start", SERVICE)
    assert ": 1 ok;" in box.show(SERVICE, "StatusText"), box.log()


def test_a_reload_takes_the_new_config_and_a_refused_one_is_shown(host: Host) -> None:
    box = host.boot(host.config())
    box.systemctl("start", SERVICE)
    box.write(CONFIG, host.config(poll="2s"))
    box.systemctl("reload", SERVICE)
    wait_until(lambda: "config_loaded" in box.log(), "the new config holds")
    wait_until(lambda: box.show(SERVICE, "ActiveState") == "active", "the reload is over")
    box.write(CONFIG, "accounts: [")
    box.systemctl("reload", SERVICE)
    refused = "the new config is refused, the one before holds"
    wait_until(lambda: refused in box.show(SERVICE, "StatusText"), refused)
    assert box.show(SERVICE, "ActiveState") == "active"


def test_root_may_use_the_command_beside_the_service_and_without_it(host: Host) -> None:
    box = host.boot(host.config(poll="6h"))
    box.systemctl("start", SERVICE)
    assert [poll["result"] for poll in told(box, "poll")["polls"]] == ["unchanged"]
    box.systemctl("stop", SERVICE)
    assert told(box, "status")[0]["state"] == "ok"
    assert told(box, "trigger", "web", "--tag", "1.0")
    box.systemctl("start", SERVICE)
    assert finished_run(box)["status"] == "SUCCEEDED"


def test_its_metrics_have_the_process_though_it_sees_nothing_of_the_machine(host: Host) -> None:
    port = free_port()
    box = host.boot(host.config(http={"listen": f"127.0.0.1:{port}"}))
    began = time.time()
    box.systemctl("start", SERVICE)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        seen = process_figures(answer.read().decode())
    assert seen["process_resident_memory_bytes"] > 10 * 1024 * 1024
    assert seen["process_open_fds"] > 3
    assert abs(seen["process_start_time_seconds"] - began) < 10


def test_a_stop_lets_the_command_of_a_stage_end(host: Host, registry: FakeRegistry) -> None:
    working = "touch $HOME/begun; sleep 3; echo done"
    box = host.boot(host.config("sh", "-c", working))
    box.systemctl("start", SERVICE)
    registry.push(WEB, "2.0")
    begun = ("test", "-e", "/var/cache/private/registry-watcher/begun")
    wait_until(lambda: box.run(*begun).returncode == 0, "the command runs")
    box.systemctl("stop", SERVICE)
    assert output_of(finished_run(box)) == ["done"]


def test_a_process_that_stands_is_killed_and_started_again(host: Host) -> None:
    quick = drop_in("WatchdogSec=2", "RestartSec=100ms")
    box = host.boot(host.config(), **quick)
    box.systemctl("start", SERVICE)
    first = box.show(SERVICE, "MainPID")
    box.run("kill", f"-{signal.SIGSTOP:d}", first)
    wait_until(lambda: box.show(SERVICE, "NRestarts") == "1", "it is started again")
    wait_until(lambda: box.show(SERVICE, "ActiveState") == "active", "it is ready again")
    assert box.show(SERVICE, "MainPID") != first
    assert "most recent call first" in box.log()  # where it stood


def test_a_config_that_can_not_be_used_ends_it_with_the_reason(host: Host) -> None:
    box = host.boot("triggers: []")
    assert box.run("systemctl", "start", SERVICE).returncode != 0
    assert box.show(SERVICE, "ActiveState") == "failed"
    assert "there is no account in it" in box.show(SERVICE, "StatusText")


def test_a_pass_runs_by_itself_and_shares_its_state_with_the_service(host: Host) -> None:
    box = host.boot(host.config())
    box.systemctl("start", ONCE)
    assert box.show(ONCE, "Result") == "success"
    box.systemctl("start", SERVICE)
    assert "baseline_recorded" not in box.log().partition("started")[2]
    assert box.run("systemctl", "start", ONCE).returncode != 0
    assert "(watcher run)" in box.log()  # who holds the state file


def test_the_timer_names_the_next_pass(host: Host) -> None:
    box = host.boot(host.config())
    box.systemctl("start", TIMER)
    assert box.show(TIMER, "ActiveState") == "active"
    assert box.show(TIMER, "NextElapseUSecRealtime")
