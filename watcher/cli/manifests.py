"""The manifests of a pipeline as a run would write or apply them: for `watcher render`.

Of `render` stages the finished files; of `apply` stages the objects with the run's image in them,
without the values of Secrets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from watcher.cli import output
from watcher.cli.failure import warn

if TYPE_CHECKING:
    from watcher.core.pipeline import StageSpec
    from watcher.stages.base import StageContext

RENDER, APPLY = "render", "apply"
HIDDEN = "***"
_WARNING = "warning: "
_SECRET_PARTS = ("data", "stringData")


@dataclass(frozen=True, slots=True)
class Shown:
    """One finished file: the template's path, the name of what comes of it, and its text."""

    source: str
    name: str
    text: str = field(repr=False)


Stages = Sequence[tuple["StageSpec", Sequence[Shown]]]


async def render_stages(
    stages: Iterable[StageSpec], context_for: Callable[[StageSpec], StageContext]
) -> Stages:
    """The files of each stage. Raises StageError, RenderError, RegistryError."""
    found = []
    for stage in stages:
        context = context_for(stage)
        files = await (_applied(context) if stage.type == APPLY else _written(context))
        found.append((stage, files))
        show_warnings(context)
    return found


def show_warnings(context: StageContext) -> None:
    """What a stage would have warned of, on stderr."""
    for line in context.log.text.splitlines():
        if line.startswith(_WARNING):
            warn(f"stage {context.spec.name}: {line.removeprefix(_WARNING)}")


def shape(stages: Stages) -> list[dict[str, Any]]:
    """As `--json` shows them."""
    return [
        {
            "name": stage.name,
            "files": [
                {"source": file.source, "name": file.name, "text": file.text} for file in files
            ],
        }
        for stage, files in stages
    ]


def show(stages: Stages) -> None:
    """As YAML documents, one after the other."""
    for _, files in stages:
        for file in files:
            output.write(f"---\n# Source: {output.clean(file.source)}")
            output.write_document(file.text)


async def _written(context: StageContext) -> list[Shown]:
    from watcher.stages import guards
    from watcher.stages.manifest_files import render_manifests

    manifests = context.spec.options["manifests"]
    paths = await context.rendered(manifests, guard=guards.for_path)
    rendered = await render_manifests(paths, context)
    return [Shown(str(file.source), file.name, file.text) for file in rendered]


async def _applied(context: StageContext) -> list[Shown]:
    from watcher.render.manifests import text_of
    from watcher.stages.applying import bound_documents
    from watcher.stages.manifest_files import target_name

    bound = await bound_documents(context.spec.options, context)
    files: dict[str, list[Mapping[str, Any]]] = {}
    for document in bound.documents:
        files.setdefault(document.source, []).append(_without_values(document.object))
    return [
        Shown(source, target_name(source), text_of(objects)) for source, objects in files.items()
    ]


def _without_values(item: Mapping[str, Any]) -> Mapping[str, Any]:
    if (item["apiVersion"], item["kind"]) != ("v1", "Secret"):
        return item
    hidden = {
        part: dict.fromkeys(item[part], HIDDEN)
        for part in _SECRET_PARTS
        if isinstance(item.get(part), Mapping)
    }
    return {**item, **hidden}
