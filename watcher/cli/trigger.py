"""`watcher trigger`: fires a trigger by hand, through its own rules unless forced."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from watcher.cli import output
from watcher.cli.base import Invocation, command, pass_invocation
from watcher.cli.failure import FAILED, OK, warn
from watcher.cli.session import (
    find_account,
    find_pipeline,
    find_trigger,
    known_repository,
    load_config,
    open_store,
    read_store,
)
from watcher.core.verdict import Verdict
from watcher.errors import UsageError

if TYPE_CHECKING:
    from watcher.config.load import Config
    from watcher.core.change import KnownRepository
    from watcher.core.deployment import Rejection
    from watcher.core.pipeline import NewExecution
    from watcher.core.trigger import Trigger
    from watcher.core.verdict import Decision
    from watcher.store.sqlite import Store


@command("trigger", short_help="Fire a trigger by hand.")
@click.argument("name")
@click.option("--tag", required=True, help="The tag to fire for.")
@click.option("--repository", help="Needed when the trigger watches several.")
@click.option("--param", "pairs", multiple=True, metavar="K=V", help="May be repeated.")
@click.option("--force", is_flag=True, help="Whatever the trigger's own rules say.")
@click.option("--wait", is_flag=True, help="Wait for the end; show the stages on the way.")
@pass_invocation
def trigger(
    invocation: Invocation,
    name: str,
    tag: str,
    repository: str | None,
    pairs: tuple[str, ...],
    force: bool,
    wait: bool,
) -> int:
    """Queue a run of trigger NAME for a tag, as if it had just appeared.

    The trigger's own rules (switch, tag, order, downgrade) may refuse, as may a rollback that
    rejected the image; then the rule is named and nothing is queued. Where no daemon runs, the
    next `watcher run` carries it out, or --wait.
    """
    config = load_config(invocation)
    chosen = find_trigger(config, name)
    with read_store(config) as store:
        place = _repository(config, chosen, repository, store)
        known = known_repository(store, chosen.account, place)
        switches = store.enabled_overrides() if store is not None else {}
        rejections = store.rejections(chosen.pipeline) if store is not None else []
    if force:
        _warn_about_rejection(chosen, known, tag, rejections)
    else:
        enabled = switches.get(chosen.name, chosen.enabled)
        _check(judge(chosen, known, tag, rejections, enabled=enabled))
    execution = _plan(config, chosen, known, tag, parse_parameters(pairs), invocation)
    _warn_about(known, tag)
    with open_store(config, create=True) as store:
        store.submit(execution)
    return _finish(invocation, config, execution.id, wait=wait)


def parse_parameters(pairs: tuple[str, ...]) -> dict[str, str]:
    """`K=V` as given on the command line; a value stays the text it is."""
    parameters: dict[str, str] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key:
            raise UsageError(f"--param {pair!r} is not K=V")
        parameters[key] = value
    return parameters


def _repository(config: Config, trigger: Trigger, given: str | None, store: Store | None) -> str:
    from watcher.core.trigger import applies

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
            hint="--force fires all the same",
        )


def judge(
    trigger: Trigger,
    known: KnownRepository,
    tag: str,
    rejections: Sequence[Rejection] = (),
    *,
    enabled: bool,
) -> Decision:
    """What the trigger would make of this tag if it changed now, in the way that it wants."""
    from dataclasses import replace
    from datetime import UTC, datetime

    from watcher.core.change import Change, ChangeKind
    from watcher.core.trigger import Backfill, decide

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
        now=datetime.now(UTC),
        hold_above=1,
        enabled={trigger.name} if enabled else (),
        rejections=rejections,
    )
    return decided.decisions[0]


def _warn_about_rejection(
    trigger: Trigger, known: KnownRepository, tag: str, rejections: Sequence[Rejection]
) -> None:
    from watcher.core.deployment import rejection_of

    stored = known.present.get(tag)
    rejection = rejection_of(
        rejections,
        pipeline=trigger.pipeline,
        account=known.account,
        repository=known.repository,
        tag=tag,
        digest=stored.digest if stored else None,
    )
    if rejection is not None:
        warn(f"{known.repository}:{tag} is forced: {rejection.why}")


def _warn_about(known: KnownRepository, tag: str) -> None:
    if known.baselined and tag not in known.present:
        warn(f"{known.repository} had no tag {tag!r} at the last poll")


def _plan(
    config: Config,
    trigger: Trigger,
    known: KnownRepository,
    tag: str,
    parameters: dict[str, str],
    invocation: Invocation,
) -> NewExecution:
    import secrets

    from watcher.core.planning import plan_manual
    from watcher.core.reference import is_tag

    if not is_tag(tag):
        raise UsageError(f"{tag!r} is not a tag")
    stored = known.present.get(tag)
    return plan_manual(
        find_pipeline(config, trigger.pipeline),
        trigger=trigger,
        account=trigger.account,
        registry=find_account(config, trigger.account).registry.name,
        repository=known.repository,
        tag=tag,
        digest=stored.digest if stored else None,
        parameters=parameters,
        user=current_user(),
        word=secrets.token_hex(8),
        now=invocation.now(),
    )


def current_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in many containers
        return "unknown"


def _finish(invocation: Invocation, config: Config, identifier: str, *, wait: bool) -> int:
    from watcher.cli.executions import find_execution
    from watcher.cli.follow import follow
    from watcher.store.lock import holder

    held_by = holder(config.state)
    if wait:
        execution = follow(invocation, config, identifier)
    else:
        with open_store(config) as store:
            execution = find_execution(store, identifier)
    if invocation.json:
        from watcher.views.executions import execution_json

        output.print_json(execution_json(execution))
    elif wait:
        from watcher.cli.report import print_execution

        print_execution(execution)
    else:
        output.say(f"execution {identifier} is queued ({execution.pipeline.name})")
        if held_by is None:
            output.say("no daemon runs: the next `watcher run` carries it out")
    good = execution.status in ("QUEUED", "RUNNING", "WAITING", "SUCCEEDED")
    return OK if good else FAILED
