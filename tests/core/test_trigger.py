from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest

from tests.core.builders import (
    ACCOUNT,
    NOW,
    REPOSITORY,
    deleted,
    digest,
    known,
    known_tag,
    moved,
    new,
    trigger,
)
from watcher.core.change import Change, ChangeKind, KnownRepository, TriggerState
from watcher.core.selector import OrderKind, TagRule
from watcher.core.trigger import (
    Backfill,
    Fire,
    Trigger,
    applies,
    baseline,
    decide,
    wants_digest,
)
from watcher.core.verdict import Decided

SEMVER = OrderKind.SEMVER
BOTH = (ChangeKind.NEW, ChangeKind.MOVED)
ALL_KINDS = (*BOTH, ChangeKind.DELETED)


def decided(
    rule: Trigger | Sequence[Trigger],
    changes: Sequence[Change],
    before: KnownRepository | None = None,
    *,
    hold_above: int = 50,
    enabled: Iterable[str] | None = None,
) -> Decided:
    triggers = [rule] if isinstance(rule, Trigger) else rule
    on = {t.name for t in triggers} if enabled is None else set(enabled)
    return decide(triggers, before or known(), changes, now=NOW, hold_above=hold_above, enabled=on)


def verdicts(result: Decided) -> list[tuple[str, str]]:
    return [(d.change.tag, d.verdict.value) for d in result.decisions]


def fired(result: Decided) -> list[str]:
    return [tag for tag, verdict in verdicts(result) if verdict == "fired"]


@pytest.mark.parametrize(
    ("rule", "changes", "expected"),
    [
        pytest.param(trigger(), [new("a")], [("a", "fired")], id="a new tag fires"),
        pytest.param(trigger(), [new("latest")], [("latest", "no_match")], id="but latest"),
        pytest.param(
            trigger(), [moved("a")], [("a", "unwanted_change")], id="a moved tag nobody asked for"
        ),
        pytest.param(
            trigger(changes=BOTH),
            [new("a"), moved("b"), deleted("c")],
            [("c", "unwanted_change"), ("b", "fired"), ("a", "fired")],
            id="new and moved: the one known longer comes first",
        ),
        pytest.param(
            trigger(changes=[ChangeKind.DELETED]), [deleted("a")], [("a", "fired")], id="deleted"
        ),
        pytest.param(
            trigger(order=SEMVER),
            [new("1.10"), new("main"), new("1.9")],
            [("main", "no_match"), ("1.9", "fired"), ("1.10", "fired")],
            id="each, in rising order; what has no version doesn't match",
        ),
        pytest.param(
            trigger(order=SEMVER, fire=Fire.NEWEST),
            [new("1.10"), new("1.9"), new("1.2")],
            [("1.2", "superseded"), ("1.9", "superseded"), ("1.10", "fired")],
            id="only the newest",
        ),
        pytest.param(
            trigger(fire=Fire.NEWEST),
            [new("b10"), new("b9")],
            [("b9", "superseded"), ("b10", "fired")],
            id="the newest of one listing, by natural order",
        ),
        pytest.param(
            trigger(order=SEMVER, fire=Fire.NEWEST, changes=ALL_KINDS),
            [new("1.1"), deleted("1.9"), deleted("1.8")],
            [("1.1", "fired"), ("1.8", "superseded"), ("1.9", "fired")],
            id="what went does not supersede what came",
        ),
        pytest.param(
            trigger(order=SEMVER),
            [new("1.2"), new("v1.2.0")],
            [("v1.2.0", "older"), ("1.2", "fired")],
            id="two spellings of one version fire once",
        ),
        pytest.param(
            trigger(order=SEMVER, allow_downgrade=True),
            [new("1.2"), new("v1.2.0")],
            [("1.2", "fired"), ("v1.2.0", "fired")],
            id="unless downgrades are allowed",
        ),
    ],
)
def test_what_a_batch_does(
    rule: Trigger, changes: list[Change], expected: list[tuple[str, str]]
) -> None:
    rows = {change.tag: known_tag() for change in changes if change.kind is not ChangeKind.NEW}
    assert verdicts(decided(rule, changes, known(rows))) == expected


@pytest.mark.parametrize(
    ("rule", "highest", "change", "verdict"),
    [
        pytest.param(trigger(order=SEMVER), "2.0", new("1.9"), "older", id="a new one below"),
        pytest.param(trigger(order=SEMVER), "2.0", new("v2"), "older", id="a new one equal"),
        pytest.param(trigger(order=SEMVER), "2.0", new("2.0.1"), "fired", id="a new one above"),
        pytest.param(
            trigger(order=SEMVER, changes=BOTH), "2.0", moved("1.9"), "older", id="moved, below"
        ),
        pytest.param(
            trigger(order=SEMVER, changes=BOTH), "2.0", moved("2.0"), "fired", id="moved, the same"
        ),
        pytest.param(
            trigger(order=SEMVER, changes=ALL_KINDS), "2.0", deleted("1.0"), "fired", id="deleted"
        ),
        pytest.param(
            trigger(order=SEMVER, allow_downgrade=True), "2.0", new("1.9"), "fired", id="allowed"
        ),
        pytest.param(trigger(), "9", new("1"), "fired", id="first_seen knows no downgrade"),
        pytest.param(trigger(order=OrderKind.NUMERIC), "10", new("9"), "older", id="numeric"),
        pytest.param(
            trigger(order=OrderKind.ALPHABETICAL), "9", new("10"), "older", id="alphabetical"
        ),
        pytest.param(
            trigger(order=SEMVER), "main", new("0.1"), "fired", id="highest of another order"
        ),
        pytest.param(trigger(order=SEMVER), None, new("0.1"), "fired", id="nothing fired yet"),
    ],
)
def test_downgrades(rule: Trigger, highest: str | None, change: Change, verdict: str) -> None:
    before = known([change.tag], triggers={"t": TriggerState(highest=highest)})
    (decision,) = decided(rule, [change], before).decisions
    assert decision.verdict.value == verdict


def test_the_highest_rises_with_what_fires_and_never_falls() -> None:
    before = known(triggers={"t": TriggerState(highest="1.5")})
    up = decided(trigger(order=SEMVER), [new("1.4"), new("1.6")], before)
    assert up.states == {"t": TriggerState(highest="1.6")}
    down = decided(trigger(order=SEMVER, allow_downgrade=True), [new("1.4")], before)
    assert down.states == {}
    gone = trigger(order=SEMVER, changes=[ChangeKind.DELETED])
    assert decided(gone, [deleted("9.0")], before).states == {}


def test_every_decision_has_its_reason() -> None:
    rule = trigger(order=SEMVER, tag=TagRule(matches="[0-9].*"), fire=Fire.NEWEST)
    before = known(["2.0"], triggers={"t": TriggerState(highest="1.5")})
    changes = [new("1.4"), new("1.6"), new("1.7"), new("x"), moved("2.0"), new("1x")]
    assert {d.change.tag: d.reason for d in decided(rule, changes, before).decisions} == {
        "1.4": "not above '1.5', the highest tag that fired",
        "1.6": "'1.7' of the same poll is newer",
        "1.7": "the new tag matches '[0-9].*'",
        "x": "the tag does not match '[0-9].*'",
        "2.0": "the tag is moved; the trigger wants new tags",
        "1x": "the tag is not a version, so it can't be ordered (semver)",
    }
    off = decided(rule, [new("1.7")], before, enabled=())
    assert [d.reason for d in off.decisions] == ["switched off; the new tag matches '[0-9].*'"]


def test_a_trigger_that_is_switched_off_fires_nothing_and_gets_its_baseline() -> None:
    result = decided(trigger(backfill=Backfill.ALL), [new("b")], known(["a"], triggers={}),
                     enabled=())  # fmt: skip
    assert verdicts(result) == [("b", "disabled")]
    assert result.states == {"t": TriggerState()}


def test_triggers_of_other_accounts_and_repositories_say_nothing() -> None:
    others = [
        replace(trigger("account"), account="quay"),
        replace(trigger("repository"), repositories=("acme/other",)),
    ]
    assert decided(others, [new("a")]) == Decided()


@pytest.mark.parametrize(
    ("names", "pattern", "watched"),
    [
        ((REPOSITORY,), None, True),
        (("acme/other",), None, False),
        ((), "acme/.*", True),
        ((), "acme", False),
        ((), " acme/demo.* ", True),
    ],
)
def test_a_trigger_names_repositories_or_matches_them_in_full(
    names: tuple[str, ...], pattern: str | None, *, watched: bool
) -> None:
    rule = replace(trigger(), repositories=names, repository_pattern=pattern)
    assert applies(rule, ACCOUNT, REPOSITORY) is watched
    assert not applies(rule, "quay", REPOSITORY)


def test_more_events_than_the_limit_are_held_as_one_batch() -> None:
    changes = [new(f"1.{number}") for number in range(3)]
    both = [trigger("t", order=SEMVER), trigger("u", order=SEMVER)]
    result = decided(both, changes, hold_above=5)
    assert {verdict for _, verdict in verdicts(result)} == {"held"}
    assert result.states == {"u": TriggerState()}, "u gets its baseline, nothing rises"
    assert result.decisions[0].reason == (
        "held: 6 events in one poll are more than hold_above (5); "
        "the new tag is not exactly 'latest', all that an empty rule asks for"
    )
    assert len(fired(decided(both, changes, hold_above=6))) == 6


def test_what_does_not_fire_does_not_count_for_the_limit() -> None:
    changes = [new("latest"), new("a"), moved("b")]
    assert fired(decided(trigger(), changes, known(["b"]), hold_above=1)) == ["a"]


def first_sight(rule: Trigger, listed: list[str], hold_above: int = 50) -> Decided:
    return baseline(
        [rule],
        known(baselined=False, triggers={}),
        listed,
        {"1.1": digest("a")},
        now=NOW,
        hold_above=hold_above,
        enabled={"t"},
    )


@pytest.mark.parametrize(
    ("backfill", "fire", "expected"),
    [
        (Backfill.NONE, Fire.EACH, []),
        (Backfill.NEWEST, Fire.EACH, ["1.10"]),
        (Backfill.ALL, Fire.EACH, ["1.1", "1.9", "1.10"]),
        (Backfill.ALL, Fire.NEWEST, ["1.10"]),
    ],
)
def test_the_first_sight_fires_only_what_backfill_asks_for(
    backfill: Backfill, fire: Fire, expected: list[str]
) -> None:
    rule = trigger(order=SEMVER, backfill=backfill, fire=fire)
    result = first_sight(rule, ["1.9", "1.10", "latest", "main", "1.1"])
    assert fired(result) == expected
    assert len(result.decisions) == len(expected), "tags that don't fire are no events"
    assert result.states == {"t": TriggerState(highest="1.10" if expected else None)}


def test_a_backfilled_tag_has_its_digest_and_the_number_of_no_change() -> None:
    (decision,) = first_sight(trigger(backfill=Backfill.ALL), ["1.1"]).decisions
    assert (decision.change.digest, decision.change.number) == (digest("a"), 0)
    assert decision.reason.startswith("backfill: the new tag")


def test_a_trigger_for_moved_tags_may_backfill_too() -> None:
    rule = trigger(
        backfill=Backfill.NEWEST, changes=[ChangeKind.MOVED], tag=TagRule(equals="latest")
    )
    assert fired(first_sight(rule, ["latest", "1.0"])) == ["latest"]


def test_a_backfill_over_the_limit_is_held() -> None:
    result = first_sight(trigger(backfill=Backfill.ALL), ["1", "2", "3"], hold_above=2)
    assert {verdict for _, verdict in verdicts(result)} == {"held"}
    assert result.states == {"t": TriggerState()}


def test_a_trigger_added_later_has_its_baseline_in_what_was_known() -> None:
    result = decided(trigger(), [new("b")], known(["a"], triggers={}))
    assert fired(result) == ["b"]
    assert result.states == {"t": TriggerState()}


def test_a_trigger_added_or_renamed_later_replays_no_history_whatever_its_backfill() -> None:
    rule = trigger(backfill=Backfill.ALL)
    result = decided(rule, [new("comes")], known(["a", "b"], triggers={}))
    assert fired(result) == ["comes"]
    assert result.states == {"t": TriggerState()}


def test_digests_are_wanted_only_where_a_trigger_would_see_a_move() -> None:
    rules = [trigger(), trigger("m", changes=BOTH, tag=TagRule(equals="stable"))]
    assert wants_digest(rules, "stable")
    assert not wants_digest(rules, "1.0")


def test_deciding_about_one_tag_among_50_000_is_cheap() -> None:
    many = known([f"1.{number}" for number in range(50_000)])
    rules = [trigger(f"t{n}", order=SEMVER, tag=TagRule(matches=r"\d+\.\d+")) for n in range(20)]
    began = time.process_time()
    assert len(fired(decided(rules, [new("2.0")], many))) == 20
    assert time.process_time() - began < 0.1
