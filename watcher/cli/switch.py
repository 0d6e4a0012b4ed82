"""`watcher enable` and `disable`: switch a trigger at run time; the switch outlives a restart."""

from __future__ import annotations

import click

from watcher.cli import output
from watcher.cli.base import Invocation, command, pass_invocation
from watcher.cli.session import load_config, open_store
from watcher.config.lookup import find_trigger


@command("enable", short_help="Switch a trigger on.")
@click.argument("trigger")
@pass_invocation
def enable(invocation: Invocation, trigger: str) -> None:
    """Switch TRIGGER on, whatever the config says; what came meanwhile does not fire."""
    _switch(invocation, trigger, on=True)


@command("disable", short_help="Switch a trigger off.")
@click.argument("trigger")
@pass_invocation
def disable(invocation: Invocation, trigger: str) -> None:
    """Switch TRIGGER off, whatever the config says. Its repositories are still polled."""
    _switch(invocation, trigger, on=False)


def _switch(invocation: Invocation, name: str, *, on: bool) -> None:
    config = load_config(invocation)
    trigger = find_trigger(config, name)
    with open_store(config, create=True) as store:
        store.set_enabled(trigger.name, on)
    if invocation.json:
        output.print_json({"trigger": trigger.name, "enabled": on})
    else:
        output.say(f"trigger {trigger.name} is {'on' if on else 'off'}")
