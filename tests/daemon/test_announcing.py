"""The announcer beside the daemon's other tasks: a state file that can't be written, a config that
changes, and what it costs when nothing is to be told.
"""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.receiving import Receiver, Reply
from tests.receiving import receiver as receiver
from watcher.config.load import Config
from watcher.core.message import MessageStatus
from watcher.core.notice import Notice, NoticeEvent, NoticeKind, Trouble
from watcher.core.notifier import Notifier, SecretUrl, Webhook
from watcher.daemon.announcing import Announcer
from watcher.daemon.app import App
from watcher.engine.board import StatusBoard
from watcher.engine.rules import Rules
from watcher.errors import StateUnwritable
from watcher.registry.budgets.limits import HostLimits
from watcher.store.sqlite import Store
from watcher.store.threaded import ThreadedStore
from watcher.telemetry.log import Log


class Disk:
    """Full or not."""

    def __init__(self) -> None:
        self.is_full = False

    def __call__(self, point: str) -> None:
        if self.is_full and point.endswith(".before_commit"):
            raise StateUnwritable("watcher.db can't be written: disk full", hint="make room")


@pytest.fixture
def disk() -> Disk:
    return Disk()


def notifier(receiver: Receiver, name: str = "ops") -> Notifier:
    url = SecretUrl(url=f"{receiver.url}/{name}")
    return Notifier(name=name, webhook=Webhook(url=url), group=timedelta())


@asynccontextmanager
async def announcing(
    directory: Path, disk: Disk, *notifiers: Notifier
) -> AsyncIterator[tuple[App, Announcer]]:
    """An announcer at work, without a daemon's polls."""
    state = directory / "watcher.db"
    config = Config(
        path=directory / "config.yaml",
        state=state,
        accounts=(),
        triggers=(),
        pipelines=(),
        files=(),
        loaded=(),
        notifiers=notifiers,
    )
    store = ThreadedStore(lambda: Store.open(state, fault=disk))
    app = App(
        config,
        store,
        StatusBoard(),
        HostLimits(clock=time.time),
        Rules.of((), (), {}),
        catalogs={},
        log=Log("debug", "json", io.StringIO()),
        clock=time.time,
        environment={},
    )
    announcer = Announcer(app)
    working = asyncio.create_task(announcer.run())
    try:
        yield app, announcer
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        await app.close()
        await store.close()


def told(receiver: Receiver) -> list[tuple[str, str, str]]:
    return [(r.path, r.json["event"], r.json["kind"]) for r in list(receiver.requests)]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.02)


def news(text: str) -> Notice:
    return Notice(
        event=NoticeEvent.EVENTS_HELD,
        kind=NoticeKind.HAPPENED,
        subject=text,
        text=text,
        time=time.time(),
    )


async def test_a_state_file_that_can_not_be_written_is_told_once_and_so_is_its_end(
    tmp_path: Path, disk: Disk, receiver: Receiver
) -> None:
    deaf = notifier(receiver, "deaf")._replace(events=frozenset({NoticeEvent.EXECUTION}))
    async with announcing(tmp_path, disk, notifier(receiver), deaf) as (app, announcer):
        await app.store.run(lambda store: store.outbox.due())
        await asyncio.sleep(0)
        disk.is_full = True
        error = StateUnwritable("watcher.db can't be written: disk full", hint="make room")
        for _ in range(3):
            announcer.state_failed(error)
        await until(lambda: len(receiver.requests) == 1)
        assert receiver.requests[0].json["text"].endswith("disk full\nmake room")
        disk.is_full = False
        await until(lambda: len(receiver.requests) == 2)
    assert told(receiver) == [("/ops", "state_failed", "begun"), ("/ops", "state_failed", "over")]


async def test_a_notifier_whose_address_is_corrected_does_not_wait_out_its_rest(
    tmp_path: Path, disk: Disk, receiver: Receiver
) -> None:
    receiver.replies = [Reply(503, headers={"Retry-After": "3600"}), Reply(200)]
    async with announcing(tmp_path, disk, notifier(receiver)) as (app, _):
        await app.store.run(lambda store: store.outbox.tell(news("a")))
        await until(lambda: len(receiver.requests) == 1)
        right = Webhook(url=SecretUrl(url=f"{receiver.url}/right"))
        app.config = replace(app.config, notifiers=(notifier(receiver)._replace(webhook=right),))
        await until(lambda: len(receiver.requests) == 2)
    assert [request.path for request in receiver.requests] == ["/ops", "/right"]


async def test_who_comes_into_the_config_is_told_what_happens_from_then_on(
    tmp_path: Path, disk: Disk, receiver: Receiver
) -> None:
    async with announcing(tmp_path, disk) as (app, _):
        await app.store.run(lambda store: store.outbox.tell(news("before")))
        async with asyncio.timeout(20):
            while await app.store.run(lambda store: store.any_notice()):
                await asyncio.sleep(0.02)
        app.config = replace(app.config, notifiers=(notifier(receiver),))
        await app.store.run(lambda store: store.outbox.tell(news("after")))
        await until(lambda: len(receiver.requests) == 1)
    assert receiver.requests[0].json["title"] == "after"


async def test_only_what_is_told_is_written(tmp_path: Path, disk: Disk, receiver: Receiver) -> None:
    """Written, put into the outbox, tried, sent: a look that finds nothing writes nothing."""

    async def sent() -> int:
        messages = await app.store.run(lambda store: store.outbox.messages())
        return sum(message.status is MessageStatus.SENT for message in messages)

    async with announcing(tmp_path, disk, notifier(receiver)) as (app, announcer):
        before = await app.store.run(lambda store: store.commits)
        for number in (1, 2):
            announcer.config_read(None)
            await app.store.run(lambda store: store.outbox.tell(news("a")))
            async with asyncio.timeout(20):
                while await sent() < number:
                    await asyncio.sleep(0.02)
        assert await app.store.run(lambda store: store.commits) == before + 2 * 4


async def test_a_trouble_of_what_is_no_longer_in_the_config_is_over(
    tmp_path: Path, disk: Disk, receiver: Receiver
) -> None:
    lasting = [
        Trouble(event=event, subject=subject, text="bad", since=time.time())
        for event, subject in (
            (NoticeEvent.CREDENTIAL_FAILED, "gone"),
            (NoticeEvent.LISTING_QUARANTINED, "gone/acme/web"),
            (NoticeEvent.REPOSITORY_STALE, "gone"),
        )
    ]
    async with announcing(tmp_path, disk, notifier(receiver)) as (app, announcer):
        await app.store.run(lambda store: store.outbox.settle(lasting, []))
        announcer.config_read(None)
        await until(lambda: len(receiver.requests) == 6)
        assert await app.store.run(lambda store: store.outbox.troubles()) == []
    kinds = [kind for _, _, kind in told(receiver)]
    assert (kinds.count("begun"), kinds.count("over")) == (3, 3)
