"""Short ways to the values that detection works on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from watcher.core.change import (
    Change,
    ChangeKind,
    KnownRepository,
    KnownTag,
    Quarantine,
    TriggerState,
)
from watcher.core.selector import Ordering, OrderKind, TagRule
from watcher.core.trigger import Backfill, Fire, Trigger

ACCOUNT = "dockerhub"
REPOSITORY = "acme/demoapp"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
EARLIER = datetime(2026, 2, 1, 12, tzinfo=UTC)


def digest(letter: str) -> str:
    return f"sha256:{letter * 64}"


def known_tag(
    *, digest: str | None = None, present: bool = True, number: int = 0, seen: datetime = EARLIER
) -> KnownTag:
    return KnownTag(
        digest=digest, first_seen=seen, sequence=0, change_number=number, present=present
    )


def known(
    tags: Iterable[str] | Mapping[str, KnownTag] = (),
    *,
    triggers: Mapping[str, TriggerState] | None = None,
    quarantine: Quarantine | None = None,
    baselined: bool = True,
) -> KnownRepository:
    rows = tags if isinstance(tags, Mapping) else {tag: known_tag() for tag in tags}
    return KnownRepository(
        account=ACCOUNT,
        repository=REPOSITORY,
        baselined=baselined,
        tags=rows,
        triggers={"t": TriggerState()} if triggers is None else triggers,
        quarantine=quarantine,
    )


def trigger(
    name: str = "t",
    *,
    order: OrderKind = OrderKind.FIRST_SEEN,
    extract: str | None = None,
    changes: Iterable[ChangeKind] = (ChangeKind.NEW,),
    tag: TagRule | None = None,
    fire: Fire = Fire.EACH,
    backfill: Backfill = Backfill.NONE,
    allow_downgrade: bool = False,
    parameters: Mapping[str, object] | None = None,
) -> Trigger:
    return Trigger(
        name=name,
        account=ACCOUNT,
        pipeline="deploy",
        repositories=(REPOSITORY,),
        tag=tag or TagRule(),
        order=Ordering(kind=order, extract=extract),
        changes=frozenset(changes),
        fire=fire,
        backfill=backfill,
        allow_downgrade=allow_downgrade,
        parameters=parameters or {},
    )


def new(tag: str, number: int = 1, digest: str | None = None) -> Change:
    return Change(kind=ChangeKind.NEW, tag=tag, digest=digest, previous_digest=None, number=number)


def moved(tag: str, to: str = digest("b"), number: int = 1) -> Change:
    return Change(
        kind=ChangeKind.MOVED, tag=tag, digest=to, previous_digest=digest("a"), number=number
    )


def deleted(tag: str, number: int = 1) -> Change:
    return Change(
        kind=ChangeKind.DELETED, tag=tag, digest=None, previous_digest=None, number=number
    )
