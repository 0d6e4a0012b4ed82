"""Why each tag is kept or left out by a trigger: what `watcher explain` shows. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from watcher.core.change import KnownRepository, TriggerState
from watcher.core.deployment import Rejection, rejection_of
from watcher.core.selector import matches, no_value, sort_key
from watcher.core.trigger import Trigger
from watcher.core.version import SortKey, natural_key


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedTag:
    """One tag: whether the trigger's rule and order keep it and no rollback rejected it, and why,
    in words for a person."""

    tag: str
    kept: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Kept tags from the highest down, then the others in natural order; `winner` is the highest
    kept tag, None when the trigger keeps none."""

    trigger: str
    tags: tuple[ExplainedTag, ...]
    winner: str | None


def explain(
    trigger: Trigger,
    tags: Iterable[str],
    known: KnownRepository | None = None,
    rejections: Sequence[Rejection] = (),
) -> Explanation:
    """The rule that kept or dropped each tag. `known` gives the order of first sight, in which
    tags that it does not hold come last, the digests, and the highest tag that fired;
    `rejections` are the images that rollbacks took out of pipelines."""
    kept: list[tuple[SortKey, SortKey, str, str]] = []
    dropped: list[ExplainedTag] = []
    for tag in dict.fromkeys(tags):
        match = matches(trigger.tag, tag)
        key = sort_key(trigger.order, tag, _first_seen(known, tag)) if match.ok else None
        rejection = _rejection(trigger, known, tag, rejections) if key is not None else None
        if rejection is not None:
            dropped.append(ExplainedTag(tag=tag, kept=False, reason=rejection.why))
            continue
        if key is not None:
            kept.append((key, natural_key(tag), tag, f"the tag {match.reason}"))
            continue
        reason = no_value(trigger.order, tag) if match.ok else match.reason
        dropped.append(ExplainedTag(tag=tag, kept=False, reason=f"the tag {reason}"))
    kept.sort(reverse=True)
    rows = [
        ExplainedTag(tag=tag, kept=True, reason=reason + _warning(trigger, known, key))
        for key, _, tag, reason in kept
    ]
    rows += sorted(dropped, key=lambda row: natural_key(row.tag))
    return Explanation(trigger=trigger.name, tags=tuple(rows), winner=kept[0][2] if kept else None)


def _rejection(
    trigger: Trigger, known: KnownRepository | None, tag: str, rejections: Sequence[Rejection]
) -> Rejection | None:
    if known is None or not rejections:
        return None
    stored = known.tags.get(tag)
    return rejection_of(
        rejections,
        pipeline=trigger.pipeline,
        account=known.account,
        repository=known.repository,
        tag=tag,
        digest=stored.digest if stored is not None and stored.present else None,
    )


def _first_seen(known: KnownRepository | None, tag: str) -> float:
    stored = known.tags.get(tag) if known is not None else None
    return stored.first_seen.timestamp() if stored is not None else float("inf")


def _warning(trigger: Trigger, known: KnownRepository | None, key: SortKey) -> str:
    """A kept tag may still be recorded as older when it appears."""
    state = known.triggers.get(trigger.name) if known is not None else None
    highest = (state or TriggerState()).highest
    if highest is None or trigger.allow_downgrade or not trigger.order.knows_downgrades:
        return ""
    bar = sort_key(trigger.order, highest, 0)
    if bar is None or key > bar:
        return ""
    return f"; not above {highest!r}, the highest tag that fired: as a new tag it would be older"
