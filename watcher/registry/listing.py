"""Listings: all pages or nothing (SPEC section 5).

A walk follows `Link` from page to page within caps and notices when it is led in circles. Tags and
repository names that the specification does not allow are counted and left out; they could
otherwise become paths, log lines or commands.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from watcher.core.reference import is_repository_name, is_tag
from watcher.errors import (
    AuthenticationFailed,
    IncompleteListing,
    ProtocolError,
    RateLimited,
    RegistryError,
    TransportError,
)
from watcher.registry.answer import Answer, is_html
from watcher.registry.bodies import WALK_CAP, parse_json
from watcher.registry.links import next_link, next_url

MAXIMUM_TAGS = 1_000_000
MAXIMUM_REPOSITORIES = 100_000
MAXIMUM_BARREN_PAGES = 2
_FINGERPRINT_SIZE = 16

Fetch = Callable[[str], Awaitable[Answer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What earlier looks at a repository left, and what is wanted of the next one.

    `fingerprint` is of a complete listing that says what is stored. `mark` is where the last
    answer of a strategy ended, understood by that strategy alone. `walked` is when the last
    complete listing was believed (epoch seconds), `tags` how many are known. Digests are wanted
    where tags are followed for moves; where deletions are wanted only a complete listing will do.
    """

    fingerprint: bytes | None = None
    mark: str | None = None
    walked: float | None = None
    tags: int = 0
    interval: float = 60.0
    wants_digests: bool = False
    wants_deletions: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """All tags of a repository, in the registry's order (which means nothing), each once.

    `fingerprint` is of the bytes of all pages; `ignored` counts entries that are no tags.
    `digests` are what the listing itself told: of all its tags, or of none.
    """

    tags: tuple[str, ...]
    fingerprint: bytes
    pages: int
    ignored: int
    digests: Mapping[str, str] = field(default_factory=dict)
    mark: str | None = None


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Nothing was added or deleted since what was handed in; where digests are told, nothing was
    moved either. `fingerprint` None: it was not a complete listing that said so."""

    fingerprint: bytes | None
    pages: int
    tells_digests: bool = False
    mark: str | None = None


@dataclass(frozen=True, slots=True)
class Recent:
    """The tags that were added since the mark that was handed in, and with `tells_digests` those
    that were moved too; each with the digest that the answer told, or None. What was deleted is
    not in it."""

    digests: Mapping[str, str | None]
    mark: str
    tells_digests: bool = True


class Bounds(NamedTuple):
    """How far a walk may go, and whose walk it is; `what` is named in errors."""

    host: str
    what: str
    maximum_pages: int


async def list_tags(
    fetch: Fetch, url: str, bounds: Bounds, fingerprint: bytes | None
) -> Listing | Unchanged:
    """The complete tags of a repository; raises IncompleteListing, ProtocolError and the tree."""
    gathered = _Gathered("tags", is_tag, MAXIMUM_TAGS, bounds)
    digest = hashlib.blake2b(digest_size=_FINGERPRINT_SIZE)
    async for page, is_last in _walk(fetch, url, bounds):
        digest.update(page.body)
        if is_last and digest.digest() == fingerprint:
            return Unchanged(fingerprint, gathered.pages + 1)
        gathered.add(page)
    return Listing(tuple(gathered.names), digest.digest(), gathered.pages, gathered.ignored)


async def list_repositories(fetch: Fetch, url: str, bounds: Bounds) -> tuple[str, ...]:
    """The complete catalog; raises as `list_tags`."""
    gathered = _Gathered("repositories", is_repository_name, MAXIMUM_REPOSITORIES, bounds)
    async for page, _ in _walk(fetch, url, bounds):
        gathered.add(page)
    return tuple(gathered.names)


class _Gathered:
    """The names of all pages so far."""

    def __init__(
        self, key: str, is_name: Callable[[str], bool], maximum: int, bounds: Bounds
    ) -> None:
        self.names: dict[str, None] = {}
        self.pages = 0
        self.ignored = 0
        self._key = key
        self._is_name = is_name
        self._maximum = maximum
        self._bounds = bounds
        self._barren = 0

    def add(self, page: Answer) -> None:
        entries = self._entries(page)
        before = len(self.names)
        for entry in entries:
            if isinstance(entry, str) and self._is_name(entry):
                self.names[entry] = None
            else:
                self.ignored += 1
        self.pages += 1
        if len(self.names) > self._maximum:
            raise _incomplete(self._bounds, f"it names more than {self._maximum}")
        # A short or empty page is allowed; pages that repeat what is known are a trick or a fault.
        self._barren = self._barren + 1 if entries and len(self.names) == before else 0
        if self._barren >= MAXIMUM_BARREN_PAGES:
            raise _incomplete(self._bounds, "its pages repeat themselves")

    def _entries(self, page: Answer) -> list[object]:
        try:
            document = parse_json(page.body)
        except ValueError as error:
            raise self._wrong(f"wrong JSON ({error})") from error
        if not isinstance(document, dict) or self._key not in document:
            raise self._wrong(f"JSON without `{self._key}`")
        entries = document[self._key]
        if entries is not None and not isinstance(entries, list):
            raise self._wrong(f"JSON whose `{self._key}` is no list")
        return entries or []

    def _wrong(self, what: str) -> ProtocolError:
        bounds = self._bounds
        return ProtocolError(f"{bounds.host} sent {what} for {bounds.what}", host=bounds.host)


async def _walk(fetch: Fetch, url: str, bounds: Bounds) -> AsyncIterator[tuple[Answer, bool]]:
    """Page after page, each with whether it is the last."""
    seen: set[str] = set()
    size = 0
    for number in range(bounds.maximum_pages):
        seen.add(url)
        page = await (fetch(url) if number == 0 else _later(fetch, url, bounds))
        size += len(page.body)
        if size > WALK_CAP:
            raise _incomplete(bounds, f"it is longer than {WALK_CAP // 1024 // 1024} MiB")
        if is_html(page):
            raise ProtocolError(
                f"{bounds.host} sent a web page for {bounds.what}; a login page or a proxy?",
                host=bounds.host,
            )
        following = _following(page, bounds)
        yield page, following is None
        if following is None:
            return
        if following in seen:
            raise _incomplete(bounds, "its pages lead in a circle")
        url = following
    raise _incomplete(bounds, f"it has more than {bounds.maximum_pages} pages")


async def _later(fetch: Fetch, url: str, bounds: Bounds) -> Answer:
    """A page after the first: its refusal says nothing about the repository."""
    try:
        return await fetch(url)
    except (RateLimited, TransportError, AuthenticationFailed):
        raise
    except RegistryError as error:
        raise IncompleteListing(
            f"the listing of {bounds.what} broke off: {error.message}",
            host=bounds.host,
            status=error.status,
            hint=error.hint,
            temporary=error.temporary,
        ) from error


def _following(page: Answer, bounds: Bounds) -> str | None:
    lines = page.headers.get_list("link")
    link = next_link(lines) if lines else None
    if link is None:
        return None
    try:
        return next_url(link, page.url)
    except ValueError as error:
        raise _incomplete(bounds, str(error)) from error


def _incomplete(bounds: Bounds, why: str) -> IncompleteListing:
    return IncompleteListing(
        f"the listing of {bounds.what} at {bounds.host} can't be completed: {why}",
        host=bounds.host,
    )
