"""Doing the same with many objects, a few at a time, in an order that does not depend on luck.

Used within this package, for dry runs and for the objects of one wave.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE = 4
"""More at once gains nothing, as measured against a real API server."""


async def each(
    items: Sequence[T],
    work: Callable[[T], Awaitable[R]],
    *,
    stop: Callable[[R], bool] = lambda result: False,
    done: Callable[[R], None] = lambda result: None,
) -> list[R | None]:
    """The result of each item, in the order of the items; None for those never begun.

    Raises what a piece of work raises: the first, when several do. After a result that is to
    `stop` no item is begun; those under way are finished. `done` is given the results in the order
    of the items, as soon as that is possible.
    """
    results: list[R | None] = [None] * len(items)
    finished: dict[int, R] = {}
    waiting = iter(range(len(items)))
    is_stopped = False
    told = 0

    async def worker() -> None:
        nonlocal is_stopped, told
        while not is_stopped and (index := next(waiting, None)) is not None:
            result = await work(items[index])
            results[index] = finished[index] = result
            is_stopped = is_stopped or stop(result)
            while told in finished:
                done(finished.pop(told))
                told += 1

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(AT_ONCE, len(items))):
                group.create_task(worker())
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from errors
    return results
