"""What commands open: the config, the log, the state file. Every import here is a late one, since
`run --once` pays for each.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from watcher.cli.base import Invocation
from watcher.cli.failure import warn
from watcher.errors import ConfigError, UsageError

ELSEWHERE = "a daemon that keeps another is found by `state:` or $STATE_DIRECTORY"

if TYPE_CHECKING:
    from pathlib import Path

    from watcher.cli.refused import StateInUse
    from watcher.config.load import Config
    from watcher.store.sqlite import Store
    from watcher.telemetry.log import Log


class HasState(Protocol):
    """Whatever says where the state file is."""

    @property
    def state(self) -> Path:
        """Its place."""
        ...


def load_config(invocation: Invocation) -> Config:
    """The config of this call; raises ConfigError with everything that is wrong with it."""
    from watcher.config.load import load
    from watcher.stages import OPTIONS, UNDOABLE

    return load(invocation.config, stages=OPTIONS, undoable=UNDOABLE, environment=os.environ)


def place_of_config(invocation: Invocation) -> Path | None:
    """The file or directory of the config; None for a pipe, which can be read only once. Raises
    ConfigError where there is none."""
    from watcher.config import files

    path = files.find(invocation.config, os.environ, files.SYSTEM_FILE)
    return path if path.is_file() or path.is_dir() else None


def find_state(invocation: Invocation) -> Config | StateInUse:
    """The config of this call; or, where that is refused by now, the state file that a process
    goes on with which had read it before. Raises ConfigError where there is no such process."""
    try:
        return load_config(invocation)
    except ConfigError as error:
        from watcher.cli.refused import state_in_use

        found = state_in_use(invocation, error)
        if found is None:
            raise
        return found


def open_log(invocation: Invocation, kind: type[Log] | None = None) -> Log:
    """The log of this call. Raises UsageError for a file that can't be opened."""
    from watcher.telemetry.log import Log

    file = invocation.log_file
    try:
        return (kind or Log)(invocation.log_level, invocation.log_format, file=file)
    except OSError as error:
        raise UsageError(
            f"the log file {file} can't be opened: {error.strerror}",
            hint="its directory has to exist and belong to this user",
        ) from error


@contextmanager
def open_store(config: HasState, *, create: bool = False) -> Iterator[Store]:
    """The state file, beside a running daemon or alone. One that is made says so, for a daemon
    may keep another. Raises StateError."""
    from watcher.store.sqlite import Store

    if create and not config.state.exists():
        warn(f"a new state file is made: {config.state}", ELSEWHERE)
    store = Store.open(config.state, create=create)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def read_store(config: HasState) -> Iterator[Store | None]:
    """The state file to look into; None before the first run."""
    if not config.state.exists():
        yield None
        return
    with open_store(config) as store:
        yield store
