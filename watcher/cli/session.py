"""What commands open: the config, the log, the state file. Every import here is a late one, since
`run --once` pays for each.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from watcher.cli.base import Invocation
from watcher.errors import UsageError

if TYPE_CHECKING:
    from watcher.config.load import Config
    from watcher.core.account import Account
    from watcher.core.change import KnownRepository
    from watcher.core.pipeline import Pipeline
    from watcher.core.trigger import Trigger
    from watcher.store.sqlite import Store
    from watcher.telemetry.log import Log


_Named = TypeVar("_Named")


def load_config(invocation: Invocation) -> Config:
    """The config of this call; raises ConfigError with everything that is wrong with it."""
    from watcher.config.load import load
    from watcher.stages import OPTIONS, UNDOABLE

    return load(invocation.config, stages=OPTIONS, undoable=UNDOABLE, environment=os.environ)


def open_log(invocation: Invocation) -> Log:
    from watcher.telemetry.log import Log

    return Log(invocation.log_level, invocation.log_format)


@contextmanager
def open_store(config: Config, *, create: bool = False) -> Iterator[Store]:
    """The state file, beside a running daemon or alone. Raises StateError."""
    from watcher.store.sqlite import Store

    store = Store.open(config.state, create=create)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def read_store(config: Config) -> Iterator[Store | None]:
    """The state file to look into; None before the first run."""
    if not config.state.exists():
        yield None
        return
    with open_store(config) as store:
        yield store


def known_repository(store: Store | None, account: str, repository: str) -> KnownRepository:
    """What is stored of a repository; nothing before the first run."""
    from watcher.core.change import KnownRepository

    if store is not None:
        return store.known(account, repository)
    return KnownRepository(account=account, repository=repository, baselined=False)


def select(config: Config, text: str | None) -> tuple[str | None, str | None]:
    """`ACCOUNT`, `ACCOUNT/REPOSITORY` or nothing, as account and repository."""
    if not text:
        return None, None
    name, _, repository = text.partition("/")
    account = find_account(config, name)
    return name, account.registry.canonical_repository(repository) if repository else None


def find_account(config: Config, name: str) -> Account:
    return _find({account.name: account for account in config.accounts}, "account", name)


def find_trigger(config: Config, name: str) -> Trigger:
    return _find({trigger.name: trigger for trigger in config.triggers}, "trigger", name)


def find_pipeline(config: Config, name: str) -> Pipeline:
    return _find({pipeline.name: pipeline for pipeline in config.pipelines}, "pipeline", name)


def _find(named: Mapping[str, _Named], kind: str, name: str) -> _Named:
    if name in named:
        return named[name]
    from difflib import get_close_matches

    near = get_close_matches(name, named, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(named) or 'none'}"
    raise UsageError(f"there is no {kind} {name!r} in the config", hint=hint)
