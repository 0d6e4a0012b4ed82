"""Pruning: deleting what an earlier run of the same pipeline and stage applied, and nothing else.

What was applied is noted in the cluster as an ApplySet (`applyset`). Deleted is only what carries
the set's label by our own hand, lies where the config allows this stage to work, and is no longer
in the bundle; by its uid, so that nothing that took its place goes with it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from watcher.errors import ClusterError, ClusterFault, StageError
from watcher.kube.applying.applyset import (
    PARENT,
    PART_OF,
    PRUNE,
    Extent,
    check_parent,
    extent_of,
    is_labelled_by_us,
    is_protected,
    is_written,
    listed_extent,
    parent_name,
    parent_object,
    set_id,
)
from watcher.kube.applying.comparing import version
from watcher.kube.applying.plan import Action, ApplyOptions, Inventory, Plan, PlannedObject, Result
from watcher.kube.applying.refused import NOTHING_APPLIED, Problem, raise_problems
from watcher.kube.client import ClusterClient, PatchType
from watcher.kube.manifests.ordering import NEVER_PRUNED, GroupKind, prune_order
from watcher.kube.objects import Object, ObjectKey, Resource
from watcher.kube.reading import text, uid
from watcher.kube.together import each

FEW = 5
"""So many may go at once, whatever their share."""
SHARE = 0.5
"""More than this part of a stage's objects is not pruned at once: rather a mistake in a template
or a glob than a wish."""

_MOST_NAMED = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """How many members are there, those that the bundle no longer has, and the places where this
    stage could not or may not look: a warning each."""

    members: int
    obsolete: tuple[Result, ...]
    skipped: Extent
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """The inventory of a stage, and what pruning would do."""

    inventory: Inventory
    obsolete: tuple[Result, ...]
    warnings: tuple[str, ...]


async def foresee(
    client: ClusterClient, items: Sequence[PlannedObject], options: ApplyOptions
) -> Foreseen:
    """The inventory of the stage, and what pruning would do after these objects are applied.

    Nothing is changed. Raises StageError where the inventory belongs to another tool, or too much
    would go; ClusterError for a missing right.
    """
    live = await client.get(PARENT, options.namespace, parent_name(options))
    if live is not None:
        check_parent(live, options)
    extent = listed_extent(live).joined(extent_of(item.desired for item in items))
    desired = parent_object(options, extent)
    inventory = Inventory(desired=desired, live=live)
    if not is_written(live, desired) and not any(
        item.deferred and item.key.namespace == options.namespace for item in items
    ):
        await client.apply(PARENT, desired, dry_run=True, force=True)
    kept = {item.key for item in items}
    uids = {uid(item.live) for item in items if item.live is not None}
    found = await _find(client, live, options, keys=kept, uids=uids)
    _check_share(found, f"{NOTHING_APPLIED}: ")
    raise_problems(await _undeletable(client, found.obsolete), count=len(found.obsolete))
    return Foreseen(inventory=inventory, obsolete=found.obsolete, warnings=found.warnings)


async def register(client: ClusterClient, inventory: Inventory) -> None:
    """Note where members may be from now on, before the first of them is applied."""
    if not is_written(inventory.live, inventory.desired):
        await _write(client, inventory.desired, inventory.live)


async def extend(client: ClusterClient, options: ApplyOptions, items: Iterable[Object]) -> None:
    """Note where these are, which were pruned and brought back: a later run finds them again.

    Raises StageError where the inventory belongs to another tool, ClusterError.
    """
    live = await client.get(PARENT, options.namespace, parent_name(options))
    if live is None:
        return
    check_parent(live, options)
    desired = parent_object(options, extent_of(items).joined(listed_extent(live)))
    if not is_written(live, desired):
        await _write(client, desired, live)


async def prune(
    client: ClusterClient,
    plan: Plan,
    results: Sequence[Result],
    options: ApplyOptions,
    *,
    tell: Callable[[str], None],
) -> tuple[Result, ...]:
    """Delete what the stage applied before and the plan no longer has; to be called after the whole
    plan was applied, with its results. `tell` is given a line for each object.

    Raises StageError when the plan was not applied as a whole, when too much would go, or with the
    name of the object that can't be deleted.
    """
    if plan.inventory is None:
        return ()
    if options.dry_run:
        _tell_all([f"{_line(result)} (dry run)" for result in plan.obsolete], tell)
        return plan.obsolete
    _check_applied(plan, results)
    live = await client.get(PARENT, options.namespace, parent_name(options))
    if live is None:
        raise StageError(f"{ObjectKey.of(plan.inventory.desired)} was deleted meanwhile")
    check_parent(live, options)
    keys = {item.key for item in plan.items}
    uids = {uid(result.object) for result in results if result.object is not None}
    found = await _find(client, live, options, keys=keys, uids=uids)
    _check_share(found)
    done = tuple([await _carried_out(client, result, tell) for result in found.obsolete])
    final = found.skipped.joined(extent_of(item.desired for item in plan.items))
    desired = parent_object(options, final)
    if not is_written(live, desired):
        await _write(client, desired, live)
    return done


async def _find(
    client: ClusterClient,
    parent: Object | None,
    options: ApplyOptions,
    *,
    keys: Collection[ObjectKey],
    uids: Collection[str],
) -> _Found:
    """Look where the parent says. What the bundle has under another group or version of its kind
    is known by its uid."""
    places, skipped, warnings = await _places(client, listed_extent(parent), options)
    members = await _members(client, places, set_id(options))
    gone = {
        ObjectKey.of(item): (resource, item)
        for identifier, (resource, item) in members.items()
        if identifier not in uids and ObjectKey.of(item) not in keys
    }
    ordered = prune_order(item for _, item in gone.values())
    obsolete = tuple(_verdict(*gone[ObjectKey.of(item)]) for item in ordered)
    return _Found(
        members=len(members), obsolete=obsolete, skipped=skipped, warnings=tuple(warnings)
    )


async def _places(
    client: ClusterClient, extent: Extent, options: ApplyOptions
) -> tuple[list[tuple[Resource, str]], Extent, list[str]]:
    """Where to look for members: kinds and namespaces that the config allows; the others, and why.

    Whoever may write the parent must not thereby lead this program elsewhere.
    """
    places, warnings = [], []
    kinds: dict[GroupKind, str] = {}
    namespaces = [
        name
        for name in sorted(extent.namespaces)
        if options.cluster.allows_namespace(name, own=options.namespace)
    ]
    foreign = extent.namespaces - set(namespaces)
    warnings += [f"the namespace {name} is not pruned: not allowed" for name in sorted(foreign)]
    for (group, kind), api_version in sorted(extent.kinds.items()):
        if (group, kind) in NEVER_PRUNED:
            continue
        resource = await _served(client, api_version, kind)
        if resource is None:
            why = f"the cluster no longer knows it in {api_version}"
        elif resource.namespaced:
            places += [(resource, namespace) for namespace in namespaces]
            continue
        elif options.cluster.allows_cluster_kind(group, kind):
            places.append((resource, ""))
            continue
        else:
            why = "not allowed"
        kinds[group, kind] = api_version
        warnings.append(f"the kind {kind} is not pruned: {why}")
    return places, Extent(kinds=kinds, namespaces=foreign), warnings


async def _served(client: ClusterClient, api_version: str, kind: str) -> Resource | None:
    try:
        return await client.resource(api_version, kind)
    except ClusterError as error:
        if error.fault is ClusterFault.KIND_UNKNOWN and not error.temporary:
            return None
        raise


async def _members(
    client: ClusterClient, places: Sequence[tuple[Resource, str]], identifier: str
) -> dict[str, tuple[Resource, Object]]:
    """The members by their uids; what is on its way out is none any more."""

    async def listed(place: tuple[Resource, str]) -> list[Object]:
        return await client.list(*place, labels=f"{PART_OF}={identifier}")

    found = await each(places, listed)
    return {
        uid(item): (resource, item)
        for (resource, _), items in zip(places, found, strict=True)
        for item in items or []
        if not text(item, "metadata", "deletionTimestamp")
    }


def _verdict(resource: Resource, item: Object) -> Result:
    reason = ""
    if is_protected(item):
        reason = f"its annotation {PRUNE} is `disabled`"
    elif not is_labelled_by_us(item):
        reason = f"somebody else set its label {PART_OF}"
    return Result(
        key=ObjectKey.of(item),
        action=Action.KEPT if reason else Action.PRUNED,
        resource=resource,
        object=item,
        reason=reason,
    )


def _check_share(found: _Found, so_far: str = "") -> None:
    going = [str(result.key) for result in found.obsolete if result.action is Action.PRUNED]
    if len(going) < FEW or len(going) <= SHARE * found.members:
        return
    named = ", ".join(going[:_MOST_NAMED])
    more = f" and {len(going) - _MOST_NAMED} more" if len(going) > _MOST_NAMED else ""
    raise StageError(
        f"{so_far}pruning would delete {len(going)} of the {found.members} objects of this stage: "
        f"{named}{more}",
        hint="if that is meant, delete some of them by hand (kubectl delete), or take them out of "
        "the manifests in steps",
    )


def _check_applied(plan: Plan, results: Sequence[Result]) -> None:
    applied = {
        result.key
        for result in results
        if result.action.writes or result.action is Action.UNCHANGED
    }
    if not plan.items or any(item.key not in applied for item in plan.items):
        raise StageError("nothing is pruned before all objects of the stage are applied")


async def _carried_out(
    client: ClusterClient, result: Result, tell: Callable[[str], None]
) -> Result:
    """Delete what is to go; let go what is protected. What changed hands meanwhile is kept."""
    try:
        if result.action is Action.PRUNED:
            await _delete(client, result)
            done = replace(result, object=None)
        else:
            done = await _released(client, result)
    except ClusterError as error:
        if error.fault is not ClusterFault.VERSION_CONFLICT:
            raise
        done = replace(result, action=Action.KEPT, reason="somebody changed it meanwhile")
    _tell_all([_line(done)], tell)
    return done


async def _delete(client: ClusterClient, result: Result, *, dry_run: bool = False) -> None:
    key = result.key
    identifier = uid(result.object)
    await client.delete(result.resource, key.namespace, key.name, uid=identifier, dry_run=dry_run)


async def _undeletable(client: ClusterClient, obsolete: Sequence[Result]) -> list[Problem]:
    """Why some of them can't be deleted, such as for want of a right."""
    problems = []
    for result in obsolete:
        try:
            if result.action is Action.PRUNED:
                await _delete(client, result, dry_run=True)
        except ClusterError as error:
            problems.append(Problem(f"{result.key}, which is to be pruned", error))
    return problems


async def _released(client: ClusterClient, result: Result) -> Result:
    """Take the label off a protected object, which then belongs to nobody; what was labelled by
    somebody else is left as it is."""
    item = result.object
    if item is None or not is_labelled_by_us(item):
        return result
    patch = {"metadata": {"labels": {PART_OF: None}, "resourceVersion": version(item)}}
    key = result.key
    try:
        released = await client.patch(
            result.resource, key.namespace, key.name, patch, content_type=PatchType.MERGE
        )
    except ClusterError as error:
        if error.fault is not ClusterFault.FORBIDDEN:
            raise
        why = f"{error.message} ({error.hint})" if error.hint else error.message
        return replace(result, reason=f"{result.reason}; its label {PART_OF} stays: {why}")
    return replace(result, object=released)


async def _write(client: ClusterClient, desired: Object, live: Object | None) -> None:
    """Fenced by the version that was read: another run of this stage may have noted more."""
    if live is not None:
        metadata = {**desired["metadata"], "resourceVersion": version(live)}
        desired = {**desired, "metadata": metadata}
    await client.apply(PARENT, desired, force=True)


def _line(result: Result) -> str:
    reason = f": {result.reason}" if result.reason else ""
    return f"{result.key} {result.action}{reason}"


def _tell_all(lines: Iterable[str], tell: Callable[[str], None]) -> None:
    for line in lines:
        tell(line)
