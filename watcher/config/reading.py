"""The state of reading one file: where it lies, what was wrong, and on which line each key stood.

Kinds report here and go on, so that a user sees all problems at once (SPEC 3).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from watcher.config.nodes import Node
from watcher.errors import Problem


class Invalid(Enum):
    """The one value that stands for "reported, and of no use"."""

    INVALID = "invalid"


INVALID = Invalid.INVALID


@dataclass(slots=True, kw_only=True)
class Reading:
    """`directory` is what relative paths are relative to; `lines` maps key paths to lines."""

    file: str
    directory: Path
    environment: Mapping[str, str]
    problems: list[Problem] = field(default_factory=list)
    lines: dict[str, int] = field(default_factory=dict)

    def refuse(self, node: Node, path: str, message: str, hint: str | None = None) -> Invalid:
        """Report a problem of a node; messages must not hold what may be a secret."""
        return self.refuse_at(node.line, path, message, hint)

    def refuse_at(self, line: int, path: str, message: str, hint: str | None = None) -> Invalid:
        """Report a problem of a line. What the file holds may be repeated, but drives no
        terminal and forges no line of a log."""
        told = None if hint is None else _shown(hint)
        self.problems.append(Problem(self.file, line, _shown(path), _shown(message), told))
        return INVALID

    def trial(self) -> Reading:
        """A reading of the same file whose problems are its own, to try a kind with."""
        return Reading(file=self.file, directory=self.directory, environment=self.environment)


def _shown(text: str) -> str:
    """The text, with what can't be printed as Python writes it."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The hint for a misspelt word, when one of `words` is near."""
    import difflib  # only a wrong config pays for it

    known = list(words)
    lowered = {known_word.lower().replace("-", "_"): known_word for known_word in known}
    close = difflib.get_close_matches(word.lower().replace("-", "_"), lowered, n=1)
    return f"did you mean {lowered[close[0]]!r}?" if close else None
