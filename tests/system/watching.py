"""The real command as a subprocess, its config, and waiting for conditions with a deadline.

Used by the tests of this directory only. Nothing here sleeps for luck: `wait_until` looks again
and again until the condition holds, and says what was seen when it never does.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

PATIENCE = 30.0
LOOK = 0.02

_Seen = TypeVar("_Seen")


def wait_until(
    look: Callable[[], _Seen], what: str, *, within: float = PATIENCE, every: float = LOOK
) -> _Seen:
    """What `look` gives as soon as that is true; AssertionError when it never is."""
    deadline = time.monotonic() + within
    while True:
        seen = look()
        if seen:
            return seen
        assert time.monotonic() < deadline, f"not within {within} s: {what}; last seen: {seen!r}"
        time.sleep(every)


def write_config(path: Path, document: Mapping[str, Any]) -> Path:
    """A config file; JSON is YAML. It appears at once, as an editor's file does."""
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(document, indent=2))
    os.replace(draft, path)
    return path


def account(address: str, *repositories: str, **settings: Any) -> dict[str, Any]:
    """An account `main` that polls as often as a config may say."""
    return {
        "name": "main",
        "address": address,
        "plain_http": True,
        "poll": "1s",
        "repositories": list(repositories),
        **settings,
    }


def trigger(name: str, pipeline: str, *repositories: str, **settings: Any) -> dict[str, Any]:
    return {
        "name": name,
        "account": "main",
        "repository": list(repositories),
        "tag": ".*",
        "order": "first_seen",
        "pipeline": pipeline,
        **settings,
    }


class Watcher:
    """One config and state file, and the processes that work on it."""

    def __init__(self, directory: Path, config: Mapping[str, Any]) -> None:
        self.directory = directory
        self.config = directory / "config.yaml"
        self.state = directory / "watcher.db"
        self.write(config)

    def write(self, config: Mapping[str, Any]) -> None:
        write_config(self.config, config)

    def run(
        self, *words: str, env: Mapping[str, str] | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        return subprocess.run(
            self.command(*words),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env={**os.environ, **(env or {})},
        )

    def json(self, *words: str) -> Any:
        """What a command prints with --json; it must succeed and print nothing else."""
        done = self.run(*words, "--json")
        assert done.returncode == 0, done
        return json.loads(done.stdout)

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "watcher", *words, "-c", str(self.config)]

    def start(self, *words: str, env: Mapping[str, str] | None = None) -> Daemon:
        """Start the daemon; its log goes to a file of its own, as JSON."""
        number = len(list(self.directory.glob("daemon-*.log")))
        log = self.directory / f"daemon-{number}.log"
        command = self.command("run", "--log-format", "json", *words)
        return Daemon(command, log, {**os.environ, **(env or {})})

    @contextmanager
    def running(self, *words: str, env: Mapping[str, str] | None = None) -> Iterator[Daemon]:
        """A daemon that works inside the block, and is stopped in order at its end."""
        daemon = self.start(*words, env=env)
        try:
            daemon.wait_for("started")
            yield daemon
            daemon.terminate()
        finally:
            daemon.kill()


class Daemon:
    """A running `watcher run`."""

    def __init__(self, command: Sequence[str], log: Path, env: Mapping[str, str]) -> None:
        self.log = log
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=env
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def lines(self) -> list[dict[str, Any]]:
        """The log lines that are complete; every one of them has to be a JSON object."""
        text = self.log.read_bytes()
        whole = text[: text.rfind(b"\n") + 1]
        return [json.loads(line) for line in whole.splitlines()]

    def events(self, event: str, **keys: object) -> list[dict[str, Any]]:
        return [
            line
            for line in self.lines()
            if line["event"] == event and all(line.get(k) == v for k, v in keys.items())
        ]

    def wait_for(self, event: str, *, times: int = 1, **keys: object) -> list[dict[str, Any]]:
        """Wait until the log has this event so often; the lines."""

        def look() -> list[dict[str, Any]]:
            found = self.events(event, **keys)
            if len(found) < times:
                assert self.process.poll() is None, self.log.read_text()
            return found if len(found) >= times else []

        try:
            return wait_until(look, f"{event} {keys} in the log")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log.read_text()}") from error

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, within: float = 20.0) -> int:
        """The exit code; fails the test when the process does not end."""
        return self.process.wait(within)

    def terminate(self) -> None:
        """Stop in order, which has to work."""
        self.send(signal.SIGTERM)
        assert self.wait() == 0, self.log.read_text()

    def kill(self) -> None:
        """End it at once, if it still runs."""
        self.process.kill()
        self.process.wait()
