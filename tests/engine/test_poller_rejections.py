"""Polls of images that a rollback rejected: seen, said, not fired until a person clears them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from tests.engine.test_poller import ON_NEW, PIPELINE, REPOSITORY, Bench, bench_at
from watcher.core.account import DigestTracking
from watcher.core.change import Change, ChangeKind
from watcher.core.deployment import Rejection
from watcher.core.poll import PollRecord
from watcher.core.selector import Ordering, OrderKind
from watcher.core.trigger import Backfill, Fire
from watcher.core.verdict import Decision, Verdict
from watcher.engine.board import StatusBoard
from watcher.engine.poll_outcome import PollOutcome, PollResult, Purpose
from watcher.engine.poll_report import PollReport
from watcher.telemetry.log import Log
from watcher.testing.faults import Exchange, Fault, Match
from watcher.testing.records import Kind

BOTH = replace(ON_NEW, changes=frozenset({ChangeKind.NEW, ChangeKind.MOVED}))


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """The repository has v1 and was polled once."""
    async with bench_at(tmp_path / "state.db") as made:
        made.registry.push(REPOSITORY, "v1", content="good")
        await made.poll()
        yield made


async def reject(bench: Bench, digest: str | None, tag: str = "v2") -> None:
    rejection = Rejection(
        pipeline=PIPELINE.name,
        account="main",
        repository=REPOSITORY,
        tag=tag,
        digest=digest,
        execution="0123456789abcdef",
        reason="the rollout failed",
        time=datetime.fromtimestamp(bench.now, UTC),
    )
    await bench.store.run(lambda store: store.reject(rejection))


def verdicts(outcome: PollOutcome) -> list[tuple[str, str]]:
    return [(d.change.tag, d.verdict.value) for d in outcome.decisions]


async def test_a_rejected_image_does_not_come_back_under_any_tag(bench: Bench) -> None:
    await reject(bench, bench.registry.push(REPOSITORY, "v2", content="bad"))
    bench.registry.push(REPOSITORY, "v3", content="bad")
    bench.registry.push(REPOSITORY, "v4", content="fine")
    outcome = await bench.poll()
    assert sorted(verdicts(outcome)) == [("v2", "rejected"), ("v3", "rejected"), ("v4", "fired")]
    assert await bench.queued() == [("release", "v4")]
    (seen,) = [row for row in await activity(bench) if row["tag"] == "v3"]
    assert seen["triggers"][0]["outcome"] == "rejected"
    assert "`watcher events clear 1`" in seen["triggers"][0]["reason"]
    assert (await bench.poll()).result is PollResult.UNCHANGED


async def activity(bench: Bench) -> list[dict[str, Any]]:
    return await bench.store.run(lambda store: store.activity())


async def test_a_tag_that_moves_to_a_good_image_fires_and_back_it_does_not(bench: Bench) -> None:
    bench.use([BOTH])
    await bench.poll()
    bad = bench.registry.push(REPOSITORY, "v2", content="bad")
    await bench.poll()
    await reject(bench, bad)
    bench.registry.push(REPOSITORY, "v2", content="mended")
    assert verdicts(await bench.poll()) == [("v2", "fired")]
    bench.registry.push(REPOSITORY, "v2", content="bad")
    assert verdicts(await bench.poll()) == [("v2", "rejected")]


async def test_a_tag_pushed_anew_is_looked_up_before_it_is_rejected(bench: Bench) -> None:
    await reject(bench, "sha256:" + "0" * 64)
    bench.registry.push(REPOSITORY, "v2", content="mended")
    assert verdicts(await bench.poll()) == [("v2", "fired")]


async def test_without_digests_the_tag_itself_is_rejected(bench: Bench) -> None:
    bench.start(track_digests=DigestTracking.OFF)
    await reject(bench, None)
    bench.registry.push(REPOSITORY, "v2")
    bench.registry.push(REPOSITORY, "v3")
    assert sorted(verdicts(await bench.poll())) == [("v2", "rejected"), ("v3", "fired")]


async def test_the_newest_that_may_go_fires(bench: Bench) -> None:
    bench.use([replace(ON_NEW, fire=Fire.NEWEST, order=Ordering(kind=OrderKind.SEMVER))])
    await bench.poll()
    await reject(bench, bench.registry.push(REPOSITORY, "v4", content="bad"))
    digest = bench.registry.push(REPOSITORY, "v3", content="fine")
    bench.registry.push(REPOSITORY, "v2", content="old")
    await bench.poll()
    (run,) = await bench.store.run(lambda store: store.executions(None))
    assert (run.tag, run.digest) == ("v3", digest)


async def test_a_backfill_takes_the_newest_that_may_go(tmp_path: Path) -> None:
    async with bench_at(tmp_path / "state.db") as bench:
        newest = replace(ON_NEW, backfill=Backfill.NEWEST, order=Ordering(kind=OrderKind.SEMVER))
        bench.use([newest])
        bench.registry.push(REPOSITORY, "v1", content="good")
        await reject(bench, bench.registry.push(REPOSITORY, "v2", content="bad"))
        assert verdicts(await bench.poll()) == [("v2", "rejected"), ("v1", "fired")]
        assert await bench.queued() == [("release", "v1")]


async def test_what_is_cleared_fires_with_its_next_event(bench: Bench) -> None:
    await reject(bench, bench.registry.push(REPOSITORY, "v2", content="bad"))
    await bench.poll()
    await bench.store.run(lambda store: store.clear_rejections([1]))
    assert (await bench.poll()).result is PollResult.UNCHANGED
    bench.registry.push(REPOSITORY, "v3", content="bad")
    await bench.poll()
    assert await bench.queued() == [("release", "v3")]


async def test_a_rejection_while_the_registry_answers_is_in_time(bench: Bench) -> None:
    digest = bench.registry.push(REPOSITORY, "v2", content="bad")

    class RollBack:
        async def play(self, exchange: Exchange) -> None:
            await reject(bench, digest)
            exchange.respond(exchange.answer())

    manifest = Match(kind=Kind.MANIFEST, reference="v2")
    bench.registry.fault(Fault(match=manifest, times=1, action=RollBack()))
    assert verdicts(await bench.poll()) == [("v2", "rejected")]
    assert await bench.queued() == []


async def test_a_dry_run_says_it_too(bench: Bench) -> None:
    await reject(bench, bench.registry.push(REPOSITORY, "v2", content="bad"))
    before = await bench.commits()
    assert verdicts(await bench.poll(Purpose.DRY_RUN)) == [("v2", "rejected")]
    assert await bench.commits() == before


async def test_a_rejection_costs_no_request_but_the_digest_of_what_would_fire(
    bench: Bench,
) -> None:
    await reject(bench, bench.registry.push(REPOSITORY, "v2", content="bad"))
    asked, commits = bench.registry.counters.requests.total(), await bench.commits()
    await bench.poll()
    assert bench.registry.counters.requests.total() - asked == 2
    assert await bench.commits() - commits == 1


async def test_rejections_are_read_only_when_something_would_fire(bench: Bench) -> None:
    await reject(bench, "sha256:" + "0" * 64, tag="other")
    statements: list[str] = []
    await bench.store.run(lambda store: store._db.set_trace_callback(statements.append))
    await bench.poll()
    bench.registry.push(REPOSITORY, "nothing-for-the-trigger")
    await bench.poll()
    assert [each for each in statements if "rejection" in each] == []
    bench.registry.push(REPOSITORY, "v2")
    await bench.poll()
    assert [each for each in statements if "rejection" in each]


def test_what_is_rejected_is_said_in_the_log_apart_from_what_is_held() -> None:
    said = StringIO()
    report = PollReport(StatusBoard(), Log("warning", "json", stream=said), lambda: 0.0)
    changes = [
        Change(kind=ChangeKind.NEW, tag=tag, digest=None, previous_digest=None, number=1)
        for tag in ("v2", "v3", "v4")
    ]
    verdicts = (Verdict.REJECTED, Verdict.REJECTED, Verdict.HELD)
    report.tell(
        PollRecord(
            account="main",
            repository=REPOSITORY,
            at=datetime.fromtimestamp(0, UTC),
            decisions=tuple(
                Decision(trigger="release", change=change, verdict=verdict, reason="no")
                for change, verdict in zip(changes, verdicts, strict=True)
            ),
        )
    )
    lines = [json.loads(line) for line in said.getvalue().splitlines()]
    assert [(line["event"], line["events"]) for line in lines] == [
        ("events_held", 1),
        ("events_rejected", 2),
    ]
    assert all(line["hint"] for line in lines)
