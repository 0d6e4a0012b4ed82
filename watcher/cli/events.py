"""`watcher events`: changes that matched a trigger; what is held is released, dropped, replayed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from watcher.cli import output
from watcher.cli.base import Invocation, group, pass_invocation
from watcher.cli.session import load_config, open_store, read_store
from watcher.cli.shapes import execution_json
from watcher.core.trigger import Verdict
from watcher.errors import UsageError

if TYPE_CHECKING:
    from watcher.store.sqlite import EventSelector, Store

NOT_EVENTS = frozenset({Verdict.NO_MATCH.value, Verdict.UNWANTED_CHANGE.value})
SELECTOR = "EVENT|BATCH|TRIGGER|ACCOUNT/REPOSITORY"


@group("events", short_help="Matched changes: ls, release, drop, replay.")
def events() -> None:
    """Changes that matched a trigger, and what became of them.

    More than `hold_above` events of one repository in one poll are held as a batch until they are
    released or dropped here.
    """


@events.command("ls", short_help="List events.")
@click.option("--outcome", type=click.Choice([verdict.value for verdict in Verdict]))
@click.option("--held", is_flag=True, help="Short for --outcome held.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@pass_invocation
def ls(invocation: Invocation, outcome: str | None, held: bool, limit: int) -> None:
    """List events, newest first; held ones with the batch they belong to."""
    config = load_config(invocation)
    wanted = Verdict.HELD.value if held else outcome
    with read_store(config) as store:
        found = store.events(wanted) if store is not None else []
    shown = [event for event in reversed(found) if wanted or event["outcome"] not in NOT_EVENTS]
    if invocation.json:
        output.print_json(shown[:limit])
        return
    now = invocation.now()
    output.table(
        ("id", "time", "trigger", "image", "change", "outcome", "batch", "execution", "reason"),
        (
            (
                event["id"],
                output.moment(event["time"], now),
                event["trigger"],
                f"{event['account']}/{event['repository']}:{event['tag']}",
                event["change"],
                event["outcome"],
                event["batch"],
                event["execution"],
                event["reason"],
            )
            for event in shown[:limit]
        ),
        empty="no events",
    )
    if len(shown) > limit:
        output.say(f"and {len(shown) - limit} more; --limit shows them")


@events.command("release", short_help="Fire held events.")
@click.argument("selector", metavar=SELECTOR)
@pass_invocation
def release(invocation: Invocation, selector: str) -> None:
    """Queue the runs of held events, in rising order of their tags."""
    config = load_config(invocation)
    with open_store(config) as store:
        chosen = _held(store, selector)
        queued = store.release(chosen, config.triggers)
        runs = [run for run in map(store.execution, queued) if run is not None]
    if invocation.json:
        output.print_json([execution_json(run) for run in runs])
        return
    for run in runs:
        output.say(f"execution {run.id} is queued: {run.pipeline.name} for {run.tag}")
    output.say(f"released: {output.count(len(runs), 'event')}")


@events.command("drop", short_help="Let held events go.")
@click.argument("selector", metavar=SELECTOR)
@pass_invocation
def drop(invocation: Invocation, selector: str) -> None:
    """Let held events go without a run; they can still be replayed."""
    config = load_config(invocation)
    with open_store(config) as store:
        dropped = list(store.drop(_held(store, selector)))
    _tell(invocation, {"dropped": dropped}, f"dropped: {output.count(len(dropped), 'event')}")


@events.command("replay", short_help="Run an old event again.")
@click.argument("event", type=int)
@pass_invocation
def replay(invocation: Invocation, event: int) -> None:
    """Queue the run of an event that fired or was dropped once more, as it was planned then."""
    config = load_config(invocation)
    with open_store(config) as store:
        identifier = store.replay(event)
        run = store.execution(identifier)
        assert run is not None  # it was queued a moment ago
    _tell(invocation, execution_json(run), f"execution {run.id} is queued: {run.pipeline.name}")


def _held(store: Store, selector: str) -> EventSelector:
    """The selector; raises UsageError when it takes none of the held events."""
    from watcher.store.sqlite import EventSelector

    chosen = EventSelector.parse(selector)
    held = store.events(Verdict.HELD.value)
    if not any(_takes(chosen, event) for event in held):
        batches = sorted({str(event["batch"]) for event in held})
        raise UsageError(
            f"{selector!r} takes no held event",
            hint=f"held are the batches {', '.join(batches)}" if batches else "nothing is held",
        )
    return chosen


def _takes(chosen: EventSelector, event: dict[str, Any]) -> bool:
    wanted = {
        "id": chosen.event,
        "batch": chosen.batch,
        "trigger": chosen.trigger,
        "account": chosen.account,
        "repository": chosen.repository,
    }
    return all(value in (None, event[key]) for key, value in wanted.items())


def _tell(invocation: Invocation, shape: dict[str, Any], line: str) -> None:
    if invocation.json:
        output.print_json(shape)
    else:
        output.say(line)
