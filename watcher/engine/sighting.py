"""What one look at a repository says about all its tags, whatever strategy it was made by.

A complete listing says which tags there are; the recent ones of a registry's own API say it
together with what is stored. Pure; between the registry's answers and detection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from watcher.core.change import KnownRepository, KnownTag
from watcher.registry.listing.tags import Listing, Recent, Unchanged


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """All tags that there are, and what was told of their digests. With `tells_moves`, a tag that
    is not in `told` has not moved. With `is_complete` the tags came in one complete listing, and
    so may be recorded with the digests that it told."""

    tags: Sequence[str]
    told: Mapping[str, str | None] = field(default_factory=dict)
    tells_moves: bool = False
    is_complete: bool = True

    def recordable(self, tag: str, known: KnownTag | None) -> str | None:
        """The digest to take over without a question: of a tag that had none. Elsewhere a told
        digest is only a hint, for another API may name another one for the same image."""
        if not self.is_complete or _digest(known) is not None:
            return None
        return self.told.get(tag)

    def has_stood_still(self, tag: str, known: KnownTag | None) -> bool:
        """Whether the answer itself says that a known tag did not move."""
        digest = _digest(known)
        if not self.tells_moves or digest is None:
            return False
        return tag not in self.told or self.told[tag] == digest


def sighting_of(
    answer: Listing | Unchanged | Recent,
    known: KnownRepository,
    countable: Callable[[Sequence[str]], Sequence[str]],
) -> Sighting:
    """Read an answer beside what is stored; `countable` keeps what counts as a tag."""
    present = known.present
    if not isinstance(answer, Recent) and answer.beginning is not None:
        tags = countable(answer.tags) if isinstance(answer, Listing) else tuple(present)
        hints = {tag: answer.beginning.get(tag) for tag in tags}
        return Sighting(tags=tags, told=hints, tells_moves=True, is_complete=False)
    if isinstance(answer, Listing):
        tags = countable(answer.tags)
        return Sighting(tags=tags, told=answer.digests, tells_moves=bool(answer.digests))
    if isinstance(answer, Unchanged):
        return Sighting(tags=tuple(present), tells_moves=answer.tells_digests)
    recent = countable(tuple(answer.digests))
    tags = tuple(dict.fromkeys((*present, *recent)))
    told = {tag: answer.digests[tag] for tag in recent}
    return Sighting(tags=tags, told=told, tells_moves=answer.tells_digests, is_complete=False)


def _digest(known: KnownTag | None) -> str | None:
    return known.digest if known is not None and known.present else None
