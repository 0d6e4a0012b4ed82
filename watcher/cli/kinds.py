"""What kind of registry an account has and how it is looked at, found out by asking: for
`validate --online` and `try`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from watcher.cli import output
from watcher.cli.prediction import Knowledge, known_dialect, wishes
from watcher.core.schedule import interval
from watcher.core.trigger import Trigger, applies
from watcher.errors import WatcherError

if TYPE_CHECKING:
    from watcher.core.account import Account, DialectName
    from watcher.core.host import Recognition
    from watcher.registry.client import RegistryClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """The kind of an account's registry; `version` as it says itself. `looks` counts repositories
    by how they are looked at, `notes` say why some are not looked at as was meant."""

    account: str
    dialect: DialectName | None
    knowledge: Knowledge
    version: str | None = None
    looks: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "account": self.account,
            "dialect": self.dialect.value if self.dialect is not None else None,
            "known": self.knowledge.value,
            "version": self.version,
            "looks": dict(self.looks),
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        version = f" {self.version}" if self.version else ""
        known = f"{self.dialect}{version}, {self.knowledge}" if self.dialect else self.knowledge
        ways = "; ".join(
            f"{output.count(count, 'repository')} looked at by {words}"
            for words, count in self.looks.items()
        )
        return f"kind of registry: {known}" + (f"; {ways}" if ways else "")


async def recognised(client: RegistryClient) -> Recognition | None:
    """What the host says it is, where neither its name nor the account tells."""
    return await client.recognise() if client.needs_recognition else None


async def kind_of(
    account: Account,
    client: RegistryClient,
    found: Recognition | None,
    tags: Mapping[str, int],
    triggers: Iterable[Trigger],
) -> Kind:
    """The kind of an account's registry; `tags` says how many each repository has. The largest is
    looked at as the daemon would where that is not by v2, to see whether it is answered so."""
    from watcher.core.account import Strategy
    from watcher.registry.listing.tags import Seen
    from watcher.registry.quirks import NativeApi
    from watcher.registry.strategy import Way

    every = interval(account.poll, time.time()).total_seconds()
    rules = list(triggers)

    def seen_of(name: str, count: int) -> Seen:
        watching = [each for each in rules if applies(each, account.name, name)]
        digests, deletions = wishes(account, watching)
        return Seen(tags=count, interval=every, wants_digests=digests, wants_deletions=deletions)

    dialect, knowledge = known_dialect(account, found)
    seen = {name: seen_of(name, count) for name, count in tags.items()}
    if seen:
        largest = max(seen, key=lambda name: seen[name].tags)
        is_open = dialect.native is NativeApi.HARBOR and account.strategy is not Strategy.V2
        # Harbor tells its version, which decides, to who is logged in alone.
        if is_open or client.strategy_of(largest, seen[largest]) != Way.V2:
            await _try(client, largest, seen[largest])
    looks = Counter(client.strategy_of(name, each) for name, each in seen.items())
    return Kind(
        account=account.name,
        dialect=dialect.name,
        knowledge=knowledge,
        version=found.version if found is not None else None,
        looks=dict(looks.most_common()),
        notes=client.take_notes(),
    )


async def _try(client: RegistryClient, name: str, seen: Any) -> None:
    """The listing was complete a moment ago: what fails now is no finding of its own."""
    try:
        await client.look(name, seen)
    except WatcherError:
        return
