"""`watcher state check|export|import|vacuum`: looks at the file as a whole.

Only a vacuum needs a daemon to stop: reads are of one moment, and an import only makes new files.
"""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from watcher.core.pipeline import Json
from watcher.core.retention import Retention
from watcher.errors import StateError, UsageError
from watcher.store.connection import (
    build,
    connect,
    draft_of,
    open_state,
    place_new,
    pragma,
    schema_version,
    state_error,
    transaction,
    translated,
)
from watcher.store.lock import StateLock
from watcher.store.retention import excess
from watcher.store.schema import MIGRATIONS

FORMAT = "registry-watcher-state"
_ALONE = "a vacuum needs the file for itself: stop that process, and start it again afterwards"

# Parents before children, so that an import never refers to what is not there yet. What was asked
# of a daemon is no state.
TABLES = (
    "repository",
    "tag",
    "trigger_state",
    "trigger_switch",
    "execution",
    "stage_run",
    "approval",
    "activity",
    "decision",
    "held",
    "blocked",
    "catalog",
    "host",
    "quota",
    "deployment",
    "rejection",
    "retention",
    "notice",
    "trouble",
    "message",
    "delivery",
    "webhook_switch",
)

# What stands in the order in which it was written, not in that of its keys: parents came before
# their children, and of bundles under way the later one is the newer.
_ORDERS = {"execution": "number", "deployment": "rowid"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """What `watcher state check` found; `problems` is empty when all is well. Sizes are bytes:
    of the file, of what of it is `free` for new rows, and of the write-ahead `log` beside it.
    `over` is what the next rounds of retention would let go; None where that is not known."""

    path: Path
    schema: int = 0
    size: int = 0
    free: int = 0
    log: int = 0
    over: Mapping[str, int] | None = None
    rows: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.problems

    def to_json(self) -> dict[str, Json]:
        return {
            "path": str(self.path),
            "ok": self.ok,
            "schema": self.schema,
            "size": self.size,
            "free": self.free,
            "log": self.log,
            "over": None if self.over is None else dict(self.over),
            "rows": dict(self.rows),
            "problems": list(self.problems),
        }


def check(path: Path, retention: Retention | None = None, now: float = 0.0) -> CheckReport:
    """Read the whole file and say what is wrong with it; damage is part of the report. With a
    retention also what it would let go `now`, in seconds since the epoch.

    Raises StateError when there is no file, or one that can't be opened at all.
    """
    connection = open_state(path, create=False)
    with closing(connection):
        try:
            with transaction(connection, writes=False):
                return CheckReport(
                    path=path,
                    schema=schema_version(connection),
                    size=_size(path),
                    free=pragma(connection, "freelist_count") * pragma(connection, "page_size"),
                    log=_size(path.with_name(f"{path.name}-wal")),
                    over=excess(connection, retention, now) if retention else None,
                    rows={table: _count(connection, table) for table in TABLES},
                    problems=(*_integrity(connection), *_foreign_keys(connection)),
                )
        except sqlite3.DatabaseError as error:
            damage = state_error(path, error)
            return CheckReport(path=path, size=_size(path), problems=(damage.message,))


def vacuum(path: Path) -> tuple[int, int]:
    """Write the file anew without its free pages; its bytes before and after. From then on it
    gives back single pages too, as files made by this version do.

    Raises StateLocked while a daemon works on it, StateError when there is no room for a copy.
    """
    with (
        StateLock(path, command="watcher state vacuum", hint=_ALONE),
        translated(path),
        closing(open_state(path, create=False)) as connection,
    ):
        before = _size(path)
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return before, _size(path)


def export_state(path: Path) -> dict[str, Json]:
    """Everything in the state file as one JSON document, of one moment. Raises StateError."""
    with (
        translated(path),
        closing(open_state(path, create=False)) as connection,
        transaction(connection, writes=False),
    ):
        return {
            "format": FORMAT,
            "schema": schema_version(connection),
            "tables": {table: _export_table(connection, table) for table in TABLES},
            "numbers": _numbers(connection),
        }


def import_state(document: Json, path: Path) -> dict[str, int]:
    """Make a new state file of an export; the number of rows by table.

    The file appears complete or not at all. Raises UsageError when one stands there or when the
    document is no export, StateError when it can't be written.
    """
    if path.exists():
        raise UsageError(
            f"{path} exists; an import only makes a new state file",
            hint="move it away first, or name another file by `state:` in the config",
        )
    tables, numbers = _tables_of(document), _numbers_of(document)
    draft = draft_of(path)
    with translated(path):
        try:
            build(draft)
            with closing(connect(draft)) as connection:
                _import_tables(connection, tables, numbers)
            place_new(draft, path)
        except FileExistsError:
            raise UsageError(f"{path} has been made meanwhile; it is left as it is") from None
        except sqlite3.IntegrityError as error:
            raise UsageError(f"the document contradicts itself: {error}") from error
        except OverflowError as error:
            raise UsageError("the document has a number that no state file holds") from error
        finally:
            draft.unlink(missing_ok=True)
    return {table: len(rows) for table, rows in tables.items()}


def _integrity(connection: sqlite3.Connection) -> tuple[str, ...]:
    found = (row[0] for row in connection.execute("PRAGMA integrity_check"))
    return tuple(problem for problem in found if problem != "ok")


def _foreign_keys(connection: sqlite3.Connection) -> tuple[str, ...]:
    return tuple(
        f"{table}: a row refers to a missing row of {parent}"
        for table, _, parent, _ in connection.execute("PRAGMA foreign_key_check")
    )


def _count(connection: sqlite3.Connection, table: str) -> int:
    count: int = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608
    return count


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _export_table(connection: sqlite3.Connection, table: str) -> list[dict[str, Json]]:
    order = _ORDERS.get(table, "1, 2")
    cursor = connection.execute(f"SELECT * FROM {table} ORDER BY {order}")  # noqa: S608
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, map(_to_json, row), strict=True)) for row in cursor]


def _numbers(connection: sqlite3.Connection) -> dict[str, Json]:
    """By table the last number that was given, also where its row is gone: none is given twice."""
    return dict(connection.execute("SELECT name, seq FROM sqlite_sequence ORDER BY name"))


def _to_json(value: object) -> Json:
    return {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def _from_json(value: Json) -> object:
    if isinstance(value, list) or (isinstance(value, dict) and value.keys() != {"base64"}):
        raise UsageError("the export holds a value that is none of a column")
    return base64.b64decode(value["base64"]) if isinstance(value, dict) else value


def _tables_of(document: Json) -> dict[str, list[dict[str, Json]]]:
    """The rows of a document that looks like an export of this version."""
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise UsageError(
            "this is not an export of a state file", hint="`watcher state export` writes one"
        )
    if document.get("schema") != len(MIGRATIONS):
        raise StateError(
            f"the export has schema {document.get('schema')}, this version {len(MIGRATIONS)}",
            hint="import it with the version that exported it, then upgrade",
        )
    tables = document.get("tables")
    if not isinstance(tables, dict) or not all(_are_rows(tables.get(t)) for t in TABLES):
        raise UsageError("the export is incomplete: a table is missing or is no list of rows")
    return {table: tables[table] for table in TABLES}


def _numbers_of(document: Json) -> dict[str, int]:
    numbers = document.get("numbers")
    if not isinstance(numbers, dict) or not all(type(n) is int for n in numbers.values()):
        raise UsageError("the export is incomplete: it does not say which numbers were given")
    return numbers


def _are_rows(rows: Json) -> bool:
    return isinstance(rows, list) and all(isinstance(row, dict) for row in rows)


def _import_tables(
    connection: sqlite3.Connection,
    tables: Mapping[str, Sequence[Mapping[str, Json]]],
    numbers: Mapping[str, int],
) -> None:
    with transaction(connection):
        for table, rows in tables.items():
            known = _columns(connection, table)
            for row in rows:
                _insert(connection, table, known, row)
        connection.execute("DELETE FROM sqlite_sequence")
        connection.executemany("INSERT INTO sqlite_sequence VALUES (?, ?)", numbers.items())


def _columns(connection: sqlite3.Connection, table: str) -> frozenset[str]:
    return frozenset(row[1] for row in connection.execute(f"PRAGMA table_info({table})"))


def _insert(
    connection: sqlite3.Connection, table: str, known: Iterable[str], row: Mapping[str, Json]
) -> None:
    unknown = row.keys() - set(known)
    if unknown:
        raise UsageError(f"the export's table {table} has an unknown column {min(unknown)!r}")
    names = ", ".join(row)
    marks = ", ".join("?" * len(row))
    connection.execute(
        f"INSERT INTO {table} ({names}) VALUES ({marks})",  # noqa: S608 - names checked above
        [_from_json(value) for value in row.values()],
    )
