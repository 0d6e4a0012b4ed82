"""`watcher explain TRIGGER [TAG]`: for each tag, the rule that kept or dropped it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from watcher.cli import completing, output
from watcher.cli.base import Invocation, command, pass_invocation
from watcher.cli.session import load_config, read_store
from watcher.config.lookup import find_account, find_trigger
from watcher.engine.firing import known_repository
from watcher.errors import UsageError

if TYPE_CHECKING:
    from watcher.config.load import Config
    from watcher.core.change import KnownRepository
    from watcher.core.deployment import Rejection
    from watcher.core.explain import Explanation
    from watcher.core.trigger import Trigger
    from watcher.store.sqlite import Store


@command("explain", short_help="Why a trigger keeps or drops tags.")
@click.argument("trigger", shell_complete=completing.triggers)
@click.argument("tag", required=False)
@click.option(
    "--repository",
    shell_complete=completing.repositories,
    help="Only this one of the trigger's repositories.",
)
@pass_invocation
def explain(invocation: Invocation, trigger: str, tag: str | None, repository: str | None) -> None:
    """For each tag known of the trigger's repositories, or for TAG alone, whether the trigger
    keeps it and by which rule, or whether a rollback rejected it. Asks no registry: `watcher poll`
    brings what is known up to date.
    """
    config = load_config(invocation)
    chosen = find_trigger(config, trigger)
    with read_store(config) as store:
        switches = store.enabled_overrides() if store is not None else {}
        names = _names(config, chosen, repository, store)
        known = [known_repository(store, chosen.account, name) for name in names]
        rejections = store.rejections(chosen.pipeline) if store is not None else []
        if store is not None and rejections:
            known = [_with_digests(one, store) for one in known]
    enabled = switches.get(chosen.name, chosen.enabled)
    found = [(one, _explained(chosen, one, tag, rejections)) for one in known]
    if invocation.json:
        repositories = [_shape(one, explanation) for one, explanation in found]
        output.print_json(
            {"trigger": chosen.name, "enabled": enabled, "repositories": repositories}
        )
        return
    if not enabled:
        output.say(f"trigger {chosen.name} is switched off; if it were on:")
    for one, explanation in found:
        _print(chosen, one, explanation)


def _names(config: Config, trigger: Trigger, given: str | None, store: Store | None) -> list[str]:
    from watcher.cli.status import watched
    from watcher.core.trigger import applies

    account = find_account(config, trigger.account)
    names = [
        status.repository
        for status in watched(config, account, store)
        if applies(trigger, account.name, status.repository)
    ]
    if given is None:
        return names
    wanted = account.registry.canonical_repository(given)
    if not applies(trigger, account.name, wanted):
        raise UsageError(f"trigger {trigger.name!r} does not watch {wanted!r}")
    return [wanted]


def _explained(
    trigger: Trigger, known: KnownRepository, tag: str | None, rejections: list[Rejection]
) -> Explanation:
    from watcher.core.explain import explain as explained

    return explained(trigger, [tag] if tag is not None else known.present, known, rejections)


def _with_digests(known: KnownRepository, store: Store) -> KnownRepository:
    """Digests of tags whose moves nobody follows are kept with what was seen only."""
    newest_first = store.activity(None, known.account, known.repository)
    seen = {entry["tag"]: entry["digest"] for entry in reversed(newest_first)}
    tags = {
        name: replace(tag, digest=tag.digest or seen.get(name)) for name, tag in known.tags.items()
    }
    return replace(known, tags=tags)


def _shape(known: KnownRepository, explanation: Explanation) -> dict[str, Any]:
    return {
        "account": known.account,
        "repository": known.repository,
        "polled": known.baselined,
        "newest": explanation.winner,
        "tags": [
            {
                "tag": row.tag,
                "kept": row.kept,
                "reason": row.reason,
                "present": row.tag in known.present,
            }
            for row in explanation.tags
        ],
    }


def _print(trigger: Trigger, known: KnownRepository, explanation: Explanation) -> None:
    place = f"{known.account}/{known.repository}"
    if not known.baselined:
        output.say(f"{place} has not been polled yet")
    output.table(
        ("image", "kept", "why"),
        ((f"{place}:{row.tag}", row.kept, row.reason) for row in explanation.tags),
        empty=f"{place} has no tags",
    )
    if explanation.winner is not None and len(explanation.tags) > 1:
        output.say(f"newest in the order {trigger.order.kind.value}: {explanation.winner}")
