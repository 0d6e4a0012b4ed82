"""The step of `apply` that puts the run's image into the manifests (SPEC 7.1, `bind` and `pin`).

Refuses before anything is applied: manifests that say nothing of the new image would deploy the
old one and call that a success.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from watcher.core.pipeline import Json
from watcher.errors import StageError
from watcher.stages.base import StageContext
from watcher.stages.cluster_options import has_image

if TYPE_CHECKING:
    from watcher.kube.manifests.bundle import Document
    from watcher.kube.objects import Object, ObjectKey
    from watcher.render.images import Binding, BoundImage, InvalidImage

AUTO, OFF, REQUIRED = "auto", "off", "required"
_MOST_LINES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundDocuments:
    """`noted` are the objects in which the image was bound, as the documents name them; `digest`
    is that of the image, where it is known."""

    documents: tuple[Document, ...]
    images: tuple[str, ...] = ()
    noted: frozenset[ObjectKey] = frozenset()
    digest: str | None = None


async def bind_image(
    documents: Sequence[Document], options: Json, context: StageContext
) -> BoundDocuments:
    """The documents with the run's image; each place is told in the log. Raises StageError, and
    with `pin: digest` what looking the digest up raises."""
    from watcher.render.images import Pin, bind

    run = context.execution
    pin, paths = Pin(options["pin"]), options.get("bind_paths", {})
    if options["bind"] == OFF or not has_image(run):
        return _unbound(documents, options, context, paths)
    digest = await context.image.digest() if pin is Pin.DIGEST else run.digest
    name = f"{run.source['registry']}/{run.repository}"
    objects = [document.object for document in documents]
    binding = bind(objects, name=name, tag=str(run.tag), digest=digest, pin=pin, paths=paths)
    _refuse_invalid(binding.invalid)
    _refuse_unmentioned(binding, options["bind"], name, str(run.tag))
    for bound in binding.bound:
        context.log.line(_told(bound, binding.objects[bound.index]))
    return _made(documents, binding, digest)


def _made(documents: Sequence[Document], binding: Binding, digest: str | None) -> BoundDocuments:
    from watcher.kube.objects import ObjectKey

    return BoundDocuments(
        documents=tuple(
            replace(document, object=item)
            for document, item in zip(documents, binding.objects, strict=True)
        ),
        images=tuple(sorted({bound.after for bound in binding.bound})),
        noted=frozenset(ObjectKey.of(binding.objects[bound.index]) for bound in binding.bound),
        digest=digest,
    )


def _unbound(
    documents: Sequence[Document],
    options: Json,
    context: StageContext,
    paths: Mapping[str, Sequence[str]],
) -> BoundDocuments:
    from watcher.render.images import invalid_images

    if options["bind"] == REQUIRED:
        raise StageError(
            "`bind: required`, but this run has no image to bind",
            hint="such as a run for a deleted tag, or one without a trigger",
        )
    _refuse_invalid(invalid_images((document.object for document in documents), paths))
    return BoundDocuments(documents=tuple(documents), digest=context.execution.digest)


def _refuse_invalid(invalid: Iterable[InvalidImage]) -> None:
    lines = [f"{each.key}: {each.path}: {each.reason}" for each in invalid]
    if lines:
        more = [f"and {len(lines) - _MOST_LINES} more"] if len(lines) > _MOST_LINES else []
        raise StageError("\n".join(lines[:_MOST_LINES] + more))


def _refuse_unmentioned(binding: Binding, bind: str, name: str, tag: str) -> None:
    if bind == REQUIRED and not binding.bound:
        raise StageError(
            f"`bind: required`, but no container of the manifests runs {name}",
            hint="name that image in a container, or say by `bind_paths` where it stands",
        )
    if not binding.mentions:
        raise StageError(
            f"the manifests mention the new tag {tag} of {name} nowhere: applying them would not "
            "deploy it",
            hint="name the image in a container, use ${trigger.tag}, or write `bind: off`",
        )


def _told(bound: BoundImage, item: Object) -> str:
    """`deployment.apps/web: container web: nginx:1.26 -> nginx:1.27`"""
    where = f"{bound.key}: {_container(bound.path, item) or bound.path}: {bound.before}"
    return f"{where} already" if bound.before == bound.after else f"{where} -> {bound.after}"


def _container(path: str, item: Object) -> str:
    """The name of the container whose image is at the path; empty where there is none."""
    from watcher.render.paths import Pattern

    if not path.endswith("].image"):
        return ""
    names = Pattern.parse(f"{path.removesuffix('image')}name").find(item)
    return next((f"container {slot.value}" for slot in names), "")
