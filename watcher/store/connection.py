"""Opens the state file, brings it up to date, and turns what SQLite says into errors of ours.

A file that can't be used is never replaced: a new one is built beside its place and linked there
only if the place is free. Imported by the modules of this package only.
"""

from __future__ import annotations

import os
import sqlite3
import time
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
from watcher.store.lock import give_to_owner, holder
from watcher.store.schema import APPLICATION_ID, MIGRATIONS, Migration

BUSY_SECONDS = 10.0
JOURNAL_BYTES = 16 * 1024 * 1024
"""To which the write-ahead log is cut after a long reader made it grow."""

_WITHOUT_LOG = b"\x01\x01"
_DRAFT_SECONDS = 3600.0
"""After which a file that was never finished is nobody's."""

Fault = Callable[[str], None]


def no_fault(point: str) -> None:
    """What happens at a named point outside of tests: nothing."""


def open_state(
    path: Path,
    *,
    create: bool = True,
    upgrade: bool = True,
    migrations: Sequence[Migration] = MIGRATIONS,
) -> sqlite3.Connection:
    """A connection to the state file, in the newest schema, or with `upgrade` off as it is.

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
        _refuse_log_of_another(path)
        connection = connect(path)
    try:
        with translated(path):
            _check_identity(path, connection)
            if upgrade:
                _upgrade(path, connection, migrations)
                _keep_log(connection)
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
    draft = draft_of(path)
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
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o640)
    try:
        give_to_owner(file, path.parent)
    finally:
        os.close(file)
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
    """Give a finished file its name, durably. Raises FileExistsError when the name is taken, and
    StateError when the log of a file that had it before is still there."""
    _refuse_beside_log(path)
    os.link(draft, path)
    _sync_directory(path)


def _refuse_log_of_another(path: Path) -> None:
    """A copy is marked as a file without a write-ahead log (bytes 18 and 19 of its header), so one
    beside it is that of the file which it was put in the place of."""
    log = path.with_name(f"{path.name}-wal")
    if not _holds_something(log):
        return
    with path.open("rb") as file:
        marks = file.read(20)[18:]
    if marks == _WITHOUT_LOG:
        raise StateCorrupt(
            f"{path} is a copy, and {log} is the log of another file, which would damage it",
            hint=f"move {log.name} and {path.name}-shm away",
        )


def _holds_something(file: Path) -> bool:
    try:
        return file.stat().st_size > 0
    except FileNotFoundError:
        return False


def _refuse_beside_log(path: Path) -> None:
    """SQLite would write what a log of another file holds into the new one. Where another process
    makes the file just now, its log comes after it."""
    for log in (path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-journal")):
        if _holds_something(log) and not path.exists():
            raise StateError(
                f"{path} can't be made beside {log}, the log of a file that stood there before",
                hint="the log is part of that file: put the file back, or move the log to it",
            )


def _sync_directory(path: Path) -> None:
    """So that a name given in it outlives a power cut."""
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _check_identity(path: Path, connection: sqlite3.Connection) -> None:
    if path.stat().st_size == 0:
        raise corrupt(path, "the file is empty")
    if pragma(connection, "application_id") != APPLICATION_ID:
        raise corrupt(path, "it is the SQLite file of another program")


def _upgrade(path: Path, connection: sqlite3.Connection, migrations: Sequence[Migration]) -> None:
    """All steps at once, after a copy: a process that dies on the way leaves the old file."""
    version, newest = schema_version(connection), len(migrations)
    if version > newest:
        raise _too_new(path, version, newest)
    if version == newest:
        return
    _refuse_beside_old_version(path)
    with transaction(connection):
        version = schema_version(connection)
        if version >= newest:
            return  # another process did it while this one waited
        with closing(connect(path)) as reader:  # it sees what was there before the transaction
            replace_copy(reader, path.with_name(f"{path.name}.before-{version + 1}"))
        for migration in migrations[version:]:
            for statement in migration:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {newest}")


def _keep_log(connection: sqlite3.Connection) -> None:
    """A copy has no write-ahead log, so that it is one file; a state file that was restored from
    it has one again, without which who reads for long keeps others from writing."""
    with suppress(sqlite3.OperationalError):  # somebody else has it open; the next one does it
        connection.execute("PRAGMA journal_mode = WAL")


def _too_new(path: Path, version: int, newest: int) -> StateTooNew:
    copy = path.with_name(f"{path.name}.before-{newest + 1}")
    other = f"{copy}, which the upgrade made," if copy.exists() else "a backup made before that"
    return StateTooNew(
        f"{path} was written by a newer version of this program "
        f"(schema {version}, this one knows {newest}); it is left as it is",
        hint=f"run the newer version, or put {other} in its place: what was seen since then is "
        "seen once more, so look at `watcher run --once --dry-run` first",
    )


def _refuse_beside_old_version(path: Path) -> None:
    """A daemon of the old version would go on with tables that it does not know."""
    at_work = holder(path)
    if at_work is not None and at_work.pid != os.getpid():
        raise StateLocked(
            f"{path} has to be brought up to date, and {at_work} of an older version works on it",
            hint="stop that one first",
        )


def schema_version(connection: sqlite3.Connection) -> int:
    return pragma(connection, "user_version")


def copy_database(connection: sqlite3.Connection, draft: Path) -> None:
    """A consistent copy by SQLite's backup, also while others write: one file, on the disk, for
    this user only. Raises sqlite3.Error and OSError, and leaves no part of one."""
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    try:
        with closing(connect(draft)) as copy:
            connection.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, whatever happens to it next
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def replace_copy(connection: sqlite3.Connection, target: Path) -> None:
    """Copy it to `target`, in the place of an older copy, at once."""
    draft = draft_of(target)
    copy_database(connection, draft)
    os.replace(draft, target)
    _sync_directory(target)


def draft_of(path: Path) -> Path:
    """Where a file grows until it is whole; what a killed process left there goes."""
    for left in path.parent.glob(".*.new*"):
        with suppress(OSError):
            is_ours = left.name.startswith(f".{path.name}.")
            if is_ours and time.time() - left.stat().st_mtime > _DRAFT_SECONDS:
                left.unlink()
    return path.with_name(f".{path.name}.{os.getpid()}.new")


def pragma(connection: sqlite3.Connection, name: str) -> int:
    """What SQLite says of the file, where that is a number."""
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value
