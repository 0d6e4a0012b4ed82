"""The expressions of a config and of its manifests, checked before anything runs.

What shows without values: syntax, unknown names, unknown filters. The daemon and `validate` look;
`run --once` does not, for the template engine is dear to load and says the same at the run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from watcher.errors import ConfigError, Problem, StageError

if TYPE_CHECKING:
    from watcher.cli.halyard import Finding
    from watcher.config.load import Config
    from watcher.core.pipeline import StageSpec


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


def manifest_findings(config: Config) -> Iterator[Finding]:
    """Manifests of stages that can't be read or rendered. A missing one is a warning only: an
    earlier stage may write it."""
    from watcher.cli.halyard import Finding, Severity
    from watcher.stages.manifest_files import read_manifests

    for pipeline in config.pipelines:
        where = f"pipeline {pipeline.name}"
        for stage in pipeline.stages:
            options = stage.options if isinstance(stage.options, dict) else {}
            fixed = [path for path in options.get("manifests", ()) if "${" not in path]
            try:
                manifests = read_manifests(fixed)
            except StageError as error:
                message = f"{where}: {error.message}"
                yield Finding(severity=Severity.WARNING, message=message, hint=error.hint)
                continue
            faults = (manifest.fault() for manifest in manifests)
            for fault in filter(None, faults):
                yield Finding(severity=Severity.ERROR, message=f"{where}: {fault}")


def _faults(stage: StageSpec) -> Iterator[tuple[str, str]]:
    from watcher.render.expressions import check_condition, check_tree

    if stage.condition is not None and (fault := check_condition(stage.condition)):
        yield "if", fault
    for path, fault in check_tree(stage.options):
        yield f"{stage.type}.{path}".rstrip("."), fault
