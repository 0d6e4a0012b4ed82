"""Which repositories an account watches when they are discovered (SPEC 3.1 `catalog`).

`include` and `skip` filter the registry's own catalog, or the one in a local file: JSON as the
registry would send it, or one name a line.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from watcher.core.account import Catalog
from watcher.core.reference import is_repository_name
from watcher.errors import ConfigError, Problem
from watcher.registry.bodies import parse_json


def chosen(catalog: Catalog, repositories: Iterable[str]) -> tuple[str, ...]:
    """What include (full match) and skip leave over, in order, each once."""
    skipped = frozenset(catalog.skip)
    names = dict.fromkeys(name for name in repositories if name not in skipped)
    if catalog.include is None:
        return tuple(names)
    import re2

    pattern = re2.compile(catalog.include.strip())
    return tuple(name for name in names if pattern.fullmatch(name))


def read_catalog_file(path: Path) -> tuple[str, ...]:
    """The repositories that a file names; raises ConfigError with the file's path."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ConfigError((Problem(str(path), 0, "", f"can't be read: {reason}"),)) from error
    names = _names(text)
    wrong = [name for name in names if not isinstance(name, str) or not is_repository_name(name)]
    if wrong:
        message = f"{wrong[0]!r} is not a repository name"
        raise ConfigError((Problem(str(path), 0, "", message),))
    return tuple(str(name) for name in names)


def _names(text: str) -> list[object]:
    if not text.lstrip().startswith(("{", "[")):
        lines = (line.partition("#")[0].strip() for line in text.splitlines())
        return [line for line in lines if line]
    try:
        document = parse_json(text.encode())
    except ValueError:
        return [text.strip()[:40]]
    names = document.get("repositories") if isinstance(document, dict) else document
    return names if isinstance(names, list) else [names]
