"""A courier and a notifier that takes messages, refuses them, or can't be reached."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.store.builders import NOW
from watcher.core.message import Message, MessageStatus
from watcher.core.notice import Notice, NoticeEvent, NoticeKind
from watcher.core.notifier import Audience, Notifier
from watcher.daemon.courier import Courier, backoff
from watcher.errors import NotifierError, StateUnwritable
from watcher.store.sqlite import Store
from watcher.store.threaded import ThreadedStore
from watcher.telemetry.log import Log

OPS = Notifier(name="ops", group=timedelta())
DOWN = NotifierError("ops answered 503", temporary=True)
REFUSED = NotifierError("ops answered 400")


@dataclass
class Place:
    """A notifier with its outbox. `answers` are given in turn, None for what is taken; then all
    is taken."""

    store: ThreadedStore
    answers: list[Exception | None] = field(default_factory=list)
    tried: list[str] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    now: datetime = NOW
    log: io.StringIO = field(default_factory=io.StringIO)
    strikes: list[str] = field(default_factory=list)

    def fault(self, point: str) -> None:
        if point in self.strikes:
            self.strikes.remove(point)
            raise StateUnwritable("the disk is full")

    async def send(self, message: Message) -> None:
        self.tried.append(message.title)
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer
        self.taken.append(message.title)

    def courier(self) -> Courier:
        log = Log("debug", "json", self.log)
        return Courier(OPS, self, self.store, log=log, clock=lambda: self.now.timestamp())

    async def tell(self, *texts: str) -> None:
        for text in texts:
            notice = Notice(
                event=NoticeEvent.CONFIG_REJECTED,
                kind=NoticeKind.HAPPENED,
                subject=text,
                text=text,
                time=self.now.timestamp(),
            )
            await self.store.run(lambda store: store.outbox.tell(notice))  # noqa: B023
        await self.store.run(lambda store: store.outbox.fill(Audience((OPS,))))

    async def statuses(self) -> list[MessageStatus]:
        found = await self.store.run(lambda store: store.outbox.messages())
        return [message.status for message in reversed(found)]

    def said(self, event: str) -> list[str]:
        lines = map(json.loads, self.log.getvalue().splitlines())
        return [line["level"] for line in lines if line["event"] == event]


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    state = tmp_path / "watcher.db"
    made = Place(ThreadedStore(lambda: Store.open(state, clock=lambda: made.now, fault=made.fault)))
    yield made
    await made.store.close()


async def test_what_is_due_is_sent_in_order(place: Place) -> None:
    await place.tell("a", "b", "c")
    assert await place.courier().deliver() is None
    assert place.taken == ["a", "b", "c"]
    assert set(await place.statuses()) == {MessageStatus.SENT}


async def test_what_can_not_be_taken_now_holds_up_the_rest_in_order(place: Place) -> None:
    await place.tell("a", "b")
    place.answers = [DOWN, DOWN]
    courier = place.courier()
    assert await courier.deliver() == timedelta(seconds=5)
    assert await courier.deliver() == timedelta(seconds=10)
    assert place.tried == ["a", "a"]
    assert await courier.deliver() is None
    assert place.taken == ["a", "b"]


async def test_what_is_refused_waits_alone(place: Place) -> None:
    await place.tell("a", "b")
    place.answers = [REFUSED]
    courier = place.courier()
    assert await courier.deliver() is None
    assert place.taken == ["b"]
    place.now += timedelta(seconds=10)
    assert await courier.deliver() is None
    assert place.taken == ["b", "a"]


async def test_an_outage_is_a_warning_once(place: Place) -> None:
    await place.tell("a")
    place.answers = [DOWN, DOWN, DOWN]
    courier = place.courier()
    for _ in range(4):
        await courier.deliver()
    assert place.said("notification_failed") == ["warning", "debug", "debug"]
    assert place.said("notification_sent") == ["info"]


async def test_a_retry_after_is_heeded(place: Place) -> None:
    await place.tell("a")
    patient = NotifierError("busy", temporary=True, retry_after=timedelta(minutes=7))
    place.answers = [patient]
    assert await place.courier().deliver() == timedelta(minutes=7)


@pytest.mark.parametrize(
    ("attempts", "wait"),
    [(1, 5), (2, 10), (5, 80), (10, 2560), (11, 3600), (1000, 3600)],
)
def test_waits_grow_from_seconds_to_an_hour(attempts: int, wait: float) -> None:
    assert backoff(attempts) == timedelta(seconds=wait)


async def test_after_three_days_a_message_is_given_up_loudly(place: Place) -> None:
    await place.tell("a")
    place.answers = [DOWN] * 9
    courier = place.courier()
    place.now += timedelta(days=4)
    for _ in range(4):  # a machine that slept still tries a few times
        await courier.deliver()
    assert await place.statuses() == [MessageStatus.WAITING]
    await courier.deliver()
    assert await place.statuses() == [MessageStatus.DEAD]
    assert place.said("notification_dead") == ["error"]


async def test_what_gathered_for_a_notifier_that_is_gone_is_given_up_with_the_first(
    place: Place,
) -> None:
    """With an attempt an hour it would pile up for ever."""
    for number in range(50):
        await place.tell(str(number))
    place.now += timedelta(days=4)
    await place.tell("of today")
    place.answers = [DOWN] * 5
    courier = place.courier()
    for _ in range(5):
        await courier.deliver()
    assert await place.statuses() == [MessageStatus.DEAD] * 50 + [MessageStatus.WAITING]
    assert place.said("notification_dead") == ["error", "error"]


async def test_what_a_sender_says_in_an_unknown_error_is_not_repeated(place: Place) -> None:
    await place.tell("a")
    place.answers = [ValueError("https://hooks.example.com/s3cret")]
    assert await place.courier().deliver() is not None
    (message,) = await place.store.run(lambda store: store.outbox.messages())
    assert message.error == "fault in watcher: ValueError"
    assert "s3cret" not in place.log.getvalue()


async def test_a_success_that_can_not_be_written_is_sent_again(place: Place) -> None:
    await place.tell("a")
    place.strikes = ["sent.before_commit"]
    courier = place.courier()
    with pytest.raises(StateUnwritable):
        await courier.deliver()
    await courier.deliver()
    assert place.taken == ["a", "a"]


async def test_nothing_is_sent_that_is_not_written_down_first(place: Place) -> None:
    await place.tell("a")
    place.strikes = ["take.before_commit"]
    with pytest.raises(StateUnwritable):
        await place.courier().deliver()
    assert place.tried == []


def of_a_full_disk() -> Message:
    item = {"text": "the disk is full", "subject": "s", "account": None, "detail": "", "time": 0}
    return Message(
        id=0,
        key="k",
        notifier="ops",
        event=NoticeEvent.STATE_FAILED,
        kind=NoticeKind.BEGUN,
        items=(item,),
        count=1,
        created=NOW.timestamp(),
    )


async def test_that_the_state_file_can_not_be_written_needs_no_state_file(place: Place) -> None:
    place.strikes = ["take.before_commit"]
    courier = place.courier()
    courier.send_directly(of_a_full_disk())
    with pytest.raises(StateUnwritable):
        await courier.deliver()
    assert place.taken == ["the disk is full"]
    await courier.deliver()
    assert place.taken == ["the disk is full"]


async def test_a_refusal_of_what_is_not_written_down_holds_up_nothing(place: Place) -> None:
    await place.tell("a")
    place.answers = [REFUSED] * 3
    courier = place.courier()
    courier.send_directly(of_a_full_disk())
    await courier.deliver()
    place.now += timedelta(minutes=1)
    await courier.deliver()
    place.now += timedelta(minutes=1)
    await courier.deliver()
    assert place.taken == ["a"]
    assert place.said("notification_dead") == ["error"]


async def test_a_person_who_asks_ends_the_rest(place: Place) -> None:
    await place.tell("a")
    place.answers = [NotifierError("busy", temporary=True, retry_after=timedelta(hours=1))]
    courier = place.courier()
    working = asyncio.create_task(courier.work())
    try:
        courier.wake(asked=False)
        await until(lambda: len(place.tried) == 1)
        courier.wake(asked=False)
        courier.wake(asked=True)
        await until(lambda: place.taken == ["a"])
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)
