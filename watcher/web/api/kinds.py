"""What values of requests may be: each kind reads one, and says its JSON Schema. Pure.

`read` takes a value of JSON, `parse` the text of a query or path; both raise ValueError with the
rule, in words that follow the value's name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Schema = dict[str, Any]


class Kind(Protocol):
    """One kind of value."""

    @property
    def schema(self) -> Schema: ...

    def read(self, value: Any) -> Any: ...

    def parse(self, text: str) -> Any: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """One line without control characters; `matches` has to match all of it, `rule` says how."""

    most: int = 256
    matches: str | None = None
    rule: str = ""

    @property
    def schema(self) -> Schema:
        pattern = self.matches or _PRINTABLE
        return {
            "type": "string",
            "minLength": 1,
            "maxLength": self.most,
            "pattern": f"^{pattern}$",
        }

    def read(self, value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError("must be a string")
        return self.parse(value)

    def parse(self, text: str) -> str:
        if not 1 <= len(text) <= self.most:
            raise ValueError(f"must have 1 to {self.most} characters")
        if self.matches is not None and not re.fullmatch(self.matches, text):
            raise ValueError(f"must be {self.rule}")
        return _printable(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One of a few words."""

    words: Sequence[str]

    @property
    def schema(self) -> Schema:
        return {"type": "string", "enum": list(self.words)}

    def read(self, value: Any) -> str:
        if value not in self.words:
            raise ValueError(f"must be one of {', '.join(self.words)}")
        return str(value)

    def parse(self, text: str) -> str:
        return self.read(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A whole number within bounds."""

    least: int = 1
    most: int

    @property
    def schema(self) -> Schema:
        return {"type": "integer", "minimum": self.least, "maximum": self.most}

    def read(self, value: Any) -> int:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not self.least <= value <= self.most or value != int(value):
            raise ValueError(self._rule)
        return int(value)

    def parse(self, text: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,20}", text, re.ASCII):
            raise ValueError(self._rule)
        return self.read(int(text))

    @property
    def _rule(self) -> str:
        return f"must be a whole number from {self.least} to {self.most}"


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    @property
    def schema(self) -> Schema:
        return {"type": "boolean"}

    def read(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise ValueError("must be true or false")
        return value

    def parse(self, text: str) -> bool:
        if text not in ("true", "false"):
            raise ValueError("must be true or false")
        return text == "true"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Names with texts, as `--param` takes them."""

    keys: str
    most: int = 100
    longest: int = 4096

    @property
    def schema(self) -> Schema:
        return {
            "type": "object",
            "maxProperties": self.most,
            "propertyNames": {"pattern": f"^{self.keys}$", "maxLength": 256},
            "additionalProperties": {
                "type": "string",
                "maxLength": self.longest,
                "pattern": f"^{_PRINTABLE}$",
            },
        }

    def read(self, value: Any) -> Mapping[str, str]:
        if not isinstance(value, dict) or len(value) > self.most:
            raise ValueError(f"must be an object with at most {self.most} names")
        for key, text in value.items():
            if len(key) > 256 or not re.fullmatch(self.keys, key):
                raise ValueError("has a name that no parameter can have")
            if not isinstance(text, str) or len(text) > self.longest:
                raise ValueError(f"must have strings of at most {self.longest} characters")
            _printable(text)
        return dict(value)

    def parse(self, text: str) -> Mapping[str, str]:
        raise ValueError("can't be written here")


def _printable(text: str) -> str:
    """The text, if it can be stored and shown: JSON may hold halves of characters, too."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("must be text of whole characters") from None
    if not re.fullmatch(_PRINTABLE, text):
        raise ValueError("must be text without control characters")
    return text


_PRINTABLE = r"[^\x00-\x1f\x7f-\x9f]*"
