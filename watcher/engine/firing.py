"""Fires a trigger by hand: through its own rules unless forced, the same for the command line and
the API. Plans only; who asked submits.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from watcher.config.load import Config
from watcher.config.lookup import find_account, find_pipeline, find_trigger
from watcher.core.change import Change, ChangeKind, KnownRepository
from watcher.core.deployment import Rejection, rejection_of
from watcher.core.pipeline import NewExecution
from watcher.core.planning import plan_manual
from watcher.core.reference import is_tag
from watcher.core.trigger import Backfill, Trigger, applies, decide
from watcher.core.verdict import Decision, Verdict
from watcher.errors import UsageError
from watcher.store.sqlite import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a person wants of a trigger. `repository` is needed where the trigger watches several;
    with `force` the trigger's own rules are left out; `person` is who asks."""

    trigger: str
    tag: str
    person: str
    repository: str | None = None
    parameters: Mapping[str, str]
    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A run that may be queued, and what its person should know."""

    run: NewExecution
    warnings: tuple[str, ...]


def plan(config: Config, store: Store | None, wish: Wish, *, now: datetime) -> Planned:
    """`store` is None before the first run. Raises UnknownName, and UsageError where the trigger
    refuses or the wish does not fit the config."""
    trigger = find_trigger(config, wish.trigger)
    place = _repository(config, trigger, wish.repository, store)
    known = known_repository(store, trigger.account, place)
    rejections = store.rejections(trigger.pipeline) if store is not None else []
    warnings = []
    if wish.force:
        warnings += _rejected_before(trigger, known, wish.tag, rejections)
    else:
        switches = store.enabled_overrides() if store is not None else {}
        enabled = switches.get(trigger.name, trigger.enabled)
        _check(_judged(trigger, known, wish.tag, rejections, now, enabled=enabled))
    run = _run(config, trigger, known, wish, now)
    if known.baselined and wish.tag not in known.present:
        warnings.append(f"{known.repository} had no tag {wish.tag!r} at the last poll")
    return Planned(run=run, warnings=tuple(warnings))


def known_repository(store: Store | None, account: str, repository: str) -> KnownRepository:
    """What is stored of a repository; nothing before the first run."""
    if store is not None:
        return store.known(account, repository)
    return KnownRepository(account=account, repository=repository, baselined=False)


def _repository(config: Config, trigger: Trigger, given: str | None, store: Store | None) -> str:
    account = find_account(config, trigger.account)
    if given is not None:
        name = account.registry.canonical_repository(given)
        if not applies(trigger, account.name, name):
            raise UsageError(f"trigger {trigger.name!r} does not watch {name!r}")
        return name
    names = set(trigger.repositories)
    if trigger.repository_pattern is not None and store is not None:
        stored = (s.repository for s in store.repository_statuses(account.name))
        names |= {name for name in stored if applies(trigger, account.name, name)}
    if len(names) != 1:
        listed = ", ".join(sorted(names)[:5])
        raise UsageError(
            f"trigger {trigger.name!r} watches {len(names) or 'no known'} repositories",
            hint=f"say which with --repository{f': {listed}' if listed else ''}",
        )
    return names.pop()


def _check(decision: Decision) -> None:
    if decision.verdict != Verdict.FIRED:
        what = f"trigger {decision.trigger!r} refuses {decision.change.tag!r}"
        raise UsageError(
            f"{what} ({decision.verdict}): {decision.reason}",
            hint="--force (in the API `force`) fires all the same",
        )


def _judged(
    trigger: Trigger,
    known: KnownRepository,
    tag: str,
    rejections: Sequence[Rejection],
    now: datetime,
    *,
    enabled: bool,
) -> Decision:
    """What the trigger would make of this tag if it changed now, in the way that it wants."""
    kinds = (ChangeKind.NEW, ChangeKind.MOVED, ChangeKind.DELETED)
    kind = next(kind for kind in kinds if kind in trigger.changes)
    stored = known.tags.get(tag)
    change = Change(
        kind=kind,
        tag=tag,
        digest=stored.digest if stored else None,
        previous_digest=None,
        number=0,
    )
    decided = decide(
        [replace(trigger, backfill=Backfill.NONE)],
        known,
        [change],
        now=now,
        hold_above=1,
        enabled={trigger.name} if enabled else (),
        rejections=rejections,
    )
    return decided.decisions[0]


def _rejected_before(
    trigger: Trigger, known: KnownRepository, tag: str, rejections: Sequence[Rejection]
) -> list[str]:
    stored = known.present.get(tag)
    rejection = rejection_of(
        rejections,
        pipeline=trigger.pipeline,
        account=known.account,
        repository=known.repository,
        tag=tag,
        digest=stored.digest if stored else None,
    )
    return [] if rejection is None else [f"{known.repository}:{tag} is forced: {rejection.why}"]


def _run(
    config: Config, trigger: Trigger, known: KnownRepository, wish: Wish, now: datetime
) -> NewExecution:
    if not is_tag(wish.tag):
        raise UsageError(f"{wish.tag!r} is not a tag")
    stored = known.present.get(wish.tag)
    return plan_manual(
        find_pipeline(config, trigger.pipeline),
        trigger=trigger,
        account=trigger.account,
        registry=find_account(config, trigger.account).registry.name,
        repository=known.repository,
        tag=wish.tag,
        digest=stored.digest if stored else None,
        parameters=wish.parameters,
        user=wish.person,
        word=secrets.token_hex(8),
        now=now,
    )
