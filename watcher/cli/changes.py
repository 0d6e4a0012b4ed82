"""`watcher render PIPELINE --image REF --diff`: what a run would change in its clusters.

The cluster's own dry run says it; nothing is changed. Secrets are hidden, colours are for people.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from watcher.cli import output
from watcher.cli.failure import warn
from watcher.cli.manifests import show_warnings

if TYPE_CHECKING:
    from watcher.config.load import Config
    from watcher.core.pipeline import StageSpec
    from watcher.kube.applying.diff import Difference
    from watcher.kube.applying.plan import Plan
    from watcher.stages.base import Clusters, StageContext

_STYLES = (("---", "bold"), ("+++", "bold"), ("@@", "cyan"), ("+", "green"), ("-", "red"))


@dataclass(frozen=True, slots=True, kw_only=True)
class StageChanges:
    """What one `apply` stage would do, object by object."""

    stage: str
    cluster: str
    namespace: str
    objects: tuple[Difference, ...]
    warnings: tuple[str, ...]


async def find_changes(
    config: Config,
    stages: Iterable[StageSpec],
    context_for: Callable[[StageSpec, Clusters], StageContext],
) -> list[StageChanges]:
    """The changes of each stage as things are now: what an earlier one would do is not done.

    Raises StageError for a bundle that is refused, ClusterError, RenderError, RegistryError.
    """
    from watcher.daemon.clusters import ClusterConnections

    connections = ClusterConnections(lambda: config, os.environ)
    try:
        return [await _changes(context_for(stage, connections)) for stage in stages]
    finally:
        await connections.close()


async def _changes(context: StageContext) -> StageChanges:
    from watcher.stages.applying import Applying, bound_documents
    from watcher.stages.cluster_options import place_of

    options = context.spec.options
    place = await place_of(options, context)
    bound = await bound_documents(options, context)
    plan = await Applying.of(place, bound, options, context).plan()
    show_warnings(context)
    return StageChanges(
        stage=context.spec.name,
        cluster=place.cluster.name,
        namespace=place.namespace,
        objects=tuple(_differences(plan)),
        warnings=plan.warnings,
    )


def _differences(plan: Plan) -> Iterator[Difference]:
    """Of every object, also of those that stay as they are."""
    from watcher.kube.applying.diff import Difference, planned_difference, pruned_difference
    from watcher.kube.applying.plan import Action

    yield from map(planned_difference, plan.items)
    for result in plan.obsolete:
        if result.action is Action.PRUNED:
            yield pruned_difference(result)
        else:
            yield Difference(key=result.key, action=result.action)


def shape(stages: Sequence[StageChanges]) -> list[dict[str, Any]]:
    """As `--json` shows them."""
    return [
        {
            "name": each.stage,
            "cluster": each.cluster,
            "namespace": each.namespace,
            "objects": [_object_shape(difference) for difference in each.objects],
            "warnings": list(each.warnings),
        }
        for each in stages
    ]


def _object_shape(difference: Difference) -> dict[str, Any]:
    key = difference.key
    return {
        "kind": key.kind,
        "group": key.group,
        "namespace": key.namespace or None,
        "name": key.name,
        "action": difference.action.value,
        "diff": difference.text,
        "added": difference.added,
        "removed": difference.removed,
    }


def show(stages: Sequence[StageChanges]) -> None:
    """The differences of each stage, and how many objects they are."""
    for each in stages:
        output.say(f"# stage {each.stage}: cluster {each.cluster}, namespace {each.namespace}")
        for difference in each.objects:
            _show_one(difference)
        counts = Counter(difference.action.value for difference in each.objects)
        output.say("# " + (", ".join(f"{n} {action}" for action, n in counts.items())))
        for warning in each.warnings:
            warn(f"stage {each.stage}: {warning}")


def _show_one(difference: Difference) -> None:
    from watcher.kube.applying.plan import Action

    if difference.text:
        _write_diff(difference.text)
    elif difference.action is not Action.UNCHANGED:
        output.say(f"# {difference.key} {difference.action}")


def _write_diff(text: str) -> None:
    if not output.is_watched():
        output.write_document(text)
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(file=sys.stdout, soft_wrap=True, highlight=False)
    for line in text.splitlines():
        console.print(Text(output.clean(line), style=_style(line)))


def _style(line: str) -> str:
    return next((style for start, style in _STYLES if line.startswith(start)), "")
