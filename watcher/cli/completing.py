"""What the shell completes besides commands and options: names that stand in the config.

Only the config file is read. Where it can't be used there is nothing to complete, and no error
that would be printed into the line which somebody types.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import click

from watcher.cli.base import Invocation
from watcher.cli.session import load_config, place_of_config
from watcher.errors import WatcherError

if TYPE_CHECKING:
    from watcher.config.load import Config

Completion = Callable[[click.Context, click.Parameter, str], list[str]]


def _completion(names: Callable[[Config, str], Iterable[str]]) -> Completion:
    """What click calls with the beginning of a word; `names` may have some that begin otherwise."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
        config = _config(context.find_object(Invocation) or Invocation())
        found = names(config, incomplete) if config is not None else ()
        return [name for name in dict.fromkeys(found) if name.startswith(incomplete)]

    return complete


def _config(invocation: Invocation) -> Config | None:
    """None where it can't be used, or is a pipe, which is there for another reader."""
    try:
        return load_config(invocation) if place_of_config(invocation) is not None else None
    except (WatcherError, OSError):
        return None


def _places(config: Config) -> Iterator[tuple[str, str]]:
    """Accounts with their repositories, but for those that only a catalog names."""
    for account in config.accounts:
        yield from ((account.name, repository) for repository in account.repositories)
    for trigger in config.triggers:
        yield from ((trigger.account, repository) for repository in trigger.repositories)


def _selections(config: Config, incomplete: str) -> Iterator[str]:
    """ACCOUNT, and its repositories as soon as only one can be meant: there may be thousands."""
    names = [account.name for account in config.accounts if account.name.startswith(incomplete)]
    yield from names
    if len(names) <= 1:
        yield from map("/".join, _places(config))


def _events(config: Config, incomplete: str) -> Iterator[str]:
    """What stands for held events, besides their numbers."""
    yield from (trigger.name for trigger in config.triggers)
    yield from map("/".join, _places(config))


accounts = _completion(lambda config, _: (each.name for each in config.accounts))
triggers = _completion(lambda config, _: (each.name for each in config.triggers))
pipelines = _completion(lambda config, _: (each.name for each in config.pipelines))
notifiers = _completion(lambda config, _: (each.name for each in config.notifiers))
repositories = _completion(lambda config, _: (repository for _, repository in _places(config)))
selections = _completion(_selections)
events = _completion(_events)

selected = click.argument(
    "selection",
    required=False,
    metavar="[ACCOUNT[/REPOSITORY]]",
    shell_complete=selections,
)
"""The account or repository that a command is about; all where none is named."""
