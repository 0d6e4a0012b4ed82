"""`watcher state`: check, back up, vacuum, export and import the state file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from watcher.cli import output
from watcher.cli.base import Invocation, group, pass_invocation
from watcher.cli.failure import FAILED, OK
from watcher.cli.refused import StateInUse
from watcher.cli.session import HasState, find_state, load_config
from watcher.errors import UsageError


@group("state", short_help="Check, back up, shrink, export, import the state file.")
def state() -> None:
    """The state file: what was seen, what was decided, what runs.

    No credential is in it; what a pipeline's stages say and print is.
    """


@state.command("check", short_help="Look for damage, and how large it is.")
@pass_invocation
def check(invocation: Invocation) -> int:
    """Let SQLite look through the whole file, and check that its parts fit together. Say how large
    it is, and what `retention` will let go."""
    from watcher.store import maintenance

    place = find_state(invocation)
    path, now = _existing(place), invocation.now().timestamp()
    retention = None if isinstance(place, StateInUse) else place.retention
    report = maintenance.check(path, retention, now)
    if invocation.json:
        output.print_json(report.to_json())
        return OK if report.ok else FAILED
    for problem in report.problems:
        output.say(problem)
    if report.ok:
        rows = ", ".join(f"{table} {count}" for table, count in report.rows.items() if count)
        output.say(f"{report.path} is sound: schema {report.schema}, {rows or 'empty'}")
    output.say(f"{_size(report.size)}, of it {_size(report.free)} free; log {_size(report.log)}")
    if report.over:
        over = ", ".join(f"{kind} {count}" for kind, count in report.over.items())
        output.say(f"over, by the config's retention: {over}")
    return OK if report.ok else FAILED


@state.command("backup", short_help="A consistent copy, also beside a running daemon.")
@click.argument("target", type=click.Path(path_type=Path))
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    metavar="N",
    help="TARGET is a directory: add a copy named by the time, and keep the newest N.",
)
@pass_invocation
def backup(invocation: Invocation, target: Path, keep: int | None) -> None:
    """Write a consistent copy of the state file to TARGET, which must not exist; or with --keep
    into the directory TARGET, for a timer."""
    from watcher.store import backups

    path = _existing(find_state(invocation))
    gone: list[Path] = []
    if keep is None:
        backups.backup_state(path, target)
    else:
        target, gone = backups.backup_into(path, target, keep, invocation.now())
    shape = {"file": str(path), "backup": str(target), "removed": [str(copy) for copy in gone]}
    _tell(invocation, shape, f"{path} is copied to {target}")


@state.command("vacuum", short_help="Write the file anew, without free space.")
@pass_invocation
def vacuum(invocation: Invocation) -> None:
    """Give the space that is free in the state file back to the system. No daemon may work on it,
    and the disk needs room for a second one meanwhile."""
    from watcher.store import maintenance

    path = _existing(load_config(invocation))
    before, after = maintenance.vacuum(path)
    shape = {"file": str(path), "before": before, "after": after}
    _tell(invocation, shape, f"{path} had {_size(before)} and has {_size(after)}")


@state.command("export", short_help="The state as JSON.")
@click.argument("target", type=click.Path(path_type=Path), required=False)
@pass_invocation
def export(invocation: Invocation, target: Path | None) -> None:
    """Print the whole state as one JSON value, or write it to TARGET, which must not exist."""
    import json

    from watcher.store import maintenance

    path = _existing(find_state(invocation))
    document = maintenance.export_state(path)
    if target is None:
        output.print_json(document)
        return
    try:
        with open(target, "x", encoding="utf-8", opener=_private) as file:
            json.dump(document, file)
    except FileExistsError as error:
        raise UsageError(f"{target} is there already", hint="name another file") from error
    except OSError as error:
        raise UsageError(f"{target} can't be written: {error.strerror}") from error
    _tell(invocation, {"file": str(path), "export": str(target)}, f"{path} is in {target}")


@state.command("import", short_help="A new state file from an export.")
@click.argument("source", type=click.Path(path_type=Path))
@pass_invocation
def import_(invocation: Invocation, source: Path) -> None:
    """Make the state file from an export; there must be none yet."""
    import json

    from watcher.store import maintenance

    config = load_config(invocation)
    try:
        data = json.loads(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{source} can't be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{source} is no export of the state: {error}") from error
    rows = maintenance.import_state(data, config.state)
    shape = {"file": str(config.state), "rows": rows}
    _tell(invocation, shape, f"{config.state} is made from {source}")


def _private(path: str, flags: int) -> int:
    """With the mode of the state file itself."""
    return os.open(path, flags, 0o640)


def _existing(place: HasState) -> Path:
    path = place.state
    if not path.exists():
        raise UsageError(f"there is no state file {path} yet", hint="the first run makes it")
    return path


def _size(size: int) -> str:
    return f"{size / 1024**2:.1f} MiB"


def _tell(invocation: Invocation, shape: dict[str, Any], line: str) -> None:
    if invocation.json:
        output.print_json(shape)
    else:
        output.say(line)
