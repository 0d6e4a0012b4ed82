"""`watcher events`: changes that matched a trigger. What is held is released, dropped, replayed;
images that a rollback rejected are listed and cleared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from watcher.cli import completing, output
from watcher.cli.base import Invocation, group, pass_invocation
from watcher.cli.failure import warn
from watcher.cli.refused import StateInUse
from watcher.cli.session import find_state, load_config, open_store, read_store
from watcher.config.lookup import find_pipeline
from watcher.core.verdict import NOT_EVENTS, Verdict
from watcher.engine import by_hand
from watcher.errors import UsageError
from watcher.views.executions import execution_json
from watcher.views.rejections import rejection_json

if TYPE_CHECKING:
    from watcher.config.load import Config
    from watcher.core.deployment import Rejection

SELECTOR = "EVENT|BATCH|TRIGGER|ACCOUNT/REPOSITORY"


@group("events", short_help="Matched changes: ls, release, drop, replay, rejected, clear.")
def events() -> None:
    """Changes that matched a trigger, and what became of them.

    More than `hold_above` events of one repository in one poll are held as a batch until they are
    released or dropped here. An image that a rollback rejected does not fire again for that
    pipeline until it is cleared here.
    """


@events.command("ls", short_help="List events.")
@click.option("--outcome", type=click.Choice([verdict.value for verdict in Verdict]))
@click.option("--held", is_flag=True, help="Short for --outcome held.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@pass_invocation
def ls(invocation: Invocation, outcome: str | None, held: bool, limit: int) -> None:
    """List events, newest first; held ones with the batch they belong to."""
    place = find_state(invocation)
    wanted = Verdict.HELD.value if held else outcome
    with read_store(place) as store:
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
@click.argument("selector", metavar=SELECTOR, shell_complete=completing.events)
@pass_invocation
def release(invocation: Invocation, selector: str) -> None:
    """Queue the runs of held events, in rising order of their tags. Those whose image a rollback
    has rejected since are recorded as rejected."""
    config = load_config(invocation)
    with open_store(config) as store:
        released = by_hand.release(store, selector, config.triggers)
    runs = released.runs
    for event in released.rejected:
        warn(f"event {event['id']} ({event['tag']}) is not released: {event['reason']}")
    if invocation.json:
        output.print_json([execution_json(run) for run in runs])
        return
    for run in runs:
        output.say(f"execution {run.id} is queued: {run.pipeline.name} for {run.tag}")
    output.say(f"released: {output.count(len(runs), 'event')}")


@events.command("drop", short_help="Let held events go.")
@click.argument("selector", metavar=SELECTOR, shell_complete=completing.events)
@pass_invocation
def drop(invocation: Invocation, selector: str) -> None:
    """Let held events go without a run; they can still be replayed."""
    place = find_state(invocation)
    with open_store(place) as store:
        dropped = list(by_hand.drop(store, selector))
    _tell(invocation, {"dropped": dropped}, f"dropped: {output.count(len(dropped), 'event')}")


@events.command("replay", short_help="Run an old event again.")
@click.argument("event", type=int)
@pass_invocation
def replay(invocation: Invocation, event: int) -> None:
    """Queue the run of an event that fired, was dropped or was rejected once more, as it was
    planned then. A rejected image has to be cleared first."""
    place = find_state(invocation)
    with open_store(place) as store:
        run = by_hand.replay(store, event)
    _tell(invocation, execution_json(run), f"execution {run.id} is queued: {run.pipeline.name}")


@events.command("rejected", short_help="List the images that rollbacks rejected.")
@click.option(
    "--pipeline", shell_complete=completing.pipelines, help="Only those of this pipeline."
)
@pass_invocation
def rejected(invocation: Invocation, pipeline: str | None) -> None:
    """List the images that a rollback took out of a pipeline, oldest first, each with the number
    that `watcher events clear` takes."""
    place = find_state(invocation)
    with read_store(place) as store:
        found = store.rejections(pipeline) if store is not None else []
    if invocation.json:
        output.print_json([rejection_json(rejection) for rejection in found])
        return
    now = invocation.now()
    output.table(
        ("number", "time", "pipeline", "image", "digest", "execution", "reason"),
        (
            (
                each.number,
                output.moment(each.time, now),
                each.pipeline,
                f"{each.account}/{each.repository}:{each.tag}",
                each.digest,
                each.execution,
                each.reason,
            )
            for each in found
        ),
        empty="no image is rejected",
    )


@events.command("clear", short_help="Let rejected images go again.")
@click.argument("numbers", nargs=-1, type=int, metavar="[NUMBER]...")
@click.option(
    "--pipeline",
    shell_complete=completing.pipelines,
    help="All that are rejected for this pipeline.",
)
@click.option("--all", "everything", is_flag=True, help="All of all pipelines.")
@pass_invocation
def clear(
    invocation: Invocation, numbers: tuple[int, ...], pipeline: str | None, everything: bool
) -> None:
    """Let images go again that a rollback rejected: the NUMBERs of `watcher events rejected`, or
    all of a pipeline, or all.

    Their next event fires. Nothing runs at once: `watcher retry ID` takes the run up again that
    was rolled back, `watcher events replay EVENT` runs an event that was kept out meanwhile.
    """
    if sum((bool(numbers), pipeline is not None, everything)) != 1:
        raise UsageError("say what to clear: numbers, or --pipeline, or --all")
    place = find_state(invocation)
    with open_store(place) as store:
        chosen = _rejected(place, store.rejections(), numbers, pipeline)
        store.clear_rejections(each.number for each in chosen)
    if invocation.json:
        output.print_json({"cleared": [each.number for each in chosen]})
        return
    for each in chosen:
        image = f"{each.account}/{each.repository}:{each.tag}"
        output.say(f"{image} may go to {each.pipeline}; `watcher retry {each.execution}` runs it")
    output.say(f"cleared: {output.count(len(chosen), 'image')}")


def _rejected(
    place: Config | StateInUse,
    found: list[Rejection],
    numbers: tuple[int, ...],
    pipeline: str | None,
) -> list[Rejection]:
    """Those that are meant; raises UsageError for a number or a pipeline that there is not."""
    if pipeline is not None:
        of_pipeline = [each for each in found if each.pipeline == pipeline]
        if not of_pipeline and not isinstance(place, StateInUse):
            find_pipeline(place, pipeline)
        return of_pipeline
    unknown = sorted(set(numbers) - {each.number for each in found})
    if unknown:
        raise UsageError(
            f"there is no rejection {unknown[0]}", hint="`watcher events rejected` lists them"
        )
    return [each for each in found if not numbers or each.number in numbers]


def _tell(invocation: Invocation, shape: dict[str, Any], line: str) -> None:
    if invocation.json:
        output.print_json(shape)
    else:
        output.say(line)
