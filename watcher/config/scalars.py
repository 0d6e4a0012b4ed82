"""Kinds of single values: text, booleans, numbers, durations, paths, choices and patterns.

Imported through `fields`, which has the containers. A kind reads a node to plain data, gives its
JSON Schema and its name for the documentation.
"""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from datetime import timedelta
from typing import Any

from watcher.config import durations
from watcher.config.nodes import Node, Scalar, name_of
from watcher.config.reading import INVALID, Invalid, Reading, nearest

Json = Any


class Kind(ABC):
    """What a key may hold."""

    @abstractmethod
    def accepts(self, node: Node) -> bool:
        """Whether the node looks like this kind at all; `Either` chooses by it."""

    @abstractmethod
    def read(self, node: Node, path: str, reading: Reading) -> Json | Invalid:
        """Plain data, or INVALID after each problem was reported."""

    @abstractmethod
    def schema(self) -> dict[str, Json]:
        """JSON Schema 2020-12 of what may be written."""

    @abstractmethod
    def describe(self) -> str:
        """The kind in a few words, for the documentation and for messages."""


class Text(Kind):
    """A string. A number or boolean is refused with the hint to quote it.

    `template`: may hold `${ }` expressions. `secret`: no message ever repeats it. `matches` is a
    regular expression (full match) that `rule` explains to the user.
    """

    def __init__(
        self,
        *,
        template: bool = False,
        secret: bool = False,
        empty: bool = False,
        matches: str | None = None,
        rule: str | None = None,
    ) -> None:
        self.template = template
        self.secret = secret
        self.empty = empty
        self.matches = matches
        self.rule = rule

    def accepts(self, node: Node) -> bool:
        return isinstance(node, Scalar) and isinstance(node.value, str)

    def read(self, node: Node, path: str, reading: Reading) -> str | Invalid:
        if not isinstance(node, Scalar) or node.value is None:
            return reading.refuse(node, path, f"must be {self.describe()}, is {name_of(node)}")
        if not isinstance(node.value, str):
            shown = "put it in quotes" if self.secret else f"quote it: '{node.text}'"
            return reading.refuse(node, path, f"must be text, is {name_of(node)}", shown)
        if not node.value and not self.empty:
            return reading.refuse(node, path, "is empty", "give a value or leave the key out")
        if self.matches is not None and re.fullmatch(self.matches, node.value) is None:
            shown = "the value" if self.secret else repr(node.value)
            return reading.refuse(node, path, f"{shown} is not {self.describe()}")
        return node.value

    def schema(self) -> dict[str, Json]:
        schema: dict[str, Json] = {"type": "string"}
        if self.matches is not None:
            schema["pattern"] = f"^(?:{self.matches})$"
        elif not self.empty:
            schema["minLength"] = 1
        return schema

    def describe(self) -> str:
        return self.rule or ("text with expressions" if self.template else "text")


_BOOLEAN_WORDS = frozenset({"true", "false", "yes", "no", "on", "off"})


class Boolean(Kind):
    """`true` or `false`; YAML 1.1's other spellings are refused."""

    def accepts(self, node: Node) -> bool:
        return isinstance(node, Scalar) and node.plain and node.text.lower() in _BOOLEAN_WORDS

    def read(self, node: Node, path: str, reading: Reading) -> bool | Invalid:
        if isinstance(node, Scalar) and isinstance(node.value, bool):
            return node.value
        return reading.refuse(
            node,
            path,
            f"must be true or false, is {name_of(node)}",
            "only `true` and `false`, unquoted, are booleans",
        )

    def schema(self) -> dict[str, Json]:
        return {"type": "boolean"}

    def describe(self) -> str:
        return "true or false"


class Number(Kind):
    """A finite number, with or without a fraction."""

    types: tuple[type, ...] = (int, float)
    word = "number"
    schema_type = "number"

    def __init__(self, minimum: float | None = None, maximum: float | None = None) -> None:
        self.minimum = minimum
        self.maximum = maximum

    def accepts(self, node: Node) -> bool:
        return isinstance(node, Scalar) and type(node.value) in self.types

    def read(self, node: Node, path: str, reading: Reading) -> int | float | Invalid:
        if not isinstance(node, Scalar) or type(node.value) not in self.types:
            return reading.refuse(node, path, f"must be {self.describe()}, is {name_of(node)}")
        value: int | float = node.value  # type: ignore[assignment]  # by the types above
        low = self.minimum is not None and value < self.minimum
        if low or (self.maximum is not None and value > self.maximum):
            return reading.refuse(node, path, f"must be {self.describe()}, is {node.text}")
        return value

    def schema(self) -> dict[str, Json]:
        bounds = {"minimum": self.minimum, "maximum": self.maximum}
        given = {name: bound for name, bound in bounds.items() if bound is not None}
        return {"type": self.schema_type, **given}

    def describe(self) -> str:
        if self.minimum is not None and self.maximum is not None:
            return f"a {self.word} from {self.minimum} to {self.maximum}"
        if self.minimum is not None:
            return f"a {self.word} of at least {self.minimum}"
        return f"a {self.word}" if self.maximum is None else f"a {self.word} up to {self.maximum}"


class Integer(Number):
    """A whole number."""

    types = (int,)
    word = "whole number"
    schema_type = "integer"


class Duration(Kind):
    """`30s`, `5m`, `1h30m` …; the value stays as written, `durations.parse` reads it later."""

    def __init__(self, minimum: str = "0s") -> None:
        self.minimum = minimum

    def accepts(self, node: Node) -> bool:
        return isinstance(node, Scalar) and node.value is not None

    def read(self, node: Node, path: str, reading: Reading) -> str | Invalid:
        if not isinstance(node, Scalar) or isinstance(node.value, bool | None):
            return reading.refuse(node, path, f"must be a duration, is {name_of(node)}")
        if not isinstance(node.value, str):
            return reading.refuse(
                node,
                path,
                "a bare number is no duration, the unit is missing",
                self._with_units(node.text),
            )
        try:
            duration = durations.parse(node.value)
        except ValueError as error:
            return reading.refuse(node, path, f"{node.value!r} {error}")
        if duration < durations.parse(self.minimum):
            return reading.refuse(node, path, f"must be at least {self.minimum}")
        return node.value

    def _with_units(self, number: str) -> str:
        """What may be meant by a bare number; where seconds are too short, not these."""
        if durations.parse(self.minimum) >= timedelta(hours=1):
            return f"write {number}h or {number}d"
        return f"write {number}s, {number}m or {number}h"

    def schema(self) -> dict[str, Json]:
        return {"type": "string", "pattern": f"^{durations.PATTERN}$"}

    def describe(self) -> str:
        return "a duration"


_VARIABLE = re.compile(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|(\{))?", re.ASCII)


class PathValue(Kind):
    """A path: `~` and `$NAME` expanded, absolute, relative to the file that names it (SPEC 3).

    With `template`, `${ }` is left for the expressions.
    """

    def __init__(self, *, template: bool = False) -> None:
        self.template = template

    def accepts(self, node: Node) -> bool:
        return isinstance(node, Scalar) and isinstance(node.value, str)

    def read(self, node: Node, path: str, reading: Reading) -> str | Invalid:
        text = Text().read(node, path, reading)
        if text is INVALID:
            return INVALID
        if "\0" in text:
            return reading.refuse(node, path, "a path can't hold a NUL character")
        try:
            expanded = self._expand(text, reading)
        except ValueError as error:
            return reading.refuse(node, path, str(error))
        return os.path.normpath(reading.directory / expanded)

    def _expand(self, text: str, reading: Reading) -> str:
        def value_of(found: re.Match[str]) -> str:
            name, brace = found.groups()
            if brace and not self.template:
                raise ValueError("`${` is not expanded in paths; write $NAME")
            if not name:
                return found.group()
            if name not in reading.environment:
                raise ValueError(f"the environment variable {name} is not set")
            return reading.environment[name]

        if text == "~" or text.startswith("~/"):
            home = reading.environment.get("HOME") or os.path.expanduser("~")
            return home + _VARIABLE.sub(value_of, text[1:])
        return _VARIABLE.sub(value_of, text)

    def schema(self) -> dict[str, Json]:
        return {"type": "string", "minLength": 1}

    def describe(self) -> str:
        return "a path with expressions" if self.template else "a path"


class Choice(Kind):
    """One of a closed set of words."""

    def __init__(self, *values: str) -> None:
        self.values = tuple(str(value) for value in values)

    def accepts(self, node: Node) -> bool:
        return isinstance(node, Scalar) and node.text in self.values

    def read(self, node: Node, path: str, reading: Reading) -> str | Invalid:
        if not isinstance(node, Scalar) or node.value is None:
            return reading.refuse(node, path, f"must be {self.describe()}, is {name_of(node)}")
        if node.value not in self.values:
            return reading.refuse(
                node,
                path,
                f"{node.text!r} is not {self.describe()}",
                nearest(node.text, self.values),
            )
        return str(node.value)

    def schema(self) -> dict[str, Json]:
        return {"enum": list(self.values)}

    def describe(self) -> str:
        return self.values[0] if len(self.values) == 1 else f"one of {', '.join(self.values)}"


class Pattern(Kind):
    """A regular expression in RE2's syntax; blanks around it are cut. `group` must be in it."""

    def __init__(self, *, group: str | None = None, empty: bool = False) -> None:
        self.group = group
        self.empty = empty

    def accepts(self, node: Node) -> bool:
        return isinstance(node, Scalar) and isinstance(node.value, str)

    def read(self, node: Node, path: str, reading: Reading) -> str | Invalid:
        text = Text(empty=self.empty).read(node, path, reading)
        if text is INVALID:
            return INVALID
        from watcher.core.patterns import check_pattern  # RE2 only where there are patterns

        try:
            check_pattern(text, group=self.group)
        except ValueError as error:
            return reading.refuse(node, path, str(error))
        return text.strip()

    def schema(self) -> dict[str, Json]:
        return {"type": "string"} if self.empty else {"type": "string", "minLength": 1}

    def describe(self) -> str:
        return "a regular expression (RE2)"
