"""The open state file: its one connection, its transactions, its clock.

`upkeep.Upkeep` and `sqlite.Store` are made of it, and give each method one transaction. Here errors
of SQLite become ours.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from watcher.errors import StateUnwritable
from watcher.store.connection import Fault, no_fault, open_state, transaction, translated
from watcher.store.schema import MIGRATIONS, Migration


def _utc_now() -> datetime:
    return datetime.now(UTC)


class StateFile:
    """Every method may raise StateError; then nothing of it was written.

    `commits` counts the transactions that changed the file. `fault` is called at named points, so
    that a test can stop the process there.
    """

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        *,
        fault: Fault = no_fault,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        self.path = path
        self.commits = 0
        self._db = connection
        self._file = _identity(path)
        self._fault = fault
        self._clock = clock

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        create: bool = True,
        fault: Fault = no_fault,
        clock: Callable[[], datetime] = _utc_now,
        migrations: Sequence[Migration] = MIGRATIONS,
    ) -> Self:
        """Open the state file, make it when there is none, bring an older one up to date.

        Raises StateUnwritable, StateCorrupt, StateTooNew; StateError when it is missing and
        `create` is False.
        """
        connection = open_state(path, create=create, migrations=migrations)
        return cls(path, connection, fault=fault, clock=clock)

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def data_version(self) -> int:
        """Another number whenever another connection wrote; a look costs microseconds."""
        with self._reading() as db:
            version: int = db.execute("PRAGMA data_version").fetchone()[0]
            return version

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with translated(self.path), transaction(self._db, writes=False):
            yield self._db

    @contextmanager
    def _writing(self, what: str, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """One transaction. Bookkeeping that may be lost is written without waiting for the disk."""
        self._check_place()
        with translated(self.path):
            if not durable:
                self._db.execute("PRAGMA synchronous = NORMAL")
            try:
                before = self._db.total_changes
                with transaction(self._db):
                    yield self._db
                    self._fault(f"{what}.before_commit")
                self.commits += self._db.total_changes > before
            finally:
                if not durable:
                    self._db.execute("PRAGMA synchronous = FULL")
        self._fault(f"{what}.after_commit")

    def _check_place(self) -> None:
        """What is written into a file that is no longer in its place, nobody finds: other commands
        look there, and what was deleted goes with this process."""
        if _identity(self.path) != self._file:
            raise StateUnwritable(
                f"{self.path} was moved, deleted or replaced while it was open",
                hint="put it back, or restart to go on with what is there now",
            )


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and inode; None where there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
