"""What a value may hold before it goes into a path or a command of the shell.

Tags are harmless by their grammar; labels and parameters are whatever somebody wrote. Refusing is
chosen over quoting, for quotes inside the operator's own quotes would undo them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from watcher.errors import RenderError

if TYPE_CHECKING:
    from watcher.render.scanner import Expression

_SHELL_SAFE = re.compile(r"[A-Za-z0-9_./:@%+=,-]*")
_PATH_SPECIAL = re.compile(r"[*?\[\]]")


def for_shell(expression: Expression, text: str) -> None:
    """Raises RenderError for a value in which a shell would see more than one plain word."""
    if _SHELL_SAFE.fullmatch(text) is None:
        raise RenderError(
            f"`{expression}`: its value holds what the shell would interpret",
            hint='give the command as a list, or pass the value by `env` and write "$NAME"',
        )


def for_path(expression: Expression, text: str) -> None:
    """Raises RenderError for a value that would lead a path elsewhere."""
    is_plain = text.isprintable() and _PATH_SPECIAL.search(text) is None
    if not text or not is_plain or text[:1] == "/" or ".." in text.split("/"):
        raise RenderError(
            f"`{expression}`: its value {text!r} can't be part of a path",
            hint="`| dns_label` makes a name of anything",
        )


def whole_path(path: str) -> str:
    """The rendered path, unless values that are harmless each made a `..` together.

    Raises RenderError. The config has no `..` in its paths, for it makes them absolute and plain.
    """
    if ".." in path.split("/"):
        raise RenderError(
            f"the path {path!r} leads upwards", hint="`| dns_label` makes a name of anything"
        )
    return path
