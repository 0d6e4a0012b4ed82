"""`watcher status` and `watcher activity`: how each repository fares, and what was seen."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from watcher.cli import completing, output
from watcher.cli.base import Invocation, command, pass_invocation
from watcher.cli.failure import warn
from watcher.cli.refused import StateInUse
from watcher.cli.session import ELSEWHERE, find_state, read_store
from watcher.config.lookup import select
from watcher.errors import StateError

if TYPE_CHECKING:
    from watcher.config.load import Config
    from watcher.core.account import Account
    from watcher.core.poll import RepositoryStatus
    from watcher.store.sqlite import Store


@command("status", short_help="Repositories and how they fare.")
@completing.selected
@click.option(
    "--hosts", "of_hosts", is_flag=True, help="Registries instead: parked until, still allowed."
)
@pass_invocation
def status(invocation: Invocation, selection: str | None, *, of_hosts: bool) -> None:
    """Each watched repository with its state, last check, last success, last error, next check (-
    where no daemon runs: then the next pass checks).

    States: ok, pending (not polled yet), quarantined (a doubtful listing), failing, parked (the
    registry asked for patience), stale (no successful poll for too long).

    With --hosts the column COUNTS says of which requests it speaks: of all (requests), of GETs of
    manifests (pulls), or of those to the registry's own API (native).
    """
    place = find_state(invocation)
    now = invocation.now()
    if of_hosts:
        _show_hosts(invocation, place, selection)
        return
    rows = _repositories(place, selection, now.timestamp())
    if invocation.json:
        output.print_json(rows)
        return
    output.table(
        ("account", "repository", "state", "tags", "last check", "last success", "next", "error"),
        (
            (
                row["account"],
                row["repository"],
                _state(row, now),
                row["tags"] if row["last_success"] else None,
                output.moment(row["last_check"], now),
                output.moment(row["last_success"], now),
                output.moment(row["next_check"], now),
                row["last_error"],
            )
            for row in rows
        ),
        empty="no repositories are watched",
    )


def _repositories(
    place: Config | StateInUse, selection: str | None, now: float
) -> list[dict[str, Any]]:
    """Which ones are watched, and what is stale, only a config tells: the one on disk, or that of
    the daemon."""
    if isinstance(place, StateInUse):
        return place.ask("status", selection)
    with read_store(place) as store:
        if store is None:
            warn(f"there is no state file {place.state} yet", ELSEWHERE)
        return list(_rows(place, store, selection, now))


def _show_hosts(invocation: Invocation, place: Config | StateInUse, selection: str | None) -> None:
    from watcher.cli import host_status

    now = invocation.now()
    rows = _hosts(place, selection, now)
    if invocation.json:
        output.print_json(rows)
    else:
        host_status.show(rows, now)


def _hosts(
    place: Config | StateInUse, selection: str | None, now: datetime
) -> list[dict[str, Any]]:
    from watcher.cli import host_status

    if isinstance(place, StateInUse):
        return place.ask("hosts", selection)
    chosen, _ = select(place, selection)
    with read_store(place) as store:
        return host_status.rows(place, store, chosen, now)


def _state(row: dict[str, Any], now: datetime) -> str:
    """The state's word; of what is parked, also who asked for it and until when."""
    if row["parked_by"] is None:
        return str(row["state"])
    return f"parked by {row['parked_by']} until {output.moment(row['parked_until'], now)}"


def _rows(
    config: Config, store: Store | None, selection: str | None, now: float
) -> Iterator[dict[str, Any]]:
    from watcher.core.health import BOOKKEEPING
    from watcher.views.repositories import RepositoryRows

    chosen, repository = select(config, selection)
    blocked = store.blocked() if store is not None else {}
    attended = _is_attended(config)
    lag = BOOKKEEPING if attended else timedelta(0)
    for account in config.accounts:
        if chosen not in (None, account.name):
            continue
        rows = RepositoryRows(account, blocked, now, attended=attended, lag=lag)
        for found in watched(config, account, store):
            if repository in (None, found.repository):
                yield rows.row(found)


def _is_attended(config: Config) -> bool:
    """Whether a daemon runs, so that the status in the file may lag behind its polls."""
    from watcher.store.lock import holder

    try:
        return holder(config.state) is not None
    except StateError:
        return False  # a lock that this user may not open says nothing


def watched(config: Config, account: Account, store: Store | None) -> list[RepositoryStatus]:
    """What the account watches, also what was not polled yet."""
    from watcher.views import repositories

    found = store.repository_statuses(account.name) if store is not None else []
    return repositories.watched(account, config.triggers, found)


@command("activity", short_help="What was seen, and what became of it.")
@completing.selected
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@click.option("--deliveries", is_flag=True, help="Webhooks that came, instead of changes.")
@pass_invocation
def activity(
    invocation: Invocation, selection: str | None, limit: int, *, deliveries: bool
) -> None:
    """Changes of tags, newest first, with what each trigger made of them and why.

    With --deliveries the webhooks that came, and what became of each: polled, parked (the registry
    asked for patience), disabled, unknown (no account watches it), ignored (no push), repeated,
    refused.
    """
    place = find_state(invocation)
    if isinstance(place, StateInUse):
        account, repository = place.select(selection)
    else:
        account, repository = select(place, selection)
    if deliveries:
        from watcher.cli.webhooks import show_deliveries

        show_deliveries(invocation, place, account, repository, limit)
        return
    with read_store(place) as store:
        rows = store.activity(limit, account, repository) if store is not None else []
    if invocation.json:
        output.print_json(rows)
        return
    now = invocation.now()
    output.table(
        ("time", "change", "image", "trigger", "outcome", "execution", "reason"),
        (line for row in rows for line in _activity_lines(row, now)),
        empty="nothing has changed yet",
    )


def _activity_lines(row: dict[str, Any], now: Any) -> Iterator[tuple[object, ...]]:
    image = f"{row['account']}/{row['repository']}"
    image += f":{row['tag']}" if row["tag"] else ""
    start = (output.moment(row["time"], now), row["change"], image)
    if not row["triggers"]:
        yield (*start, None, None, None, None)
    for trigger in row["triggers"]:
        yield (
            *start,
            trigger["name"],
            trigger["outcome"],
            trigger["execution"],
            trigger["reason"],
        )
