"""What a webhook leads to: a look at the repository that it names, soon, and nothing beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.engine.test_poller import ON_ANY_MOVED, REPOSITORY, Bench
from tests.engine.test_poller import bench as bench
from tests.engine.test_watch import EVERY, Work, working
from watcher.core.hint import Hint
from watcher.engine.hinted import LEAST_GAP, MOST_TAGS, PAUSES, Hinted
from watcher.engine.poll_outcome import PollResult
from watcher.registry.budgets.limits import Priority
from watcher.testing.faults import Fault, Gate, Hold, Match, Respond
from watcher.testing.records import Kind

WEB = Hint(repository="acme/web", tag="v2")
DAY = 86_400.0


async def started(work: Work) -> None:
    """All repositories have their baseline, and nothing is due for nearly an interval."""
    work.watch.start()
    await work.after(EVERY.total_seconds(), 1)
    work.now[0] += LEAST_GAP


async def test_a_hint_polls_the_repository_at_once(tmp_path: Path) -> None:
    async with working(tmp_path, "acme/web", catalog=False) as work:
        work.registry.push("acme/web", "v1")
        await started(work)
        work.registry.push("acme/web", "v2")
        work.watch.hint(WEB)
        (outcome,) = await work.after(0, 1)
        assert [change.tag for change in outcome.changes] == ["v2"]


async def test_many_hints_of_one_repository_lead_to_few_polls(tmp_path: Path) -> None:
    async with working(tmp_path, "acme/web", catalog=False) as work:
        work.registry.seed(["acme/web"], ["v1", "v2"])
        await started(work)
        before = work.registry.count(Kind.TAGS)
        for _ in range(50):
            work.watch.hint(WEB)
        await work.after(0, 1)
        for _ in range(50):
            work.watch.hint(WEB)
        assert await work.after(LEAST_GAP / 2, 0) == []
        assert len(await work.after(LEAST_GAP / 2, 1)) == 1
        assert work.registry.count(Kind.TAGS) == before + 2


async def test_a_hint_during_a_poll_leads_to_one_more(tmp_path: Path) -> None:
    async with working(tmp_path, "acme/web", catalog=False) as work:
        work.registry.push("acme/web", "v1")
        await started(work)
        gate = Gate()
        work.registry.fault(Fault(action=Hold(until=gate.passage)))
        work.watch.hint(Hint(repository="acme/web"))
        await gate.reached()
        work.registry.push("acme/web", "v2")
        work.watch.hint(Hint(repository="acme/web"))
        gate.open()
        await work.after(0, 1)
        (outcome,) = await work.after(LEAST_GAP, 1)
        assert outcome.result in (PollResult.CHANGED, PollResult.UNCHANGED)
        assert work.watch.next_due() == pytest.approx(work.now[0] + EVERY.total_seconds(), rel=0.2)


async def test_a_parked_registry_is_left_alone_whatever_a_hint_says(tmp_path: Path) -> None:
    async with working(tmp_path, "acme/web", catalog=False) as work:
        work.registry.push("acme/web", "v1")
        await started(work)
        refusal = Respond(429, (("Retry-After", "300"),))
        work.registry.fault(Fault(match=Match(kind=Kind.TAGS), action=refusal, times=1))
        work.watch.hint(WEB)
        await work.after(0, 1)
        work.registry.push("acme/web", "v2")
        before = len(work.registry.requests)
        work.watch.hint(WEB)
        assert await work.after(LEAST_GAP, 0) == []
        work.watch.hint(WEB)
        assert await work.after(200, 0) == []  # not even after a while
        assert len(work.registry.requests) == before
        (outcome,) = await work.after(110, 1)
        assert [change.tag for change in outcome.changes] == ["v2"]


async def test_a_registry_that_calls_too_early_is_asked_again_a_few_times(tmp_path: Path) -> None:
    async with working(tmp_path, "acme/web", catalog=False) as work:
        work.registry.push("acme/web", "v1")
        await started(work)
        work.watch.hint(WEB)
        await work.after(0, 1)
        assert len(await work.after(PAUSES[0], 1)) == 1
        assert await work.after(PAUSES[1] - 0.5, 0) == []
        assert len(await work.after(0.5, 1)) == 1
        work.registry.push("acme/web", "v2")
        (outcome,) = await work.after(PAUSES[2], 1)
        assert [change.tag for change in outcome.changes] == ["v2"]
        assert await work.after(PAUSES[3] * 2, 0) == []


async def test_a_sender_that_calls_before_it_is_done_is_given_a_moment(tmp_path: Path) -> None:
    async with working(tmp_path, "acme/web", catalog=False) as work:
        work.registry.push("acme/web", "v1")
        await started(work)
        work.watch.hint(WEB, 0.1)
        assert await work.after(0, 0) == []
        assert len(await work.after(0.1, 1)) == 1


async def test_what_never_shows_is_looked_for_a_few_times_and_then_as_ever(tmp_path: Path) -> None:
    async with working(tmp_path, "acme/web", catalog=False) as work:
        work.registry.push("acme/web", "v1")
        await started(work)
        work.watch.hint(WEB)
        for pause in (0.0, *PAUSES):
            assert len(await work.after(pause, 1)) == 1
        assert await work.after(120, 0) == []
        assert len(await work.after(EVERY.total_seconds() * 1.1, 1)) == 1


async def test_looks_in_vain_during_an_outage_do_not_put_off_the_schedule(tmp_path: Path) -> None:
    """Five within a minute would else make the schedule as slow as five failures of its own."""
    async with working(tmp_path, "acme/web", catalog=False) as work:
        work.registry.push("acme/web", "v1")
        await started(work)
        work.registry.fault(Fault(match=Match(kind=Kind.TAGS), action=Respond(502)))
        work.watch.hint(WEB)
        for pause in (0.0, *PAUSES):
            assert len(await work.after(pause, 1)) == 1
        work.registry.clear_faults()
        work.registry.push("acme/web", "v2")
        (outcome,) = await work.after(EVERY.total_seconds(), 1)
        assert [change.tag for change in outcome.changes] == ["v2"]


@pytest.mark.parametrize(
    "hint",
    [
        pytest.param(Hint(repository="acme/web", tag="v1"), id="a tag that is there"),
        pytest.param(Hint(repository="acme/web"), id="no tag named"),
        pytest.param(Hint(repository="acme/web", tag="v7", is_deletion=True), id="a deletion"),
        pytest.param(
            Hint(repository="acme/web", tag=f"sha256-{'0' * 64}.sig"), id="a signature, no tag"
        ),
    ],
)
async def test_nothing_more_is_asked_where_nothing_is_awaited(tmp_path: Path, hint: Hint) -> None:
    async with working(tmp_path, "acme/web", catalog=False) as work:
        work.registry.push("acme/web", "v1")
        await started(work)
        work.watch.hint(hint)
        assert len(await work.after(0, 1)) == 1
        assert await work.after(60, 0) == []


async def test_of_tags_that_look_fixed_only_the_named_one_is_looked_at(bench: Bench) -> None:
    bench.use([ON_ANY_MOVED])
    for tag in ("1.0.0", "2.0.0", "3.0.0"):
        bench.registry.push(REPOSITORY, tag)
    await bench.poll()
    bench.now += 30 * DAY
    await bench.poll()
    bench.registry.move(REPOSITORY, "1.0.0")
    bench.registry.move(REPOSITORY, "2.0.0")
    bench.registry.reset_log()  # `v1` does not look fixed
    outcome = await bench.poller.poll(
        REPOSITORY, priority=Priority.URGENT, named=frozenset({"2.0.0"})
    )
    assert [change.tag for change in outcome.changes] == ["2.0.0"]
    asked = {entry.reference for entry in bench.registry.requests_of(Kind.MANIFEST)}
    assert asked == {"v1", "2.0.0"}


async def test_a_tag_that_nothing_follows_is_not_looked_at_for_being_named(bench: Bench) -> None:
    bench.use([replace(ON_ANY_MOVED, changes=frozenset())])
    bench.registry.push(REPOSITORY, "1.0.0")
    await bench.poll()
    await bench.poller.poll(REPOSITORY, priority=Priority.URGENT, named=frozenset({"1.0.0"}))
    assert bench.registry.count(Kind.MANIFEST) == 0


def test_what_one_repository_is_told_is_bounded() -> None:
    hinted = Hinted()
    for number in range(MOST_TAGS * 3):
        hinted.take(Hint(repository="acme/web", tag=f"v{number}"))
    assert len(hinted.begin(0.0)) == MOST_TAGS


@pytest.mark.parametrize(
    ("wanted", "known", "is_awaited"),
    [
        pytest.param("sha256:a", "sha256:a", False, id="it has the digest"),
        pytest.param("sha256:a", "sha256:b", True, id="it still has the old one"),
        pytest.param("sha256:a", None, False, id="its digest is not followed"),
        pytest.param(None, "sha256:b", False, id="no digest was named"),
    ],
)
def test_a_moved_tag_is_awaited_until_it_has_its_digest(
    wanted: str | None, known: str | None, is_awaited: bool
) -> None:
    hinted = Hinted()
    hinted.take(Hint(repository="acme/web", tag="stable", digest=wanted))
    hinted.begin(0.0)
    hinted.forget({"stable": known})
    assert (hinted.next_look(0.0) is not None) is is_awaited
