"""Known tags against a complete listing: what changed, and whether to believe it at all.

Set operations only, for a repository may have 50 000 tags of which one is new. Pure; used by the
poller. What a trigger makes of the changes is `trigger`'s business.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta

from watcher.core.change import Change, ChangeKind, KnownRepository, KnownTag, Quarantine
from watcher.core.version import natural_key

_SUSPICIOUS_LOSS = 10
_ARTIFACT_PREFIX = "sha256"
_ARTIFACT = re.compile(r"sha256-[0-9a-f]{64}(?:\.(?:sig|att|sbom))?|sha256__[0-9a-f]{64}")


def is_artifact_tag(tag: str) -> bool:
    """Whether the tag carries a signature, attestation or SBOM of another (SPEC 5), or is a
    manifest's digest, as Artifactory lists them among the tags."""
    return tag.startswith(_ARTIFACT_PREFIX) and _ARTIFACT.fullmatch(tag) is not None


def diff(
    known: KnownRepository, listed: Collection[str], digests: Mapping[str, str]
) -> tuple[Change, ...]:
    """The changes between what is known of a baselined repository and a listing that is believed:
    new, then moved, then deleted, each in natural order.

    `digests` holds what was looked up with success; a tag without one keeps its digest, and a
    digest that becomes known for the first time is no change (`recorded_digests` has it).
    """
    tags = known.tags
    there = set(listed)
    returned = {name for name, tag in tags.items() if not tag.present} & there
    appeared = (there - tags.keys()) | returned
    vanished = {name for name in tags.keys() - there if tags[name].present}
    moved = {name for name in there & digests.keys() if _is_move(tags.get(name), digests[name])}
    return (
        *(_new(tags.get(name), name, digests.get(name)) for name in _sorted(appeared)),
        *(_moved(tags[name], name, digests[name]) for name in _sorted(moved)),
        *(_deleted(tags[name], name) for name in _sorted(vanished)),
    )


def recorded_digests(known: KnownRepository, digests: Mapping[str, str]) -> dict[str, str]:
    """Digests of known, present tags that had none: recorded, and nothing fires (SPEC 5)."""
    recorded: dict[str, str] = {}
    for name, digest in digests.items():
        tag = known.tags.get(name)
        if tag is not None and tag.present and tag.digest is None:
            recorded[name] = digest
    return recorded


def assess(
    known: KnownRepository, listed: Collection[str], *, now: datetime, interval: timedelta
) -> Quarantine | None:
    """None when the listing is believed; else the quarantine that it is in from now on (SPEC 5).

    Doubtful is a listing with fewer than half of the tags known before (and at least 10 fewer),
    or with none where there were some. It is believed when a poll at least one `interval` after
    the first says the same of the tags known before; tags pushed meanwhile make no difference.
    A quarantine from the future, seen by a clock that was set back since, begins anew.
    An empty listing is never a baseline, however often it comes (SPEC 1, promise 2).
    """
    there = set(listed)
    if not known.baselined:
        if there:
            return None
        return known.quarantine or Quarantine(since=now, fingerprint=_fingerprint(()), listed=0)
    before = known.present.keys()
    survivors = before & there
    lost = len(before) - len(survivors)
    shrunk = lost >= _SUSPICIOUS_LOSS and 2 * len(survivors) < len(before)
    if not shrunk and (there or not before):
        return None
    fingerprint = _fingerprint(survivors)
    earlier = known.quarantine
    if earlier is None or earlier.fingerprint != fingerprint or earlier.since > now:
        return Quarantine(since=now, fingerprint=fingerprint, listed=len(there))
    return None if now - earlier.since >= interval else earlier


def _fingerprint(tags: Iterable[str]) -> str:
    return hashlib.blake2b("\n".join(sorted(tags)).encode(), digest_size=16).hexdigest()


def _sorted(names: Iterable[str]) -> list[str]:
    return sorted(names, key=natural_key)


def _is_move(tag: KnownTag | None, digest: str) -> bool:
    return tag is not None and tag.present and tag.digest is not None and tag.digest != digest


def _new(before: KnownTag | None, name: str, digest: str | None) -> Change:
    """A deleted tag that comes back counts on, so that its key was never used before."""
    number = 1 if before is None else before.change_number + 1
    return Change(kind=ChangeKind.NEW, tag=name, digest=digest, previous_digest=None, number=number)


def _moved(before: KnownTag, name: str, digest: str) -> Change:
    return Change(
        kind=ChangeKind.MOVED,
        tag=name,
        digest=digest,
        previous_digest=before.digest,
        number=before.change_number + 1,
    )


def _deleted(before: KnownTag, name: str) -> Change:
    return Change(
        kind=ChangeKind.DELETED,
        tag=name,
        digest=None,
        previous_digest=before.digest,
        number=before.change_number + 1,
    )
