"""From the `manifests` of a stage to rendered texts, in memory: nothing is written or applied here.

For every stage that takes manifests, and for `watcher render`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from glob import has_magic, iglob
from pathlib import Path
from typing import TYPE_CHECKING

from watcher.core.pipeline import Json
from watcher.errors import StageError
from watcher.render.manifests import TEMPLATE_SUFFIX, Manifest
from watcher.stages import guards
from watcher.stages.base import StageContext

if TYPE_CHECKING:
    from watcher.kube.manifests.bundle import Documents

LARGEST_FILE = 8 * 1024 * 1024
_SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class Rendered:
    """One finished file: the template's path, the name of what comes of it, and its text."""

    source: Path
    name: str
    text: str = field(repr=False)


async def documents_of(manifests: Json, context: StageContext) -> Documents:
    """The objects of a stage's `manifests`. Raises what `render_manifests` does, and StageError
    with a line for everything that is wrong with an object."""
    from watcher.kube.manifests.bundle import read_documents

    paths = await context.rendered(manifests, guard=guards.for_path)
    rendered = await render_manifests([guards.whole_path(path) for path in paths], context)
    return read_documents((str(file.source), file.text) for file in rendered)


async def render_manifests(paths: Sequence[str], context: StageContext) -> list[Rendered]:
    """Every manifest under `paths`, rendered; the registry is asked for what they use, once.

    Raises StageError for files that are missing or can't be read, RenderError, RegistryError.
    """
    manifests = await asyncio.to_thread(read_manifests, paths)
    facts = frozenset(fact for manifest in manifests for fact in manifest.facts_needed())
    scope = await context.scope(facts)
    texts = await asyncio.to_thread(lambda: [manifest.render(scope) for manifest in manifests])
    return [
        Rendered(Path(manifest.name), target_name(manifest.name), text)
        for manifest, text in zip(manifests, texts, strict=True)
    ]


def read_manifests(paths: Sequence[str]) -> list[Manifest]:
    """The files that `paths` (files, globs, directories) mean, in the order given, each once."""
    found = dict.fromkeys(file for path in paths for file in _files(path))
    return [Manifest(str(file), _text(file)) for file in found]


def target_name(source: str) -> str:
    """The name is kept, `.j2` is cut."""
    return Path(source).name.removesuffix(TEMPLATE_SUFFIX)


def _files(path: str) -> Iterator[Path]:
    place = Path(path)
    if place.is_dir():
        yield from _required(_manifests_in(place), f"the directory {path} holds no manifests")
    elif place.exists() or not has_magic(path):
        yield place
    else:
        matches = sorted(Path(match) for match in iglob(path, recursive=True))
        files = [match for match in matches if match.is_file()]
        yield from _required(files, f"no file matches {path}")


def _manifests_in(directory: Path) -> list[Path]:
    return sorted(
        file
        for file in directory.iterdir()
        if target_name(file.name).endswith(_SUFFIXES) and file.is_file()
    )


def _required(files: list[Path], complaint: str) -> list[Path]:
    if not files:
        raise StageError(
            complaint, hint=f"manifests end in {', '.join(_SUFFIXES)}, with or without .j2"
        )
    return files


def _text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            data = opened.read(LARGEST_FILE + 1)
        if len(data) > LARGEST_FILE:
            raise StageError(f"{file} is larger than {LARGEST_FILE // 1024**2} MiB")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise StageError(f"{file} can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise StageError(f"{file} is not in UTF-8") from error
