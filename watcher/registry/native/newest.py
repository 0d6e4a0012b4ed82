"""Reading an API that lists tags newest first: pages until what was read before, and a mark of it.

The mark holds the second of the newest tag that was read, what the first page was like, and what
the tags on it and around that second were. Pure but for the pages that are handed in; looking.py
uses it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from watcher.registry.listing.tags import Recent, Unchanged
from watcher.registry.native.base import SECOND, Entry, NativePage, NewestFirst

MAXIMUM_PAGES = 10
OVERLAP = 10
"""Seconds before the mark that are read again: two pushes share a second, a row is stamped before
it is committed, and servers' clocks differ."""

_SIZE = 16
_MARK = re.compile(r"([a-z]+):(\d{1,12}) ([0-9a-f]{32}|-) ([0-9a-f]{32}|-) (\d{1,12}|-)", re.ASCII)


class Mark(NamedTuple):
    """Up to where an API was read. `page` and `around` are fingerprints of the first page's bytes
    and of the tags on it and those since `second` less the overlap: where the registry's clock was
    set back, new ones are not among the latter. `-` equals none."""

    second: int
    page: str = "-"
    around: str = "-"
    total: int | None = None

    @property
    def since(self) -> int:
        """From which moment on tags are read again, in nanoseconds."""
        return (self.second - OVERLAP) * SECOND

    def written(self, api: NewestFirst) -> str:
        total = "-" if self.total is None else self.total
        return f"{api.name}:{self.second} {self.page} {self.around} {total}"

    @staticmethod
    def read(text: str | None, api: NewestFirst) -> Mark | None:
        """The mark in a text; None when it is none of this API."""
        found = _MARK.fullmatch(text or "")
        if found is None or found[1] != api.name:
            return None
        return Mark(int(found[2]), found[3], found[4], None if found[5] == "-" else int(found[5]))


class Reading:
    """What the pages told so far; each tag counts once, as it was found first."""

    def __init__(self, since: int | None = None) -> None:
        self.entries: dict[str, Entry] = {}
        self.pages = 0
        self.page = "-"
        self.total: int | None = None
        self.is_complete = False
        self.is_steady = True
        self._since = since
        self._shown = 0
        self._oldest: int | None = None

    @property
    def has_reached(self) -> bool:
        """Whether there can be nothing more since the moment that was asked for."""
        older = self._since is not None and self._oldest is not None and self._oldest < self._since
        return self.is_complete or older

    @property
    def is_exhausted(self) -> bool:
        """Whether the pages that may be read were not enough."""
        return self.pages >= MAXIMUM_PAGES and not self.has_reached

    @property
    def newest(self) -> int:
        """The second of the newest tag; 0 where there is none."""
        return max((entry.at for entry in self.entries.values()), default=0) // SECOND

    def is_same(self, fingerprint: str, mark: Mark) -> bool:
        """Whether the first page is, by its bytes, the one of the mark."""
        if self.pages or fingerprint != mark.page:
            return False
        self.pages, self.page = 1, fingerprint
        return True

    def add(self, page: NativePage, fingerprint: str) -> str | None:
        """Take a page; gives the URL of the one to read next. Raises ValueError when they are not
        newest first, for then nothing follows from what was read."""
        if self.pages == 0:
            self.page, self.total = fingerprint, page.total
        elif page.total != self.total:
            self.is_steady = False
        self.pages += 1
        for entry in page.entries:
            if self._oldest is not None and entry.at > self._oldest and self._is_new(entry):
                raise ValueError("its tags are not newest first")
            self._oldest = entry.at if self._oldest is None else min(entry.at, self._oldest)
            self.entries.setdefault(entry.tag, entry)
        if self.pages == 1:
            self._shown = len(self.entries)
        self.is_complete = page.following is None
        wants_more = self._since is not None and not self.has_reached
        return page.following if wants_more and self.pages < MAXIMUM_PAGES else None

    def since(self, moment: int) -> list[Entry]:
        return [entry for entry in self.entries.values() if entry.at >= moment]

    def around(self, moment: int) -> list[Entry]:
        """What stands on the first page, and all since a moment."""
        shown = list(self.entries.values())
        return shown[: self._shown] + [e for e in shown[self._shown :] if e.at >= moment]

    def mark(self) -> Mark:
        """A mark of all that was read."""
        newest = Mark(self.newest)
        return newest._replace(
            page=self.page, around=_digest_of(self.around(newest.since)), total=self.total
        )

    def _is_new(self, entry: Entry) -> bool:
        """Not one that a push while we read has shifted onto the next page."""
        return self.entries.get(entry.tag) != entry


def fingerprint_of(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=_SIZE).hexdigest()


def judge(api: NewestFirst, mark: Mark, reading: Reading) -> Recent | Unchanged | None:
    """What was read means for who has the mark; None: only a complete walk can tell."""
    if not reading.has_reached or not reading.is_steady or not _totals_agree(mark, reading):
        return None
    if reading.newest < mark.second:
        return None  # what was the newest tag is gone
    found = reading.around(mark.since)
    around, reached = _digest_of(found), reading.mark()
    if around == mark.around:
        return Unchanged(None, reading.pages, tells_digests=True, mark=reached.written(api))
    if api.by_offset and reading.pages > 1:
        # What is deleted while we read shifts a tag past us: so it is read twice alike, or again.
        reached = mark._replace(page="-", around=around)
    return Recent(_told(found), reached.written(api))


def _totals_agree(mark: Mark, reading: Reading) -> bool:
    """Fewer tags: some were deleted. More than the new ones: some were not read."""
    if mark.total is None or reading.total is None:
        return mark.total == reading.total
    new = len(reading.since(mark.second * SECOND))
    return mark.total <= reading.total <= mark.total + new


def _told(entries: Iterable[Entry]) -> Mapping[str, str | None]:
    return {entry.tag: entry.digest for entry in entries}


def _digest_of(entries: Iterable[Entry]) -> str:
    lines = sorted(f"{entry.tag} {entry.digest} {entry.at}" for entry in entries)
    return fingerprint_of("\n".join(lines).encode())
