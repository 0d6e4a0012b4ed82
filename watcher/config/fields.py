"""Each key of the config is declared once, as a Field with a kind: that drives reading, the JSON
Schema and the documentation.

Kinds read nodes to plain data (str, int, float, bool, None, list, dict): durations stay as
written, paths become absolute, defaults are filled in. Stages declare their options with these.
"""

from __future__ import annotations

import re
from collections.abc import Mapping as MappingType
from dataclasses import dataclass

from watcher.config.nodes import Entry, Mapping, Node, Scalar, Sequence, name_of
from watcher.config.reading import INVALID, Invalid, Reading, nearest
from watcher.config.scalars import (
    Boolean,
    Choice,
    Duration,
    Integer,
    Json,
    Kind,
    Number,
    PathValue,
    Pattern,
    Text,
)

__all__ = [
    "Anything",
    "Boolean",
    "Choice",
    "Duration",
    "Either",
    "Field",
    "Integer",
    "Kind",
    "ListOf",
    "MapOf",
    "Number",
    "PathValue",
    "Pattern",
    "Section",
    "Text",
]


@dataclass(frozen=True, slots=True)
class Field:
    """One key. `default` is filled in, as plain data, where the key is left out (None: nothing
    is); `doc` says what the key means, `default_doc` what happens without it."""

    kind: Kind
    required: bool = False
    default: Json = None
    doc: str = ""
    example: Json = None
    default_doc: str = ""

    def schema(self) -> dict[str, Json]:
        schema = dict(self.kind.schema())
        if self.doc:
            schema["description"] = self.doc
        if self.default is not None:
            schema["default"] = self.default
        if self.example is not None:
            schema["examples"] = [self.example]
        return schema


class ListOf(Kind):
    """A list of one kind."""

    def __init__(self, kind: Kind, *, minimum: int = 0, unique: bool = False) -> None:
        self.kind = kind
        self.minimum = minimum
        self.unique = unique

    def accepts(self, node: Node) -> bool:
        return isinstance(node, Sequence)

    def read(self, node: Node, path: str, reading: Reading) -> list[Json] | Invalid:
        if not isinstance(node, Sequence):
            hint = "put it in [brackets]" if self.kind.accepts(node) else None
            return reading.refuse(node, path, f"must be a list, is {name_of(node)}", hint)
        if len(node.items) < self.minimum:
            return reading.refuse(node, path, f"needs at least {self.minimum}")
        values = []
        for index, item in enumerate(node.items):
            place = f"{path}[{index}]"
            reading.lines[place] = item.line
            value = self.kind.read(item, place, reading)
            if value is INVALID:
                continue
            if self.unique and value in values:
                reading.refuse(item, place, f"{value!r} is given twice")
            values.append(value)
        return values

    def schema(self) -> dict[str, Json]:
        schema: dict[str, Json] = {"type": "array", "items": self.kind.schema()}
        if self.minimum:
            schema["minItems"] = self.minimum
        if self.unique:
            schema["uniqueItems"] = True
        return schema

    def describe(self) -> str:
        return f"a list, each {self.kind.describe()}"


class MapOf(Kind):
    """Keys of the user's own, with values of one kind. `keys` is a regular expression that keys
    must match in full."""

    def __init__(self, kind: Kind, *, keys: str | None = None) -> None:
        self.kind = kind
        self.keys = keys

    def accepts(self, node: Node) -> bool:
        return isinstance(node, Mapping)

    def read(self, node: Node, path: str, reading: Reading) -> dict[str, Json] | Invalid:
        if not isinstance(node, Mapping):
            return reading.refuse(node, path, f"must be a mapping, is {name_of(node)}")
        _refuse_repeated(node, path, reading)
        values = {}
        for entry in node.entries:
            place = key_path(path, entry.key)
            if self.keys is not None and re.fullmatch(self.keys, entry.key) is None:
                hint = f"keys look like {self.keys}"
                reading.refuse_at(entry.line, place, f"the key {entry.key!r} can't be used", hint)
                continue
            reading.lines[place] = entry.line
            value = self.kind.read(entry.value, place, reading)
            if value is not INVALID:
                values[entry.key] = value
        return values

    def schema(self) -> dict[str, Json]:
        schema: dict[str, Json] = {"type": "object", "additionalProperties": self.kind.schema()}
        if self.keys is not None:
            schema["propertyNames"] = {"pattern": f"^(?:{self.keys})$"}
        return schema

    def describe(self) -> str:
        return f"a mapping of names, each {self.kind.describe()}"


class Section(Kind):
    """A mapping whose keys are known; any other key is an error with the nearest right one."""

    def __init__(self, fields: MappingType[str, Field], *, doc: str = "") -> None:
        self.fields = dict(fields)
        self.doc = doc

    def accepts(self, node: Node) -> bool:
        return isinstance(node, Mapping)

    def read(self, node: Node, path: str, reading: Reading) -> dict[str, Json] | Invalid:
        if not isinstance(node, Mapping):
            return reading.refuse(
                node, path, f"must be a mapping, is {name_of(node)}", self._hint_for(node)
            )
        found = len(reading.problems)
        values = self.read_entries(node, path, reading)
        return values if len(reading.problems) == found else INVALID

    def read_entries(self, node: Mapping, path: str, reading: Reading) -> dict[str, Json]:
        """What could be read, with defaults filled in; each problem is reported."""
        _refuse_repeated(node, path, reading)
        values: dict[str, Json] = {}
        for entry in node.entries:
            self._read_entry(entry, path, reading, values)
        given = {entry.key for entry in node.entries}
        for key, field in self.fields.items():
            if key in given:
                continue
            if field.required:
                reading.refuse(node, key_path(path, key), f"the key {key!r} is missing")
            elif field.default is not None:
                values[key] = field.default
        return values

    def _hint_for(self, node: Node) -> str | None:
        is_empty = isinstance(node, Scalar) and node.value is None
        if not is_empty or any(field.required for field in self.fields.values()):
            return None
        return "`{}` takes all defaults; without them leave the key out"

    def _read_entry(
        self, entry: Entry, path: str, reading: Reading, values: dict[str, Json]
    ) -> None:
        place = key_path(path, entry.key)
        field = self.fields.get(entry.key)
        if field is None:
            self._refuse_unknown(entry, path, reading)
            return
        reading.lines[place] = entry.line
        value = field.kind.read(entry.value, place, reading)
        if value is not INVALID:
            values[entry.key] = value

    def _refuse_unknown(self, entry: Entry, path: str, reading: Reading) -> None:
        """`{password:secret}` is a key in YAML: only what stands before the colon is shown."""
        key, colon, _ = entry.key.partition(":")
        hint = "a blank is missing after the colon" if colon else nearest(key, self.fields)
        reading.refuse_at(entry.line, key_path(path, key), f"unknown key {key!r}", hint)

    def schema(self) -> dict[str, Json]:
        schema: dict[str, Json] = {
            "type": "object",
            "additionalProperties": False,
            "properties": {key: field.schema() for key, field in self.fields.items()},
        }
        required = [key for key, field in self.fields.items() if field.required]
        return {**schema, "required": required} if required else schema

    def describe(self) -> str:
        return "a mapping"


class Either(Kind):
    """One of several kinds. The first that reads the node without a problem counts; where none
    does, the problems are those of the first kind that the node looks like."""

    def __init__(self, *kinds: Kind) -> None:
        self.kinds = kinds

    def accepts(self, node: Node) -> bool:
        return any(kind.accepts(node) for kind in self.kinds)

    def read(self, node: Node, path: str, reading: Reading) -> Json | Invalid:
        trials: list[Reading] = []
        for kind in self.kinds:
            if not kind.accepts(node):
                continue
            trial = reading.trial()
            value = kind.read(node, path, trial)
            trials.append(trial)
            if not trial.problems:
                reading.lines.update(trial.lines)
                return value
            if isinstance(kind, Boolean):
                break  # `yes` means a boolean that is misspelt, not a path of that name
        if not trials:
            message = f"must be {self.describe()}, is {name_of(node)}"
            return reading.refuse(node, path, message, self._hint(node))
        reading.problems += trials[0].problems
        return INVALID

    def _hint(self, node: Node) -> str | None:
        """How to write a number or boolean where text is one of the kinds."""
        if not isinstance(node, Scalar) or node.value is None:
            return None
        quoted = Scalar(node.text, node.text, node.line, plain=False)
        return f"quote it: '{node.text}'" if self.accepts(quoted) else None

    def schema(self) -> dict[str, Json]:
        return {"anyOf": [kind.schema() for kind in self.kinds]}

    def describe(self) -> str:
        return " or ".join(kind.describe() for kind in self.kinds)


class Anything(Kind):
    """Any plain data. A number that would not come back as it is written must be quoted."""

    def accepts(self, node: Node) -> bool:
        return True

    def read(self, node: Node, path: str, reading: Reading) -> Json | Invalid:
        match node:
            case Scalar():
                return self._read_scalar(node, path, reading)
            case Sequence():
                return ListOf(self).read(node, path, reading)
            case Mapping():
                return MapOf(self).read(node, path, reading)

    def _read_scalar(self, node: Scalar, path: str, reading: Reading) -> Json | Invalid:
        if type(node.value) in (int, float) and str(node.value) != node.text:
            return reading.refuse(
                node,
                path,
                f"{node.text} is the number {node.value}, not that text",
                f"write '{node.text}' for the text, {node.value} for the number",
            )
        return node.value

    def schema(self) -> dict[str, Json]:
        return {}

    def describe(self) -> str:
        return "any value"


def key_path(path: str, key: str) -> str:
    """The path of a key below the path of its mapping."""
    return f"{path}.{key}" if path else key


def _refuse_repeated(node: Mapping, path: str, reading: Reading) -> None:
    first_lines = {entry.key: entry.line for entry in node.entries}
    for entry in node.repeated:
        hint = f"first in line {first_lines[entry.key]}"
        place = key_path(path, entry.key)
        reading.refuse_at(entry.line, place, f"the key {entry.key!r} is given twice", hint)
