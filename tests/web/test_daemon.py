"""`watcher run` with and without its HTTP side: real processes."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.system.watching import Daemon, Watcher, account, trigger, wait_until
from watcher.testing.faults import Fault, Match, Respond
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry

REPOSITORY = "acme/web"


def config(registry: FakeRegistry, **http_settings: str) -> dict[str, Any]:
    return {
        "accounts": [account(registry.address, REPOSITORY)],
        "triggers": [trigger("t", "deploy", REPOSITORY)],
        "pipelines": [{"name": "deploy", "stages": [{"command": ["true"]}]}],
        **({"http": http_settings} if http_settings else {}),
    }


def get(daemon: Daemon, path: str) -> tuple[int, Any]:
    address = daemon.wait_for("listening")[0]["address"]
    with closing(http.client.HTTPConnection(address, timeout=10)) as client:
        client.request("GET", path)
        answer = client.getresponse()
        return answer.status, json.loads(answer.read())


def test_the_daemon_says_how_it_fares(tmp_path: Path, registry: FakeRegistry) -> None:
    registry.push(REPOSITORY, "v1")
    watcher = Watcher(tmp_path, config(registry, listen="127.0.0.1:0"))
    with watcher.running() as daemon:
        wait_until(lambda: get(daemon, "/readyz") == (200, {"ready": True}), "ready")
        assert get(daemon, "/livez")[0] == 200
        assert get(daemon, "/healthz")[0] == 200
        registry.fault(Fault(action=Respond(500), match=Match(kind=Kind.TAGS)))
        wait_until(lambda: get(daemon, "/healthz")[0] == 503, "red")
        _, told = get(daemon, "/healthz")
        assert told["complaints"] == {"stale": 1}
        assert told["details"][0]["about"] == f"main/{REPOSITORY}"
        assert get(daemon, "/livez")[0] == 200


def test_a_port_that_is_taken_ends_the_start_with_code_2(
    tmp_path: Path, registry: FakeRegistry
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        watcher = Watcher(tmp_path, config(registry, listen=listen))
        done = watcher.run("run")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-2:] == [
        f"error: can't listen on {listen}: address already in use",
        "hint: another program has the port: stop it, or choose another in `http.listen`",
    ]


def test_a_reload_that_moves_the_http_side_is_refused_as_a_whole(
    tmp_path: Path, registry: FakeRegistry
) -> None:
    watcher = Watcher(tmp_path, config(registry, listen="127.0.0.1:0"))
    with watcher.running() as daemon:
        watcher.write(config(registry, listen="localhost:0"))
        daemon.send(signal.SIGHUP)
        rejected = daemon.wait_for("config_rejected")[0]
        assert rejected["error"] == "`http` can't change while running; restart for it"
        assert get(daemon, "/livez")[0] == 200


def test_without_the_section_nothing_of_it_is_imported(
    tmp_path: Path, registry: FakeRegistry
) -> None:
    watcher = Watcher(tmp_path, config(registry))
    modules = tmp_path / "modules.json"
    driver = (
        "import json, sys\nfrom watcher.__main__ import main\ntry:\n    main()\nfinally:\n"
        f"    json.dump(sorted(sys.modules), open({str(modules)!r}, 'w'))\n"
    )
    log = tmp_path / "driven.log"
    command = [sys.executable, "-c", driver, "run", "--log-format", "json", "-c"]
    daemon = Daemon([*command, str(watcher.config)], log, dict(os.environ))
    try:
        daemon.wait_for("started")
        daemon.terminate()
    finally:
        daemon.kill()
    loaded = {name.partition(".")[0] for name in json.loads(modules.read_text())}
    assert loaded.isdisjoint({"starlette", "uvicorn", "h11", "prometheus_client"})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_the_daemon_in_order_beside_open_connections(
    tmp_path: Path, registry: FakeRegistry, number: signal.Signals
) -> None:
    watcher = Watcher(tmp_path, config(registry, listen="127.0.0.1:0"))
    with watcher.running() as daemon:
        host, _, port = daemon.wait_for("listening")[0]["address"].rpartition(":")
        with closing(socket.create_connection((host, int(port)))) as client:
            client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n")
            daemon.send(number)
            assert daemon.wait() == 0
        assert daemon.events("stopped")
