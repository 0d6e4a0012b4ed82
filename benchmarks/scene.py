"""Where benchmarks take place: configs, the watcher's command, and a fake registry of its own
process with thousands of repositories.
"""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.registry.certificates import Authority

USER, PASSWORD = "bench", "bench-secret"
WATCHER = str(Path(sys.executable).with_name("watcher"))


def write_config(
    directory: Path, address: str, ca_file: Path, repositories: Sequence[str], **account: Any
) -> Path:
    """A config with one account that polls these repositories, and a trigger on the first."""
    trigger = {"name": "new", "account": "bench", "repository": repositories[0], "pipeline": "say"}
    config = {
        "state": str(directory / "state.db"),
        "accounts": [
            {
                "name": "bench",
                "address": address,
                "username": USER,
                "password": PASSWORD,
                "tls": {"ca_file": str(ca_file)},
                "repositories": list(repositories),
                **account,
            }
        ],
        "triggers": [trigger],
        "pipelines": [{"name": "say", "stages": [{"command": ["true"]}]}],
    }
    path = directory / "config.yaml"
    path.write_text(json.dumps(config, indent=1))
    return path


def once(config: Path) -> list[str]:
    """The command for one complete pass."""
    return [WATCHER, "-c", str(config), "--log-level", "error", "run", "--once"]


@dataclass(frozen=True, slots=True)
class Crowd:
    """A running fake registry with many repositories, on TLS, asking for Bearer tokens."""

    address: str
    ca_file: Path
    repositories: tuple[str, ...]
    process: subprocess.Popen[str]

    def stats(self) -> dict[str, int]:
        """Requests by kind since the start, and `connections`."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        url = f"https://{self.address}/_admin/stats"
        with urllib.request.urlopen(url, context=context, timeout=10) as answer:
            document = json.load(answer)
        return {**document["requests"], "connections": document["connections"]}


@contextmanager
def crowd(directory: Path, count: int, tags: int) -> Iterator[Crowd]:
    """Run the fake registry in a process of its own until the block ends."""
    authority = Authority(directory, now=datetime.now(UTC))
    command = [
        sys.executable, "-m", "watcher.testing.registry", "--repositories", str(count),
        "--tags", str(tags), "--user", f"{USER}:{PASSWORD}",
        "--certificate", str(authority.issue("127.0.0.1")),
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            names = tuple(f"lab/app-{number:05}" for number in range(count))
            yield Crowd(address, authority.certificate, names, process)
        finally:
            process.terminate()
