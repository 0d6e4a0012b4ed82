"""From decisions to executions: the key, the parameters, and the `trigger` that expressions see.

Pure. The poller hands the result to `store.record_poll` in the same transaction as the changes;
`watcher trigger` plans by hand with the same words (SPEC 4, 6.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from watcher.core.change import Change
from watcher.core.pipeline import Json, NewExecution, Pipeline
from watcher.core.trigger import Trigger
from watcher.core.verdict import Decided, Verdict
from watcher.errors import UsageError

ARTIFACT_TYPE = "docker/image"
BY_HAND = "manual"
WATCHER_USER = "registry-watcher"

Held = dict[tuple[str, str, int], NewExecution]

_KEPT = frozenset({Verdict.HELD, Verdict.REJECTED})
"""What does not run now, but may on a person's word."""


class _Image(NamedTuple):
    """What a run is about."""

    account: str
    registry: str
    repository: str
    tag: str
    digest: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """Why it runs, and with what."""

    trigger: str | None
    change: str
    previous_digest: str | None
    parameters: Mapping[str, Json]
    user: str
    created: datetime


def plan_executions(
    decided: Decided,
    triggers: Iterable[Trigger],
    pipelines: Mapping[str, Pipeline],
    *,
    account: str,
    registry: str,
    repository: str,
    now: datetime,
) -> tuple[tuple[NewExecution, ...], Held]:
    """One execution per firing decision, in their order, and by (trigger, tag, change number)
    what a release of the held ones, or a replay of the rejected ones, would queue. `registry` is
    the name that images are written with. Raises UsageError when a pipeline's parameters don't
    fit."""
    by_name = {trigger.name: trigger for trigger in triggers}
    executions: list[NewExecution] = []
    held: Held = {}
    for decision in decided.decisions:
        if decision.verdict is not Verdict.FIRED and decision.verdict not in _KEPT:
            continue
        trigger, change = by_name[decision.trigger], decision.change
        image = _Image(account, registry, repository, change.tag, change.digest)
        execution = _execution(trigger, pipelines[trigger.pipeline], image, change, now)
        if decision.verdict is Verdict.FIRED:
            executions.append(execution)
        else:
            held[(trigger.name, change.tag, change.number)] = execution
    return tuple(executions), held


def plan_manual(
    pipeline: Pipeline,
    *,
    trigger: Trigger | None,
    account: str,
    registry: str,
    repository: str,
    tag: str,
    digest: str | None,
    parameters: Mapping[str, Json],
    user: str,
    word: str,
    now: datetime,
) -> NewExecution:
    """A run by hand. `word` is random: it makes the key one that no other run has. `parameters`
    win over the trigger's. Raises UsageError when the pipeline's parameters don't fit."""
    given = {**(trigger.parameters if trigger is not None else {}), **parameters}
    run = _Run(
        trigger=trigger.name if trigger is not None else None,
        change=BY_HAND,
        previous_digest=None,
        parameters=resolve_parameters(pipeline, given),
        user=user,
        created=now,
    )
    image = _Image(account, registry, repository, tag, digest)
    return _new_execution(f"{BY_HAND}-{word}", pipeline, image, run)


def resolve_parameters(pipeline: Pipeline, given: Mapping[str, Json]) -> dict[str, Json]:
    """The values that a run sees: what is given, else the pipeline's defaults.

    Raises UsageError for a required parameter that is missing, and for one that the pipeline does
    not take (SPEC 3.3).
    """
    unknown = sorted(given.keys() - pipeline.parameters.keys())
    if unknown:
        taken = ", ".join(sorted(pipeline.parameters)) or "none"
        raise UsageError(
            f"pipeline {pipeline.name!r} takes no parameter {unknown[0]!r}",
            hint=f"its parameters: {taken}",
        )
    missing = [
        name
        for name, parameter in pipeline.parameters.items()
        if parameter.required and parameter.default is None and given.get(name) is None
    ]
    if missing:
        raise UsageError(
            f"pipeline {pipeline.name!r} needs a value for its parameter {missing[0]!r}",
            hint="give it under the trigger's `parameters`, or by hand with --param NAME=VALUE",
        )
    return {
        name: given.get(name, parameter.default) for name, parameter in pipeline.parameters.items()
    }


def _execution(
    trigger: Trigger, pipeline: Pipeline, image: _Image, change: Change, now: datetime
) -> NewExecution:
    run = _Run(
        trigger=trigger.name,
        change=change.kind.value,
        previous_digest=change.previous_digest,
        parameters=resolve_parameters(pipeline, trigger.parameters),
        user=WATCHER_USER,
        created=now,
    )
    return _new_execution(str(change.number), pipeline, image, run)


def _new_execution(distinction: str, pipeline: Pipeline, image: _Image, run: _Run) -> NewExecution:
    place = f"{run.trigger or '-'}|{image.account}|{image.repository}"
    return NewExecution(
        key=f"{place}|{image.tag}|{image.digest or '-'}|{distinction}",
        trigger=run.trigger,
        pipeline=pipeline,
        account=image.account,
        repository=image.repository,
        tag=image.tag,
        digest=image.digest,
        change=run.change,
        created=run.created,
        parameters=run.parameters,
        source=_source(image, run),
    )


def _source(image: _Image, run: _Run) -> dict[str, Json]:
    """The `trigger` object of SPEC 4; its artifact is named by tag, never by digest."""
    name = f"{image.registry}/{image.repository}"
    reference = f"{name}:{image.tag}"
    return {
        "name": run.trigger,
        "type": "docker",
        "account": image.account,
        "registry": image.registry,
        "repository": image.repository,
        "namespace": image.repository.rpartition("/")[0],
        "tag": image.tag,
        "digest": image.digest,
        "previous_digest": run.previous_digest,
        "change": run.change,
        "time": run.created.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "artifacts": [
            {"type": ARTIFACT_TYPE, "name": name, "version": image.tag, "reference": reference}
        ],
        "parameters": dict(run.parameters),
        "user": run.user,
    }
