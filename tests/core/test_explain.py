from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from tests.core.builders import EARLIER, known, known_tag, trigger
from watcher.core.change import TriggerState
from watcher.core.explain import explain
from watcher.core.selector import OrderKind, TagRule

RULE = trigger(order=OrderKind.SEMVER, tag=TagRule(matches=r"\d.*"))


def test_each_tag_has_the_rule_that_kept_or_dropped_it_and_there_is_one_winner() -> None:
    explanation = explain(RULE, ["main", "1.9", "latest", "1.10", "1x", "1.9"])
    assert [(row.tag, row.kept, row.reason) for row in explanation.tags] == [
        ("1.10", True, "the tag matches '\\d.*'"),
        ("1.9", True, "the tag matches '\\d.*'"),
        ("1x", False, "the tag is not a version, so it can't be ordered (semver)"),
        ("latest", False, "the tag does not match '\\d.*'"),
        ("main", False, "the tag does not match '\\d.*'"),
    ]
    assert explanation.winner == "1.10"


def test_nothing_kept_has_no_winner() -> None:
    assert explain(RULE, ["main"]).winner is None


def test_what_would_be_a_downgrade_is_said() -> None:
    before = known(triggers={"t": TriggerState(highest="1.10")})
    newer, older = explain(RULE, ["1.9", "1.11"], before).tags
    assert newer.reason == "the tag matches '\\d.*'"
    assert older.reason.endswith(
        "; not above '1.10', the highest tag that fired: as a new tag it would be older"
    )
    allowed = replace(RULE, allow_downgrade=True)
    assert "older" not in explain(allowed, ["1.9"], before).tags[0].reason


def test_the_order_of_first_sight_comes_from_what_is_known() -> None:
    later = known_tag(seen=EARLIER + timedelta(hours=1))
    before = known({"b": known_tag(), "a": later})
    explanation = explain(trigger(), ["b", "a", "unseen"], before)
    assert [row.tag for row in explanation.tags] == ["unseen", "a", "b"]
