"""Who gets the next place at a host: never more than there are, none lost, all fairly."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.registry.accounts import Clock
from tests.registry.test_limits import account
from watcher.errors import RateLimited
from watcher.registry.budgets.limits import HostLimits, Lane, Priority


@dataclass
class Scene:
    """Requests of some accounts to one host, which end when they are told to."""

    limits: HostLimits
    lanes: list[Lane]
    under_way: list[Request] = field(default_factory=list)
    order: list[Request] = field(default_factory=list)

    @staticmethod
    def of(*concurrency: int) -> Scene:
        limits = HostLimits(clock=Clock())
        accounts = (account(f"a{n}", concurrency=most) for n, most in enumerate(concurrency))
        return Scene(limits, [limits.lane(each) for each in accounts])

    def ask(self, lane: int = 0, priority: Priority = Priority.SCHEDULED) -> Request:
        request = Request(self, lane, priority)
        request.task = asyncio.create_task(request.run())
        return request

    def running(self) -> Counter[int]:
        return Counter(request.lane for request in self.under_way)


class Request:
    """One request; `task` is its whole life."""

    task: asyncio.Task[None]

    def __init__(self, scene: Scene, lane: int, priority: Priority) -> None:
        self.scene, self.lane, self.priority = scene, lane, priority
        self.over = asyncio.Event()

    async def run(self) -> None:
        async with self.scene.lanes[self.lane].turn(self.priority):
            self.scene.under_way.append(self)
            self.scene.order.append(self)
            try:
                await self.over.wait()
            finally:
                self.scene.under_way.remove(self)


async def settle() -> None:
    """Let all go as far as they can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def end(*requests: Request) -> None:
    for request in requests:
        request.over.set()
        request.task.cancel()
    await asyncio.gather(*(request.task for request in requests), return_exceptions=True)


async def test_the_most_urgent_goes_first_then_who_came_first() -> None:
    scene = Scene.of(1)
    first = scene.ask()
    await settle()
    priorities = [Priority.COPY, Priority.SCHEDULED, Priority.URGENT, Priority.SCHEDULED]
    waiting = [scene.ask(priority=priority) for priority in priorities]
    await settle()
    first.over.set()
    for _ in waiting:
        await settle()
        scene.under_way[-1].over.set()
    await settle()
    assert scene.order[1:] == [waiting[2], waiting[1], waiting[3], waiting[0]]


async def test_a_free_place_goes_to_the_account_with_the_fewest_requests_under_way() -> None:
    scene = Scene.of(4, 4)
    held = [scene.ask(0) for _ in range(3)]
    held.append(scene.ask(1))
    await settle()
    waiting = [scene.ask(0) for _ in range(4)] + [scene.ask(1) for _ in range(4)]
    await settle()
    held[0].over.set()
    await settle()
    assert scene.running() == {0: 2, 1: 2}
    await end(*held, *waiting)


async def test_an_urgent_request_goes_before_fairness() -> None:
    scene = Scene.of(4, 4)
    held = [scene.ask(lane) for lane in (0, 0, 1, 1)]
    await settle()
    waiting = [scene.ask(1), scene.ask(0, Priority.URGENT)]
    await settle()
    held[3].over.set()
    await settle()
    assert scene.order[-1] is waiting[1]
    await end(*held, *waiting)


async def test_nobody_overtakes_who_waits_for_the_pace() -> None:
    clock, order = Clock(), []
    lane = HostLimits(clock=clock).lane(account(requests_per_second=0.01))

    async def request(name: str) -> None:
        async with lane.turn():
            order.append(name)

    tasks = []
    for name in ("first", "second", "third"):
        tasks.append(asyncio.create_task(request(name)))
        await settle()
        clock.now += 50
    await settle()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == ["first", "second"]


@pytest.mark.parametrize(
    ("concurrency", "most"),
    [
        pytest.param((4,), [4], id="alone: all places"),
        pytest.param((4, 4), [3, 3], id="all but one"),
        pytest.param((2, 8), [2, 7], id="the smaller bound is its own"),
        pytest.param((4, 4, 4), [3, 3, 3], id="three accounts"),
        pytest.param((1, 1), [1, 1], id="there is only one place"),
    ],
)
async def test_an_account_whose_requests_hang_leaves_a_place_for_the_others(
    concurrency: tuple[int, ...], most: list[int]
) -> None:
    reached = []
    for lane in range(len(concurrency)):
        scene = Scene.of(*concurrency)
        hanging = [scene.ask(lane) for _ in range(20)]
        await settle()
        reached.append(scene.running()[lane])
        others = [scene.ask(other) for other in range(len(concurrency)) if other != lane]
        await settle()
        has_place = max(concurrency) > 1
        assert scene.running().keys() >= {o.lane for o in others[:1] if has_place}
        await end(*hanging, *others)
    assert reached == most


async def test_an_account_that_is_gone_reserves_nothing() -> None:
    scene = Scene.of(4, 4)
    scene.lanes.pop()
    requests = [scene.ask() for _ in range(9)]
    await settle()
    assert len(scene.under_way) == 4
    await end(*requests)


async def test_an_account_that_was_configured_anew_keeps_its_share() -> None:
    scene = Scene.of(4)
    held = [scene.ask() for _ in range(3)]
    await settle()
    scene.lanes.append(scene.limits.lane(account("a0", concurrency=2)))
    later = [scene.ask(1) for _ in range(3)]
    await settle()
    assert scene.running() == {0: 3}
    await end(*held)
    await settle()
    assert scene.running() == {1: 2}
    await end(*later)


@pytest.mark.parametrize("when", ["while it waits", "when it has just got its place"])
async def test_who_is_canceled_passes_the_turn_on(when: str) -> None:
    scene = Scene.of(1)
    first = scene.ask()
    await settle()
    second, third = scene.ask(), scene.ask()
    await settle()
    if when == "while it waits":
        second.task.cancel()
        await settle()
        first.over.set()
    else:
        first.task.cancel()
        await asyncio.sleep(0)  # the first one's end gives the place to the second
        second.task.cancel()
    await settle()
    assert scene.under_way == [third]
    await end(first, second, third)


class Step(NamedTuple):
    """One thing that happens: a request comes, or the one at a place in the list ends."""

    what: str
    lane: int
    priority: Priority
    which: int


STEPS = st.builds(
    Step,
    what=st.sampled_from(["ask", "ask", "ask", "end", "end", "cancel", "settle", "park"]),
    lane=st.integers(0, 2),
    priority=st.sampled_from(Priority),
    which=st.integers(0, 30),
)


@given(
    concurrency=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    steps=st.lists(STEPS, max_size=40),
)
def test_places_are_never_exceeded_lost_or_given_out_of_turn(
    concurrency: list[int], steps: list[Step]
) -> None:
    asyncio.run(play(concurrency, steps))


async def play(concurrency: list[int], steps: list[Step]) -> None:
    scene = Scene.of(*concurrency)
    capacity, shared = max(concurrency), len(concurrency) > 1
    bounds = [min(most, capacity - 1) if shared and capacity > 1 else most for most in concurrency]
    requests: list[Request] = []
    for step in steps:
        lane = step.lane % len(concurrency)
        waiting = [r for r in requests if not r.task.done() and r not in scene.under_way]
        match step.what:
            case "ask":
                requests.append(scene.ask(lane, step.priority))
            case "end" if scene.under_way:
                scene.under_way[step.which % len(scene.under_way)].over.set()
            case "cancel" if waiting:
                waiting[step.which % len(waiting)].task.cancel()
            case "park":
                scene.limits.parking.park(scene.lanes[lane].account_key, 60)
                scene.limits.clock.now += 61  # type: ignore[attr-defined]
            case _:
                await settle()
        check(scene, capacity, bounds)
    await settle()
    check(scene, capacity, bounds)
    check_none_idle(scene, capacity, bounds, requests)
    while any(not request.task.done() for request in requests):
        assert scene.under_way, "somebody waits, and nobody has a place"
        began = scene.order[-1:]
        scene.under_way[0].over.set()
        await settle()
        check(scene, capacity, bounds)
        check_order(scene, began, requests)
    outcomes = [r.task.exception() for r in requests if not r.task.cancelled()]
    assert all(error is None or isinstance(error, RateLimited) for error in outcomes)
    assert scene.lanes[0].turns.busy == 0


def check(scene: Scene, capacity: int, bounds: list[int]) -> None:
    running = scene.running()
    assert running.total() <= capacity
    assert all(running[lane] <= most for lane, most in enumerate(bounds))


def check_none_idle(
    scene: Scene, capacity: int, bounds: list[int], requests: list[Request]
) -> None:
    """No place is free for somebody who waits."""
    running = scene.running()
    if running.total() < capacity:
        for request in requests:
            if not request.task.done() and request not in scene.under_way:
                share = scene.lanes[request.lane].share
                assert running[request.lane] >= (1 if share.is_probing else bounds[request.lane])


def check_order(scene: Scene, began: list[Request], requests: list[Request]) -> None:
    """Whoever began last was the most urgent of its account that waited."""
    if scene.order[-1:] == began:
        return
    chosen = scene.order[-1]
    waiting = [r for r in requests if not r.task.done() and r not in scene.under_way]
    for other in waiting:
        if other.lane == chosen.lane:
            assert (chosen.priority, requests.index(chosen)) < (
                other.priority,
                requests.index(other),
            )
