"""The checks of `validate --online` in clusters: whether each can be reached, and whether we have
the rights that the stages of the config need there.

What a stage works on may depend on the image: it is looked at with a sample, and what can't be told
so is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from watcher.cli.halyard import Finding, Severity
from watcher.cli.onlooker import context_for, execution_of
from watcher.errors import ClusterError, ClusterFault, StageError, WatcherError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from watcher.config.load import Config
    from watcher.core.account import Account
    from watcher.core.pipeline import Execution, Pipeline, StageSpec
    from watcher.core.trigger import Trigger
    from watcher.kube.access import Right
    from watcher.kube.applying.refused import Problem
    from watcher.kube.client import ClusterClient
    from watcher.stages.base import Clusters, StageContext

SAMPLE_TAG = "1.0.0"
SAMPLE_DIGEST = f"sha256:{'0' * 64}"
SAMPLE = "sample"
_LOSSES = {
    "explain": "when a rollout fails, the reason may stay unknown",
    "tidy": "copies of Secrets that killed runs leave behind stay there",
    "release": "what is protected from pruning, and no longer applied, keeps its label",
}

Job = tuple["Pipeline", "StageSpec"]


async def check_clusters(
    config: Config, clusters: Clusters, now: Callable[[], datetime]
) -> list[Finding]:
    """All findings, in the order of the config's clusters."""
    from watcher.stages.rights import STAGES_IN_CLUSTERS

    jobs: dict[str, list[Job]] = {cluster.name: [] for cluster in config.clusters}
    for pipeline in config.pipelines:
        for stage in pipeline.stages:
            if stage.type in STAGES_IN_CLUSTERS:
                name = clusters.settings(stage.options.get("cluster")).name
                jobs.setdefault(name, []).append((pipeline, stage))
    findings = []
    for name, own in jobs.items():
        known = name if config.clusters else None
        findings += await _check_cluster(known, _Check(name, config, clusters, now), own)
    return findings


async def _check_cluster(known: str | None, check: _Check, jobs: Iterable[Job]) -> list[Finding]:
    """`known` is the name in the config, None for the cluster that there is without any."""
    try:
        client = await check.clusters.client(known)
        await client.version()
        for pipeline, stage in jobs:
            await check.look_at(pipeline, stage)
        await check.ask(client)
        await check.find_namespaces(client)
    except ClusterError as error:
        check.found(Severity.ERROR, f"it can't be used: {error}", error.hint)
    return check.findings


@dataclass(slots=True)
class _Check:
    """What is known of one cluster so far; `needed` says which stages need a right."""

    name: str
    config: Config
    clusters: Clusters
    now: Callable[[], datetime]
    findings: list[Finding] = field(default_factory=list)
    needed: dict[Right, list[str]] = field(default_factory=dict)

    async def look_at(self, pipeline: Pipeline, stage: StageSpec) -> None:
        """What one stage needs. Raises ClusterError when the cluster as a whole refuses."""
        from watcher.kube.applying.refused import WHOLE_CLUSTER
        from watcher.stages.rights import needs_of

        place = f"pipeline {pipeline.name}, stage {stage.name}"
        context = sample_context(self.config, pipeline, stage, self.clusters, self.now)
        try:
            rights, problems = await needs_of(stage.options, context)
        except WatcherError as error:
            if isinstance(error, ClusterError) and error.fault in WHOLE_CLUSTER:
                raise
            message = f"{place}: the rights that it needs can't be told before it runs: {error}"
            self.found(Severity.WARNING, message, error.hint)
            return
        for problem in problems:
            self._tell(place, problem)
        for right in rights:
            self.needed.setdefault(right, []).append(f"{pipeline.name}/{stage.name}")

    async def ask(self, client: ClusterClient) -> None:
        """Which of the rights are missing. Raises ClusterError."""
        from watcher.kube.access import missing

        for right in await missing(client, self.needed):
            places = ", ".join(self._needing(right))
            loss = _LOSSES.get(right.use)
            severity = Severity.ERROR if loss is None else Severity.WARNING
            ending = f": {loss}" if loss else ""
            where = (
                f"a Role in the namespace {right.namespace}" if right.namespace else "a ClusterRole"
            )
            hint = f"add to {where}: - {right.rule}"
            self.found(severity, f"no right to {right}, needed by {places}{ending}", hint)

    async def find_namespaces(self, client: ClusterClient) -> None:
        """Which namespaces are not there and come with no manifest either; without the right to
        see them nothing is said. Raises ClusterError."""
        kind = await client.resource("v1", "Namespace")
        made = {n for right in self.needed if right.resource == kind.plural for n in right.names}
        for name in sorted({right.namespace for right in self.needed} - made - {""}):
            try:
                is_there = await client.get(kind, "", name) is not None
            except ClusterError as error:
                if error.fault is not ClusterFault.FORBIDDEN:
                    raise
                continue
            if not is_there:
                hint = "create it, or apply it too"
                self.found(Severity.WARNING, f"there is no namespace {name}", hint)

    def found(self, severity: Severity, message: str, hint: str | None = None) -> None:
        self.findings.append(
            Finding(severity=severity, message=message, hint=hint, cluster=self.name)
        )

    def _tell(self, place: str, problem: Problem) -> None:
        """What the config does not allow fails for sure; an unknown kind may be there by then."""
        is_sure = isinstance(problem.error, StageError)
        severity = Severity.ERROR if is_sure else Severity.WARNING
        self.found(severity, f"{place}: {problem}")

    def _needing(self, right: Right) -> Iterator[str]:
        same = replace(right, names=())
        places = [
            each
            for other, places in self.needed.items()
            if replace(other, names=()) == same
            for each in places
        ]
        yield from dict.fromkeys(places)


class _SampleImage:
    """An image that no registry is asked about."""

    async def digest(self) -> str:
        return SAMPLE_DIGEST

    async def labels(self) -> Mapping[str, str]:
        return {}


def sample_context(
    config: Config,
    pipeline: Pipeline,
    stage: StageSpec,
    clusters: Clusters | None,
    now: Callable[[], datetime],
) -> StageContext:
    """What the stage would be given in a run with the sample image. Without `clusters` it can ask
    none."""
    run = _sample_run(config, pipeline, now())
    return context_for(stage, run, image=_SampleImage(), now=now, clusters=clusters)


def _sample_run(config: Config, pipeline: Pipeline, now: datetime) -> Execution:
    """A run of the pipeline as its first trigger might start it."""
    from watcher.core.planning import plan_manual

    trigger = next((t for t in config.triggers if t.pipeline == pipeline.name), None)
    account = _account(config, trigger)
    given = dict(trigger.parameters) if trigger is not None else {}
    needed = {
        name: SAMPLE
        for name, parameter in pipeline.parameters.items()
        if parameter.required and parameter.default is None and given.get(name) is None
    }
    planned = plan_manual(
        pipeline,
        trigger=trigger,
        account=account.name,
        registry=account.registry.name,
        repository=_repository(trigger, account),
        tag=_tag(trigger),
        digest=SAMPLE_DIGEST,
        parameters=needed,
        user=SAMPLE,
        word=SAMPLE,
        now=now,
    )
    return execution_of(planned)


def _account(config: Config, trigger: Trigger | None) -> Account:
    from watcher.core.account import Account
    from watcher.core.reference import Registry

    named = [a for a in config.accounts if trigger is not None and a.name == trigger.account]
    none = Account(name=SAMPLE, registry=Registry.parse(f"{SAMPLE}.invalid"))
    return [*named, *config.accounts, none][0]


def _repository(trigger: Trigger | None, account: Account) -> str:
    named = trigger.repositories if trigger is not None else ()
    return [*named, *account.repositories, SAMPLE][0]


def _tag(trigger: Trigger | None) -> str:
    if trigger is None:
        return SAMPLE_TAG
    return trigger.tag.equals or (trigger.tag.one_of or (SAMPLE_TAG,))[0]
