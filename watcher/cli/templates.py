"""The expressions of a config and of its manifests, checked before anything runs, and the objects.

What shows without values: syntax, unknown names, unknown filters; of objects, what is wrong with a
sample image in them. The daemon and `validate` look; `run --once` does not, for the template engine
is dear to load and says the same at the run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from watcher.errors import ConfigError, Problem, StageError, WatcherError

if TYPE_CHECKING:
    from watcher.cli.halyard import Finding
    from watcher.config.load import Config
    from watcher.core.pipeline import Pipeline, StageSpec
    from watcher.render.manifests import Manifest

_OF_OBJECTS = frozenset({"apply", "delete"})
"""The types of stages whose manifests must hold objects of Kubernetes; `render` writes any file."""


def check_expressions(config: Config) -> None:
    """Raises ConfigError with every expression of a stage that can't be evaluated."""
    problems = [
        Problem(str(config.path), 0, f"pipelines.{pipeline.name}.stages.{stage.name}.{path}", fault)
        for pipeline in config.pipelines
        for stage in pipeline.stages
        for path, fault in _faults(stage)
    ]
    if problems:
        raise ConfigError(tuple(problems))


def manifest_findings(
    config: Config, now: Callable[[], datetime], *, samples: bool = True
) -> Iterator[Finding]:
    """Manifests of stages that can't be read or rendered, or whose objects are wrong. A missing one
    is a warning only: an earlier stage may write it. Without `samples` those with expressions are
    left to who asks the cluster about them."""
    for pipeline in config.pipelines:
        for stage in pipeline.stages:
            manifests, findings = _literal_findings(pipeline, stage)
            yield from findings
            is_wanted = samples and stage.type in _OF_OBJECTS and not findings
            if is_wanted and any(map(_has_expressions, manifests)):
                yield from _sample_findings(config, pipeline, stage, now)


def _literal_findings(
    pipeline: Pipeline, stage: StageSpec
) -> tuple[Sequence[Manifest], list[Finding]]:
    """The manifests whose paths are known, and what is wrong with them whatever a run brings."""
    from watcher.cli.halyard import Finding, Severity
    from watcher.stages.manifest_files import read_manifests

    where = f"pipeline {pipeline.name}"
    options = stage.options if isinstance(stage.options, dict) else {}
    fixed = [path for path in options.get("manifests", ()) if "${" not in path]
    try:
        manifests = read_manifests(fixed)
    except StageError as error:
        message = f"{where}: {error.message}"
        return (), [Finding(severity=Severity.WARNING, message=message, hint=error.hint)]
    faults = list(filter(None, (manifest.fault() for manifest in manifests)))
    if not faults and stage.type in _OF_OBJECTS:
        try:
            _check_literal(manifests)
        except WatcherError as error:
            message = f"{where}: {error}"
            return (), [Finding(severity=Severity.ERROR, message=message, hint=error.hint)]
    return manifests, [
        Finding(severity=Severity.ERROR, message=f"{where}: {fault}") for fault in faults
    ]


def _check_literal(manifests: Sequence[Manifest]) -> None:
    """Raises WatcherError for what is wrong with the objects of the files without expressions."""
    from watcher.kube.manifests.bundle import read_documents

    literal = [manifest for manifest in manifests if not _has_expressions(manifest)]
    read_documents((manifest.name, manifest.render({})) for manifest in literal)


def _sample_findings(
    config: Config, pipeline: Pipeline, stage: StageSpec, now: Callable[[], datetime]
) -> Iterator[Finding]:
    """What is wrong with the objects as a run for a sample image would make them; another run's
    values may be right, so that these are warnings."""
    from watcher.cli.cluster_access import sample_context
    from watcher.cli.halyard import Finding, Severity
    from watcher.stages.manifest_files import documents_of

    if any("${" in path for path in stage.options["manifests"]):
        return
    context = sample_context(config, pipeline, stage, None, now)
    words = f"pipeline {pipeline.name}, stage {stage.name}"
    try:
        asyncio.run(documents_of(stage.options["manifests"], context))
    except StageError as error:
        message = f"{words}: with a sample image: {error}"
        yield Finding(severity=Severity.WARNING, message=message, hint=error.hint)
    except WatcherError as error:
        message = f"{words}: its objects can't be checked before it runs: {error}"
        yield Finding(severity=Severity.WARNING, message=message, hint=error.hint)


def _has_expressions(manifest: Manifest) -> bool:
    return manifest.is_template or "${" in manifest.text


def _faults(stage: StageSpec) -> Iterator[tuple[str, str]]:
    from watcher.render.expressions import check_condition, check_tree

    if stage.condition is not None and (fault := check_condition(stage.condition)):
        yield "if", fault
    for path, fault in check_tree(stage.options):
        yield f"{stage.type}.{path}".rstrip("."), fault
