"""`watcher demo`: tells the story of demo/scenario.py, and with `--keep` leaves it to look at."""

from __future__ import annotations

import shutil
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from watcher.cli import output
from watcher.cli.base import Invocation, command, pass_invocation
from watcher.cli.failure import FAILED, OK

if TYPE_CHECKING:
    from watcher.demo.scenario import Step


@command("demo", short_help="The whole way of a tag; needs nothing.")
@click.option("--keep", is_flag=True, help="Leave registry and state to look at, until Ctrl-C.")
@pass_invocation
def demo(invocation: Invocation, keep: bool) -> int:
    """Start a small registry in this process, record a baseline, push a second tag, and show the
    event, the rendered manifest and the execution. Needs no network and takes a few seconds.

    With --keep the registry stays up and the state file stays there until Ctrl-C, to be looked at
    with the other commands. (There is no page to open in this version.)
    """
    directory = Path(tempfile.mkdtemp(prefix="watcher-demo-"))
    try:
        return _play(invocation, directory, keep=keep)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _play(invocation: Invocation, directory: Path, *, keep: bool) -> int:
    from watcher.demo.scenario import REPOSITORY, play
    from watcher.telemetry.log import Log
    from watcher.testing.registry import FakeRegistry

    started = time.monotonic()
    log = Log("warning" if invocation.log_level == "info" else invocation.log_level)
    with FakeRegistry.in_thread() as registry:
        steps: list[Step] = []
        for number, step in enumerate(play(directory, registry, log=log, clock=time.time), 1):
            steps.append(step)
            if not invocation.json:
                _tell(number, step)
        succeeded = bool(steps[-1].data["succeeded"])
        seconds = time.monotonic() - started
        if invocation.json:
            output.print_json(_shape(steps, seconds, succeeded, directory if keep else None))
        else:
            output.say()
            output.say(f"{'all of that' if succeeded else 'failed after'} {seconds:.1f} s")
        if keep:
            _keep(invocation, directory, registry.address, REPOSITORY)
    return OK if succeeded else FAILED


def _tell(number: int, step: Step) -> None:
    output.say()
    output.say(f"{number}. {step.title}")
    for line in step.lines:
        output.say(f"   {line}")


def _shape(steps: list[Step], seconds: float, succeeded: bool, kept: Path | None) -> dict[str, Any]:
    return {
        "succeeded": succeeded,
        "seconds": round(seconds, 2),
        "directory": str(kept) if kept is not None else None,
        "steps": [{"name": step.name, "title": step.title, **step.data} for step in steps],
    }


def _keep(invocation: Invocation, directory: Path, address: str, repository: str) -> None:
    """Wait for Ctrl-C, and say meanwhile what can be tried."""
    if not invocation.json:
        config = f"-c {directory}/config.yaml"
        output.say()
        output.say("the registry and the state stay until Ctrl-C; in another terminal:")
        for line in (
            f"watcher status {config}",
            f"watcher executions {config}",
            f"curl -X POST 'http://{address}/_admin/push?repository={repository}&tag=1.2.0'",
            f"watcher run --once {config}",
        ):
            output.say(f"  {line}")
    sys.stdout.flush()
    with suppress(KeyboardInterrupt):
        threading.Event().wait()
