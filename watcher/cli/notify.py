"""`watcher notify`: try the notifiers now, and look after messages that could not be sent."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from watcher.cli import completing, output
from watcher.cli.base import Invocation, group, pass_invocation
from watcher.cli.failure import FAILED, OK, warn
from watcher.cli.refused import StateInUse
from watcher.cli.session import find_state, load_config, open_store, read_store
from watcher.config.lookup import find_notifier
from watcher.core.message import Message, MessageStatus
from watcher.engine import by_hand
from watcher.errors import UsageError, WatcherError
from watcher.views.messages import message_json

if TYPE_CHECKING:
    from watcher.config.load import Config
    from watcher.core.notifier import Notifier
    from watcher.store.sqlite import Store


@group("notify", short_help="Notifiers and their messages: test, ls, retry, drop.")
def notify() -> None:
    """Try the notifiers of the config, and look after what could not be sent.

    Messages wait in the state file until they are sent. What a notifier did not take for three
    days is given up: `ls --dead` lists it, `retry` sends it again, `drop` forgets it.
    """


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of one test message."""

    notifier: str
    error: WatcherError | None

    def to_json(self) -> dict[str, Any]:
        error = self.error
        return {
            "notifier": self.notifier,
            "ok": error is None,
            "error": None if error is None else str(error),
            "hint": None if error is None else error.hint,
        }

    def __str__(self) -> str:
        if self.error is None:
            return f"{self.notifier}: sent"
        hint = f" ({self.error.hint})" if self.error.hint else ""
        return f"{self.notifier}: not sent: {self.error}{hint}"


@notify.command("test", short_help="Send a test message now.")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=completing.notifiers)
@pass_invocation
def test(invocation: Invocation, names: tuple[str, ...]) -> int:
    """Send a test message by each notifier, or by those that are named, and say what happened.

    Exit codes: 0 all were sent, 1 one was not.
    """
    config = load_config(invocation)
    chosen = [find_notifier(config, name) for name in names] or list(config.notifiers)
    if not chosen:
        raise UsageError(
            "there is no notifier in the config", hint="docs/notifications.md says how to add one"
        )
    trials = asyncio.run(_try_all(chosen, invocation.now().timestamp()))
    if invocation.json:
        output.print_json([trial.to_json() for trial in trials])
    else:
        for trial in trials:
            output.say(str(trial))
    return FAILED if any(trial.error for trial in trials) else OK


@notify.command("ls", short_help="List messages.")
@click.option("--dead", is_flag=True, help="Only those that were given up.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@pass_invocation
def ls(invocation: Invocation, dead: bool, limit: int) -> None:
    """List the messages that wait, were given up, or were sent within a week, newest first."""
    place = find_state(invocation)
    with read_store(place) as store:
        status = MessageStatus.DEAD if dead else None
        found = store.outbox.messages(status, limit) if store is not None else []
    if invocation.json:
        output.print_json([message_json(message) for message in found])
        return
    now = invocation.now()
    output.table(
        ("id", "created", "notifier", "status", "attempts", "message", "error"),
        (
            (
                message.id,
                output.moment(message.created, now),
                message.notifier,
                message.status,
                message.attempts,
                message.title,
                message.error,
            )
            for message in found
        ),
        empty="no messages",
    )


@notify.command("retry", short_help="Send messages again that were given up.")
@click.argument("ids", nargs=-1, type=int, metavar="[ID]...")
@click.option("--dead", is_flag=True, help="All that were given up.")
@pass_invocation
def retry(invocation: Invocation, ids: tuple[int, ...], dead: bool) -> None:
    """Send messages again that were given up, and such that wait for another attempt at once. A
    running daemon does it within seconds, else the next pass."""
    place = find_state(invocation)
    with open_store(place) as store:
        chosen = by_hand.send_again(store, _chosen(store, ids, dead=dead))
        gone = [] if isinstance(place, StateInUse) else _gone(place, store, chosen)
    if gone:
        warn(
            f"the config has no notifier {', '.join(map(repr, gone))}",
            "its messages are given up again; `watcher notify drop` forgets them",
        )
    _tell(invocation, {"retried": chosen}, f"to be sent: {output.count(len(chosen), 'message')}")


@notify.command("drop", short_help="Forget messages that were not sent.")
@click.argument("ids", nargs=-1, type=int, metavar="[ID]...")
@click.option("--dead", is_flag=True, help="All that were given up.")
@pass_invocation
def drop(invocation: Invocation, ids: tuple[int, ...], dead: bool) -> None:
    """Forget messages that wait or were given up."""
    place = find_state(invocation)
    with open_store(place) as store:
        chosen = by_hand.forget(store, _chosen(store, ids, dead=dead))
    _tell(invocation, {"dropped": chosen}, f"dropped: {output.count(len(chosen), 'message')}")


async def _try_all(notifiers: Sequence[Notifier], now: float) -> list[Trial]:
    return list(await asyncio.gather(*(_try(notifier, now) for notifier in notifiers)))


async def _try(notifier: Notifier, now: float) -> Trial:
    from watcher.http_client import Connections, HttpSettings
    from watcher.notifiers import sender_of

    sender = sender_of(notifier, os.environ, Connections(HttpSettings()).client)
    text = "This is a test message of registry-watcher"
    item = {"subject": notifier.name, "account": None, "text": text, "detail": "", "time": now}
    message = Message(
        id=0,
        key=secrets.token_hex(12),
        notifier=notifier.name,
        event="test",
        kind="test",
        items=(item,),
        count=1,
        created=now,
    )
    try:
        await sender.send(message)
    except WatcherError as error:
        return Trial(notifier.name, error)
    return Trial(notifier.name, None)


def _chosen(store: Store, ids: Sequence[int], *, dead: bool) -> Sequence[int]:
    """The messages that are meant."""
    if dead == bool(ids):
        raise UsageError("say which messages: their ids, or --dead")
    return [m.id for m in store.outbox.messages(MessageStatus.DEAD)] if dead else ids


def _gone(config: Config, store: Store, chosen: Sequence[int]) -> list[str]:
    """Whom the messages are for, of those that are no longer in the config."""
    named = {message.notifier for message in store.outbox.messages() if message.id in chosen}
    return sorted(named - {notifier.name for notifier in config.notifiers})


def _tell(invocation: Invocation, shape: dict[str, Any], line: str) -> None:
    if invocation.json:
        output.print_json(shape)
    else:
        output.say(line)
