"""Deliveries on their way to the state file, and what is kept of them there."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest

from watcher.core.delivery import Delivery, DeliveryOutcome
from watcher.daemon.deliveries import MOST_WAITING, DeliveryLog
from watcher.errors import StateUnwritable
from watcher.store import deliveries
from watcher.store.sqlite import Store
from watcher.store.threaded import ThreadedStore
from watcher.telemetry.families import Count
from watcher.telemetry.log import Log
from watcher.telemetry.meter import Meter

START = datetime(2027, 1, 15, 8, tzinfo=UTC)


def delivery(number: int = 0, **values: str) -> Delivery:
    return Delivery(
        time=START + timedelta(seconds=number),
        sender="harbor",
        outcome=DeliveryOutcome.POLLED,
        reason="polled now",
        repository="acme/web",
        tag=str(number),
        **values,
    )


class Lost(Meter):
    """Counts what it is told to be lost."""

    def __init__(self) -> None:
        self.number = 0.0

    def count(self, what: Count, *labels: str, by: float = 1.0) -> None:
        self.number += by if what is Count.DELIVERIES_LOST else 0


@dataclass
class Bench:
    """A delivery log over a real state file that a test may make fail."""

    path: Path
    written: StringIO = field(default_factory=StringIO)
    meter: Lost = field(default_factory=Lost)
    fails: bool = False

    def __post_init__(self) -> None:
        self.store = ThreadedStore(lambda: Store.open(self.path, fault=self._fault))
        log = Log("info", "json", self.written)
        self.log = DeliveryLog(self.store, log=log, meter=self.meter)

    def _fault(self, point: str) -> None:
        if self.fails and point == "deliveries.before_commit":
            raise StateUnwritable("the disk is full")

    async def kept(self) -> list[str | None]:
        found = await self.store.run(lambda store: store.deliveries.listed(MOST_WAITING * 3))
        return [each.tag for each in found]

    def events(self, name: str) -> list[dict[str, object]]:
        lines = [json.loads(line) for line in self.written.getvalue().splitlines()]
        return [line for line in lines if line["event"] == name]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path / "state.db")
    yield made
    await made.store.close()


async def test_deliveries_are_written_together_and_shown_newest_first(bench: Bench) -> None:
    for number in range(3):
        bench.log.add(delivery(number))
    assert await bench.kept() == []
    await bench.log.write()
    assert await bench.kept() == ["2", "1", "0"]
    commits = await bench.store.run(lambda store: store.commits)
    await bench.log.write()
    assert await bench.store.run(lambda store: store.commits) == commits


async def test_a_full_disk_keeps_them_waiting(bench: Bench) -> None:
    bench.fails = True
    bench.log.add(delivery(0))
    await bench.log.write()
    assert bench.events("state_failed")
    bench.log.add(delivery(1))
    bench.fails = False
    await bench.log.write()
    assert await bench.kept() == ["1", "0"]
    assert bench.meter.number == 0


async def test_what_can_not_wait_any_longer_is_counted_and_said(bench: Bench) -> None:
    bench.fails = True
    for number in range(MOST_WAITING + 3):
        bench.log.add(delivery(number))
    await bench.log.write()
    assert [line["count"] for line in bench.events("deliveries_lost")] == [3]
    assert bench.meter.number == 3
    bench.fails = False
    await bench.log.write()
    assert len(await bench.kept()) == MOST_WAITING
    assert len(bench.events("deliveries_lost")) == 1


def test_the_table_is_bounded(tmp_path: Path) -> None:
    with Store.open(tmp_path / "state.db") as store:
        for start in range(0, deliveries.MOST_KEPT + 5000, 5000):
            store.deliveries.record([delivery(start + number) for number in range(5000)])
        kept = store.deliveries.listed(deliveries.MOST_KEPT * 2)
    assert len(kept) == deliveries.MOST_KEPT
    assert kept[0].tag == str(deliveries.MOST_KEPT + 4999)


def test_the_last_of_each_account_and_the_keys_of_late_ones_are_found(tmp_path: Path) -> None:
    rows = [
        delivery(0, account="a", key="old"),
        delivery(60, account="a", key="new"),
        delivery(70, account="b"),
        delivery(80),
    ]
    with Store.open(tmp_path / "state.db") as store:
        store.deliveries.record(rows)
        last = store.deliveries.last()
        assert {name: found.tag for name, found in last.items()} == {"a": "60", "b": "70"}
        since = START + timedelta(seconds=30)
        assert store.deliveries.keys(since) == [("new", since.timestamp() + 30)]
        assert [each.tag for each in store.deliveries.listed(9, "a")] == ["60", "0"]


def test_a_switch_stays_in_the_state_file(tmp_path: Path) -> None:
    with Store.open(tmp_path / "state.db") as store:
        store.deliveries.switch("main", enabled=False)
        store.deliveries.switch("other", enabled=False)
        store.deliveries.switch("other", enabled=True)
    with Store.open(tmp_path / "state.db") as store:
        assert store.deliveries.switches() == {"main": False, "other": True}
