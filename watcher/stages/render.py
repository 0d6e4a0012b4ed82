"""`render: {manifests, to}`: writes the rendered manifests into a directory (SPEC 7.1)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from watcher.config.fields import Field, Kind, ListOf, PathValue, Section
from watcher.core.pipeline import Done, Json, StageOutcome
from watcher.errors import StageError
from watcher.stages import guards
from watcher.stages.base import StageContext

if TYPE_CHECKING:
    from watcher.stages.manifest_files import Rendered


class RenderStage:
    """Everything is rendered before the first file is written; each file appears whole. Files of
    earlier runs that have no manifest any more are left alone."""

    type = "render"
    has_dry_run = False
    options: Kind = Section(
        {
            "manifests": Field(
                ListOf(PathValue(template=True), minimum=1),
                required=True,
                doc="Files, globs or directories (*.yaml, *.yml, *.json, with or without .j2).",
                example=["deploy/web.yaml"],
            ),
            "to": Field(
                PathValue(template=True),
                required=True,
                doc="The directory for the rendered files; made when it is missing.",
                example="rendered",
            ),
        },
        doc="Renders manifests into files.",
    )

    async def run(self, options: Json, context: StageContext) -> StageOutcome:
        from watcher.stages.manifest_files import render_manifests

        wanted = await context.rendered(options, guard=guards.for_path)
        directory = Path(guards.whole_path(wanted["to"]))
        manifests = [guards.whole_path(path) for path in wanted["manifests"]]
        rendered = await render_manifests(manifests, context)
        _check_names(rendered)
        written = await asyncio.to_thread(_write, rendered, directory, context.execution.id)
        for path in written:
            context.log.line(f"wrote {path}")
        return Done({"directory": str(directory), "files": [str(path) for path in written]})


def _check_names(rendered: Sequence[Rendered]) -> None:
    sources: dict[str, Path] = {}
    for file in rendered:
        other = sources.setdefault(file.name, file.source)
        if other != file.source:
            raise StageError(f"{other} and {file.source} would both be written as {file.name}")


def _write(rendered: Sequence[Rendered], directory: Path, execution: str) -> list[Path]:
    """All under passing names first, so that a full disk changes no finished file."""
    pairs = [(directory / f".{file.name}.{execution}", directory / file.name) for file in rendered]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for file, (passing, _) in zip(rendered, pairs, strict=True):
            _write_new(passing, file.text)
        for passing, final in pairs:
            passing.replace(final)
    except OSError as error:
        raise StageError(
            f"{error.filename2 or error.filename or directory}: {error.strerror}"
        ) from error
    finally:
        for passing, _ in pairs:
            _remove(passing)
    return [final for _, final in pairs]


def _write_new(path: Path, text: str) -> None:
    _remove(path)
    with path.open("x", encoding="utf-8") as opened:
        opened.write(text)
        opened.flush()
        os.fsync(opened.fileno())


def _remove(path: Path) -> None:
    if path.parent.is_dir():
        path.unlink(missing_ok=True)
