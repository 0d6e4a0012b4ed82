"""The demo's story, step by step: a small registry on loopback, a baseline, a second tag, the
event, the rendered manifest and the finished execution.

It plays on the same functions as `watcher run --once`. The command line tells what it yields.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from watcher.config.load import Config, load
from watcher.core.pipeline import Execution, ExecutionStatus
from watcher.daemon.once import PassReport, run_once
from watcher.errors import WatcherError
from watcher.stages import OPTIONS
from watcher.store.sqlite import Store
from watcher.telemetry.log import Log
from watcher.testing.registry import FakeRegistry

REPOSITORY = "acme/demoapp"
FIRST_TAG = "1.0.0"
SECOND_TAG = "1.1.0"

CONFIG = """\
state: watcher.db

accounts:
  - name: demo
    address: {address}
    plain_http: true
    repositories: [{repository}]

triggers:
  - name: demo-release
    account: demo
    repository: {repository}
    tag: {{semver: '>=1'}}
    order: semver
    pipeline: deploy-demo

pipelines:
  - name: deploy-demo
    parameters: {{replicas: {{default: 2}}}}
    stages:
      - render: {{manifests: [demoapp.yaml], to: rendered}}
      - command: [echo, "deployed ${{trigger.artifacts[0].reference}}"]
"""

MANIFEST = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: demoapp
spec:
  replicas: ${parameters.replicas | int}
  selector: {matchLabels: {app: demoapp}}
  template:
    metadata:
      labels: {app: demoapp, version: "${trigger.tag}"}
    spec:
      containers:
        - name: demoapp
          image: ${image.pinned}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that happened. `lines` are for people, `data` for scripts."""

    name: str
    title: str
    lines: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)


def play(
    directory: Path, registry: FakeRegistry, *, log: Log, clock: Callable[[], float]
) -> Iterator[Step]:
    """Do the next step and tell of it. Raises WatcherError where the story does not go on."""
    config_file = write_files(directory, registry.address)
    digest = registry.push(REPOSITORY, FIRST_TAG)
    yield Step(
        name="registry",
        title=f"a registry on {registry.address}, and an image pushed into it",
        lines=(f"{registry.address}/{REPOSITORY}:{FIRST_TAG}  {digest}",),
        data={"address": registry.address, "tag": FIRST_TAG, "digest": digest},
    )
    config = load(
        config_file,
        stages=OPTIONS,
        environment=os.environ,
    )
    yield _baseline(_pass(config, log, clock))
    digest = registry.push(REPOSITORY, SECOND_TAG)
    yield Step(
        name="push",
        title="a second tag is pushed",
        lines=(f"{registry.address}/{REPOSITORY}:{SECOND_TAG}  {digest}",),
        data={"tag": SECOND_TAG, "digest": digest},
    )
    report = _pass(config, log, clock)
    yield _event(report)
    execution = _execution(config, report)
    yield _rendered(execution)
    yield _finished(execution)


def write_files(directory: Path, address: str) -> Path:
    """The config and the manifest that it names; the path of the config."""
    (directory / "demoapp.yaml").write_text(MANIFEST, encoding="utf-8")
    config = directory / "config.yaml"
    config.write_text(CONFIG.format(address=address, repository=REPOSITORY), encoding="utf-8")
    return config


def _pass(config: Config, log: Log, clock: Callable[[], float]) -> PassReport:
    report = run_once(config, log=log, clock=clock, environment=os.environ, command="watcher demo")
    failed = next((poll.error for poll in report.polls if poll.error is not None), None)
    if failed is not None:
        raise WatcherError(f"the demo's own registry failed: {failed}", hint=failed.hint)
    return report


def _baseline(report: PassReport) -> Step:
    poll = report.polls[0]
    return Step(
        name="baseline",
        title="first pass: what is there is the baseline, nothing fires",
        lines=(f"{poll.repository}: {poll.result.value}, tags: {poll.tags}",),
        data={"result": poll.result.value, "tags": poll.tags, "executions": []},
    )


def _event(report: PassReport) -> Step:
    poll = report.polls[0]
    decision = poll.decisions[0]
    return Step(
        name="event",
        title="second pass: the new tag is an event",
        lines=(
            f"{poll.repository}:{decision.change.tag} is {decision.change.kind.value}",
            f"trigger {decision.trigger}: {decision.verdict.value}, because {decision.reason}",
        ),
        data={
            "tag": decision.change.tag,
            "change": decision.change.kind.value,
            "trigger": decision.trigger,
            "outcome": decision.verdict.value,
            "reason": decision.reason,
        },
    )


def _execution(config: Config, report: PassReport) -> Execution:
    with Store.open(config.state, create=False) as store:
        found = store.execution(report.executions[0]) if report.executions else None
    if found is None:
        raise WatcherError("the demo's trigger did not fire", hint="please report it")
    return found


def _rendered(execution: Execution) -> Step:
    outputs = execution.stages[0].outputs or {"files": []}
    texts = {name: Path(name).read_text(encoding="utf-8") for name in outputs["files"]}
    return Step(
        name="rendered",
        title="its pipeline renders the manifest",
        lines=tuple(line for text in texts.values() for line in text.splitlines()),
        data={"files": [{"path": name, "text": text} for name, text in texts.items()]},
    )


def _finished(execution: Execution) -> Step:
    stages = tuple(
        f"stage {stage.name}: {stage.status.value}" + (f": {stage.error}" if stage.error else "")
        for stage in execution.stages
    )
    said = tuple(line for stage in execution.stages for line in stage.log.splitlines())
    return Step(
        name="execution",
        title=f"execution {execution.id}: {execution.status.value}",
        lines=(*stages, *(f"  {line}" for line in said)),
        data={
            "id": execution.id,
            "pipeline": execution.pipeline.name,
            "status": execution.status.value,
            "succeeded": execution.status is ExecutionStatus.SUCCEEDED,
            "stages": [
                {"name": stage.name, "status": stage.status.value} for stage in execution.stages
            ],
        },
    )
