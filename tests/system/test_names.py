"""A resolver that dies and comes back: polls fail, say so, and go on by themselves.

In a mount namespace of their own (root only), the daemon has another /etc/resolv.conf, which names
a resolver on loopback that these tests start and stop.
"""

from __future__ import annotations

import os
import shutil
import socket
import socketserver
import struct
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.watching import Daemon, Watcher, account, trigger
from watcher.testing.registry import FakeRegistry

WEB = "acme/web"
NAME = "registry.acme.example"
ADDRESS = f"127.53.{os.getpid() // 250 % 250 + 1}.{os.getpid() % 250 + 1}"
"""Each process of the tests has a resolver of its own: all of 127/8 is loopback on Linux."""

A_QUERY, IPV4 = 1, 4
IN_NAMESPACE = ["unshare", "--mount", "--propagation", "private"]


def may_unshare() -> bool:
    if not sys.platform.startswith("linux") or shutil.which("unshare") is None:
        return False
    return subprocess.run([*IN_NAMESPACE, "true"], capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not may_unshare(), reason="no mount namespace may be made")


class _Answer(socketserver.BaseRequestHandler):
    """Each name has the address 127.0.0.1, and no IPv6 one."""

    def handle(self) -> None:
        query, sock = self.request
        end = query.index(b"\0", 12) + 5
        kind = struct.unpack("!H", query[end - 4 : end - 2])[0]
        record = struct.pack("!HHHIH", 0xC00C, A_QUERY, 1, 0, IPV4) + socket.inet_aton("127.0.0.1")
        answers = [record] if kind == A_QUERY else []
        head = query[:2] + struct.pack("!HHHHH", 0x8180, 1, len(answers), 0, 0)
        sock.sendto(head + query[12:end] + b"".join(answers), self.client_address)


class Resolver:
    """A name server on port 53, which is there or is not."""

    def __init__(self) -> None:
        self._server: socketserver.UDPServer | None = None

    def start(self) -> None:
        self._server = socketserver.UDPServer((ADDRESS, 53), _Answer)
        threading.Thread(target=self._server.serve_forever, args=(0.05,)).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@pytest.fixture
def resolver() -> Iterator[Resolver]:
    made = Resolver()
    made.start()
    yield made
    made.stop()


class Elsewhere(Watcher):
    """A watcher whose processes ask the resolver of the test."""

    def command(self, *words: str) -> list[str]:
        resolv = self.directory / "resolv.conf"
        resolv.write_text(f"nameserver {ADDRESS}\noptions timeout:1 attempts:1\n")
        mount = f"mount --bind '{resolv}' /etc/resolv.conf && exec \"$@\""
        return [*IN_NAMESPACE, "sh", "-c", mount, "sh", *super().command(*words)]


def config(registry: FakeRegistry) -> dict[str, Any]:
    address = registry.address.replace("127.0.0.1", NAME)
    return {
        "accounts": [account(address, WEB)],
        "triggers": [trigger("web", "deploy", WEB)],
        "pipelines": [{"name": "deploy", "stages": [{"command": ["true"], "name": "go"}]}],
    }


def test_names_that_can_t_be_resolved_for_a_while_lose_nothing(
    tmp_path: Path, registry: FakeRegistry, resolver: Resolver
) -> None:
    registry.push(WEB, "0.9")
    watcher = Elsewhere(tmp_path, config(registry))
    assert watcher.run("run", "--once").returncode == 0
    with watcher.running() as daemon:
        registry.push(WEB, "1.0")
        daemon.wait_for("execution_finished", status="SUCCEEDED")
        resolver.stop()
        cut(registry, daemon)
        registry.push(WEB, "2.0")
        (line, *_) = daemon.wait_for("poll_failed")
        assert NAME in line["error"]
        resolver.start()
        daemon.wait_for("poll_recovered")
        daemon.wait_for("execution_finished", times=2, status="SUCCEEDED")
        assert daemon.events("internal_error") == []
    runs = Counter(run["tag"] for run in watcher.json("executions"))
    assert runs == {"1.0": 1, "2.0": 1}


def cut(registry: FakeRegistry, daemon: Daemon) -> None:
    """Connections that are open need no name."""
    registry.close_connections()
    assert daemon.process.poll() is None


def test_a_daemon_that_starts_before_the_resolver_gets_on_by_itself(
    tmp_path: Path, registry: FakeRegistry, resolver: Resolver
) -> None:
    registry.push(WEB, "0.9")
    watcher = Elsewhere(tmp_path, config(registry))
    resolver.stop()
    with watcher.running() as daemon:
        daemon.wait_for("poll_failed")
        resolver.start()
        daemon.wait_for("baseline_recorded")
