"""The filters of expressions: Jinja's, each bounded, and those that SPEC 4 adds.

Left out of Jinja's: `random`, since a stage that runs again must render the same, and `urlize`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import wraps
from itertools import islice
from types import MappingProxyType
from typing import Any

from jinja2.exceptions import FilterArgumentError
from jinja2.filters import FILTERS as JINJA_FILTERS

from watcher.core.version import parse_version
from watcher.render.limits import (
    LIMIT,
    check_format,
    check_join,
    check_replace,
    check_width,
    measure,
)

_LEFT_OUT = frozenset({"random", "urlize"})
_WIDEST = {"batch": 1000, "center": 1000, "indent": 100, "round": 100, "slice": 1000, "tojson": 100}
_WIDEST["wordwrap"] = 100
_DIRECTIVE = re.compile(r"%(.?)", re.DOTALL)
_DIRECTIVES = frozenset("aAwdbBmyYHIpMSfzZjUWGuVFTcxX%")
_LABEL_LENGTH = 63


def semver_major(tag: str) -> int:
    """The first number of a version: 1 of `v1.25.3-alpine`. Raises for what is no version."""
    return _numbers(tag)[0]


def semver_minor(tag: str) -> int:
    """The second number of a version: 25 of `1.25.3`, 0 of `1`. Raises for what is no version."""
    return (*_numbers(tag), 0)[1]


def dns_label(text: str) -> str:
    """A name for Kubernetes: lower case, `-` for what may not be in it, at most 63 characters
    (RFC 1123). Raises when nothing is left."""
    label = re.sub(r"[^a-z0-9]+", "-", _text(text, "dns_label").lower()).strip("-")
    if not label:
        raise FilterArgumentError(f"dns_label: {text!r} holds no letter and no digit")
    return label[:_LABEL_LENGTH].rstrip("-")


def b64encode(text: str) -> str:
    """Base 64 of the text in UTF-8."""
    return base64.b64encode(_text(text, "b64encode").encode()).decode()


def b64decode(text: str) -> str:
    """The text whose UTF-8 is in base 64; raises when it is not."""
    try:
        return base64.b64decode(_text(text, "b64decode"), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise FilterArgumentError("b64decode: this is no text in base 64") from None


def sha256(text: str) -> str:
    """The digest of the text in UTF-8, 64 hexadecimal digits."""
    return hashlib.sha256(_text(text, "sha256").encode()).hexdigest()


def strftime(moment: str | float | datetime, form: str) -> str:
    """A time, as RFC 3339 or in seconds since 1970, written in UTC by Python's keywords."""
    for directive in _DIRECTIVE.findall(form):
        if directive not in _DIRECTIVES or not directive:
            raise FilterArgumentError(f"strftime: there is no keyword %{directive}")
    return _moment(moment).astimezone(UTC).strftime(form)


def _numbers(tag: object) -> tuple[int, ...]:
    version = parse_version(_text(tag, "semver"))
    if version is None:
        raise FilterArgumentError(f"{tag!r} is no version such as 1.25.3")
    return version.numbers


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise FilterArgumentError(f"{name}: {value!r} is no text; use the filter `string` first")
    return value


def _moment(value: object) -> datetime:
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return datetime.fromtimestamp(value, UTC)
    try:
        moment = datetime.fromisoformat(_text(value, "strftime"))
    except ValueError:
        raise FilterArgumentError(f"strftime: {value!r} is no time of RFC 3339") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def bounded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The filter, which refuses to take or to make too much. What it gives bit by bit is given
    as a list, so that it can be measured."""

    @wraps(function)
    def measured(*arguments: Any, **options: Any) -> Any:
        _check(name, _values(function, arguments), options)
        result = function(*arguments, **options)
        if isinstance(result, Iterator):
            result = list(islice(result, LIMIT + 1))
        measure(result)
        return result

    return measured


def _values(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments without what Jinja passes in front (its context or environment)."""
    return arguments[1:] if hasattr(function, "jinja_pass_arg") else arguments


def _check(name: str, arguments: tuple[Any, ...], options: Mapping[str, Any]) -> None:
    for value in (*arguments, *options.values()):
        measure(value)
    further = (*arguments[1:], *options.values())
    if name in _WIDEST:
        for value in further:
            check_width(value, _WIDEST[name])
    elif name == "format":
        check_format(arguments[0])
    elif name == "replace":
        old, new = _replacement(arguments[1:], options)
        check_replace(str(arguments[0]), old, new)
    elif name == "join":
        check_join(max((str(value) for value in further), key=len, default=""), arguments[0])


def _replacement(arguments: tuple[Any, ...], options: Mapping[str, Any]) -> tuple[str, str]:
    named = {**dict(zip(("old", "new"), arguments, strict=False)), **options}
    return str(named.get("old", "")), str(named.get("new", ""))


FILTERS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        name: bounded(name, function)
        for name, function in {
            **{name: fn for name, fn in JINJA_FILTERS.items() if name not in _LEFT_OUT},
            "semver_major": semver_major,
            "semver_minor": semver_minor,
            "dns_label": dns_label,
            "b64encode": b64encode,
            "b64decode": b64decode,
            "sha256": sha256,
            "strftime": strftime,
        }.items()
    }
)
