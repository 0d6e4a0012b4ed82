"""The tree that a config file is read from: what was written, and on which line.

Made by `yaml_nodes`, walked by the kinds of `fields`. Nothing here knows YAML or a schema.
"""

from __future__ import annotations

from dataclasses import dataclass

Plain = None | bool | int | float | str


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value; `text` is what was written, before YAML 1.2 made it a number or boolean.
    `plain` means without quotes."""

    value: Plain
    text: str
    line: int
    plain: bool = True


@dataclass(frozen=True, slots=True)
class Sequence:
    items: tuple[Node, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A key of a mapping, always as the text that was written; `line` is the key's."""

    key: str
    value: Node
    line: int


@dataclass(frozen=True, slots=True)
class Mapping:
    """`repeated` holds the entries whose key stood before; who reads the mapping reports them."""

    entries: tuple[Entry, ...]
    line: int
    repeated: tuple[Entry, ...] = ()


Node = Scalar | Sequence | Mapping


def name_of(node: Node) -> str:
    """What a node is, in words; never its content, for that may be a secret."""
    match node:
        case Sequence():
            return "a list"
        case Mapping():
            return "a mapping"
        case Scalar(value=None):
            return "empty"
        case Scalar(value=bool()):
            return "a boolean"
        case Scalar(value=int() | float()):
            return "a number"
        case Scalar():
            return "text"
