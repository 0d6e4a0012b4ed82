"""`watcher trigger`: fires a trigger by hand, through its own rules unless forced."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING

import click

from watcher.cli import completing, output
from watcher.cli.base import Invocation, command, pass_invocation
from watcher.cli.failure import FAILED, OK, warn
from watcher.cli.session import load_config, open_store, read_store
from watcher.errors import UsageError

if TYPE_CHECKING:
    from watcher.config.load import Config


@command("trigger", short_help="Fire a trigger by hand.")
@click.argument("name", shell_complete=completing.triggers)
@click.option("--tag", required=True, help="The tag to fire for.")
@click.option(
    "--repository",
    shell_complete=completing.repositories,
    help="Needed when the trigger watches several.",
)
@click.option("--param", "pairs", multiple=True, metavar="K=V", help="May be repeated.")
@click.option("--force", is_flag=True, help="Whatever the trigger's own rules say.")
@click.option("--wait", is_flag=True, help="Wait for the end; show the stages on the way.")
@pass_invocation
def trigger(
    invocation: Invocation,
    name: str,
    tag: str,
    repository: str | None,
    pairs: tuple[str, ...],
    force: bool,
    wait: bool,
) -> int:
    """Queue a run of trigger NAME for a tag, as if it had just appeared.

    The trigger's own rules (switch, tag, order, downgrade) may refuse, as may a rollback that
    rejected the image; then the rule is named and nothing is queued. Where no daemon runs, the
    next `watcher run` carries it out, or --wait.
    """
    from watcher.engine.firing import Wish, plan

    config = load_config(invocation)
    wish = Wish(
        trigger=name,
        tag=tag,
        person=current_user(),
        repository=repository,
        parameters=parse_parameters(pairs),
        force=force,
    )
    with read_store(config) as store:
        planned = plan(config, store, wish, now=invocation.now())
    for warning in planned.warnings:
        warn(warning)
    with open_store(config, create=True) as store:
        store.submit(planned.run)
    return _finish(invocation, config, planned.run.id, wait=wait)


def parse_parameters(pairs: tuple[str, ...]) -> dict[str, str]:
    """`K=V` as given on the command line; a value stays the text it is."""
    parameters: dict[str, str] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key:
            raise UsageError(f"--param {pair!r} is not K=V")
        parameters[key] = value
    return parameters


def current_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in many containers
        return "unknown"


def _finish(invocation: Invocation, config: Config, identifier: str, *, wait: bool) -> int:
    from watcher.cli.follow import follow
    from watcher.engine.by_hand import find_execution
    from watcher.store.lock import holder

    held_by = holder(config.state)
    if wait:
        execution = follow(invocation, config, identifier)
    else:
        with open_store(config) as store:
            execution = find_execution(store, identifier)
    if invocation.json:
        from watcher.views.executions import execution_json

        output.print_json(execution_json(execution))
    elif wait:
        from watcher.cli.report import print_execution

        print_execution(execution)
    else:
        output.say(f"execution {identifier} is queued ({execution.pipeline.name})")
        if held_by is None:
            output.say("no daemon runs: the next `watcher run` carries it out")
    good = execution.status in ("QUEUED", "RUNNING", "WAITING", "SUCCEEDED")
    return OK if good else FAILED
