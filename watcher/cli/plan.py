"""`watcher plan`: predicted requests per hour for each registry, account and trigger, against what
the registry allows.

What registries allow is in registry/quirks.py and in what they said themselves; a registry that
publishes no quota has none here. Only requests that the polls themselves make are predicted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from watcher.cli import output
from watcher.cli.base import Invocation, command, pass_invocation
from watcher.cli.session import load_config, read_store
from watcher.core.times import rfc3339

if TYPE_CHECKING:
    from watcher.cli.prediction import AccountCost, Cost
    from watcher.cli.pressure import Left
    from watcher.config.load import Config
    from watcher.core.host import Counted, Quota, Recognition
    from watcher.store.sqlite import Store


class Stored(NamedTuple):
    """What the state file holds of hosts: nothing before the first run."""

    recognised: Mapping[str, Recognition]
    quotas: Mapping[Counted, Quota]


@command("plan", short_help="Predicted requests per hour and registry.")
@pass_invocation
def plan(invocation: Invocation) -> None:
    """Predicted requests per hour for each registry, account and trigger, and a warning where the
    registry allows less.

    What is known of the repositories (how many there are in a catalog, how many tags they have,
    which kind of registry it is) comes from the state file: the prediction is better after the
    first pass. A quota is what is known of this kind of registry, a - where nothing is.
    """
    config = load_config(invocation)
    now = invocation.now().timestamp()
    with read_store(config) as store:
        stored = Stored({}, {}) if store is None else Stored(store.recognised(), store.quotas())
        costs = _costs(config, store, stored, now)
    rows = [_row(name, accounts, stored, now) for name, accounts in _by_registry(costs).items()]
    if invocation.json:
        output.print_json(rows)
    else:
        _print(rows)


def _costs(config: Config, store: Store | None, stored: Stored, now: float) -> list[AccountCost]:
    from watcher.cli.prediction import predict
    from watcher.cli.status import watched

    return [
        predict(
            account,
            config.triggers,
            watched(config, account, store),
            store,
            stored.recognised.get(account.registry.name),
            now,
        )
        for account in config.accounts
    ]


def _by_registry(costs: Iterable[AccountCost]) -> dict[str, list[AccountCost]]:
    """In the order of the config's accounts."""
    found: dict[str, list[AccountCost]] = {}
    for cost in costs:
        found.setdefault(cost.account.registry.name, []).append(cost)
    return found


def _row(registry: str, accounts: list[AccountCost], stored: Stored, now: float) -> dict[str, Any]:
    from watcher.cli.prediction import Cost
    from watcher.cli.pressure import left_of, quota_of, warnings

    total = Cost()
    for each in accounts:
        total = total.plus(each.cost)
    quota = quota_of(accounts)
    left = left_of(registry, accounts, stored.quotas, now)
    said = list(warnings(registry, accounts, left, now))
    return {
        "registry": registry,
        "repositories": sum(each.repositories for each in accounts),
        **_rounded(total),
        "quota": round(quota.requests) if quota is not None else None,
        "quota_note": quota.note if quota is not None else None,
        "warning": "; ".join(said) or None,
        "warnings": said,
        "notes": [note for each in accounts for note in _notes(each)],
        "left": [_left_row(each) for each in left],
        "accounts": [_account_row(each) for each in accounts],
        "triggers": [
            {
                "name": name,
                "account": each.account.name,
                "adds": round(adds),
                "without": round(total.total - adds),
            }
            for each in accounts
            for name, adds in each.triggers.items()
        ],
    }


def _account_row(each: AccountCost) -> dict[str, Any]:
    return {
        "name": each.account.name,
        "dialect": each.dialect.name.value if each.dialect.name is not None else None,
        "known": each.knowledge.value,
        "strategy": each.account.strategy.value,
        "looks": dict(each.strategies),
        "http2": each.uses_http2,
        "interval": each.interval,
        "repositories": each.repositories,
        "never_polled": each.never_polled,
        **_rounded(each.cost),
    }


def _notes(each: AccountCost) -> Iterator[str]:
    """What the prediction of an account rests on, where that is not plain."""
    from watcher.cli.prediction import HOUR

    pages_alone = each.repositories * HOUR / each.interval
    has_several = each.cost.listings > pages_alone
    if each.is_shut_out and (has_several or each.account.strategy == "native"):
        yield (
            f"account {each.account.name}: Quay's own API shows private repositories to an OAuth "
            "token alone (user name `$oauthtoken`), so v2 is asked, one request for each 100 tags"
        )


def _left_row(left: Left) -> dict[str, Any]:
    return {
        "account": left.account,
        "counted": left.what,
        "allowed": left.quota.allowed,
        "remaining": left.quota.remaining,
        "resets": rfc3339(left.quota.resets),
    }


def _rounded(cost: Cost) -> dict[str, int]:
    return {
        "listings": round(cost.listings),
        "catalogs": round(cost.catalogs),
        "digests": round(cost.digests),
        "tokens": round(cost.tokens),
        "total": round(cost.total),
    }


def _print(rows: list[dict[str, Any]]) -> None:
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
                row["quota"],
            )
            for row in rows
        ),
        empty="no accounts, no requests",
    )
    if rows:
        _print_accounts([account for row in rows for account in row["accounts"]])
        _print_triggers([trigger for row in rows for trigger in row["triggers"]])
    _print_notes(rows)
    for row in rows:
        for warning in row["warnings"]:
            output.say(f"warning: {warning}")


def _print_notes(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        if row["quota_note"] is not None:
            output.say(f"note: quota of {row['registry']}: {row['quota_note']}")
        for note in row["notes"]:
            output.say(f"note: {note}")
    never = sum(account["never_polled"] for row in rows for account in row["accounts"])
    if never:
        total = sum(row["repositories"] for row in rows)
        those, each = ("was", "it") if never == 1 else ("were", "each")
        output.say(
            f"note: {never} of {output.count(total, 'repository')} {those} never polled: one page "
            f"of tags is assumed for {each}, and no tag that is looked at for moves; the first "
            "`watcher run --once` finds out"
        )


def _print_accounts(accounts: list[dict[str, Any]]) -> None:
    output.say()
    output.table(
        ("account", "kind", "known", "looked at by", "http/2", "every", "total/h"),
        (
            (
                account["name"],
                account["dialect"],
                account["known"],
                _looks(account["looks"]),
                account["http2"],
                output.length(account["interval"]),
                account["total"],
            )
            for account in accounts
        ),
        empty="",
    )


def _looks(looks: dict[str, int]) -> str:
    """`v2`, or how many repositories each way is taken for."""
    if len(looks) < 2:
        return next(iter(looks), "")
    return ", ".join(f"{words}: {count}" for words, count in looks.items())


def _print_triggers(triggers: list[dict[str, Any]]) -> None:
    output.say()
    output.table(
        ("trigger", "account", "adds/h", "without it/h"),
        (
            (trigger["name"], trigger["account"], trigger["adds"], trigger["without"])
            for trigger in triggers
            if trigger["adds"]
        ),
        empty="no trigger adds requests to those of its account",
    )
