"""`watcher poll` and `watcher baseline`: by this process, or by the daemon that runs already.

Only the holder of the state file's lock asks registries. When that is a daemon, the request goes
through the state file and the answer comes back there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from watcher.cli import output
from watcher.cli.base import Invocation, command, pass_invocation
from watcher.cli.failure import FAILED, OK
from watcher.cli.session import load_config, open_store
from watcher.config.lookup import select
from watcher.errors import StateLocked, UsageError

if TYPE_CHECKING:
    from watcher.config.load import Config
    from watcher.daemon.once import Selection
    from watcher.engine.poll_outcome import Purpose

LOOK_SECONDS = 0.2
PATIENCE = 300
WITHDRAWN = {"error": "withdrawn", "hint": None}

patience = click.option(
    "--wait",
    "seconds",
    type=click.IntRange(min=1),
    default=PATIENCE,
    show_default=True,
    help="Seconds to wait for the answer of a running daemon.",
)


@command("poll", short_help="Poll now.")
@click.argument("selection", required=False, metavar="[ACCOUNT[/REPOSITORY]]")
@patience
@pass_invocation
def poll(invocation: Invocation, selection: str | None, seconds: int) -> int:
    """Poll everything, an account, or one repository now, by the daemon where one runs."""
    from watcher.engine.poll_outcome import Purpose

    return _ask(invocation, selection, Purpose.DETECT, "poll", seconds)


@command("baseline", short_help="Take what is there now as seen.")
@click.argument("selection", metavar="ACCOUNT[/REPOSITORY]")
@patience
@pass_invocation
def baseline(invocation: Invocation, selection: str, seconds: int) -> int:
    """Record what the registry lists now as seen: nothing of it fires any more."""
    from watcher.engine.poll_outcome import Purpose

    return _ask(invocation, selection, Purpose.FAST_FORWARD, "baseline", seconds)


def _ask(
    invocation: Invocation, text: str | None, purpose: Purpose, kind: str, seconds: int
) -> int:
    from watcher.daemon.once import Selection

    config = load_config(invocation)
    selection = Selection(*select(config, text))

    def by_this_process() -> dict[str, Any]:
        from watcher.cli.passes import one_pass
        from watcher.daemon.requests import answer

        report = one_pass(
            invocation, config, purpose=purpose, selection=selection, command=f"watcher {kind}"
        )
        return answer(report.polls) | {"ok": report.ok}

    try:
        result = by_this_process()
    except StateLocked as held:
        result = _by_the_daemon(config, kind, selection, seconds, held, by_this_process)
    _show(invocation, result)
    return OK if _went_well(result) else FAILED


def _by_the_daemon(
    config: Config,
    kind: str,
    selection: Selection,
    seconds: int,
    held: StateLocked,
    by_this_process: Callable[[], dict[str, Any]],
) -> dict[str, Any]:
    """Ask through the state file; should the other process end unasked, do it after all."""
    from watcher.store.lock import holder

    payload = {"account": selection.account, "repository": selection.repository}
    deadline = time.monotonic() + seconds
    with open_store(config) as store, output.progress("waiting for the daemon", None):
        number = store.request(kind, payload)
        while time.monotonic() < deadline:
            request = store.request_result(number)
            if request is not None and request.finished:
                return _checked(request.result)
            time.sleep(LOOK_SECONDS)
            if holder(config.state) is None:
                with suppress(StateLocked):  # unless yet another one was faster
                    result = by_this_process()
                    store.finish_request(number, WITHDRAWN)
                    return result
        store.finish_request(number, WITHDRAWN)
    raise StateLocked(
        f"{held.message}; it did not answer within {seconds} s",
        hint="`run --once` takes no requests: try again when it is done",
    )


def _checked(result: dict[str, Any]) -> dict[str, Any]:
    if result.get("error"):
        raise UsageError(str(result["error"]), hint=result.get("hint"))
    return result


def _went_well(result: dict[str, Any]) -> bool:
    return bool(result.get("ok", True)) and not any(p["error"] for p in result["polls"])


def _show(invocation: Invocation, result: dict[str, Any]) -> None:
    if invocation.json:
        output.print_json({"ok": _went_well(result), "polls": result["polls"]})
        return
    output.table(
        ("account", "repository", "result", "tags", "changes", "executions", "error"),
        (
            (
                poll["account"],
                poll["repository"],
                poll["result"],
                poll["tags"],
                poll["changes"],
                ", ".join(poll["executions"]),
                poll["error"],
            )
            for poll in result["polls"]
        ),
        empty="there is nothing to poll",
    )
