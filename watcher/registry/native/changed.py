"""What changed in a whole registry, asked once for all repositories of an account.

The list is read to its end once (or until every repository that is watched was seen), later only
down to what was read before. One answer serves all looks for a while. Imported by looking.py.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import NamedTuple

from watcher.registry.answer import Answer
from watcher.registry.native import harbor
from watcher.registry.native.base import MOST_ENTRIES, SECOND
from watcher.registry.native.newest import MAXIMUM_PAGES, OVERLAP

MAXIMUM_FIRST_PAGES = 100
MOST_KNOWN = MAXIMUM_FIRST_PAGES * MOST_ENTRIES
"""Repositories; a registry that names ever new ones has its list read anew."""
_MARK = re.compile(r"harbor:(\d{1,21})([?!]?)", re.ASCII)

Fetch = Callable[[str], Awaitable[Answer]]
Misread = Callable[[Answer, ValueError], Exception]


class Known(StrEnum):
    """What is known of the digests at the moment of a mark: all of them, none yet, or that the API
    does not tell them. The text is the end of the mark."""

    DIGESTS = ""
    NOT_YET = "?"
    NEVER = "!"


class ChangedMark(NamedTuple):
    """A repository was walked when it had changed last at this moment, in nanoseconds."""

    at: int
    known: Known = Known.NOT_YET

    def written(self) -> str:
        return f"harbor:{self.at}{self.known}"

    @staticmethod
    def read(text: str | None) -> ChangedMark | None:
        found = _MARK.fullmatch(text or "")
        return None if found is None else ChangedMark(int(found[1]), Known(found[2]))


class Told(NamedTuple):
    """When a repository changed last (nanoseconds), by a list that was asked for at `asked`
    (seconds of the epoch)."""

    at: int
    asked: float

    @property
    def is_settled(self) -> bool:
        """Whether that is so long ago that no other change may share its moment, and a walk of
        now sees it."""
        return self.at <= (self.asked - OVERLAP) * SECOND


class Changes:
    """The times of all repositories that the list has told of."""

    def __init__(self, clock: Callable[[], float], misread: Misread) -> None:
        self.expected: frozenset[str] = frozenset()
        self._clock = clock
        self._misread = misread
        self._times: dict[str, int] = {}
        self._newest: int | None = None
        self._total = 0
        self._is_to_the_end = False
        self._asked = 0.0
        self._lock = asyncio.Lock()

    async def of(self, repository: str, fetch: Fetch, origin: str, longest: float) -> Told | None:
        """What a list of the last `longest` seconds tells of a repository; None: nothing. With
        less than 0 it is asked for now."""
        async with self._lock:
            if not 0 <= self._clock() - self._asked <= longest:
                await self._ask(fetch, origin)
        at = self._times.get(repository)
        return None if at is None else Told(at, self._asked)

    async def _ask(self, fetch: Fetch, origin: str) -> None:
        asked = self._clock()
        if not self._is_to_the_end and not self.expected <= self._times.keys():
            self._newest = None
        if self._newest is None or not await self._ask_for_news(fetch, origin, self._newest):
            await self._ask_for_all(fetch, origin)
        self._asked = asked

    async def _ask_for_news(self, fetch: Fetch, origin: str, newest: int) -> bool:
        """Read down to what is known; False when that does not add up with what was known."""
        reading = _Reading(self._misread)
        url: str | None = harbor.first(origin)
        while url is not None and reading.pages < MAXIMUM_PAGES:
            url = await reading.page(fetch, url)
            if reading.oldest < newest - OVERLAP * SECOND:
                url = None
                break
        if url is not None or reading.total < self._total:
            return False  # more news than pages, or a repository is gone
        if len(self._times) + len(reading.times) > MOST_KNOWN:
            return False
        self._times.update(reading.times)
        self._newest, self._total = max(newest, reading.newest), reading.total
        return True

    async def _ask_for_all(self, fetch: Fetch, origin: str) -> None:
        reading = _Reading(self._misread)
        url: str | None = harbor.first(origin)
        while url is not None and reading.pages < MAXIMUM_FIRST_PAGES:
            url = await reading.page(fetch, url)
            if self.expected and self.expected <= reading.times.keys():
                break
        self._is_to_the_end = url is None or reading.pages >= MAXIMUM_FIRST_PAGES
        self._times = reading.times
        self._newest, self._total = reading.newest, reading.total


async def digests_of(
    repository: str, fetch: Fetch, origin: str, misread: Misread
) -> dict[str, str] | None:
    """Which digests the tags of a repository have; None when that is too long, or not told."""
    told: dict[str, str | None] = {}
    url = harbor.artifacts(origin, repository)
    for _ in range(MAXIMUM_PAGES):
        answer = await fetch(url)
        try:
            page = harbor.read_artifacts(answer, url)
        except ValueError as error:
            raise misread(answer, error) from error
        told.update((entry.tag, entry.digest) for entry in page.entries)
        if page.following is None:
            digests = {tag: digest for tag, digest in told.items() if digest is not None}
            return digests if len(digests) == len(told) else None
        url = page.following
    return None


class _Reading:
    """The pages of one answer; pages shift while repositories change, so the first time counts."""

    def __init__(self, misread: Misread) -> None:
        self.times: dict[str, int] = {}
        self.pages = 0
        self.total = 0
        self.newest = 0
        self.oldest = 0
        self._misread = misread

    async def page(self, fetch: Fetch, url: str) -> str | None:
        """Read one page; gives the URL of the next one."""
        answer = await fetch(url)
        try:
            page = harbor.read(answer, url)
            self._add(page)
        except ValueError as error:
            raise self._misread(answer, error) from error
        return page.following

    def _add(self, page: harbor.ChangedPage) -> None:
        for entry in page.entries:
            is_new = entry.repository not in self.times
            if self.times and is_new and entry.at > self.oldest:
                raise ValueError("its repositories are not in the order of their changes")
            if is_new:
                self.times[entry.repository] = entry.at
                self.newest, self.oldest = max(self.newest, entry.at), entry.at
        self.pages, self.total = self.pages + 1, page.total
