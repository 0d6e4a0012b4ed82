"""Opens the state file, brings it up to date, and turns what SQLite says into errors of ours.

A file that can't be used is never replaced: a new one is built beside its place and linked there
only if the place is free. Imported by the modules of this package only.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from watcher.errors import (
    StateCorrupt,
    StateError,
    StateLocked,
    StateTooNew,
    StateUnwritable,
)
from watcher.store.schema import APPLICATION_ID, MIGRATIONS, Migration

BUSY_SECONDS = 10.0
JOURNAL_BYTES = 16 * 1024 * 1024
"""To which the write-ahead log is cut after a long reader made it grow."""

Fault = Callable[[str], None]


def no_fault(point: str) -> None:
    """What happens at a named point outside of tests: nothing."""


def open_state(
    path: Path, *, create: bool = True, migrations: Sequence[Migration] = MIGRATIONS
) -> sqlite3.Connection:
    """A connection to the state file, in the newest schema.

    Raises StateError: StateUnwritable, StateCorrupt, StateTooNew, StateLocked, or, without
    `create`, when there is none.
    """
    if not path.exists():
        if not create:
            raise StateError(
                f"there is no state file at {path}",
                hint="`watcher run` makes it; or name another one by `state:` in the config",
            )
        _create(path, migrations)
    with translated(path):
        connection = connect(path)
    try:
        with translated(path):
            _check_identity(path, connection)
            _upgrade(path, connection, migrations)
    except BaseException:
        connection.close()
        raise
    return connection


def connect(path: Path) -> sqlite3.Connection:
    """A connection as all of ours are; checks nothing yet. Raises sqlite3.Error."""
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode=rw",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
    )
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {JOURNAL_BYTES}")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection, *, writes: bool = True) -> Iterator[None]:
    """All of it or nothing, on one state of the file; a writing one takes the lock at once."""
    connection.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            with suppress(sqlite3.Error):  # the first error says more
                connection.execute("ROLLBACK")
        raise


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raises StateError for what SQLite or the system says about the file."""
    try:
        yield
    except sqlite3.IntegrityError:
        raise  # a fault of this program, not of the file
    except sqlite3.Error as error:
        raise state_error(path, error) from error
    except OSError as error:
        raise _unwritable(path, error.strerror or str(error)) from error


def state_error(path: Path, error: sqlite3.Error) -> StateError:
    """What the caller can do about SQLite's error."""
    name: str = getattr(error, "sqlite_errorname", "")
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return corrupt(path, str(error))
    if name.startswith(
        ("SQLITE_FULL", "SQLITE_READONLY", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_PERM")
    ):
        return _unwritable(path, str(error))
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return StateLocked(
            f"{path}: another process has been writing for more than {BUSY_SECONDS:.0f} s",
            hint="try again when it is done",
            temporary=True,
        )
    return StateError(f"{path}: {error}", hint="`watcher state check` says more")


def corrupt(path: Path, what: str) -> StateCorrupt:
    return StateCorrupt(
        f"{path} is damaged or not a state file: {what}",
        hint="it is left as it is; restore it from `watcher state backup`, or move it away to "
        "start with a new baseline",
    )


def _unwritable(path: Path, what: str) -> StateUnwritable:
    return StateUnwritable(
        f"{path} can't be written: {what}",
        hint="check that the disk has room, and that the directory exists and belongs to this user",
    )


def _create(path: Path, migrations: Sequence[Migration]) -> None:
    """Build the file beside its place, so that the place never holds half of one."""
    if not path.parent.is_dir():
        raise StateUnwritable(
            f"{path} can't be made: the directory {path.parent} does not exist",
            hint="make the directory, or name another place by `state:` in the config",
        )
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    with translated(path):
        build(draft, migrations)
        try:
            place_new(draft, path)
        except FileExistsError:
            pass  # another process was faster, and its file is as good
        finally:
            draft.unlink(missing_ok=True)


def build(path: Path, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Make an empty state file. Raises sqlite3.Error and OSError."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o640)
    with closing(connect(path)) as connection:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # has to come before any table
        connection.execute("PRAGMA journal_mode = WAL")
        with transaction(connection):
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            for migration in migrations:
                for statement in migration:
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {len(migrations)}")


def place_new(draft: Path, path: Path) -> None:
    """Give a finished file its name, durably. Raises FileExistsError when the name is taken."""
    os.link(draft, path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _check_identity(path: Path, connection: sqlite3.Connection) -> None:
    if path.stat().st_size == 0:
        raise corrupt(path, "the file is empty")
    if _pragma(connection, "application_id") != APPLICATION_ID:
        raise corrupt(path, "it is the SQLite file of another program")


def _upgrade(path: Path, connection: sqlite3.Connection, migrations: Sequence[Migration]) -> None:
    version = schema_version(connection)
    if version > len(migrations):
        raise StateTooNew(
            f"{path} was written by a newer version of this program "
            f"(schema {version}, this one knows {len(migrations)})",
            hint="run that version, or restore a backup made before the upgrade",
        )
    if version < len(migrations):
        copy_database(connection, path.with_name(f"{path.name}.before-{version + 1}"))
    for number in range(version + 1, len(migrations) + 1):
        _migrate(connection, migrations[number - 1], number)


def _migrate(connection: sqlite3.Connection, migration: Migration, number: int) -> None:
    with transaction(connection):
        if schema_version(connection) >= number:
            return  # another process did it while this one waited
        for statement in migration:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {number}")


def schema_version(connection: sqlite3.Connection) -> int:
    return _pragma(connection, "user_version")


def copy_database(connection: sqlite3.Connection, target: Path) -> None:
    """A consistent copy by SQLite's backup, also while others write; replaces `target` at once."""
    draft = target.with_name(f".{target.name}.{os.getpid()}.new")
    draft.unlink(missing_ok=True)
    try:
        draft.touch(mode=0o640)
        with closing(connect(draft)) as copy:
            connection.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, whatever happens to it next
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value
