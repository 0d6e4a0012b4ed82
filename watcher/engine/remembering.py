"""What one look at a repository leaves for the next one, and what that is worth by then.

An equal answer means "nothing to do" only while the state holds what the earlier one said, and
while the same triggers ask. Pure; used by the poller.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import timedelta
from typing import NamedTuple

from watcher.core.account import Account
from watcher.core.change import ChangeKind
from watcher.core.poll import RepositoryStatus
from watcher.core.trigger import Trigger
from watcher.registry.listing.tags import Listing, Recent, Seen, Unchanged

_PART_BYTES = 4
_SALT_BYTES = 2 * _PART_BYTES
_NO_LISTING = b""
_NO_TRIGGERS = bytes(_PART_BYTES)


class Traces(NamedTuple):
    """What a look leaves; the fields are those of RepositoryStatus."""

    fingerprint: bytes | None = None
    mark: str | None = None
    walked: float | None = None


def salt_of(account: Account, triggers: Iterable[Trigger]) -> bytes:
    """Part of the stored fingerprint: of the registry, then of the triggers. Another set of them
    has to read the tags once; a mark outlives that, but not another registry."""
    words = [account.track_digests.value, str(account.include_artifacts)]
    words.extend(sorted(repr((t.name, t.tag, sorted(t.changes))) for t in triggers))
    return _part_of(account.registry.base_url) + _part_of("\n".join(words))


def seen_of(
    status: RepositoryStatus,
    salt: bytes,
    triggers: Iterable[Trigger],
    *,
    interval: timedelta,
    wants_digests: bool,
) -> Seen:
    """What the next look may lean on: nothing, where an equal answer would prove nothing. For
    other triggers all tags are read again, though what moved is known up to the same mark."""
    fingerprint = _comparable(status, salt)
    return Seen(
        fingerprint=fingerprint,
        mark=status.mark if _is_of_place(status, salt) else None,
        walked=status.walked if fingerprint is not None else None,
        tags=status.tags,
        interval=interval.total_seconds(),
        wants_digests=wants_digests,
        wants_deletions=any(ChangeKind.DELETED in trigger.changes for trigger in triggers),
    )


def traces_of(
    answer: Listing | Unchanged | Recent, status: RepositoryStatus, salt: bytes, now: float
) -> Traces:
    """What to remember of an answer, should all of it be believed and recorded."""
    if isinstance(answer, Recent):
        # The listing of before is no longer what is stored, and no complete one has come since.
        return Traces(_NO_LISTING + salt, answer.mark, status.walked)
    if answer.fingerprint is None:
        return Traces(status.fingerprint, answer.mark or status.mark, status.walked)
    return Traces(answer.fingerprint + salt, answer.mark, now)


def traces_of_a_part(status: RepositoryStatus, salt: bytes) -> Traces:
    """What to remember where a digest could not be read: the next look has to tell it again."""
    if not _is_of_place(status, salt):
        return Traces()
    if _comparable(status, salt) is None:
        salt = salt[:_PART_BYTES] + _NO_TRIGGERS
    return Traces(_NO_LISTING + salt, status.mark, status.walked)


def _comparable(status: RepositoryStatus, salt: bytes) -> bytes | None:
    """The stored fingerprint, if an equal listing really means that there is nothing to do."""
    if not _is_of_place(status, salt):
        return None
    fingerprint = status.fingerprint or b""
    return fingerprint[:-_SALT_BYTES] if fingerprint.endswith(salt) else None


def _is_of_place(status: RepositoryStatus, salt: bytes) -> bool:
    """Whether what was seen was believed, and seen at this registry."""
    if status.fingerprint is None or not status.known or status.quarantined:
        return False
    return status.fingerprint[-_SALT_BYTES:-_PART_BYTES] == salt[:_PART_BYTES]


def _part_of(words: str) -> bytes:
    return hashlib.blake2b(words.encode(), digest_size=_PART_BYTES).digest()
