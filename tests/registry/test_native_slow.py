"""A native API that answers page by page, but takes longer than a poll may, is left for v2."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

from tests.registry.accounts import Clock
from tests.registry.looks import WEB, asked, following, playing
from watcher.core.account import Timeouts
from watcher.registry.listing.tags import Listing
from watcher.testing.faults import Fault, Hold, Match
from watcher.testing.records import Kind

SECOND = timedelta(seconds=1)


async def test_an_api_that_is_too_slow_for_a_poll_is_left_for_v2() -> None:
    clock = Clock()
    async with playing("quay", clock=clock) as registry:
        for number in range(1000):
            registry.push(WEB, f"t{number}")
        clock.now += 100
        limits = Timeouts(connect=SECOND, read=SECOND, total=3 * SECOND)
        async with following(registry, "quay", clock, account={"timeouts": limits}) as follower:
            registry.fault(Fault(match=Match(kind=Kind.NATIVE), action=Hold(until=0.5)))
            registry.reset_log()
            async with asyncio.timeout(limits.total.total_seconds()):
                answer = await follower.client.look(WEB, replace(follower.seen(), tags=1000))
            assert isinstance(answer, Listing)
            assert len(answer.tags) == 1000
            native, _ = asked(registry)
            await follower.look()
            assert (native > 0, asked(registry)[0]) == (True, 0)
