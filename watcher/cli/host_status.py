"""`watcher status --hosts`: what each registry is, until when it is parked, what it still allows.

Read from the state file, as `status` itself is; beside a daemon quotas may be a minute old.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from watcher.cli import output

if TYPE_CHECKING:
    from watcher.config.load import Config
    from watcher.core.account import Account
    from watcher.core.host import Counted, Counts, Quota, Recognition
    from watcher.store.sqlite import Store


class _Known(NamedTuple):
    """What the state file says of hosts."""

    blocked: dict[str, float]
    recognised: dict[str, Recognition]
    quotas: dict[Counted, Quota]


def show(config: Config, store: Store | None, chosen: str | None, now: datetime) -> None:
    """The table: a line for each host, account and kind of requests of which something is known."""
    output.table(
        ("registry", "kind", "account", "counts", "parked until", "allowed", "left", "resets"),
        (line for row in rows(config, store, chosen, now) for line in _lines(row, now)),
        empty="no accounts are configured",
    )


def rows(
    config: Config, store: Store | None, chosen: str | None, now: datetime
) -> Iterator[dict[str, Any]]:
    """One JSON object for each registry of the configured accounts, or of the chosen one."""
    if store is None:
        known = _Known({}, {}, {})
    else:
        known = _Known(store.blocked(), store.recognised(), store.quotas())
    hosts: dict[str, list[Account]] = {}
    for account in config.accounts:
        if chosen in (None, account.name):
            hosts.setdefault(account.registry.name, []).append(account)
    for name, accounts in hosts.items():
        yield _row(name, accounts, known, now.timestamp())


def _row(name: str, accounts: list[Account], known: _Known, now: float) -> dict[str, Any]:
    from watcher.registry.quirks import dialect_of

    found = known.recognised.get(name)
    said = next((account.dialect for account in accounts if account.dialect), None)
    dialect = dialect_of(name, said, found.dialect if found else None)
    return {
        "host": name,
        "dialect": dialect.name,
        "version": found.version if found else None,
        "recognised": output.rfc3339(found.at) if found else None,
        "accounts": [account.name for account in accounts],
        "parked": list(_parked(name, accounts, known.blocked, now)),
        "quotas": list(_quotas(name, accounts, known.quotas, now)),
    }


def _parked(
    name: str, accounts: list[Account], blocked: dict[str, float], now: float
) -> Iterator[dict[str, Any]]:
    from watcher.core.host import parking_key

    for account, place, counts in _places(name, accounts):
        until = blocked.get(parking_key(place, counts), 0.0)
        if until > now:
            yield {"account": account, "counts": counts.value, "until": output.rfc3339(until)}


def _quotas(
    name: str, accounts: list[Account], quotas: dict[Counted, Quota], now: float
) -> Iterator[dict[str, Any]]:
    from watcher.core.host import Counted

    for account, place, counts in _places(name, accounts):
        quota = quotas.get(Counted(place, counts))
        if quota is not None and quota.resets > now:
            yield {
                "account": account,
                "counts": counts.value,
                "allowed": quota.allowed,
                "remaining": quota.remaining,
                "resets": output.rfc3339(quota.resets),
                "seen": output.rfc3339(quota.seen),
            }


def _places(name: str, accounts: list[Account]) -> Iterator[tuple[str | None, str, Counts]]:
    """Whatever can be parked or have a quota: the host as a whole, and each account's part."""
    from watcher.core.host import Counts, place_of

    for account in (None, *(each.name for each in accounts)):
        for counts in Counts:
            yield account, place_of(name, account), counts


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
