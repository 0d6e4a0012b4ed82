"""Triggers: rules that turn a change into a run, and the decision about each change.

`decide` and `baseline` are pure: known tags, changes and rejected images in, decisions with their
reasons and the triggers' new states out (SPEC 3.2, 5, 6.4). The poller asks; `planning` makes
executions of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from watcher.core.change import Change, ChangeKind, KnownRepository, KnownTag, TriggerState
from watcher.core.deployment import Rejection, rejection_of
from watcher.core.patterns import full_match
from watcher.core.selector import Ordering, TagRule, matches, no_value, sort_key
from watcher.core.verdict import Decided, Decision, Verdict
from watcher.core.version import SortKey, natural_key


class Fire(StrEnum):
    """Whether each matching change of a batch fires, or only the highest."""

    EACH = "each"
    NEWEST = "newest"


class Backfill(StrEnum):
    """What a trigger fires at its first sight of a repository."""

    NONE = "none"
    NEWEST = "newest"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """One trigger (SPEC 3.2). Exactly one of `repository` (a name) and `repository_pattern`
    (RE2, full match) or a list of names in `repositories` is set."""

    name: str
    account: str
    pipeline: str
    repositories: tuple[str, ...] = ()
    repository_pattern: str | None = None
    enabled: bool = True
    tag: TagRule = field(default_factory=TagRule)
    order: Ordering = field(default_factory=Ordering)
    fire: Fire = Fire.EACH
    allow_downgrade: bool = False
    changes: frozenset[ChangeKind] = frozenset({ChangeKind.NEW})
    backfill: Backfill = Backfill.NONE
    parameters: Mapping[str, Any] = field(default_factory=dict)


class _Candidate(NamedTuple):
    """A change that the trigger wants, with its place in the trigger's order."""

    key: SortKey
    change: Change
    reason: str
    rejection: Rejection | None = None


def applies(trigger: Trigger, account: str, repository: str) -> bool:
    """Whether the trigger watches this repository of this account."""
    if trigger.account != account:
        return False
    if repository in trigger.repositories:
        return True
    pattern = trigger.repository_pattern
    return pattern is not None and full_match(pattern, repository)


def wants_digest(triggers: Iterable[Trigger], tag: str) -> bool:
    """Whether some trigger would notice that the tag moved. A trigger that is switched off counts:
    what moves meanwhile must not fire when it is switched on again."""
    return any(ChangeKind.MOVED in t.changes and matches(t.tag, tag).ok for t in triggers)


def follows_by_name(triggers: Iterable[Trigger], tag: str) -> bool:
    """Whether some trigger names this very tag, and would notice that it moved."""
    return any(
        ChangeKind.MOVED in t.changes and (t.tag.equals == tag or tag in (t.tag.one_of or ()))
        for t in triggers
    )


def wants_backfill(triggers: Iterable[Trigger], tag: str) -> bool:
    """Whether some trigger might fire for the tag at the first sight of a repository."""
    return any(t.backfill is not Backfill.NONE and matches(t.tag, tag).ok for t in triggers)


def baseline(
    triggers: Iterable[Trigger],
    known: KnownRepository,
    listed: Iterable[str],
    digests: Mapping[str, str],
    *,
    now: datetime,
    hold_above: int,
    enabled: Collection[str],
    rejections: Sequence[Rejection] = (),
) -> Decided:
    """The first sight of a repository: fires nothing but what `backfill` asks for (SPEC 1), and
    of that no rejected image."""
    watching = [t for t in triggers if applies(t, known.account, known.repository)]
    tags: dict[str, KnownTag] = {}
    if any(t.backfill is not Backfill.NONE for t in watching):
        tags = {
            name: KnownTag(
                digest=digests.get(name), first_seen=now, sequence=place, change_number=0
            )
            for place, name in enumerate(listed)
        }
    seen = replace(known, baselined=True, tags=tags)
    fired = [
        (trigger, _backfill(trigger, seen, rejections) if trigger.name in enabled else [])
        for trigger in watching
    ]
    return _settled(seen, fired, hold_above)


def decide(
    triggers: Iterable[Trigger],
    known: KnownRepository,
    changes: Sequence[Change],
    *,
    now: datetime,
    hold_above: int,
    enabled: Collection[str],
    rejections: Sequence[Rejection] = (),
) -> Decided:
    """What each trigger makes of the changes of one poll of a baselined repository.

    A trigger without a state has its baseline in `known`, the tags before these changes: these
    fire for it, what was there before never does, whatever its `backfill` (SPEC 5: adding or
    renaming a trigger replays no history). More firing decisions than `hold_above`, over all
    triggers, are held as one batch (SPEC 6.4). What `rejections` keep out of a trigger's pipeline
    neither fires nor stands in the way of another tag.
    """
    judged = [
        (trigger, _judge(trigger, known, changes, rejections, now, is_on=trigger.name in enabled))
        for trigger in triggers
        if applies(trigger, known.account, known.repository)
    ]
    return _settled(known, judged, hold_above)


def _settled(
    known: KnownRepository, judged: list[tuple[Trigger, list[Decision]]], hold_above: int
) -> Decided:
    """Hold what is too much at once, and raise the states by what fires."""
    firing = sum(d.verdict is Verdict.FIRED for _, made in judged for d in made)
    if firing > hold_above:
        judged = [(trigger, _hold(made, firing, hold_above)) for trigger, made in judged]
    states: dict[str, TriggerState] = {}
    for trigger, made in judged:
        before = known.triggers.get(trigger.name)
        after = raised(trigger, before or TriggerState(), made)
        if after != before:
            states[trigger.name] = after
    return Decided(decisions=tuple(d for _, made in judged for d in made), states=states)


def raised(trigger: Trigger, state: TriggerState, decisions: Iterable[Decision]) -> TriggerState:
    """The state after what fired: `highest` only ever rises, and only in an order that can tell
    an older tag. Deletions don't count, nor does what is held until it is released."""
    if not trigger.order.knows_downgrades:
        return state
    highest, bar = state.highest, _bar(trigger, state)
    for decision in decisions:
        if decision.verdict is not Verdict.FIRED or decision.change.kind is ChangeKind.DELETED:
            continue
        key = sort_key(trigger.order, decision.change.tag, 0)
        if key is not None and (bar is None or key > bar):
            highest, bar = decision.change.tag, key
    return state if highest == state.highest else TriggerState(highest=highest)


def _judge(
    trigger: Trigger,
    known: KnownRepository,
    changes: Sequence[Change],
    rejections: Sequence[Rejection],
    now: datetime,
    *,
    is_on: bool,
) -> list[Decision]:
    """One trigger's decisions, before the limit of all of them together."""
    state = known.triggers.get(trigger.name) or TriggerState()
    rejected = [each for each in rejections if each.pipeline == trigger.pipeline]
    settled: list[Decision] = []
    candidates: list[_Candidate] = []
    for change in changes:
        judged = _sift(trigger, change, _first_seen(known, change, now), is_on=is_on)
        if isinstance(judged, Decision):
            settled.append(judged)
        else:
            candidates.append(judged._replace(rejection=_rejection(known, change, rejected)))
    return [*settled, *_rank(trigger, state, candidates)]


def _rejection(
    known: KnownRepository, change: Change, rejected: Sequence[Rejection]
) -> Rejection | None:
    """What keeps the change's image out; a tag that is gone brings no image."""
    if not rejected or change.kind is ChangeKind.DELETED:
        return None
    return rejection_of(
        rejected,
        pipeline=rejected[0].pipeline,
        account=known.account,
        repository=known.repository,
        tag=change.tag,
        digest=change.digest,
    )


def _first_seen(known: KnownRepository, change: Change, now: datetime) -> float:
    """Seconds since the epoch; equal for all tags that appeared in one listing."""
    tag = known.tags.get(change.tag)
    if change.kind is ChangeKind.NEW or tag is None:
        return now.timestamp()
    return tag.first_seen.timestamp()


def _sift(
    trigger: Trigger, change: Change, first_seen: float, *, is_on: bool
) -> Decision | _Candidate:
    """A change that the trigger wants is a candidate; about any other one all is said."""
    if change.kind not in trigger.changes:
        wanted = " and ".join(sorted(trigger.changes))
        reason = f"the tag is {change.kind.value}; the trigger wants {wanted} tags"
        return _decision(trigger, change, Verdict.UNWANTED_CHANGE, reason)
    match = matches(trigger.tag, change.tag)
    if not match.ok:
        return _decision(trigger, change, Verdict.NO_MATCH, f"the tag {match.reason}")
    key = sort_key(trigger.order, change.tag, first_seen)
    if key is None:
        reason = f"the tag {no_value(trigger.order, change.tag)}"
        return _decision(trigger, change, Verdict.NO_MATCH, reason)
    reason = f"the {change.kind.value} tag {match.reason}"
    if not is_on:
        return _decision(trigger, change, Verdict.DISABLED, f"switched off; {reason}")
    return _Candidate(key, change, reason)


def _rank(
    trigger: Trigger, state: TriggerState, candidates: Iterable[_Candidate]
) -> list[Decision]:
    """Decide about candidates in rising order, each against the highest that fired before it."""
    bar, highest = _bar(trigger, state), state.highest
    decisions: list[Decision] = []
    rising: list[_Candidate] = []
    for candidate in sorted(candidates, key=lambda c: (c.key, natural_key(c.change.tag))):
        if bar is not None and _is_older(trigger, candidate, bar):
            reason = f"not above {highest!r}, the highest tag that fired"
            decisions.append(_decision(trigger, candidate.change, Verdict.OLDER, reason))
            continue
        if candidate.rejection is not None:
            why = candidate.rejection.why
            decisions.append(_decision(trigger, candidate.change, Verdict.REJECTED, why))
            continue
        rising.append(candidate)
        counts = candidate.change.kind is not ChangeKind.DELETED and trigger.fire is Fire.EACH
        if counts and trigger.order.knows_downgrades:
            bar, highest = candidate.key, candidate.change.tag
    return [*decisions, *_choose(trigger, rising)]


def _is_older(trigger: Trigger, candidate: _Candidate, bar: SortKey) -> bool:
    """A new tag has to be above the highest, a moved one not below it; a deletion is news."""
    if trigger.allow_downgrade or candidate.change.kind is ChangeKind.DELETED:
        return False
    if candidate.change.kind is ChangeKind.MOVED:
        return candidate.key < bar
    return not candidate.key > bar


def _choose(trigger: Trigger, rising: Sequence[_Candidate]) -> list[Decision]:
    """All of them, or only the newest: of what came, and of what went."""
    newest = {
        candidate.change.kind is ChangeKind.DELETED: candidate.change.tag for candidate in rising
    }
    decisions: list[Decision] = []
    for candidate in rising:
        winner = newest[candidate.change.kind is ChangeKind.DELETED]
        verdict, reason = Verdict.FIRED, candidate.reason
        if trigger.fire is Fire.NEWEST and candidate.change.tag != winner:
            verdict, reason = Verdict.SUPERSEDED, f"{winner!r} of the same poll is newer"
        decisions.append(_decision(trigger, candidate.change, verdict, reason))
    return decisions


def _backfill(
    trigger: Trigger, known: KnownRepository, rejections: Sequence[Rejection]
) -> list[Decision]:
    """What `backfill` fires of the tags of a first sight, and what it would fire but for a
    rejection."""
    if trigger.backfill is Backfill.NONE:
        return []
    rejected = [each for each in rejections if each.pipeline == trigger.pipeline]
    eager = replace(trigger, changes=frozenset({ChangeKind.NEW}))
    if trigger.backfill is Backfill.NEWEST:
        eager = replace(eager, fire=Fire.NEWEST)
    candidates: list[_Candidate] = []
    for name, tag in known.present.items():
        change = Change(
            kind=ChangeKind.NEW,
            tag=name,
            digest=tag.digest,
            previous_digest=None,
            number=tag.change_number,
        )
        judged = _sift(eager, change, tag.first_seen.timestamp(), is_on=True)
        if isinstance(judged, _Candidate):
            reason, rejection = f"backfill: {judged.reason}", _rejection(known, change, rejected)
            candidates.append(judged._replace(reason=reason, rejection=rejection))
    ranked = _rank(eager, TriggerState(), candidates)
    return [d for d in ranked if d.verdict in (Verdict.FIRED, Verdict.REJECTED)]


def _bar(trigger: Trigger, state: TriggerState) -> SortKey | None:
    """The key that a tag has to be above; None while nothing fired, or nothing comparable."""
    if state.highest is None or not trigger.order.knows_downgrades:
        return None
    return sort_key(trigger.order, state.highest, 0)


def _hold(decisions: Iterable[Decision], firing: int, hold_above: int) -> list[Decision]:
    reason = f"held: {firing} events in one poll are more than hold_above ({hold_above})"
    return [
        replace(d, verdict=Verdict.HELD, reason=f"{reason}; {d.reason}")
        if d.verdict is Verdict.FIRED
        else d
        for d in decisions
    ]


def _decision(trigger: Trigger, change: Change, verdict: Verdict, reason: str) -> Decision:
    return Decision(trigger=trigger.name, change=change, verdict=verdict, reason=reason)
