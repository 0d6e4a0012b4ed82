"""Every kind of registry, asked in every way: from its config to what is queued, and not more."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.registries.kinds import CASES, STRATEGIES, Case
from tests.registries.line import DAY, MINUTE, Line, line
from watcher.engine.poll_outcome import PollResult
from watcher.testing.faults import Exchange, Fault, Match, Respond
from watcher.testing.profiles import PROFILES
from watcher.testing.records import Kind

TAGS = {"v1", "v2", "v3", "v4", "v5", "stable"}

every_kind = pytest.mark.parametrize("case", CASES, ids=lambda case: case.profile)
every_way = pytest.mark.parametrize("strategy", STRATEGIES)


def test_every_profile_of_the_fake_registry_has_its_case() -> None:
    assert {case.profile for case in CASES} == set(PROFILES)


@every_kind
def test_validate_logs_in_and_lists(case: Case, tmp_path: Path) -> None:
    with line(case, tmp_path) as it:
        code, said = it.command("validate", "--online")
        assert code == 0, said
        assert case.password not in said


@every_kind
@every_way
def test_the_first_sight_fires_nothing(case: Case, strategy: str, tmp_path: Path) -> None:
    with line(case, tmp_path, strategy) as it:
        outcome = it.poll()
        assert outcome.result is PollResult.BASELINE, outcome.error
        assert it.known().keys() == TAGS
        assert it.queued() == []
        assert it.poll().result is PollResult.UNCHANGED
        assert it.queued() == []


@every_kind
def test_all_pages_are_one_listing(case: Case, tmp_path: Path) -> None:
    with line(case, tmp_path, "v2") as it:
        it.poll()
        assert it.known().keys() == TAGS
        answered = [r for r in it.registry.requests_of(Kind.TAGS) if r.status == 200]
        assert len(answered) == case.pages


@every_kind
@every_way
def test_a_new_tag_fires_once(case: Case, strategy: str, tmp_path: Path) -> None:
    with line(case, tmp_path, strategy) as it:
        it.poll()
        it.now += MINUTE
        it.push("v6", "other")
        assert it.poll().error is None
        assert it.queued() == [("new", "v6")]
        it.poll()
        it.poll(after=DAY)
        assert it.queued() == [("new", "v6")]
        assert it.known().keys() == TAGS | {"v6", "other"}


@every_kind
@every_way
def test_a_moved_tag_fires_once(case: Case, strategy: str, tmp_path: Path) -> None:
    with line(case, tmp_path, strategy) as it:
        it.poll()
        it.now += MINUTE
        digest = it.registry.move(case.repository, "stable")
        it.poll()
        assert it.queued() == [("moved", "stable")]
        assert it.known()["stable"] == digest
        it.poll()
        it.poll(after=DAY)
        assert it.queued() == [("moved", "stable")]


@every_kind
@every_way
def test_a_deleted_tag_is_gone_within_a_day(case: Case, strategy: str, tmp_path: Path) -> None:
    with line(case, tmp_path, strategy) as it:
        it.poll()
        it.registry.delete_tag(case.repository, "v5")
        it.poll(after=DAY)
        assert it.known().keys() == TAGS - {"v5"}
        assert it.queued() == []
        it.now += MINUTE
        it.push("v5")
        it.poll()
        assert it.queued() == [("new", "v5")], "a deleted tag that comes back is new"


@every_kind
@every_way
def test_a_login_that_ends_between_two_pages_loses_nothing(
    case: Case, strategy: str, tmp_path: Path
) -> None:
    with line(case, tmp_path, strategy) as it:
        it.poll()
        it.push("v6")
        it.registry.fault(_ending_login(it))
        outcome = it.poll(after=DAY)
        assert outcome.error is None
        assert it.queued() == [("new", "v6")]
        assert it.known().keys() == TAGS | {"v6"}


@every_kind
@every_way
def test_too_many_requests_change_nothing_and_lose_nothing(
    case: Case, strategy: str, tmp_path: Path
) -> None:
    with line(case, tmp_path, strategy) as it:
        it.poll()
        it.now += MINUTE
        it.push("v6")
        headers = (("Retry-After", "120"),)
        for kind in (Kind.TAGS, Kind.NATIVE, Kind.MANIFEST):
            it.registry.fault(Fault(action=Respond(429, headers), match=Match(kind=kind)))
        assert it.poll().result is PollResult.PARKED
        assert it.queued() == []
        it.registry.reset_log()
        it.poll(after=MINUTE)
        assert it.registry.requests == [], "what asked for two minutes is left alone for two"
        it.registry.clear_faults()
        it.poll(after=3 * MINUTE)
        assert it.queued() == [("new", "v6")]


@every_kind
def test_strategies_that_take_turns_see_no_change(case: Case, tmp_path: Path) -> None:
    with line(case, tmp_path) as it:
        it.poll()
        before = it.known()
        for strategy in ("native", "v2", "auto", "native", "auto", "v2"):
            it.configure(strategy)
            assert it.poll().result is PollResult.UNCHANGED, strategy
        assert it.known() == before
        assert it.queued() == []


@every_kind
def test_a_change_under_one_strategy_is_none_under_the_next(case: Case, tmp_path: Path) -> None:
    with line(case, tmp_path) as it:
        it.poll()
        expected: list[tuple[str, str]] = []
        for number, strategy in enumerate(("native", "v2", "native", "auto", "v2"), start=6):
            it.configure(strategy)
            it.now += MINUTE
            it.push(f"v{number}")
            it.registry.move(case.repository, "stable")
            it.poll()
            expected += [("new", f"v{number}"), ("moved", "stable")]
            it.poll()
            assert sorted(it.queued()) == sorted(expected), strategy


def _ending_login(it: Line) -> Fault:
    class End:
        async def play(self, exchange: Exchange) -> None:
            it.end_login()
            exchange.respond(exchange.answer())

    second_page = Match(kind=Kind.TAGS, query="last=" if it.case.pages > 1 else None)
    return Fault(action=End(), match=second_page, times=1)
