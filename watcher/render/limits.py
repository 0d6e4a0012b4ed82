"""How much an expression may make: sizes are measured before work is done on them.

The writers of expressions are trusted more than their arithmetic: `'a' * 10**9` must be an error
that names the expression, not a daemon without memory. Used by `sandbox` and `filters` only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sized

from jinja2.exceptions import SecurityError

LIMIT = 1024 * 1024
"""Characters and elements that one value may hold, and characters of one rendered text."""

STEPS = 100_000
"""Loop rounds and calls of one rendering."""

_INTEGER_BITS = 4096
_LONGEST_WIDTH = 1000
_WIDE_FORMAT = re.compile(r"%[-+ #0]*(\*|\d{4,})|\.(\*|\d{4,})")


def measure(value: object) -> int:
    """Characters and elements of `value`, what is shared counted each time; raises SecurityError
    beyond LIMIT, without having looked further."""
    total, rest = 0, [value]
    while rest:
        item = rest.pop()
        if isinstance(item, str | bytes):
            total += len(item)
        elif isinstance(item, Mapping):
            total += len(item)
            rest += [*item.keys(), *item.values()] if total <= LIMIT else []
        elif isinstance(item, list | tuple | set | frozenset):
            total += len(item)
            rest += item if total <= LIMIT else ()
        check_size(total)
    return total


def check_size(size: int) -> None:
    if size > LIMIT:
        raise SecurityError(f"it makes more than {LIMIT} characters or elements")


def check_product(left: object, right: object) -> None:
    """For `left * right`: a repeated sequence, or a number of absurd length."""
    if isinstance(left, int) and isinstance(right, int):
        check_bits(left.bit_length() + right.bit_length())
    elif isinstance(left, int) and isinstance(right, Sized):
        check_size(left * max(measure(right), 1))
    elif isinstance(right, int) and isinstance(left, Sized):
        check_size(right * max(measure(left), 1))


def check_power(base: object, exponent: object) -> None:
    if isinstance(base, int) and isinstance(exponent, int):
        check_bits(base.bit_length() * abs(exponent))


def check_bits(bits: int) -> None:
    if bits > _INTEGER_BITS:
        raise SecurityError("the number is too large")


def check_width(width: object, longest: int = _LONGEST_WIDTH) -> None:
    """For whatever pads: an integer, or a text that is put in many times."""
    size = len(width) if isinstance(width, str) else width
    if isinstance(size, int) and abs(size) > longest:
        raise SecurityError(f"the width {size} is more than {longest}")


def check_format(text: object) -> None:
    """For `'%10d' % x`: a width that is spelled out, and not too wide."""
    if isinstance(text, str) and _WIDE_FORMAT.search(text):
        raise SecurityError("the width of a format must be a number of at most three digits")


def check_replace(text: str, old: str, new: str) -> None:
    check_size(len(text) + text.count(old) * len(new))


def check_join(separator: str, items: object) -> None:
    count = len(items) if isinstance(items, Sized) else 0
    check_size(measure(items) + count * len(separator))
