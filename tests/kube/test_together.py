"""Work on many objects at once: what a failure of one looks like."""

from __future__ import annotations

import asyncio

import pytest

from watcher.kube.together import each


async def test_a_failure_of_one_is_raised_as_it_is() -> None:
    async def work(number: int) -> int:
        await asyncio.sleep(0)
        if number == 3:
            raise KeyError("the third")
        return number

    with pytest.raises(KeyError, match="the third"):
        await each(range(8), work)


async def test_a_cancellation_stays_one() -> None:
    async def work(number: int) -> None:
        await asyncio.Event().wait()

    working = asyncio.create_task(each(range(8), work))
    await asyncio.sleep(0)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
