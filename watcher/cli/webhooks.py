"""`watcher webhooks`: for which accounts webhooks are taken, and what to enter at the registries;
and the deliveries that `watcher activity --deliveries` shows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from watcher.cli import completing, output
from watcher.cli.base import Invocation, group, pass_invocation
from watcher.cli.refused import StateInUse
from watcher.cli.session import HasState, find_state, load_config, open_store, read_store
from watcher.config.lookup import find_account

if TYPE_CHECKING:
    from watcher.config.load import Config
    from watcher.core.account import Account
    from watcher.core.serving import HttpSettings
    from watcher.store.sqlite import Store

EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not listened on


@group("webhooks", short_help="Inbound webhooks: ls, enable, disable.")
def webhooks() -> None:
    """Inbound webhooks: a registry tells of a push, and the repository is polled at once.

    docs/webhooks.md says for each registry what to enter where.
    """


@webhooks.command("ls", short_help="Accounts, their URLs and last deliveries.")
@pass_invocation
def ls(invocation: Invocation) -> None:
    """Each account with the URL to enter at its registry, without the secret that belongs to it,
    and what came last."""
    config = load_config(invocation)
    with read_store(config) as store:
        rows = _rows(config, store)
    if invocation.json:
        output.print_json(rows)
        return
    now = invocation.now()
    output.table(
        ("account", "enabled", "sender", "url", "last delivery", "outcome"),
        (
            (
                row["account"],
                row["enabled"],
                row["sender"],
                row["url"],
                output.moment(row["last_delivery"], now),
                row["last_outcome"],
            )
            for row in rows
        ),
        empty="no accounts",
    )
    if config.http is None:
        output.say("nothing listens: the config has no section `http`")


@webhooks.command("enable", short_help="Take webhooks for an account.")
@click.argument("account", shell_complete=completing.accounts)
@pass_invocation
def enable(invocation: Invocation, account: str) -> None:
    """Take webhooks for ACCOUNT, whatever the config says."""
    _switch(invocation, account, on=True)


@webhooks.command("disable", short_help="Take no webhooks for an account.")
@click.argument("account", shell_complete=completing.accounts)
@pass_invocation
def disable(invocation: Invocation, account: str) -> None:
    """Take no webhooks for ACCOUNT, whatever the config says: deliveries are answered and noted,
    and nothing is polled for them. Its repositories are still polled on their schedule."""
    _switch(invocation, account, on=False)


def show_deliveries(
    invocation: Invocation,
    place: HasState,
    account: str | None,
    repository: str | None,
    limit: int,
) -> None:
    """What `watcher activity --deliveries` prints."""
    from watcher.views.deliveries import delivery_json

    with read_store(place) as store:
        found = store.deliveries.listed(limit, account, repository) if store is not None else []
    rows = [delivery_json(delivery) for delivery in found]
    if invocation.json:
        output.print_json(rows)
        return
    now = invocation.now()
    output.table(
        ("time", "sender", "image", "outcome", "account", "reason"),
        (
            (
                output.moment(row["time"], now),
                row["sender"],
                _image(row),
                row["outcome"],
                row["account"],
                row["reason"],
            )
            for row in rows
        ),
        empty="no webhook has come yet",
    )


def _switch(invocation: Invocation, name: str, *, on: bool) -> None:
    place = find_state(invocation)
    if isinstance(place, StateInUse):
        place.ask("hosts", name)  # refuses an account that the daemon does not know
    else:
        find_account(place, name)
    with open_store(place, create=True) as store:
        store.deliveries.switch(name, enabled=on)
    if invocation.json:
        output.print_json({"account": name, "enabled": on})
    else:
        output.say(f"webhooks of {name} are {'on' if on else 'off'}")


def _rows(config: Config, store: Store | None) -> list[dict[str, Any]]:
    switches = store.deliveries.switches() if store is not None else {}
    last = store.deliveries.last() if store is not None else {}
    recognised = store.recognised() if store is not None else {}
    rows = []
    for account in config.accounts:
        found = recognised.get(account.registry.name)
        sender = _sender(account, found.dialect if found is not None else None)
        delivery = last.get(account.name)
        rows.append(
            {
                "account": account.name,
                "enabled": switches.get(account.name, account.webhooks),
                "sender": sender,
                "url": None if config.http is None else _url(config.http, sender),
                "last_delivery": None if delivery is None else delivery.time,
                "last_outcome": None if delivery is None else delivery.outcome.value,
            }
        )
    return rows


def _sender(account: Account, recognised: Any) -> str:
    from watcher.registry.quirks import dialect_of
    from watcher.web.hooks.senders import usual_sender

    return usual_sender(dialect_of(account.registry.name, account.dialect, recognised).name)


def _url(http: HttpSettings, sender: str) -> str:
    """As this machine reaches it; a name that the registry knows has to stand in its place."""
    host = "HOST" if http.host in EVERYWHERE else http.host
    host = f"[{host}]" if ":" in host else host
    return f"http://{host}:{http.port}/hooks/{sender}"


def _image(row: dict[str, Any]) -> str | None:
    if row["repository"] is None:
        return None
    return f"{row['repository']}:{row['tag']}" if row["tag"] else str(row["repository"])
