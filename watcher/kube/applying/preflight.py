"""The look before the leap: what an apply would do, by server-side dry runs of all objects.

Nothing is changed. All that is wrong with a bundle is said at once; one refused object means that
nothing is applied. What can't be asked about before a namespace or kind of the same bundle is there
is put off: `apply` looks at it in the same way later.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import replace

from watcher.errors import StageError, WatcherError
from watcher.kube.applying import inventory
from watcher.kube.applying.applyset import as_member, set_id
from watcher.kube.applying.dry_run import look
from watcher.kube.applying.kinds import known_kinds, served_kinds, unknown_kinds
from watcher.kube.applying.notes import own_notes
from watcher.kube.applying.plan import Action, ApplyOptions, Plan, PlannedObject
from watcher.kube.applying.refused import Problem, raise_problems
from watcher.kube.client import ClusterClient
from watcher.kube.manifests.bundle import Document
from watcher.kube.manifests.ordering import DEFINITIONS, NAMESPACES, GroupKind, defined_kinds, waves
from watcher.kube.manifests.scope import placed_all
from watcher.kube.objects import Object, ObjectKey, Resource
from watcher.kube.together import each

Look = Callable[[PlannedObject], Awaitable[PlannedObject]]


async def make_plan(
    client: ClusterClient, documents: Sequence[Document], options: ApplyOptions
) -> Plan:
    """What applying these documents would do.

    Raises Newer when the cluster already holds what a newer event wanted, StageError with a line
    for each object that is refused, ClusterError when the cluster as a whole can't be used.
    """
    if options.prune and not documents:
        raise StageError(
            "there is nothing to apply: with `prune` that would delete all that the stage applied",
            hint="delete the objects with a stage `delete`, or by hand",
        )
    served = await served_kinds(client, documents)
    problems = unknown_kinds(served, documents)
    items = _planned(list(known_kinds(served, documents)), options)

    def look_at(item: PlannedObject) -> Awaitable[PlannedObject]:
        return look(client, item, options)

    known = {item.key: item for item in items}
    base, refused = await looked_at([item for item in items if is_base(item)], look_at)
    known.update((item.key, item) for item in base)
    base = [item for item in known.values() if is_base(item)]
    rest = _with_deferred([item for item in items if not is_base(item)], base)
    known.update((item.key, item) for item in rest)
    others, more = await looked_at([item for item in rest if not item.deferred], look_at)
    known.update((item.key, item) for item in others)
    raise_problems([*problems, *refused, *more], count=len(documents))
    looked = tuple(known.values())
    warnings = tuple(f"{item.key}: {text}" for item in looked for text in item.warnings)
    if not options.prune:
        return Plan(items=looked, warnings=warnings)
    foreseen = await inventory.foresee(client, looked, options)
    return Plan(
        items=looked,
        warnings=(*warnings, *foreseen.warnings),
        inventory=foreseen.inventory,
        obsolete=foreseen.obsolete,
    )


def is_base(item: PlannedObject) -> bool:
    """Whether others may need it before the cluster can be asked about them."""
    return (item.key.group, item.key.kind) in NAMESPACES + DEFINITIONS


async def looked_at(
    items: Sequence[PlannedObject], look_at: Look
) -> tuple[list[PlannedObject], list[Problem]]:
    """The objects that may be applied, and why the others may not."""

    async def work(item: PlannedObject) -> PlannedObject | Problem:
        try:
            return await look_at(item)
        except WatcherError as error:
            return Problem(f"{item.place}: {item.key}", error)

    found = await each(items, work, stop=lambda one: isinstance(one, Problem) and one.ends_all)
    return (
        [one for one in found if isinstance(one, PlannedObject)],
        [one for one in found if isinstance(one, Problem)],
    )


def _planned(
    documents: Sequence[tuple[Document, Resource]], options: ApplyOptions
) -> list[PlannedObject]:
    """The objects in the order of applying, each in its place. Raises StageError for what lies
    outside of what the config allows."""
    placed = placed_all(
        [(document, resource.namespaced) for document, resource in documents],
        cluster=options.cluster,
        namespace=options.namespace,
    )
    sources = {ObjectKey.of(item): pair for item, pair in zip(placed, documents, strict=True)}
    planned = []
    for wave, items in enumerate(waves(placed, own_kinds=defined_kinds(placed))):
        for item in items:
            document, resource = sources[ObjectKey.of(item)]
            planned.append(_planned_one(wave, item, document, resource, options))
    return planned


def _planned_one(
    wave: int, item: Object, document: Document, resource: Resource, options: ApplyOptions
) -> PlannedObject:
    is_noted = ObjectKey.of(document.object) in options.noted
    return PlannedObject(
        key=ObjectKey.of(item),
        resource=resource,
        desired=as_member(item, set_id(options)) if options.prune else item,
        action=Action.CREATED,
        wave=wave,
        place=document.place,
        notes=own_notes(item, options.notes) if is_noted else {},
    )


def _with_deferred(
    items: Iterable[PlannedObject], base: Sequence[PlannedObject]
) -> list[PlannedObject]:
    """The objects; those in a namespace or of a kind that `base` only brings are deferred. `base`
    holds what is refused too, as it was before the look: then nothing is known of its objects."""
    namespaces = {item.key.name for item in base if _is_namespace(item) and item.live is None}
    pending = [item.desired for item in base if item.action is not Action.UNCHANGED]
    kinds = defined_kinds(pending)
    return [replace(item, deferred=_waits(item, namespaces, kinds)) for item in items]


def _waits(item: PlannedObject, namespaces: Collection[str], kinds: frozenset[GroupKind]) -> bool:
    return item.key.namespace in namespaces or (item.key.group, item.key.kind) in kinds


def _is_namespace(item: PlannedObject) -> bool:
    return (item.key.group, item.key.kind) in NAMESPACES
