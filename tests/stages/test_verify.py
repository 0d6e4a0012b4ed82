"""`verify`: the address must go on answering as expected."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from tests.stages.conftest import START, ContextMaker, FakeTime, Receiver, Reply
from watcher.core.pipeline import Done, Json, StageOutcome
from watcher.stages.base import StageContext
from watcher.stages.verify import VerifyStage

DEFAULTS: dict[str, Json] = {"expect": ["200-299"], "for": "0s", "interval": "5s"}
GOOD, BAD, LOST = Reply(200, b"ok"), Reply(503), Reply(closes=True)


async def verify(context: StageContext, url: str, **options: Json) -> StageOutcome:
    return await VerifyStage().run({**DEFAULTS, "url": url, **options}, context)


@pytest.mark.parametrize(
    ("replies", "lasting", "looks", "seconds"),
    [
        pytest.param([GOOD], "0s", 1, 0, id="the first good answer"),
        pytest.param([BAD, LOST, GOOD], "0s", 3, 10, id="after bad ones"),
        pytest.param([GOOD], "10s", 3, 10, id="for ten seconds"),
        pytest.param([GOOD], "12s", 4, 12, id="the last look is at the end"),
        pytest.param([GOOD, GOOD, BAD, GOOD], "10s", 6, 25, id="a bad one starts over"),
        pytest.param([GOOD, LOST, GOOD], "10s", 5, 20, id="so does none"),
    ],
)
async def test_answers_must_stay_good(
    replies: list[Reply],
    lasting: str,
    looks: int,
    seconds: int,
    receiver: Receiver,
    make_context: ContextMaker,
) -> None:
    receiver.replies, time = list(replies), FakeTime()
    outcome = await verify(make_context(time=time), receiver.url, **{"for": lasting})
    assert outcome == Done({"looks": looks})
    assert time.moment - START == timedelta(seconds=seconds)


@pytest.mark.parametrize("jump", [timedelta(days=1), timedelta(days=-1)], ids=["on", "back"])
async def test_answers_must_stay_good_as_long_when_the_clock_is_set(
    jump: timedelta, receiver: Receiver, make_context: ContextMaker
) -> None:
    receiver.replies, time = [GOOD], FakeTime(jumps=jump)
    async with asyncio.timeout(20):
        outcome = await verify(make_context(time=time), receiver.url, **{"for": "10s"})
    assert outcome == Done({"looks": 3})


@pytest.mark.parametrize(
    ("reply", "options"),
    [
        pytest.param(Reply(404), {"expect": [404]}, id="another status"),
        pytest.param(Reply(200, b'{"state": "ok"}'), {"body": '"state": *"ok"'}, id="body"),
    ],
)
async def test_what_is_good_can_be_said(
    reply: Reply, options: dict[str, Json], receiver: Receiver, make_context: ContextMaker
) -> None:
    receiver.replies = [Reply(500), reply]
    assert await verify(make_context(), receiver.url, **options) == Done({"looks": 2})


async def test_the_log_tells_each_new_fault_once(
    receiver: Receiver, make_context: ContextMaker
) -> None:
    receiver.replies = [BAD, BAD, BAD, Reply(200, b"starting"), GOOD]
    context = make_context()
    await verify(context, receiver.url, body="^ok$")
    first, second = context.log.text.splitlines()
    assert first.endswith("answered 503")
    assert second.endswith("does not match '^ok$'")


async def test_a_hopeless_case_ends_by_the_time_out_of_the_stage(
    receiver: Receiver, make_context: ContextMaker
) -> None:
    receiver.replies = [BAD]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await verify(make_context(), receiver.url)
