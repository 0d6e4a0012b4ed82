"""Copies of the state file, also while a daemon writes: one under a given name, or the newest few
in a directory, for a timer. A copy appears complete or not at all.
"""

from __future__ import annotations

import re
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from watcher.errors import UsageError
from watcher.store.connection import copy_database, draft_of, open_state, place_new, translated

_DATED = "%Y%m%dT%H%M%SZ"


def backup_state(path: Path, target: Path) -> None:
    """Copy the state file as it is, whatever its schema. Raises UsageError when `target` exists,
    StateError for the rest."""
    if target.exists():
        raise _is_there(target)
    with closing(open_state(path, create=False, upgrade=False)) as connection, translated(target):
        draft = draft_of(target)
        try:
            copy_database(connection, draft)
            place_new(draft, target)
        except FileExistsError:
            raise _is_there(target) from None
        finally:
            draft.unlink(missing_ok=True)


def backup_into(path: Path, directory: Path, keep: int, now: datetime) -> tuple[Path, list[Path]]:
    """Add a copy with a dated name to a directory, and let go of all but the newest `keep` of
    them; the new one, and those that went. Files with other names are left alone.

    Raises UsageError and StateError; then no earlier copy went.
    """
    if not directory.is_dir():
        raise UsageError(f"{directory} is no directory", hint="make it, or leave --keep out")
    target = directory / f"{path.stem}-{now.astimezone(UTC):{_DATED}}{path.suffix}"
    backup_state(path, target)
    others = [copy for copy in _copies(path, directory) if copy != target]
    gone = others[: max(0, len(others) + 1 - keep)]
    with translated(directory):
        for copy in gone:
            copy.unlink(missing_ok=True)
    return target, gone


def _copies(path: Path, directory: Path) -> list[Path]:
    """The oldest first, as their names say."""
    name = re.compile(rf"{re.escape(path.stem)}-\d{{8}}T\d{{6}}Z{re.escape(path.suffix)}")
    return sorted(file for file in directory.iterdir() if name.fullmatch(file.name))


def _is_there(target: Path) -> UsageError:
    return UsageError(f"{target} exists", hint="a backup never replaces a file; name another")
