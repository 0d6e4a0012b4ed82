"""Who is seen to be stale, and when the ping goes: beside clocks that jump, schedules that rest and
addresses that nobody can call.
"""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.receiving import Receiver
from tests.receiving import receiver as receiver
from watcher.config.load import Config
from watcher.core.account import Account, Catalog, PollSchedule
from watcher.core.notifier import Ping, SecretUrl
from watcher.core.poll import RepositoryStatus
from watcher.core.reference import Registry
from watcher.daemon.app import App
from watcher.daemon.lookout import Lookout
from watcher.daemon.pinging import Pinger
from watcher.engine.board import StatusBoard
from watcher.engine.repositories import RepositoryList
from watcher.engine.rules import Rules
from watcher.registry.budgets.limits import HostLimits
from watcher.store.sqlite import Store
from watcher.store.threaded import ThreadedStore
from watcher.telemetry.log import Log

FRIDAY_EVENING = datetime(2026, 3, 6, 18, 0, 5, tzinfo=UTC).timestamp()
AT_WORK = PollSchedule(every=None, cron="0 8-18 * * 1-5")
EACH_MINUTE = PollSchedule(every=timedelta(minutes=1))
DAY = 24 * 3600.0


class Watching:
    """An app with one account of one repository, whose clocks the test sets."""

    def __init__(self, app: App, log: io.StringIO) -> None:
        self.app = app
        self.log = log
        self.wall = FRIDAY_EVENING
        self.steady = 0.0
        self.status = app.board.get("hub", "acme/web")

    def polled(self) -> None:
        self.status.last_check = self.status.last_success = self.wall
        self.status.next_check = self.wall + 60

    def passes(self, seconds: float) -> None:
        self.wall, self.steady = self.wall + seconds, self.steady + seconds

    def lookout(self) -> Lookout:
        return Lookout(self.app, is_daemon=True, monotonic=lambda: self.steady)

    async def stale(self) -> list[str]:
        troubles = await self.app.store.run(lambda store: store.outbox.troubles())
        return [trouble.subject for trouble in troubles]


@asynccontextmanager
async def watching(
    directory: Path, poll: PollSchedule, ping: Ping | None = None
) -> AsyncIterator[Watching]:
    account = Account(
        name="hub",
        registry=Registry.parse("registry.example.com"),
        repositories=("acme/web",),
        poll=poll,
    )
    state = directory / "watcher.db"
    config = Config(
        path=directory / "config.yaml",
        state=state,
        accounts=(account,),
        triggers=(),
        pipelines=(),
        files=(),
        loaded=(),
        ping=ping,
    )
    log = io.StringIO()
    store = ThreadedStore(lambda: Store.open(state))
    made: list[Watching] = []

    def clock() -> float:
        return made[0].wall if made else FRIDAY_EVENING

    app = App(
        config,
        store,
        StatusBoard([RepositoryStatus(account="hub", repository="acme/web")]),
        HostLimits(clock=clock),
        Rules.of((), (), {}),
        catalogs={},
        log=Log("debug", "json", log),
        clock=clock,
        environment={},
    )
    made.append(Watching(app, log))
    try:
        yield made[0]
    finally:
        await app.close()
        await store.close()


async def test_a_schedule_that_rests_at_weekends_is_late_on_no_saturday(tmp_path: Path) -> None:
    async with watching(tmp_path, AT_WORK) as place:
        lookout = place.lookout()
        place.polled()
        for _ in range(60):
            place.passes(3600)
            await lookout.settle()
        assert await place.stale() == []


async def test_a_machine_that_slept_was_not_late(tmp_path: Path) -> None:
    async with watching(tmp_path, EACH_MINUTE) as place:
        lookout = place.lookout()
        lookout.accounts()
        for _ in range(10):
            place.passes(60)
            place.polled()
            await lookout.settle()
        place.wall += 8 * 3600
        await lookout.settle()
        assert await place.stale() == []
        for _ in range(9):
            place.passes(30)
            place.status.last_check = place.wall
            await lookout.settle()
        assert await place.stale() == ["hub/acme/web"], "from then on it is"


async def test_a_clock_that_is_wrong_for_an_hour_makes_nothing_stale(tmp_path: Path) -> None:
    async with watching(tmp_path, EACH_MINUTE) as place:
        lookout = place.lookout()
        for jump in (0, 365 * DAY, -365 * DAY):
            place.wall += jump
            await lookout.settle()
            for _ in range(60):
                place.passes(60)
                place.polled()
                await lookout.settle()
        assert await place.stale() == []
        place.wall += 365 * DAY
        place.polled()
        await lookout.settle()
        place.wall -= 365 * DAY
        place.passes(120)
        await lookout.settle()
        assert await place.stale() == []


@pytest.mark.parametrize("what", ["the account", "the repository"])
async def test_what_comes_back_into_the_config_is_not_late_at_once(
    what: str, tmp_path: Path
) -> None:
    async with watching(tmp_path, EACH_MINUTE) as place:
        app, lookout = place.app, place.lookout()
        await lookout.settle()
        place.passes(60)
        place.polled()
        await lookout.settle()
        member = app.members["hub"]
        both = member.repositories
        if what == "the account":
            del app.members["hub"]
        else:
            fewer = replace(member.account, repositories=("acme/other",))
            member.repositories = RepositoryList(fewer, ())
        for _ in range(60):
            place.passes(60)
            app.board.get("hub", "acme/other").last_success = place.wall
            await lookout.settle()
        member.repositories = both
        app.members["hub"] = member
        await lookout.settle()
        assert await place.stale() == []
        place.passes(240)
        place.status.last_check = place.wall
        await lookout.settle()
        assert await place.stale() == ["hub/acme/web"], "in time it is"


async def test_an_account_that_is_to_be_polled_more_often_is_not_late_at_once(
    tmp_path: Path,
) -> None:
    async with watching(tmp_path, PollSchedule(every=timedelta(hours=1))) as place:
        lookout = place.lookout()
        await lookout.settle()
        place.passes(60)
        place.polled()
        place.passes(1800)
        await lookout.settle()
        member = place.app.members["hub"]
        member.account = replace(member.account, poll=EACH_MINUTE)
        await lookout.settle()
        assert await place.stale() == []
        place.passes(240)
        place.status.last_check = place.wall
        await lookout.settle()
        assert await place.stale() == ["hub/acme/web"], "in time it is"


async def pinged(pinger: Pinger, place: Watching, minutes: int) -> None:
    """It looks each 5 s while the repository is polled each minute."""
    ping = place.app.config.ping
    assert ping is not None
    for second in range(0, 60 * minutes, 5):
        place.passes(5)
        if second % 60 == 0:
            place.polled()
        await pinger.look(ping)


def ping_to(url: str, every: timedelta = timedelta(minutes=5)) -> Ping:
    return Ping(url=SecretUrl(url=url), every=every)


@pytest.mark.parametrize("jump", [-3 * DAY, -365 * DAY, 365 * DAY])
async def test_the_ping_goes_on_after_a_jump_of_the_clock(
    jump: float, tmp_path: Path, receiver: Receiver
) -> None:
    async with watching(tmp_path, EACH_MINUTE, ping_to(receiver.url)) as place:
        pinger = Pinger(place.app, place.lookout())
        await pinged(pinger, place, 6)
        assert len(receiver.requests) == 1
        place.wall += jump
        await pinged(pinger, place, 12)
        assert len(receiver.requests) >= 3


async def test_a_ping_that_is_to_come_more_often_does_so_at_once(
    tmp_path: Path, receiver: Receiver
) -> None:
    daily = ping_to(receiver.url, timedelta(days=1))
    async with watching(tmp_path, EACH_MINUTE, daily) as place:
        pinger = Pinger(place.app, place.lookout())
        await pinged(pinger, place, 2)
        place.app.config = replace(
            place.app.config, ping=ping_to(receiver.url, timedelta(minutes=1))
        )
        await pinged(pinger, place, 3)
        assert len(receiver.requests) >= 2


async def test_an_address_that_nobody_can_call_is_a_line_in_the_log(tmp_path: Path) -> None:
    url = "http://xn--zzzzzzzz9999999/s3cret"
    async with watching(tmp_path, EACH_MINUTE, ping_to(url)) as place:
        assert place.app.config.ping is not None
        assert not await Pinger(place.app, place.lookout()).ping(place.app.config.ping)
        (line,) = map(json.loads, place.log.getvalue().splitlines())
        assert line["event"] == "ping_failed"
        assert "s3cret" not in place.log.getvalue()


async def test_a_reload_keeps_to_what_the_catalog_named_last(tmp_path: Path) -> None:
    """What it named once and names no more would be polled in vain, and be late."""
    async with watching(tmp_path, EACH_MINUTE) as place:
        app = place.app
        place.status.known = True
        account = Account(
            name="hub", registry=Registry.parse("registry.example.com"), catalog=Catalog()
        )
        member = app.members["hub"]
        app.members["hub"] = app.member(account)
        await member.client.aclose()
        found = app.members["hub"].repositories
        assert found.names == ("acme/web",)
        found.take_catalog(["acme/api"])
        found.take_catalog(["acme/api"])
        assert app.repositories(account).names == ("acme/api",)
