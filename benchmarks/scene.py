"""Where benchmarks take place: how one is asked for, the watcher's config and commands, and a
daemon that is told to poll everything now.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.measuring import Cost, Running, daemon, environment
from benchmarks.servers import PASSWORD, USER, Counts, Kind, Server, Wanted, running
from watcher.store.lock import holder

WATCHER = str(Path(sys.executable).with_name("watcher"))
ACCOUNT = "bench"
FIRST, ALL = "lab/app-0+", "lab/.*"
"""Patterns for the first repository of a server, and for all of them."""
_LOOK_SECONDS = 0.02
_PATIENCE = 3600
_STARTS_WITHIN = 60.0


@dataclass(frozen=True, slots=True)
class Setting:
    """How a benchmark is to be run: against which server, and whether it is only tried out."""

    kind: Kind
    quick: bool = False

    @contextmanager
    def server(self, wanted: Wanted) -> Iterator[tuple[Server, Path]]:
        """A running server, and a directory for what is beside it; says which one it is."""
        with TemporaryDirectory() as name:
            directory = Path(name)
            with running(self.kind, directory, wanted) as server:
                held = f"{wanted.repositories} repositories x {wanted.tags} tags"
                print(f"\n{held}; {server.words}", flush=True)
                yield server, directory

    def latency(self, milliseconds: float) -> float:
        """As wanted, or 0 where the server adds none (its `words` say so)."""
        return milliseconds if self.kind.has_latency else 0.0


def account(
    server: Server, repositories: Sequence[str], *, name: str = ACCOUNT, **keys: Any
) -> dict[str, Any]:
    """An account of the config, with the server's login and certificate."""
    told: dict[str, Any] = {
        "name": name, "address": server.address, "repositories": list(repositories),
    }  # fmt: skip
    if server.wanted.login:
        told |= {"username": USER, "password": PASSWORD}
    if server.ca_file is not None:
        told["tls"] = {"ca_file": str(server.ca_file)}
    else:
        told["plain_http"] = True
    return told | keys


def write_config(
    directory: Path, *accounts: dict[str, Any], fires: str = FIRST, at_once: int = 1, **keys: Any
) -> Path:
    """A config with these accounts. Its trigger sees the repositories that the pattern `fires`
    matches, and runs the program `true`, so many times at once. `keys` are the trigger's."""
    trigger = {
        "name": "new", "account": ACCOUNT, "repositories": fires, "pipeline": "say", **keys,
    }  # fmt: skip
    pipeline = {
        "name": "say", "concurrency": {"max": at_once}, "stages": [{"command": ["true"]}],
    }  # fmt: skip
    config = {
        "state": str(directory / "state.db"),
        "accounts": list(accounts),
        "triggers": [trigger],
        "pipelines": [pipeline],
    }
    path = directory / "config.yaml"
    path.write_text(json.dumps(config, indent=1))
    return path


def state_of(config: Path) -> Path:
    return config.with_name("state.db")


def once(config: Path) -> list[str]:
    """The command for one complete pass."""
    return [*_watcher(config), "run", "--once"]


def serve(config: Path) -> list[str]:
    """The command for the daemon."""
    return [*_watcher(config), "run"]


def poll(config: Path, selection: str = ACCOUNT) -> list[str]:
    """The command that asks a running daemon to poll now, and waits for the answer."""
    return [*_watcher(config), "poll", selection, "--wait", str(_PATIENCE)]


@contextmanager
def served(config: Path) -> Iterator[Running]:
    """A daemon at work, from when it holds the state file until the block ends."""
    with daemon(serve(config), environment()) as process:
        deadline = time.monotonic() + _STARTS_WITHIN
        while (found := holder(state_of(config))) is None or found.pid != process.pid:
            if time.monotonic() > deadline:
                raise RuntimeError("the daemon did not start")
            time.sleep(_LOOK_SECONDS)
        yield process


def _watcher(config: Path) -> list[str]:
    return [WATCHER, "-c", str(config), "--log-level", "error"]


def first_listing(server: Server) -> Counts:
    """Wait until the server is asked for one; what it had counted before. Raises RuntimeError when
    nobody asks."""
    deadline = time.monotonic() + _STARTS_WITHIN
    start = server.counts()
    while server.counts().listings == start.listings:
        if time.monotonic() > deadline:
            raise RuntimeError("nothing was polled")
        time.sleep(_LOOK_SECONDS)
    return start


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One pass: what it took, and what was asked of the server for it."""

    cost: Cost
    counts: Counts


def polled(process: Running, config: Path, server: Server, listings: int) -> Pass:
    """Have a running daemon poll everything now.

    The wall time is that between the first request and the last one as the server counts them; the
    CPU that of the daemon from the asking to the answer.
    """
    before, cpu = server.counts(), process.cpu
    first = last = time.monotonic()
    seen = before
    with subprocess.Popen(poll(config), env=environment(), stdout=subprocess.DEVNULL) as asking:
        while seen.listings < before.listings + listings and asking.poll() is None:
            time.sleep(_LOOK_SECONDS)
            now, told = time.monotonic(), server.counts()
            if told.requests == before.requests:
                first = now
            if told != seen:
                seen, last = told, now
    if asking.returncode != 0:
        raise RuntimeError(f"`watcher poll` ended with {asking.returncode}")
    gained = server.counts().since(before)
    cost = Cost(wall=last - first, cpu=process.cpu - cpu, memory=process.peak)
    return Pass(cost=cost, counts=gained)
