"""`watcher try IMAGE`: no config; lists the tags, what matches, and the newest."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import click

from watcher.cli import output
from watcher.cli.base import Invocation, command, pass_invocation
from watcher.cli.registry import all_tags, client_for
from watcher.errors import RegistryError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from watcher.cli.kinds import Kind
    from watcher.core.account import Account
    from watcher.core.reference import Reference
    from watcher.core.trigger import Trigger

ORDERS = ("semver", "numeric", "alphabetical", "first_seen")


@command("try", short_help="What a rule would match; needs no config.")
@click.argument("image")
@click.option("--tag", help="Regex that the whole tag must match.")
@click.option("--semver", help='Range of versions, such as ">=1.2 <2".')
@click.option("--order", type=click.Choice(ORDERS), help="[default: semver with --semver]")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True)
@click.option("--all", "show_all", is_flag=True, help="Every tag, also those left out.")
@click.option("--plain-http", is_flag=True, help="http:// instead of https://.")
@click.option("--docker-config", is_flag=True, help="Use what `docker login` left behind.")
@pass_invocation
def try_image(invocation: Invocation, /, image: str, **options: Any) -> None:
    """List the tags of IMAGE, which of them a rule would match, and the newest of those.

    IMAGE is written as for `docker pull`: nginx, ghcr.io/org/app, host:5000/app.
    """
    from watcher.core.explain import explain

    reference, account = _account(image, options)
    trigger = _rule(reference, options)
    tags, kind = asyncio.run(_list(account, reference.repository))
    found = explain(trigger, tags)
    kept = [row for row in found.tags if row.kept]
    if invocation.json:
        output.print_json(
            {
                "image": reference.name,
                "registry": reference.registry,
                "repository": reference.repository,
                "dialect": kind.dialect,
                "known": kind.knowledge,
                "tags": [
                    {"tag": row.tag, "matches": row.kept, "reason": row.reason}
                    for row in found.tags
                ],
                "matching": [row.tag for row in kept],
                "newest": found.winner,
            }
        )
        return
    rows = list(found.tags) if options["show_all"] else kept[: options["limit"]]
    output.table(
        ("tag", "matches", "why"),
        ((row.tag, row.kept, row.reason) for row in rows),
        empty="no tag matches; --all says why" if found.tags else "the repository has no tags",
    )
    if not options["show_all"] and len(kept) > len(rows):
        output.say(f"and {len(kept) - len(rows)} more; --limit or --all shows them")
    output.say(f"{kind}")
    output.say(f"{reference.name}: {output.count(len(found.tags), 'tag')}, {len(kept)} match")
    if found.winner is not None:
        output.say(f"newest: {found.winner}")


def _account(image: str, options: dict[str, Any]) -> tuple[Reference, Account]:
    from watcher.core.account import Account, CredentialSource
    from watcher.core.reference import Reference, Registry

    try:
        reference = Reference.parse(image)
        registry = Registry.parse(reference.registry, plain_http=options["plain_http"])
    except ValueError as error:
        raise UsageError(str(error)) from error
    source = CredentialSource(docker_config=_docker_config() if options["docker_config"] else None)
    return reference, Account(name="try", registry=registry, credential=source)


def _docker_config() -> Path:
    from pathlib import Path

    directory = os.environ.get("DOCKER_CONFIG")
    return (Path(directory) if directory else Path.home() / ".docker") / "config.json"


def _rule(reference: Reference, options: dict[str, Any]) -> Trigger:
    from watcher.core.selector import Ordering, OrderKind, TagRule, check_rule
    from watcher.core.trigger import Trigger

    rule = TagRule(matches=options["tag"], semver=options["semver"])
    order = options["order"] or ("semver" if options["semver"] else "first_seen")
    try:
        check_rule(rule)
    except ValueError as error:
        raise UsageError(str(error)) from error
    return Trigger(
        name="try",
        account="try",
        pipeline="",
        repositories=(reference.repository,),
        tag=rule,
        order=Ordering(kind=OrderKind(order)),
    )


async def _list(account: Account, repository: str) -> tuple[tuple[str, ...], Kind]:
    """The tags, and what kind of registry has them. A refusal gets the hint for that kind."""
    from watcher.cli.kinds import kind_of, recognised
    from watcher.cli.prediction import known_dialect
    from watcher.registry.refusals import listing_hint

    async with client_for(account) as client:
        try:
            tags = await all_tags(client, account, repository)
        except RegistryError as error:
            dialect, _ = known_dialect(account, await recognised(client))
            hint = listing_hint(account, error, dialect.name)
            error.hint = hint and hint.replace("`plain_http: true`", "--plain-http")
            raise
        return tags, await kind_of(account, client, await recognised(client), {}, ())
