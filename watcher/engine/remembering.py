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
from watcher.registry.listing import Listing, Recent, Seen, Unchanged

_SALT_BYTES = 4
_NO_LISTING = b""


class Traces(NamedTuple):
    """What a look leaves; the fields are those of RepositoryStatus."""

    fingerprint: bytes | None = None
    mark: str | None = None
    walked: float | None = None


def salt_of(account: Account, triggers: Iterable[Trigger]) -> bytes:
    """Part of the stored fingerprint: another set of triggers has to read the tags once."""
    words = [account.track_digests.value, str(account.include_artifacts)]
    words.extend(sorted(repr((t.name, t.tag, sorted(t.changes))) for t in triggers))
    return hashlib.blake2b("\n".join(words).encode(), digest_size=_SALT_BYTES).digest()


def seen_of(
    status: RepositoryStatus,
    salt: bytes,
    triggers: Iterable[Trigger],
    *,
    interval: timedelta,
    wants_digests: bool,
) -> Seen:
    """What the next look may lean on: nothing, where an equal answer would prove nothing."""
    fingerprint = _comparable(status, salt)
    return Seen(
        fingerprint=fingerprint,
        mark=status.mark if fingerprint is not None else None,
        walked=status.walked,
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
    if _comparable(status, salt) is None:
        return Traces()
    return Traces(_NO_LISTING + salt, status.mark, status.walked)


def _comparable(status: RepositoryStatus, salt: bytes) -> bytes | None:
    """The stored fingerprint, if an equal listing really means that there is nothing to do."""
    if status.fingerprint is None or not status.known or status.quarantined:
        return None
    if status.fingerprint[-_SALT_BYTES:] != salt:
        return None
    return status.fingerprint[:-_SALT_BYTES]
