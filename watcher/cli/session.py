"""What commands open: the config, the log, the state file. Every import here is a late one, since
`run --once` pays for each.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from watcher.cli.base import Invocation
from watcher.cli.failure import warn
from watcher.errors import UsageError

ELSEWHERE = "a daemon that keeps another is found by `state:` or $STATE_DIRECTORY"

if TYPE_CHECKING:
    from watcher.config.load import Config
    from watcher.store.sqlite import Store
    from watcher.telemetry.log import Log


def load_config(invocation: Invocation) -> Config:
    """The config of this call; raises ConfigError with everything that is wrong with it."""
    from watcher.config.load import load
    from watcher.stages import OPTIONS, UNDOABLE

    return load(invocation.config, stages=OPTIONS, undoable=UNDOABLE, environment=os.environ)


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
def open_store(config: Config, *, create: bool = False) -> Iterator[Store]:
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
def read_store(config: Config) -> Iterator[Store | None]:
    """The state file to look into; None before the first run."""
    if not config.state.exists():
        yield None
        return
    with open_store(config) as store:
        yield store
