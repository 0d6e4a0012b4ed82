"""The items of the top-level lists, each with its place, so that later checks can name it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from watcher.config import durations
from watcher.config.fields import ListOf, Section, key_path
from watcher.config.nodes import Mapping, Node, Scalar, Sequence
from watcher.config.reading import Invalid, Reading

Json = Any
Data = dict[str, Json]
Default = TypeVar("Default", timedelta, None)

NAME = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
NAME_RULE = "a name of a-z, 0-9 and dashes inside"
LOOSE_NAME = r"[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?"
LOOSE_NAME_RULE = "a name of letters and digits, with dashes, dots and underscores inside"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """`data` is what could be read, of a `broken` item only a part; `given` are the keys that
    were written. Checks look at what is there, so that all problems show at once."""

    path: str
    line: int
    name: str | None
    data: Data
    given: frozenset[str]
    broken: bool
    reading: Reading

    def refuse(self, key: str, message: str, hint: str | None = None) -> None:
        """Report a problem of a key below the item; `key` may be a path such as `a.b[0]`."""
        path = key_path(self.path, key)
        line = self.reading.lines.get(path, self.line)
        self.reading.refuse_at(line, path, message, hint)

    @property
    def problem_count(self) -> int:
        return len(self.reading.problems)


class Items(ListOf):
    """A list whose items are read to Item; the broken ones are kept for what they say."""

    def read(self, node: Node, path: str, reading: Reading) -> list[Json] | Invalid:
        if not isinstance(node, Sequence) or not isinstance(self.kind, Section):
            return super().read(node, path, reading)
        items = []
        for index, part in enumerate(node.items):
            place = f"{path}[{index}]"
            if isinstance(part, Mapping):
                items.append(_item(self.kind, part, place, reading))
            else:
                self.kind.read(part, place, reading)
        return items


def _item(kind: Section, node: Mapping, path: str, reading: Reading) -> Item:
    found = len(reading.problems)
    data = kind.read_entries(node, path, reading)
    written = {entry.key: entry.value for entry in node.entries}
    name = written.get("name")
    return Item(
        path=path,
        line=node.line,
        name=name.text if isinstance(name, Scalar) else None,
        data=data,
        given=frozenset(written),
        broken=len(reading.problems) > found,
        reading=reading,
    )


def span(data: Data, key: str, default: Default) -> timedelta | Default:
    """The duration at a key that was read before, or the default."""
    return durations.parse(data[key]) if key in data else default
