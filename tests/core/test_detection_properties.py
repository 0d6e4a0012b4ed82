"""Promises 1 to 3 of SPEC 1 under any sequence of pushes, polls, lies, crashes and restarts.

The machine keeps its own, simpler picture of what has been seen: tag to last known digest. After
each poll that was recorded, exactly what differs between that picture and the answer has fired.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from copy import deepcopy
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.core.builders import NOW, known, new, trigger
from tests.core.simulated import INTERVAL, SimulatedStore, look
from watcher.core.change import ChangeKind, TriggerState
from watcher.core.diff import diff
from watcher.core.poll import PollRecord
from watcher.core.selector import OrderKind
from watcher.core.trigger import Fire, decide
from watcher.core.verdict import Verdict
from watcher.core.version import parse_version

TAGS = [*(f"t{number}" for number in range(26)), "latest"]
DIGESTS = ["sha256:" + letter * 64 for letter in "abc"]
ALL_KINDS = (ChangeKind.NEW, ChangeKind.MOVED, ChangeKind.DELETED)

some_tags = st.sets(st.sampled_from(TAGS))
Fired = Counter[tuple[str | None, str | None, str | None]]


class Detection(RuleBasedStateMachine):
    """A registry, a watcher and a store; each rule is something that may happen to them."""

    def __init__(self) -> None:
        super().__init__()
        self.now: datetime = NOW
        self.registry: dict[str, str] = {}
        self.store = SimulatedStore()
        self.triggers = [trigger("all", changes=ALL_KINDS), trigger("new")]
        self.enabled = {"all", "new"}
        self.seen: dict[str, str | None] | None = None
        self.doubt: tuple[frozenset[str], datetime] | None = None
        self.fired: Fired = Counter()

    @rule(tags=some_tags, digest=st.sampled_from(DIGESTS))
    def push(self, tags: set[str], digest: str) -> None:
        self.registry.update(dict.fromkeys(tags, digest))

    @rule(tags=some_tags)
    def delete(self, tags: set[str]) -> None:
        for tag in tags:
            self.registry.pop(tag, None)

    @rule()
    def delete_nearly_everything(self) -> None:
        self.registry = dict(list(self.registry.items())[:1])

    @rule(seconds=st.sampled_from([1, 30, 60, 3600]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(name=st.sampled_from(["all", "new", "late"]))
    def switch(self, name: str) -> None:
        self.enabled ^= {name}

    @precondition(lambda self: len(self.triggers) == 2)
    @rule()
    def add_a_trigger(self) -> None:
        self.triggers.append(trigger("late", changes=(ChangeKind.NEW, ChangeKind.MOVED)))

    @rule(unreadable=some_tags)
    def poll(self, unreadable: set[str]) -> None:
        """A complete listing; the digests of some tags can't be read."""
        self._poll(self.registry, unreadable)

    @rule(unreadable=some_tags)
    def poll_whose_commit_is_repeated(self, unreadable: set[str]) -> None:
        self._poll(self.registry, unreadable, commits=2)

    @rule(unreadable=some_tags)
    def poll_that_crashes_before_its_commit(self, unreadable: set[str]) -> None:
        self._look(self.registry, unreadable)

    @rule(kept=st.integers(0, 3))
    def poll_that_gets_a_part_for_the_whole(self, kept: int) -> None:
        """The registry lies: complete by the protocol, and most of it is missing."""
        self._poll(dict(list(self.registry.items())[:kept]), set())

    @rule()
    def poll_that_fails(self) -> None:
        """No answer or a broken one never gets as far as detection; nothing is known."""

    @rule()
    def restart(self) -> None:
        """Only what the store holds outlives the process."""
        self.store = deepcopy(self.store)

    @invariant()
    def nothing_fired_twice(self) -> None:
        runs = [
            (run.trigger, run.tag, run.digest, run.key.rpartition("|")[2])
            for run in self.store.executions.values()
        ]
        assert len(set(runs)) == len(runs)

    @invariant()
    def what_is_recorded_is_what_was_seen(self) -> None:
        if self.seen is not None:
            present = {tag: row.digest for tag, row in self.store.tags.items() if row.present}
            assert present == self.seen

    def _look(self, answer: dict[str, str], unreadable: set[str]) -> PollRecord:
        digests = {tag: digest for tag, digest in answer.items() if tag not in unreadable}
        return look(
            self.store.known(),
            answer,
            digests,
            self.triggers,
            enabled=self.enabled,
            now=self.now,
        )

    def _poll(self, answer: dict[str, str], unreadable: set[str], commits: int = 1) -> None:
        record = self._look(answer, unreadable)
        queued = [run for _ in range(commits) for run in self.store.record_poll(record)]
        expected = self._expected(answer, unreadable)
        assert Counter((run.trigger, run.tag, run.change) for run in queued) == expected

    def _expected(self, answer: dict[str, str], unreadable: set[str]) -> Fired:
        """What has to fire now; the picture of what was seen moves on."""
        if not self._is_believed(answer):
            return Counter()
        before = self.seen
        self.seen = {
            tag: (before or {}).get(tag) if tag in unreadable else digest
            for tag, digest in answer.items()
        }
        if before is None:
            return Counter()  # the first sight fires nothing
        happened = [("new", tag) for tag in self.seen.keys() - before.keys()]
        happened += [("deleted", tag) for tag in before.keys() - self.seen.keys()]
        happened += [
            ("moved", tag)
            for tag in before.keys() & self.seen.keys()
            if before[tag] is not None and before[tag] != self.seen[tag]
        ]
        return Counter(
            (watching.name, tag, kind)
            for watching in self.triggers
            for kind, tag in happened
            if watching.name in self.enabled and kind in watching.changes and tag != "latest"
        )

    def _is_believed(self, answer: dict[str, str]) -> bool:
        if self.seen is None:
            return bool(answer)
        left = frozenset(self.seen.keys() & answer.keys())
        lost = len(self.seen) - len(left)
        doubtful = (lost >= 10 and len(left) < len(self.seen) / 2) or (self.seen and not answer)
        earlier, self.doubt = self.doubt, None
        if not doubtful:
            return True
        if earlier is None or earlier[0] != left:
            self.doubt = (left, self.now)
            return False
        if self.now - earlier[1] >= INTERVAL:
            return True
        self.doubt = earlier
        return False


TestDetection = Detection.TestCase


versions = st.builds(
    lambda major, minor, spelling: spelling.format(major, minor),
    st.integers(0, 4),
    st.integers(0, 12),
    st.sampled_from(["{}.{}", "v{}.{}.0", "{}.{}-rc1", "0{}.{}"]),
)
batches = st.lists(st.sets(versions, min_size=1, max_size=6), max_size=6)


def fire_all(
    waves: Iterable[set[str]], fire: Fire, *, hold_above: int = 100
) -> tuple[list[str], list[list[str]], TriggerState]:
    """The tags that fired, in order, and for each wave of new tags its verdicts."""
    watching = trigger(order=OrderKind.SEMVER, fire=fire)
    state, seen = TriggerState(), set[str]()
    fired: list[str] = []
    waves_verdicts: list[list[str]] = []
    for wave in waves:
        changes = diff(known(seen), seen | wave, {})
        result = decide(
            [watching],
            known(seen, triggers={"t": state}),
            changes,
            now=NOW,
            hold_above=hold_above,
            enabled={"t"},
        )
        seen |= wave
        state = result.states.get("t", state)
        fired += [d.change.tag for d in result.decisions if d.verdict is Verdict.FIRED]
        waves_verdicts.append([d.verdict.value for d in result.decisions])
    return fired, waves_verdicts, state


@given(waves=batches, fire=st.sampled_from(Fire))
def test_without_downgrades_whatever_fires_is_above_all_that_fired(
    waves: list[set[str]], fire: Fire
) -> None:
    fired, verdicts, state = fire_all(waves, fire)
    keys = [version.key for tag in fired if (version := parse_version(tag)) is not None]
    assert keys == sorted(set(keys))
    assert state.highest == (fired[-1] if fired else None)
    if fire is Fire.NEWEST:
        assert all(wave.count("fired") <= 1 for wave in verdicts)
    every = {word for wave in verdicts for word in wave}
    assert every <= {"fired", "older", *(["superseded"] if fire is Fire.NEWEST else [])}


@given(waves=batches)
def test_the_highest_version_ever_pushed_has_fired(waves: list[set[str]]) -> None:
    fired, _, _ = fire_all(waves, Fire.EACH)
    pushed = [version.key for wave in waves for tag in wave if (version := parse_version(tag))]
    reached = [version.key for tag in fired if (version := parse_version(tag))]
    assert max(pushed, default=None) == max(reached, default=None)


@given(count=st.integers(1, 8), hold_above=st.integers(0, 8))
def test_a_poll_either_fires_all_of_its_events_or_holds_them_all(
    count: int, hold_above: int
) -> None:
    changes = [new(f"1.{number}") for number in range(count)]
    result = decide(
        [trigger(order=OrderKind.SEMVER)],
        known(),
        changes,
        now=NOW,
        hold_above=hold_above,
        enabled={"t"},
    )
    (verdict,) = {decision.verdict for decision in result.decisions}
    assert verdict is (Verdict.HELD if count > hold_above else Verdict.FIRED)
    assert bool(result.states) is (verdict is Verdict.FIRED)
