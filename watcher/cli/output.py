"""What the command line prints: tables and notes for people, one JSON value for scripts.

rich draws only for a terminal and is loaded only then; in a pipe the same table is plain columns,
never wrapped or coloured. Tags, names and errors come from strangers: control characters are cut
before anything reaches the terminal, and rich gets text, never markup.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from watcher.errors import Problem

Row = Sequence[object]


def clean(text: str) -> str:
    """One line without control characters, which could drive the terminal or forge a line."""
    return "".join(c if c.isprintable() else " " for c in text)


def cell(value: object) -> str:
    """A value as a table shows it; nothing known is a dash."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return clean(str(value))


def print_json(value: object) -> None:
    """The one JSON value of a command, ASCII only, so that no byte of it can drive a terminal."""
    sys.stdout.write(json.dumps(value, indent=2, default=_plain) + "\n")


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        from watcher.core.times import rfc3339

        return rfc3339(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def say(text: str = "") -> None:
    """A line of the result on stdout."""
    sys.stdout.write(clean(text) + "\n")


def first_line(text: str) -> str:
    """The first line, and how many more there are."""
    first, *more = text.splitlines() or [""]
    return f"{first} … and {count(len(more), 'line')} more" if more else first


def say_lines(text: str, *, indent: str) -> None:
    """A text of several lines on stdout; all but the first are indented."""
    first, *more = text.splitlines() or [""]
    say(first)
    for line in more:
        say(f"{indent}{line}")


def write(text: str) -> None:
    """Text of our own making, several lines, as it is."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")


def write_document(text: str) -> None:
    """A document from elsewhere: its lines stay, other control characters are cut."""
    for line in text.splitlines():
        sys.stdout.write("".join(c if c.isprintable() or c == "\t" else " " for c in line) + "\n")


def complain(message: str, hint: str | None = None) -> None:
    """A line on stderr, or several, all but the first indented; the hint in one of its own."""
    first, *more = message.splitlines() or [""]
    sys.stderr.write(clean(first) + "\n")
    for line in more:
        sys.stderr.write(f"  {clean(line)}\n")
    if hint:
        sys.stderr.write(f"hint: {clean(hint)}\n")


def problem_json(problem: Problem) -> dict[str, object]:
    return {
        "file": problem.file,
        "line": problem.line,
        "path": problem.path,
        "message": problem.message,
        "hint": problem.hint,
    }


def table(columns: Sequence[str], rows: Iterable[Row], *, empty: str) -> None:
    """Rows under their columns, numbers to the right; `empty` is said where there are none."""
    values = list(rows)
    cells = [[cell(value) for value in row] for row in values]
    right = [_are_numbers([row[index] for row in values]) for index in range(len(columns))]
    if not cells:
        say(empty)
    elif sys.stdout.isatty():
        _rich_table(columns, cells, right)
    else:
        _plain_table(columns, cells, right)


def _are_numbers(values: Iterable[object]) -> bool:
    known = [value for value in values if value is not None]
    return bool(known) and all(type(value) in (int, float) for value in known)


def _plain_table(columns: Sequence[str], rows: list[list[str]], right: Sequence[bool]) -> None:
    lines = [[column.upper() for column in columns], *rows]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    for line in lines:
        padded = (
            text.rjust(width) if is_number else text.ljust(width)
            for text, width, is_number in zip(line, widths, right, strict=True)
        )
        sys.stdout.write("  ".join(padded).rstrip() + "\n")


def _rich_table(columns: Sequence[str], rows: list[list[str]], right: Sequence[bool]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        longest = max(len(row[index]) for row in rows)
        drawn.add_column(
            column,
            overflow="fold",
            no_wrap=longest <= _SHORT,
            justify="right" if right[index] else "left",
        )
    for row in rows:
        drawn.add_row(*(Text(text, style=_STYLES.get(text, "")) for text in row))
    Console(file=sys.stdout).print(drawn)


_SHORT = 16
"""Characters of an id; what is no longer is never broken up, so that it can be copied."""

_STYLES = {
    "ok": "green",
    "SUCCEEDED": "green",
    "fired": "green",
    "FAILED": "red",
    "failing": "red",
    "stale": "red",
    "error": "red",
    "warning": "yellow",
    "quarantined": "yellow",
    "parked": "yellow",
    "held": "yellow",
    "rejected": "yellow",
    "RUNNING": "cyan",
    "WAITING": "cyan",
}


class Meter(Protocol):
    """Shows how far a piece of work is."""

    def advance(self, what: str) -> None:
        """One more is done; `what` names it."""
        ...


class _Silent:
    def advance(self, what: str) -> None:
        """Nobody looks."""


class _Bar:
    def __init__(self, bar: Any, task: Any) -> None:
        self._bar = bar
        self._task = task

    def advance(self, what: str) -> None:
        from rich.markup import escape

        self._bar.update(self._task, advance=1, description=escape(clean(what)))


@contextmanager
def progress(title: str, total: int | None) -> Iterator[Meter]:
    """A bar on stderr while a person waits; nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield _Silent()
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(file=sys.stderr), transient=True) as bar:
        yield _Bar(bar, bar.add_task(title, total=total))


def parse_time(text: str | datetime | float | None) -> datetime | None:
    if text is None or isinstance(text, datetime):
        return text
    if isinstance(text, int | float):
        return datetime.fromtimestamp(text, UTC)
    return datetime.fromisoformat(text)


def moment(when: str | datetime | float | None, now: datetime) -> str:
    """Local time and how far away it is, as people want it."""
    known = parse_time(when)
    if known is None:
        return "-"
    local, today = known.astimezone(), now.astimezone()
    shape = "%H:%M:%S" if local.date() == today.date() else "%Y-%m-%d %H:%M"
    return f"{local.strftime(shape)} ({_relative((now - known).total_seconds())})"


def _relative(seconds: float) -> str:
    text = length(abs(seconds))
    if abs(seconds) < 1:
        return "now"
    return f"{text} ago" if seconds > 0 else f"in {text}"


def count(number: int, noun: str) -> str:
    """`1 tag`, `2 tags`, `2 repositories`."""
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun[:-1]}ies" if noun.endswith("ry") else f"{number} {noun}s"


def length(seconds: float) -> str:
    """A stretch of time in its two largest units: `3m20s`, `2d4h`."""
    left = round(seconds)
    parts: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or parts:
            parts.append(f"{count}{unit}" if count else "")
    return "".join(parts[:2]) or "0s"


def is_watched() -> bool:
    """Whether a person looks at what is printed."""
    return sys.stdout.isatty()


def close_quietly() -> int:
    """The reader of our pipe has gone (`watcher status | head`): no error, nothing more to say."""
    with open(os.devnull, "w", encoding="utf-8") as nothing:
        os.dup2(nothing.fileno(), sys.stdout.fileno())
    return 0
