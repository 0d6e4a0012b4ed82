"""Finds what people name in a config that was loaded; what is not there is said with the nearest
right name. For the command line and the API.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from watcher.config.load import Config
from watcher.core.account import Account
from watcher.core.notifier import Notifier
from watcher.core.pipeline import Pipeline
from watcher.core.trigger import Trigger
from watcher.errors import UnknownName

_Named = TypeVar("_Named")


def select(config: Config, text: str | None) -> tuple[str | None, str | None]:
    """`ACCOUNT`, `ACCOUNT/REPOSITORY` or nothing, as account and repository."""
    if not text:
        return None, None
    name, _, repository = text.partition("/")
    return name, canonical(config, name, repository or None)


def canonical(config: Config, account: str, repository: str | None) -> str | None:
    """The repository as the account's registry spells it; raises UnknownName for the account."""
    registry = find_account(config, account).registry
    return None if repository is None else registry.canonical_repository(repository)


def find_account(config: Config, name: str) -> Account:
    return _find({account.name: account for account in config.accounts}, "account", name)


def find_trigger(config: Config, name: str) -> Trigger:
    return _find({trigger.name: trigger for trigger in config.triggers}, "trigger", name)


def find_pipeline(config: Config, name: str) -> Pipeline:
    return _find({pipeline.name: pipeline for pipeline in config.pipelines}, "pipeline", name)


def find_notifier(config: Config, name: str) -> Notifier:
    return _find({notifier.name: notifier for notifier in config.notifiers}, "notifier", name)


def _find(named: Mapping[str, _Named], kind: str, name: str) -> _Named:
    if name in named:
        return named[name]
    from difflib import get_close_matches

    near = get_close_matches(name, named, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(named) or 'none'}"
    raise UnknownName(f"there is no {kind} {name!r} in the config", hint=hint)
