"""The tail of a listing that is in the order of the first push: new tags come at its end.

The last page is remembered by the address that `Link` gave it, its first tag and its bytes; the
next look asks for it and for what follows it. Whatever is odd about that means a complete walk.
Imported by looking.py. field facts: registries.md section 3.2 (a) 5.
"""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

from watcher.core.reference import is_tag
from watcher.errors import AuthenticationFailed, RateLimited, RegistryError, TransportError
from watcher.registry.answer import Answer
from watcher.registry.listing.pages import Source, following_url, names_of, pages_from
from watcher.registry.listing.tags import Recent, Unchanged
from watcher.registry.urls import origin_of

PREFIX = "tail:"
MAXIMUM_TARGET = 2000
_MARK = re.compile(r"tail:([0-9a-f]{32}) (\S+) (/[!-~]+)", re.ASCII)


class TailMark(NamedTuple):
    """The last page: a fingerprint of its bytes, its first tag, and its path with the query."""

    page: str
    tag: str
    target: str

    def written(self) -> str:
        return f"{PREFIX}{self.page} {self.tag} {self.target}"

    @staticmethod
    def read(text: str | None, url: str) -> TailMark | None:
        """The mark in a text, if it is one of the list at this URL."""
        found = _MARK.fullmatch(text or "")
        if found is None or not is_tag(found[2]):
            return None
        path = url.removeprefix(origin_of(url))
        return TailMark(*found.groups()) if found[3].startswith(f"{path}?") else None


def mark_of(last: Answer, source: Source) -> str | None:
    """The mark of a walk that ended with this page; None where that was the only one."""
    entries, _ = names_of(last, "tags", source)
    return _mark(last, _tags(entries))


async def look_at_tail(mark: TailMark, source: Source, origin: str) -> Recent | Unchanged | None:
    """What came after the mark; None: only a complete walk can tell.

    Raises RateLimited, TransportError and AuthenticationFailed: a walk would fare no better.
    """
    try:
        first = await source.fetch(f"{origin}{mark.target}")
        is_last = following_url(first, source) is None
        if is_last and _fingerprint(first) == mark.page:
            return Unchanged(None, 1, mark=mark.written())
        return await _read(mark, first, source)
    except (RateLimited, TransportError, AuthenticationFailed):
        raise
    except RegistryError:
        return None


async def _read(mark: TailMark, first: Answer, source: Source) -> Recent | None:
    found: dict[str, None] = {}
    written: str | None = None
    async for page, _ in pages_from(first, source):
        entries, _ = names_of(page, "tags", source)
        tags = _tags(entries)
        if page is first and tags[:1] != [mark.tag]:
            return None
        found.update(dict.fromkeys(tags))
        # A page without tags may follow for now; the one before it then has a link to what comes.
        written = _mark(page, tags) or written
    return None if written is None else Recent(found, written, tells_digests=False)


def _mark(page: Answer, tags: list[str]) -> str | None:
    target = page.url.removeprefix(origin_of(page.url))
    if not tags or "last=" not in target or len(target) > MAXIMUM_TARGET:
        return None
    return TailMark(_fingerprint(page), tags[0], target).written()


def _tags(entries: list[object]) -> list[str]:
    return [entry for entry in entries if isinstance(entry, str) and is_tag(entry)]


def _fingerprint(page: Answer) -> str:
    return hashlib.blake2b(page.body, digest_size=16).hexdigest()
