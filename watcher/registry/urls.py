"""URLs as text: urllib and others would normalise what must go back byte by byte.

Every URL that a registry names passes `absolute` first, so that only printable ASCII gets on.
"""

from __future__ import annotations

from urllib.parse import urljoin

from watcher.http_client import origin_of

__all__ = ["absolute", "origin_of"]


def absolute(base: str, reference: str) -> str | None:
    """A reference as an absolute URL without fragment; None for an empty or unprintable one."""
    if not reference or not reference.isascii() or not reference.isprintable() or " " in reference:
        return None
    try:
        return urljoin(base, reference).partition("#")[0]
    except ValueError:
        return None
