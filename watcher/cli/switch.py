"""`watcher enable` and `disable`: switch a trigger at run time; the switch outlives a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from watcher.cli import completing, output
from watcher.cli.base import Invocation, command, pass_invocation
from watcher.cli.refused import StateInUse
from watcher.cli.session import find_state, open_store
from watcher.config.lookup import find_trigger
from watcher.errors import UnknownName

if TYPE_CHECKING:
    from watcher.config.load import Config


@command("enable", short_help="Switch a trigger on.")
@click.argument("trigger", shell_complete=completing.triggers)
@pass_invocation
def enable(invocation: Invocation, trigger: str) -> None:
    """Switch TRIGGER on, whatever the config says; what came meanwhile does not fire."""
    _switch(invocation, trigger, on=True)


@command("disable", short_help="Switch a trigger off.")
@click.argument("trigger", shell_complete=completing.triggers)
@pass_invocation
def disable(invocation: Invocation, trigger: str) -> None:
    """Switch TRIGGER off, whatever the config says. Its repositories are still polled."""
    _switch(invocation, trigger, on=False)


def _switch(invocation: Invocation, name: str, *, on: bool) -> None:
    place = find_state(invocation)
    _check_is_trigger(place, name)
    with open_store(place, create=True) as store:
        store.set_enabled(name, on)
    if invocation.json:
        output.print_json({"trigger": name, "enabled": on})
    else:
        output.say(f"trigger {name} is {'on' if on else 'off'}")


def _check_is_trigger(place: Config | StateInUse, name: str) -> None:
    """Raises UnknownName for one that neither the config nor the daemon knows."""
    if not isinstance(place, StateInUse):
        find_trigger(place, name)
        return
    names = [trigger["name"] for trigger in place.ask("triggers")]
    if name not in names:
        raise UnknownName(
            f"{place.held_by} has no trigger {name!r}", hint=f"it has: {', '.join(names) or 'none'}"
        )
