"""YAML text to `nodes`, from PyYAML's events: YAML 1.2's scalars, no key twice, no bombs.

PyYAML's own constructors know YAML 1.1 (`on`, `0123`, `22:30`) and keep the last of two equal
keys. Messages name no value, for any value may be a secret. Imported by `load`; the reader of
manifests shares the events.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from watcher.config.nodes import Entry, Mapping, Node, Plain, Scalar, Sequence

MAXIMUM_DEPTH = 100
MAXIMUM_ALIASED = 100_000
_MOST_DIGITS = 300
Event = Any  # PyYAML's types leave out what its events carry
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STRING_TAGS = (None, "!", "tag:yaml.org,2002:str")
_WORDS: dict[str, Plain] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    "true": True,
    "false": False,
}
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)


class YamlError(Exception):
    """The text is not what we take for YAML; `line` counts from 1."""

    def __init__(self, line: int, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.line = line
        self.message = message
        self.hint = hint


def parse(text: str) -> Node | None:
    """The tree of the one document in the text; None when it is empty. Raises YamlError."""
    return _Builder(events(text)).document()


def events(text: str) -> Iterator[Event]:
    """PyYAML's events of the whole text, one at a time. Raises YamlError."""
    try:
        yield from yaml.parse(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error) from error
    except yaml.YAMLError as error:
        raise YamlError(
            _line_of_bad_character(text), "not valid YAML: a control character"
        ) from error


@dataclass(slots=True)
class _Builder:
    """Builds the tree bottom up. A finished anchor is shared by its aliases; what they stand for
    in all is bounded, so that no few lines of aliases grow to billions of values."""

    events: Iterator[Event]
    anchors: dict[str, Node | None] = field(default_factory=dict)
    sizes: dict[int, int] = field(default_factory=dict)
    aliased: int = 0

    def document(self) -> Node | None:
        root: Node | None = None
        documents = 0
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise YamlError(
                        _line(event),
                        "a second document begins here",
                        "a config file holds one; remove the `---`",
                    )
                root = self.node(next(self.events), 0)
        if isinstance(root, Scalar) and root.value is None:
            return None
        return root

    def node(self, event: Event, depth: int) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event)
        if depth > MAXIMUM_DEPTH:
            raise YamlError(_line(event), f"nested deeper than {MAXIMUM_DEPTH} levels")
        anchor = event.anchor
        if anchor is not None:
            self.anchors[anchor] = None
        node = self.new_node(event, depth)
        if anchor is not None:
            self.anchors[anchor] = node
        return node

    def new_node(self, event: Event, depth: int) -> Node:
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event)
        if event.tag not in (None, "!"):
            raise _tag_error(event)
        node: Node
        if isinstance(event, yaml.SequenceStartEvent):
            items = tuple(self.children(yaml.SequenceEndEvent, depth))
            node, parts = Sequence(items, _line(event)), items
        else:
            node = self.mapping(_line(event), depth)
            parts = tuple(entry.value for entry in node.entries)
        self.sizes[id(node)] = 1 + sum(self.size(part) for part in parts)
        return node

    def children(self, end: type[Any], depth: int) -> Iterator[Node]:
        while not isinstance(event := next(self.events), end):
            yield self.node(event, depth + 1)

    def mapping(self, line: int, depth: int) -> Mapping:
        entries: dict[str, Entry] = {}
        repeated: list[Entry] = []
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self.key(event)
            entry = Entry(key, self.node(next(self.events), depth + 1), _line(event))
            if key in entries:
                repeated.append(entry)
            else:
                entries[key] = entry
        return Mapping(tuple(entries.values()), line, tuple(repeated))

    def key(self, event: Event) -> str:
        node = self.alias(event) if isinstance(event, yaml.AliasEvent) else None
        if node is None and isinstance(event, yaml.ScalarEvent):
            node = self.node(event, 0)
        if not isinstance(node, Scalar):
            raise YamlError(_line(event), "a key must be text, not a list or a mapping")
        if node.text == "<<" and node.plain:
            raise YamlError(
                _line(event),
                "the merge key `<<` is not part of YAML 1.2",
                "write the keys out, or share whole values with & and *",
            )
        return node.text

    def alias(self, event: Event) -> Node:
        if event.anchor not in self.anchors:
            raise YamlError(
                _line(event),
                "an alias (*) without its anchor (&)",
                "a text that begins with * must be quoted",
            )
        node = self.anchors[event.anchor]
        if node is None:
            raise YamlError(_line(event), "an alias (*) inside its own anchor (&)")
        self.aliased += self.size(node)
        if self.aliased > MAXIMUM_ALIASED:
            raise YamlError(_line(event), f"aliases stand for more than {MAXIMUM_ALIASED} values")
        return node

    def size(self, node: Node) -> int:
        return self.sizes.get(id(node), 1)


def _syntax_error(error: yaml.MarkedYAMLError) -> YamlError:
    """PyYAML's own words, which quote at most one character of the text."""
    lines = [mark.line + 1 for mark in (error.context_mark, error.problem_mark) if mark is not None]
    line = lines[-1] if lines else 1
    hint = f"it begins in line {lines[0]}" if lines and lines[0] != line else None
    return YamlError(line, f"not valid YAML: {error.problem or error.context}", hint)


def _line(event: Event) -> int:
    return int(event.start_mark.line) + 1


def _tag_error(event: Event) -> YamlError:
    return YamlError(
        _line(event), "tags (!) are not used here", "a text that begins with ! must be quoted"
    )


def _scalar(event: Event) -> Scalar:
    text: str = event.value
    if event.tag not in _STRING_TAGS:
        raise _tag_error(event)
    if not event.implicit[0] or event.style:
        return Scalar(text, text, _line(event), plain=False)
    return Scalar(_value(text, _line(event)), text, _line(event))


def _value(text: str, line: int) -> Plain:
    """What YAML 1.2's core schema makes of a plain scalar; of booleans, only SPEC 3's two."""
    if text in _WORDS:
        return _WORDS[text]
    integer = _INTEGER.fullmatch(text)
    if integer is None and _FLOAT.fullmatch(text) is None:
        return text
    if len(text) > _MOST_DIGITS:
        raise YamlError(line, "a number of so many digits must be quoted")
    if integer is None:
        number = float(text)
        return number if abs(number) != float("inf") else text
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    return int(text, base)


def _line_of_bad_character(text: str) -> int:
    bad = re.search(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", text)
    return text.count("\n", 0, bad.start()) + 1 if bad else 1
