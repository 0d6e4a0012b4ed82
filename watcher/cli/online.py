"""The checks of `validate --online`: logs in, lists every repository, and compares triggers with
the tags that are there (Halyard's connection tests). Those of clusters are in `cluster_access`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from watcher.cli.halyard import Finding, Severity, finding_of, has_placeholder
from watcher.cli.kinds import Kind, kind_of, recognised
from watcher.cli.output import Meter
from watcher.cli.prediction import known_dialect
from watcher.cli.registry import all_tags, client_for
from watcher.cli.unheeded import dialect_without_asking, without_own_api
from watcher.core.account import Strategy
from watcher.errors import WatcherError
from watcher.registry.refusals import catalog_hint, hint_for

if TYPE_CHECKING:
    from watcher.config.load import Config
    from watcher.core.account import Account, DialectName
    from watcher.core.trigger import Trigger
    from watcher.registry.client import RegistryClient
    from watcher.registry.quirks import Dialect

Tags = dict[str, tuple[str, ...]]


class Report(NamedTuple):
    """What asking brought to light, in the order of the config's accounts and clusters."""

    findings: list[Finding]
    kinds: list[Kind]


async def check(config: Config, meter: Meter, now: Callable[[], datetime]) -> Report:
    """Ask all registries and clusters of the config."""
    accounts = asyncio.gather(*(_account(account, config, meter) for account in config.accounts))
    found, clusters = await asyncio.gather(accounts, _clusters(config, now))
    findings = [finding for findings, _ in found for finding in findings]
    return Report([*findings, *clusters], [kind for _, kind in found if kind is not None])


async def _clusters(config: Config, now: Callable[[], datetime]) -> list[Finding]:
    from watcher.cli.cluster_access import check_clusters
    from watcher.daemon.clusters import ClusterConnections

    connections = ClusterConnections(lambda: config, os.environ)
    try:
        return await check_clusters(config, connections, now)
    finally:
        await connections.close()


async def _account(
    account: Account, config: Config, meter: Meter
) -> tuple[list[Finding], Kind | None]:
    if has_placeholder(account):
        return [_finding(account, "not tried: its password looks like a placeholder")], None
    findings: list[Finding] = []
    tags: Tags = {}
    async with client_for(account) as client:
        found = await recognised(client)
        dialect, _ = known_dialect(account, found)
        names = await _names(account, config, client, findings)
        client.expect(names)
        queue = iter(names)
        await asyncio.gather(
            *(
                _list_all(account, client, queue, tags, findings, meter, dialect.name)
                for _ in range(account.limits.concurrency)
            )
        )
        counts = {name: len(tags[name]) for name in names if name in tags}
        kind = await kind_of(account, client, found, counts, config.triggers)
    findings += _nothing_at_all(account, names, tags)
    findings += _triggers(account, config, tags)
    if found is not None and dialect_without_asking(account) is None:
        findings += map(finding_of, without_own_api(account, dialect))
    findings += _old_harbor(account, dialect, kind)
    return _merged(findings, len(names)), kind


async def _names(
    account: Account, config: Config, client: RegistryClient, findings: list[Finding]
) -> tuple[str, ...]:
    """What the account watches; a catalog is read for it."""
    from watcher.engine.repositories import RepositoryList

    repositories = RepositoryList(account, config.triggers)
    if account.catalog is not None:
        try:
            catalog = await client.catalog()
        except WatcherError as error:
            findings.append(_failed(account, None, error, catalog_hint(account, error)))
        else:
            repositories.take_catalog(catalog)
            if not catalog:
                findings.append(
                    _finding(account, "the catalog is empty", hint="list `repositories` instead")
                )
    return repositories.names


async def _list_all(
    account: Account,
    client: RegistryClient,
    names: Iterator[str],
    tags: Tags,
    findings: list[Finding],
    meter: Meter,
    dialect: DialectName | None,
) -> None:
    for name in names:
        try:
            tags[name] = await all_tags(client, account, name)
        except WatcherError as error:
            findings.append(_failed(account, name, error, hint_for(account, error, dialect)))
        meter.advance(f"{account.name}/{name}")


def _nothing_at_all(account: Account, names: Iterable[str], tags: Tags) -> Iterator[Finding]:
    for name in names:
        if name in tags and not tags[name]:
            yield replace(_finding(account, "it has no tags"), repository=name)
    if tags and not any(tags.values()):
        yield _finding(account, "there are no tags in any of its repositories")


def _triggers(account: Account, config: Config, tags: Tags) -> Iterator[Finding]:
    from watcher.core.trigger import applies

    for trigger in config.triggers:
        if trigger.account != account.name:
            continue
        present = {name: t for name, t in tags.items() if applies(trigger, account.name, name)}
        if not present and tags:
            message = "it applies to no repository that could be listed"
            yield replace(_finding(account, message), trigger=trigger.name)
        elif any(present.values()):
            yield from _matches_nothing(account, trigger, present)


def _matches_nothing(account: Account, trigger: Trigger, present: Tags) -> Iterator[Finding]:
    from watcher.core.explain import explain

    listed = [tag for tags in present.values() for tag in tags]
    found = explain(trigger, listed)
    if found.winner is None:
        example = found.tags[-1]
        yield replace(
            _finding(
                account,
                f"it matches none of the {len(listed)} present tags",
                hint=f"for instance {example.tag}: {example.reason}",
            ),
            trigger=trigger.name,
        )


def _old_harbor(account: Account, dialect: Dialect, kind: Kind) -> Iterator[Finding]:
    """A Harbor that does not tell what changed is looked at by v2, whatever the account says."""
    from watcher.registry.native.harbor import FIRST_THAT_TELLS
    from watcher.registry.quirks import NativeApi
    from watcher.registry.strategy import Way

    insists = account.strategy is Strategy.NATIVE and dialect.native is NativeApi.HARBOR
    if insists and set(kind.looks) == {Way.V2}:
        yield _finding(
            account,
            "`strategy: native` does nothing: Harbor tells what changed from "
            f"{FIRST_THAT_TELLS} on, this one does not",
            hint="take `strategy` out until it was upgraded; everything is looked at by v2",
        )


def _merged(findings: list[Finding], repositories: int) -> list[Finding]:
    """A refused login fails every repository in the same words: say it once."""
    by_words: dict[tuple[str, str | None], list[Finding]] = {}
    for finding in findings:
        by_words.setdefault((finding.message, finding.trigger), []).append(finding)
    return [
        same[0]
        if len(same) == 1
        else replace(same[0], repository=None, message=f"{same[0].message} ({len(same)} times)")
        for same in by_words.values()
    ]


def _failed(
    account: Account, repository: str | None, error: WatcherError, hint: str | None
) -> Finding:
    """Halyard takes a failing password command for a warning; here nothing would be polled."""
    return Finding(
        severity=Severity.ERROR,
        message=str(error),
        hint=hint,
        account=account.name,
        repository=repository,
    )


def _finding(account: Account, message: str, *, hint: str | None = None) -> Finding:
    return Finding(severity=Severity.WARNING, message=message, hint=hint, account=account.name)
