"""One row of `watcher status --hosts`: a registry, until when it is parked, what it still allows.
Pure: from what is remembered of hosts, in the state file or in a daemon.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from watcher.core.account import Account
from watcher.core.host import Counted, Counts, Quota, Recognition, parking_key, place_of
from watcher.core.times import rfc3339
from watcher.registry.quirks import dialect_of

Shape = dict[str, Any]


class HostFacts(NamedTuple):
    """What is remembered of hosts: parked until when, what kind they are, their quotas."""

    blocked: Mapping[str, float]
    recognised: Mapping[str, Recognition]
    quotas: Mapping[Counted, Quota]


def hosts_json(accounts: Iterable[Account], known: HostFacts, now: float) -> Iterator[Shape]:
    """One JSON object for each registry of the accounts. `now`: epoch seconds."""
    hosts: dict[str, list[Account]] = {}
    for account in accounts:
        hosts.setdefault(account.registry.name, []).append(account)
    for name, own in hosts.items():
        yield _host_json(name, own, known, now)


def _host_json(name: str, accounts: list[Account], known: HostFacts, now: float) -> Shape:
    found = known.recognised.get(name)
    said = next((account.dialect for account in accounts if account.dialect), None)
    dialect = dialect_of(name, said, found.dialect if found else None)
    return {
        "host": name,
        "dialect": dialect.name,
        "version": found.version if found else None,
        "recognised": rfc3339(found.at) if found else None,
        "accounts": [account.name for account in accounts],
        "parked": list(_parked(name, accounts, known.blocked, now)),
        "quotas": list(_quotas(name, accounts, known.quotas, now)),
    }


def _parked(
    name: str, accounts: list[Account], blocked: Mapping[str, float], now: float
) -> Iterator[Shape]:
    for account, place, counts in _places(name, accounts):
        until = blocked.get(parking_key(place, counts), 0.0)
        if until > now:
            yield {"account": account, "counts": counts.value, "until": rfc3339(until)}


def _quotas(
    name: str, accounts: list[Account], quotas: Mapping[Counted, Quota], now: float
) -> Iterator[Shape]:
    for account, place, counts in _places(name, accounts):
        quota = quotas.get(Counted(place, counts))
        if quota is not None and quota.resets > now:
            yield {
                "account": account,
                "counts": counts.value,
                "allowed": quota.allowed,
                "remaining": quota.remaining,
                "resets": rfc3339(quota.resets),
                "seen": rfc3339(quota.seen),
            }


def _places(name: str, accounts: list[Account]) -> Iterator[tuple[str | None, str, Counts]]:
    """Whatever can be parked or have a quota: the host as a whole, and each account's part."""
    for account in (None, *(each.name for each in accounts)):
        for counts in Counts:
            yield account, place_of(name, account), counts
