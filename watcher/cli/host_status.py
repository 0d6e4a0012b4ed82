"""`watcher status --hosts`: what each registry is, until when it is parked, what it still allows.

Read from the state file, as `status` itself is; beside a daemon quotas may be a minute old.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from watcher.cli import output

if TYPE_CHECKING:
    from watcher.config.load import Config
    from watcher.store.sqlite import Store


def show(rows: Iterable[dict[str, Any]], now: datetime) -> None:
    """The table: a line for each host, account and kind of requests of which something is known."""
    output.table(
        ("registry", "kind", "account", "counts", "parked until", "allowed", "left", "resets"),
        (line for row in rows for line in _lines(row, now)),
        empty="no accounts are configured",
    )


def rows(
    config: Config, store: Store | None, chosen: str | None, now: datetime
) -> list[dict[str, Any]]:
    """One JSON object for each registry of the configured accounts, or of the chosen one."""
    from watcher.views.hosts import HostFacts, hosts_json

    if store is None:
        known = HostFacts({}, {}, {})
    else:
        known = HostFacts(store.blocked(), store.recognised(), store.quotas())
    accounts = [account for account in config.accounts if chosen in (None, account.name)]
    return list(hosts_json(accounts, known, now.timestamp()))


def _lines(row: dict[str, Any], now: datetime) -> Iterator[tuple[object, ...]]:
    start = (row["host"], " ".join(word for word in (row["dialect"], row["version"]) if word))
    told: dict[tuple[str | None, str], dict[str, Any]] = {}
    for entry in (*row["parked"], *row["quotas"]):
        told.setdefault((entry["account"], entry["counts"]), {}).update(entry)
    if not told:
        yield (*start, *[None] * 6)
    for (account, counts), entry in told.items():
        yield (
            *start,
            account,
            counts,
            output.moment(entry.get("until"), now),
            _number(entry.get("allowed")),
            _number(entry.get("remaining")),
            output.moment(entry.get("resets"), now),
        )


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:g}"
