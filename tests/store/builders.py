"""Short ways to what the state file keeps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from watcher.core.change import Change, ChangeKind
from watcher.core.pipeline import (
    Concurrency,
    ConcurrencyPolicy,
    NewExecution,
    Pipeline,
    StageSpec,
)
from watcher.core.poll import PollRecord
from watcher.core.verdict import Decision, Verdict

ACCOUNT = "dockerhub"
REPOSITORY = "acme/demoapp"
NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


def digest(letter: str) -> str:
    return f"sha256:{letter * 64}"


def pipeline(
    *types: str,
    name: str = "deploy",
    most: int = 1,
    policy: ConcurrencyPolicy = ConcurrencyPolicy.QUEUE,
    timeout: timedelta = timedelta(hours=1),
) -> Pipeline:
    """One stage per type, named by its type and place."""
    return Pipeline(
        name=name,
        stages=tuple(
            StageSpec(name=f"{kind}-{place}", type=kind, options={"place": place})
            for place, kind in enumerate(types or ("note",))
        ),
        concurrency=Concurrency(max=most, policy=policy),
        timeout=timeout,
    )


def run_of(tag: str = "1.0", *, number: int = 1, of: Pipeline | None = None) -> NewExecution:
    """What a trigger `t` queues for a new tag."""
    return NewExecution(
        key=f"t|{ACCOUNT}|{REPOSITORY}|{tag}|{digest('a')}|{number}",
        trigger="t",
        pipeline=of or pipeline(),
        account=ACCOUNT,
        repository=REPOSITORY,
        tag=tag,
        digest=digest("a"),
        change="new",
        created=NOW,
        parameters={"replicas": 2},
        source={"name": "t", "tag": tag},
    )


def baseline(*tags: str) -> PollRecord:
    return PollRecord(
        account=ACCOUNT,
        repository=REPOSITORY,
        at=NOW,
        baseline=dict.fromkeys(tags),
        fingerprint=b"first",
    )


def change(
    tag: str, kind: ChangeKind = ChangeKind.NEW, *, number: int = 1, letter: str = "a"
) -> Change:
    return Change(
        kind=kind,
        tag=tag,
        digest=None if kind is ChangeKind.DELETED else digest(letter),
        previous_digest=None,
        number=number,
    )


def fired(*tags: str, generation: int | None = None) -> PollRecord:
    """A poll that found these new tags, for each of which the trigger `t` fired."""
    return polled([change(tag) for tag in tags], Verdict.FIRED, generation=generation)


def held(*tags: str) -> PollRecord:
    return polled([change(tag) for tag in tags], Verdict.HELD)


def polled(
    changes: Iterable[Change], verdict: Verdict, *, generation: int | None = None
) -> PollRecord:
    listed = tuple(changes)
    record = PollRecord(
        account=ACCOUNT,
        repository=REPOSITORY,
        at=NOW,
        changes=listed,
        decisions=tuple(
            Decision(trigger="t", change=each, verdict=verdict, reason="as the test says")
            for each in listed
        ),
        fingerprint=b"next",
        generation=generation,
    )
    runs = {each.tag: run_of(each.tag, number=each.number) for each in listed}
    if verdict is Verdict.FIRED:
        return replace(record, executions=tuple(runs.values()))
    if verdict is Verdict.HELD:
        return replace(
            record, held={("t", each.tag, each.number): runs[each.tag] for each in listed}
        )
    return record
