"""Finds the `${...}` in a text: nested brackets, quotes, and `$${` for a literal `${` (SPEC 4)."""

from __future__ import annotations

from dataclasses import dataclass

from watcher.errors import RenderError

LITERAL = "write `$${` for a literal `${`"
"""The hint where somebody meant no expression, but a shell's variable."""

_OPENING = "([{"
_CLOSING = ")]}"
_QUOTES = "'\""


@dataclass(frozen=True, slots=True)
class Expression:
    """What stands between `${` and its `}`."""

    source: str

    def __str__(self) -> str:
        return f"${{{self.source}}}"


def split(text: str) -> tuple[str | Expression, ...]:
    """The literal parts and the expressions of `text`, in order; no part is empty.

    Raises RenderError for a `${` that is not closed or holds nothing.
    """
    parts: list[str | Expression] = []
    literal, position = "", 0
    while (found := text.find("${", position)) >= 0:
        literal += text[position:found]
        if literal.endswith("$"):
            literal, position = literal[:-1] + "${", found + 2
            continue
        if literal:
            parts.append(literal)
        end = _end(text, found + 2)
        parts.append(_expression(text[found + 2 : end]))
        literal, position = "", end + 1
    literal += text[position:]
    return (*parts, literal) if literal else tuple(parts)


def _expression(source: str) -> Expression:
    if not source.strip():
        raise RenderError("`${}` holds no expression", hint=LITERAL)
    return Expression(source.strip())


def _end(text: str, start: int) -> int:
    """The index of the `}` that closes the expression beginning at `start`."""
    depth, position = 0, start
    while position < len(text):
        character = text[position]
        if character in _QUOTES:
            position = _end_of_string(text, position)
        elif character in _OPENING:
            depth += 1
        elif character in _CLOSING:
            if depth == 0 and character == "}":
                return position
            depth -= 1
        position += 1
    shown = text[start : start + 40].splitlines()[0] if text[start:].strip() else ""
    raise RenderError(f"`${{{shown}` is never closed by a `}}`", hint=LITERAL)


def _end_of_string(text: str, start: int) -> int:
    """The index of the quote that ends the string beginning at `start`, else the text's end."""
    position = start + 1
    while position < len(text) and text[position] != text[start]:
        position += 2 if text[position] == "\\" else 1
    return position
