"""What kubectl makes of one YAML scalar: YAML 1.1's booleans, Go's numbers, no dates.

The rules of go-yaml 2 as sigs.k8s.io/yaml uses it, measured against kubectl 1.32; PyYAML's differ
(`y`, `1e3`, `0o644`, `12:30:45`, dates). Pure; imported by `yaml_documents`.
"""

from __future__ import annotations

import re
from base64 import b64decode
from decimal import Decimal
from math import isinf
from typing import Any

Scalar = Any
"""None, a boolean, an integer, a float or a string."""

SMALLEST_INTEGER = -(2**63)
LARGEST_INTEGER = 2**63 - 1
_LARGEST_UNSIGNED = 2**64 - 1

_PREFIX = "tag:yaml.org,2002:"
_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE"), True),
    **dict.fromkeys(("on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE"), False),
    **dict.fromkeys(("off", "Off", "OFF"), False),
}
_TYPES: dict[str, tuple[type, ...]] = {
    "null": (type(None),),
    "bool": (bool,),
    "int": (int,),
    "float": (int, float),
}
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_INTEGER = re.compile(
    r"(?P<sign>[-+]?)(?:0[xX](?P<hexadecimal>[0-9a-fA-F]+)|0[bB](?P<binary>[01]+)"
    r"|0[oO]?(?P<octal>[0-7]+)|(?P<decimal>0|[1-9][0-9]*))"
)
_BASES = {"hexadecimal": 16, "binary": 2, "octal": 8, "decimal": 10}
_MOST_DIGITS = 64
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_POINT_FIRST = re.compile(r"\.[0-9]+(_[0-9]+)*([eE][-+]?[0-9]+(_[0-9]+)*)?")


class ScalarError(ValueError):
    """A scalar that kubectl refuses too; the message does not show it."""


def plain_scalar(text: str) -> Scalar:
    """What an unquoted scalar without a tag means. Raises ScalarError."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    if _NOT_FINITE.fullmatch(text):
        raise ScalarError("infinity and not-a-number have no place in JSON")
    if text[0] == ".":
        return _float(text, text) if _POINT_FIRST.fullmatch(text) else text
    digits = text.replace("_", "")
    number = _integer(digits)
    if number is not None:
        return number
    return _float(digits, text) if _FLOAT.fullmatch(digits) else text


def tagged_scalar(tag: str, text: str) -> Scalar:
    """What a scalar with an explicit tag means, quoted or not. Raises ScalarError."""
    name = tag.removeprefix(_PREFIX) if tag.startswith(_PREFIX) else tag
    if name in ("!", "str", "timestamp"):
        return text
    if name == "binary":
        return _decoded(text)
    if name not in _TYPES:
        raise ScalarError("this tag (!) means nothing to Kubernetes")
    value = plain_scalar(text)
    if type(value) not in _TYPES[name]:
        raise ScalarError(f"the value does not fit its tag !!{name}")
    return value


def _integer(digits: str) -> int | float | None:
    match = _INTEGER.fullmatch(digits)
    if match is None or len(digits) > _MOST_DIGITS + len("-0b"):
        return None
    base = next(name for name in _BASES if match[name] is not None)
    value = int(match[base], _BASES[base]) * (-1 if match["sign"] == "-" else 1)
    if SMALLEST_INTEGER <= value <= LARGEST_INTEGER:
        return value
    if not match["sign"] and value <= _LARGEST_UNSIGNED:
        return float(value)
    return None


def _float(digits: str, text: str) -> int | float | str:
    """The number, or the text as it was written where Go finds it out of range."""
    value = float(digits)
    return text if isinf(value) else _whole_or_not(value)


def _whole_or_not(value: float) -> int | float:
    """A number as it comes out of kubectl's JSON: whole ones are integers while they fit."""
    if isinstance(value, float) and not value.is_integer():
        return value
    whole = int(Decimal(repr(value)))
    return whole if SMALLEST_INTEGER <= whole <= LARGEST_INTEGER else float(value)


def _decoded(text: str) -> str:
    try:
        return b64decode("".join(text.split()), validate=True).decode()
    except ValueError as error:
        raise ScalarError("!!binary must be base64 of a text in UTF-8") from error
