"""The work queue: no key twice, no nudge lost, no key polled twice at once."""

from __future__ import annotations

import asyncio

import pytest

from watcher.engine.work_queue import WorkQueue


async def test_a_key_asked_for_twice_is_looked_at_once() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.put("a")
    queue.put("a")
    assert (await queue.get()).key == "a"
    assert len(queue) == 0


async def test_a_nudge_during_the_look_leads_to_one_more_look() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.put("a")
    key = (await queue.get()).key
    queue.put("a")
    queue.put("a")
    assert len(queue) == 0
    queue.done(key)
    assert (await queue.get()).key == "a"
    queue.done("a")
    assert queue.is_idle


async def test_an_operator_overtakes_the_schedule() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for key in ("a", "b", "c"):
        queue.put(key)
    queue.put("c", urgent=True)
    queue.put("d", urgent=True)
    assert [await queue.get() for _ in range(4)] == [
        ("c", True),
        ("d", True),
        ("a", False),
        ("b", False),
    ]


async def test_what_is_asked_for_all_the_time_does_not_keep_the_schedule_waiting() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.put("a")
    queue.put("b")
    queue.put("pushed", urgent=True)
    looks = []
    for _ in range(10):
        looks.append((await queue.get()).key)
        queue.put(looks[-1], urgent=looks[-1] == "pushed")
        queue.done(looks[-1])
    assert looks == [*["pushed"] * 3, "a", *["pushed"] * 3, "b", *["pushed"] * 2]


@pytest.mark.parametrize("urgent", [(True, False), (False, True)])
async def test_who_asks_urgently_during_the_look_is_served_urgently(
    urgent: tuple[bool, ...],
) -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.put("a")
    await queue.get()
    queue.put("b")
    for is_urgent in urgent:
        queue.put("a", urgent=is_urgent)
    queue.done("a")
    assert [await queue.get() for _ in range(2)] == [("a", True), ("b", False)]


async def test_what_was_urgent_once_is_not_so_for_ever() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.put("a", urgent=True)
    assert await queue.get() == ("a", True)
    queue.done("a")
    queue.put("a")
    assert await queue.get() == ("a", False)


async def test_waiting_workers_get_one_key_each() -> None:
    queue: WorkQueue[str] = WorkQueue()
    workers = [asyncio.create_task(queue.get()) for _ in range(3)]
    await asyncio.sleep(0)
    for key in ("a", "b", "c"):
        queue.put(key)
    assert sorted(key for key, _ in await asyncio.gather(*workers)) == ["a", "b", "c"]


@pytest.mark.parametrize("when", ["before the key", "after the key"])
async def test_a_canceled_worker_leaves_its_turn_to_the_next(when: str) -> None:
    queue: WorkQueue[str] = WorkQueue()
    first = asyncio.create_task(queue.get())
    second = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    if when == "before the key":
        first.cancel()
        queue.put("a")
    else:
        queue.put("a")
        first.cancel()
    assert (await asyncio.wait_for(second, 1)).key == "a"


async def test_a_queue_is_idle_when_nothing_waits_and_nothing_is_looked_at() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.put("a")
    assert not queue.is_idle
    await queue.get()
    assert not queue.is_idle
    queue.done("a")
    assert queue.is_idle
