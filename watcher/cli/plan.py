"""`watcher plan`: predicted requests per hour and registry, against what the registry allows.

The quotas are those of registries' own documentation, per hour; a registry that publishes none
has none here. Only requests that the polls themselves make are predicted, not those of pipelines.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from watcher.cli import output
from watcher.cli.base import Invocation, command, pass_invocation
from watcher.cli.session import load_config, read_store

if TYPE_CHECKING:
    from watcher.config.load import Config
    from watcher.core.account import Account
    from watcher.core.poll import RepositoryStatus
    from watcher.store.sqlite import Store

HOUR = 3600.0
TOKEN_SECONDS = 300.0  # what Docker Hub gives; others give longer ones

QUOTAS: tuple[tuple[str, float, str], ...] = (
    ("index.docker.io", 60_000, "abuse limit, some 1000 a minute; listings and HEAD are no pulls"),
    ("ghcr.io", 44_000 * 60, "44000 reads a minute"),
    ("quay.io", 5 * HOUR, "5 listings a second and address"),
    ("*.azurecr.io", 60_000, "1000 reads a minute (Basic)"),
    ("*-docker.pkg.dev", 60_000 * 60, "60000 requests a minute, region and project"),
    ("gcr.io", 60_000 * 60, "60000 requests a minute, region and project"),
    ("*.gcr.io", 60_000 * 60, "60000 requests a minute, region and project"),
)


@dataclass(slots=True)
class Load:
    """Requests per hour to one registry."""

    registry: str
    repositories: int = 0
    listings: float = 0.0
    digests: float = 0.0
    tokens: float = 0.0
    catalogs: float = 0.0

    @property
    def total(self) -> float:
        return self.listings + self.digests + self.tokens + self.catalogs


@command("plan", short_help="Predicted requests per hour and registry.")
@pass_invocation
def plan(invocation: Invocation) -> None:
    """Predicted requests per hour for each registry, and a warning where that is above its quota.

    What is known of the repositories (how many there are in a catalog, how many tags they have)
    comes from the state file: the prediction is better after the first pass.
    """
    config = load_config(invocation)
    now = invocation.now().timestamp()
    with read_store(config) as store:
        loads = predict(config, store, now)
    rows = [_row(load) for load in loads]
    if invocation.json:
        output.print_json(rows)
        return
    output.table(
        ("registry", "repositories", "listings/h", "digests/h", "tokens/h", "total/h", "quota/h"),
        (
            (
                row["registry"],
                row["repositories"],
                row["listings"] + row["catalogs"],
                row["digests"],
                row["tokens"],
                row["total"],
                row["quota"] or "not published",
            )
            for row in rows
        ),
        empty="no accounts, no requests",
    )
    for row in rows:
        if row["warning"]:
            output.say(f"warning: {row['warning']}")


def predict(config: Config, store: Store | None, now: float) -> list[Load]:
    """The load on each registry, in the order of the accounts."""
    loads: dict[str, Load] = {}
    for account in config.accounts:
        load = loads.setdefault(account.registry.name, Load(account.registry.name))
        _add(config, account, store, now, load)
    return list(loads.values())


def _add(config: Config, account: Account, store: Store | None, now: float, load: Load) -> None:
    from watcher.cli.status import watched
    from watcher.core.schedule import interval

    polls = HOUR / interval(account.poll, now).total_seconds()
    found = watched(config, account, store)
    load.repositories += len(found)
    load.listings += polls * sum(_pages(status.tags, account) for status in found)
    load.digests += polls * sum(_tracked(config, account, status, store) for status in found)
    load.tokens += len(found) * min(polls, HOUR / TOKEN_SECONDS)
    if account.catalog is not None:
        pages = _pages(len(found), account)
        load.catalogs += pages * HOUR / account.catalog.refresh.total_seconds()


def _pages(items: int, account: Account) -> int:
    return max(1, math.ceil(items / account.limits.page_size))


def _tracked(
    config: Config, account: Account, status: RepositoryStatus, store: Store | None
) -> int:
    """How many tags of the repository need a digest at each poll."""
    from watcher.core.account import DigestTracking
    from watcher.core.change import ChangeKind
    from watcher.core.trigger import applies, wants_digest

    if account.track_digests is DigestTracking.OFF or store is None:
        return 0
    if account.track_digests is DigestTracking.ALL:
        return status.tags
    triggers = [t for t in config.triggers if applies(t, account.name, status.repository)]
    if not any(ChangeKind.MOVED in trigger.changes for trigger in triggers):
        return 0
    present = store.known(account.name, status.repository).present
    return sum(wants_digest(triggers, tag) for tag in present)


def _row(load: Load) -> dict[str, Any]:
    quota, note = next(_quotas(load.registry), (None, None))
    total = round(load.total)
    warning = None
    if quota is not None and total > quota:
        warning = (
            f"{load.registry}: {total} requests an hour are predicted, its quota is {quota:.0f} "
            f"({note}); poll less often, or fewer repositories"
        )
    return {
        "registry": load.registry,
        "repositories": load.repositories,
        "listings": round(load.listings),
        "catalogs": round(load.catalogs),
        "digests": round(load.digests),
        "tokens": round(load.tokens),
        "total": total,
        "quota": round(quota) if quota is not None else None,
        "quota_note": note,
        "warning": warning,
    }


def _quotas(registry: str) -> Iterator[tuple[float, str]]:
    for pattern, quota, note in QUOTAS:
        if fnmatchcase(registry, pattern):
            yield quota, note
