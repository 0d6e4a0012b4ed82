"""`watcher poll` and `watcher baseline`: by this process, or by the daemon that runs already.

Only the holder of the state file's lock asks registries. When that is a daemon, the request goes
through the state file and the answer comes back there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from watcher.cli import completing, output
from watcher.cli.asking import ask
from watcher.cli.base import Invocation, command, pass_invocation
from watcher.cli.failure import FAILED, OK, warn
from watcher.cli.session import load_config
from watcher.config.lookup import select
from watcher.errors import StateLocked

if TYPE_CHECKING:
    from watcher.engine.poll_outcome import Purpose

PATIENCE = 300

patience = click.option(
    "--wait",
    "seconds",
    type=click.IntRange(min=1),
    default=PATIENCE,
    show_default=True,
    help="Seconds to wait for the answer of a running daemon.",
)


@command("poll", short_help="Poll now.")
@completing.selected
@patience
@pass_invocation
def poll(invocation: Invocation, selection: str | None, seconds: int) -> int:
    """Poll everything, an account, or one repository now, by the daemon where one runs."""
    from watcher.engine.poll_outcome import Purpose

    return _ask(invocation, selection, Purpose.DETECT, "poll", seconds)


@command("baseline", short_help="Take what is there now as seen.")
@click.argument("selection", metavar="ACCOUNT[/REPOSITORY]", shell_complete=completing.selections)
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
        if report.is_stopped:
            warn("SIGTERM came before all was polled", "what the table lacks is as it was before")
        return answer(report.polls) | {"ok": report.ok and not report.is_stopped}

    try:
        result = by_this_process()
    except StateLocked as held:
        result = ask(
            config,
            kind,
            {"account": selection.account, "repository": selection.repository},
            seconds=seconds,
            held=held.message,
            otherwise=by_this_process,
        )
    _show(invocation, result)
    return OK if _went_well(result) else FAILED


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
        empty="there is nothing to poll" if _went_well(result) else "nothing was polled",
    )
    for hint in dict.fromkeys(poll["hint"] for poll in result["polls"] if poll["hint"]):
        output.say(f"hint: {hint}")
