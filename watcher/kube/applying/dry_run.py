"""What applying one object would do: what is there, and what a server-side dry run makes of it.

Here the policies act: whose fields may be taken, and what may be deleted in order to be changed.
Nothing is written. Used by `preflight`, and by `apply` for what could not be asked about before.
"""

from __future__ import annotations

import re
from dataclasses import replace

from watcher.errors import ClusterError, ClusterFault, StageError
from watcher.kube.applying.applyset import check_membership
from watcher.kube.applying.comparing import is_same, version
from watcher.kube.applying.migration import MIGRATED, needs_migration
from watcher.kube.applying.notes import check_fence, volatile, with_notes, without_contested
from watcher.kube.applying.plan import Action, ApplyOptions, Conflicts, PlannedObject
from watcher.kube.applying.refused import restated
from watcher.kube.client import Applied, ClusterClient
from watcher.kube.manifests.ordering import NEVER_PRUNED
from watcher.kube.objects import FIELD_MANAGER, Object, ObjectKey
from watcher.kube.reading import nested, text, uid

NEVER_REPLACED = NEVER_PRUNED | {("apps", "StatefulSet")}
"""Deleting one of these loses data; a Service of type LoadBalancer would lose its address."""

LOOKS = 5
"""How often an object is looked at anew: its controller may write its status all the time."""

_AUTOMATIC = re.compile(
    r"(?i).*[-.]controller|.*controller-manager|.*autoscaler|hpa|vpa|keda.*|vpa-.*"
)
_MIGRATION = (
    "fields that kubectl's client-side commands set and the manifest lacks will be removed, which "
    "a dry run does not show"
)


async def look(
    client: ClusterClient, item: PlannedObject, options: ApplyOptions, *, looks_left: int = LOOKS
) -> PlannedObject:
    """The object with what is there, what would become of it, and how.

    Raises Newer, StageError, and ClusterError as the server refuses the dry run.
    """
    try:
        with nested(item.key):
            return await _looked(client, item, options, is_last=not looks_left)
    except ClusterError as error:
        if error.fault is not ClusterFault.VERSION_CONFLICT or not looks_left:
            raise
    return await look(client, item, options, looks_left=looks_left - 1)


def body_of(item: PlannedObject) -> Object:
    """What is sent: fenced by the version that was seen, and by the identity, so that what was
    deleted meanwhile is not brought back."""
    body = with_notes(item.desired, item.notes)
    if item.live is None:
        return body
    seen = {"resourceVersion": version(item.live), "uid": uid(item.live)}
    return {**body, "metadata": {**body["metadata"], **seen}}


async def _looked(
    client: ClusterClient, item: PlannedObject, options: ApplyOptions, *, is_last: bool
) -> PlannedObject:
    """One look. A dry run of another version than what was read would show somebody else's change
    as ours; only the last look puts up with that."""
    live = await client.get(item.resource, item.key.namespace, item.key.name)
    if live is not None:
        check_live(item, live, options)
    migrate = live is not None and needs_migration(live)
    seen = replace(item, live=live, migrate=migrate, deferred=False)
    try:
        return await _tried(client, seen, options, fenced=not is_last)
    except ClusterError as error:
        if error.fault is not ClusterFault.IMMUTABLE or live is None:
            raise
        _check_replaceable(seen, live, options, error)
        return await _tried_anew(client, seen)


def check_live(item: PlannedObject, live: Object, options: ApplyOptions) -> None:
    """Raises Newer or StageError where what is there must not be changed."""
    check_fence(item, live, options.event_time)
    if text(live, "metadata", "deletionTimestamp"):
        raise StageError("it is being deleted", hint="wait until it is gone", temporary=True)
    if options.prune and not options.conflicts.force:
        check_membership(live, options)


def may_take(manager: str, conflicts: Conflicts) -> bool:
    """Whether a field may be taken from this manager. A controller or autoscaler would only take it
    back: naming it is not enough. What our own patches wrote (`set_image`) is ours."""
    if conflicts.force or manager == FIELD_MANAGER:
        return True
    return manager in conflicts.managers and _AUTOMATIC.fullmatch(manager) is None


async def _tried(
    client: ClusterClient, item: PlannedObject, options: ApplyOptions, *, fenced: bool
) -> PlannedObject:
    try:
        return _outcome(item, await _dry(client, item, fenced=fenced))
    except ClusterError as error:
        if error.fault is not ClusterFault.FIELD_CONFLICT:
            raise
        plain = without_contested(item, error.conflicts)
        if plain.notes != item.notes:
            return await _tried(client, plain, options, fenced=fenced)
        overruled = _overruled(item, options, error)
    applied = await _dry(client, item, fenced=fenced, force=True)
    return _outcome(replace(item, force=bool(overruled)), applied)


def _overruled(item: PlannedObject, options: ApplyOptions, error: ClusterError) -> frozenset[str]:
    """The managers that must be overruled, besides those that are taken over from. Raises the
    conflict where one of them must not be."""
    managers = frozenset(conflict.manager for conflict in error.conflicts)
    others = managers - MIGRATED if item.migrate else managers
    kept = [manager for manager in sorted(others) if not may_take(manager, options.conflicts)]
    if kept or not managers:
        raise _contested(error, kept)
    return others


async def _dry(
    client: ClusterClient, item: PlannedObject, *, fenced: bool, force: bool = False
) -> Applied:
    body = body_of(item) if fenced else with_notes(item.desired, item.notes)
    return await client.apply(item.resource, body, dry_run=True, force=force)


def _outcome(item: PlannedObject, applied: Applied) -> PlannedObject:
    action = Action.CONFIGURED
    if item.live is None:
        action = Action.CREATED
    elif not item.migrate and is_same(item.live, applied.object, besides=volatile(item)):
        action = Action.UNCHANGED
    warnings = (*applied.warnings, _MIGRATION) if item.migrate else applied.warnings
    return replace(item, result=applied.object, action=action, warnings=warnings)


async def _tried_anew(client: ClusterClient, item: PlannedObject) -> PlannedObject:
    """Whether the object could be created if it were not there: a server finds that it is there
    only after all else is found right."""
    body = with_notes(item.desired, item.notes)
    try:
        await client.create(item.resource, body, dry_run=True)
    except ClusterError as error:
        if error.fault is not ClusterFault.EXISTS:
            raise
    return replace(item, action=Action.REPLACED, migrate=False)


def _check_replaceable(
    item: PlannedObject, live: Object, options: ApplyOptions, error: ClusterError
) -> None:
    """Raises the refusal where the object must not be deleted for the change."""
    kind, never = item.key.kind, _never_replaced(item, live)
    is_wanted = not options.replace.isdisjoint({kind, f"{kind}.{item.key.group}"})
    if never and is_wanted:
        hint = f"a {never} is never replaced, whatever `replace` says: delete it by hand"
        raise restated(error, hint=hint)
    if never:
        raise restated(error, hint="give the object another name, or delete it by hand")
    if not is_wanted:
        hint = f"give the object another name, or delete it first; `replace: [{kind}]` does so"
        raise restated(error, hint=hint)


def _never_replaced(item: PlannedObject, live: Object) -> str:
    """What the object is called where it must never be deleted for a change; else empty."""
    key = ObjectKey.of(live)
    if (key.group, key.kind) in NEVER_REPLACED:
        return key.kind
    has_address = "LoadBalancer" in (text(live, "spec", "type"), text(item.desired, "spec", "type"))
    balances = (key.group, key.kind) == ("", "Service") and has_address
    return "Service of type LoadBalancer" if balances else ""


def _contested(error: ClusterError, kept: list[str]) -> ClusterError:
    automatic = [manager for manager in kept if _AUTOMATIC.fullmatch(manager)]
    if not automatic:
        return error
    return restated(
        error,
        hint=f"remove the field from the manifest: {', '.join(automatic)} sets it all the time, "
        "and only `conflicts: force` would take it",
    )
