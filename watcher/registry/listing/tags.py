"""What a look at a repository gives, and the complete walk of the v2 API: all pages or nothing.

Tags and repository names that the specification does not allow are counted and left out; they
could otherwise become paths, log lines or commands. SPEC section 5.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from watcher.core.reference import is_digest, is_repository_name, is_tag
from watcher.registry.answer import Answer
from watcher.registry.listing.pages import Source, names_of, pages_from

MAXIMUM_TAGS = 1_000_000
MAXIMUM_REPOSITORIES = 100_000
MAXIMUM_BARREN_PAGES = 2
_FINGERPRINT_SIZE = 16
_TELLS, _TELLS_NOT = b"+", b"-"


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
    `digests` are what the listing itself told: of all its tags, or of none. `mark` is what to
    hand in with the next look. `beginning` is given where the mark begins anew: what had moved
    before it is not told later, and these are the digests that are told now, as a hint.
    """

    tags: tuple[str, ...]
    fingerprint: bytes
    pages: int
    ignored: int
    digests: Mapping[str, str] = field(default_factory=dict)
    mark: str | None = None
    beginning: Mapping[str, str | None] | None = None


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Nothing was added or deleted since what was handed in; where digests are told, nothing was
    moved either. `fingerprint` None: it was not a complete listing that said so. `beginning` is
    that of Listing."""

    fingerprint: bytes | None
    pages: int
    tells_digests: bool = False
    mark: str | None = None
    beginning: Mapping[str, str | None] | None = None


@dataclass(frozen=True, slots=True)
class Recent:
    """The tags that were added since the mark that was handed in, and with `tells_digests` those
    that were moved too; each with the digest that the answer told, or None. Others may be among
    them. What was deleted is not in it."""

    digests: Mapping[str, str | None]
    mark: str
    tells_digests: bool = True


class Walked(NamedTuple):
    """A complete walk, and the page with which it ended."""

    answer: Listing | Unchanged
    last: Answer


async def list_tags(
    first: Answer, source: Source, fingerprint: bytes | None, *, reads_digests: bool = False
) -> Walked:
    """The complete tags of a repository; raises IncompleteListing, ProtocolError and the tree.

    `reads_digests`: with what Google's `manifest` map tells of their digests. The fingerprint
    then says whether they were told, so that an equal one means that they still are.
    """
    tags = _Tags(source, reads_digests=reads_digests)
    digest = hashlib.blake2b(digest_size=_FINGERPRINT_SIZE)
    endings = (_TELLS, _TELLS_NOT) if reads_digests else (b"",)
    async for page, is_last in pages_from(first, source):
        digest.update(page.body)
        if is_last and fingerprint in [digest.digest() + ending for ending in endings]:
            return Walked(unchanged(fingerprint, tags.pages + 1), page)
        tags.add(page)
        last = page
    digests = tags.digests()
    ending = (_TELLS if digests else _TELLS_NOT) if reads_digests else b""
    listing = Listing(
        tuple(tags.names), digest.digest() + ending, tags.pages, tags.ignored, digests
    )
    return Walked(listing, last)


def unchanged(fingerprint: bytes | None, pages: int) -> Unchanged:
    """What a listing with the fingerprint of an earlier one says."""
    ending = (fingerprint or b"")[_FINGERPRINT_SIZE:]
    return Unchanged(fingerprint, pages, tells_digests=ending == _TELLS)


async def list_repositories(first: Answer, source: Source) -> tuple[str, ...]:
    """The complete catalog; raises as `list_tags`."""
    repositories = _Gathered("repositories", is_repository_name, MAXIMUM_REPOSITORIES, source)
    async for page, _ in pages_from(first, source):
        repositories.add(page)
    return tuple(repositories.names)


class _Gathered:
    """The names of all pages so far."""

    def __init__(
        self, key: str, is_name: Callable[[str], bool], maximum: int, source: Source
    ) -> None:
        self.names: dict[str, None] = {}
        self.pages = 0
        self.ignored = 0
        self._key = key
        self._is_name = is_name
        self._maximum = maximum
        self._source = source
        self._barren = 0

    def add(self, page: Answer) -> dict[str, object]:
        """Take the names of a page; gives all that the page holds."""
        entries, document = names_of(page, self._key, self._source)
        before, ignored = len(self.names), self.ignored
        for entry in entries:
            if isinstance(entry, str) and self._is_name(entry):
                self.names[entry] = None
            else:
                self.ignored += 1
        self.pages += 1
        if len(self.names) > self._maximum:
            raise self._source.incomplete(f"it names more than {self._maximum}")
        # A short or empty page is allowed, and Artifactory has pages of digests, which are no tags;
        # pages that repeat what is known are a trick or a fault.
        repeats = len(entries) > self.ignored - ignored and len(self.names) == before
        self._barren = self._barren + 1 if repeats else 0
        if self._barren >= MAXIMUM_BARREN_PAGES:
            raise self._source.incomplete("its pages repeat themselves")
        return document


class _Tags(_Gathered):
    """The tags of all pages so far, and the digests that Google's maps tell of them."""

    def __init__(self, source: Source, *, reads_digests: bool) -> None:
        super().__init__("tags", is_tag, MAXIMUM_TAGS, source)
        self._reads_digests = reads_digests
        self._digests: dict[str, str] = {}
        self._disputed: set[str] = set()

    def add(self, page: Answer) -> dict[str, object]:
        document = super().add(page)
        if self._reads_digests:
            self._read_map(document.get("manifest"))
        return document

    def digests(self) -> dict[str, str]:
        """Of all tags, or of none: a map that lacks one may lack a move as well."""
        if not all(tag in self._digests for tag in self.names):
            return {}
        if not self._disputed.isdisjoint(self.names):
            return {}
        return {tag: self._digests[tag] for tag in self.names}

    def _read_map(self, manifests: object) -> None:
        if not isinstance(manifests, dict):
            return
        for digest, manifest in manifests.items():
            tags = manifest.get("tag") if isinstance(manifest, dict) else None
            if not is_digest(digest) or not isinstance(tags, list):
                continue
            for tag in tags:
                if isinstance(tag, str) and self._digests.setdefault(tag, digest) != digest:
                    self._disputed.add(tag)
