"""Waiting for what the next objects need: a Namespace, a kind, an object that is gone.

Each wait is bounded and polls. Used by `apply` and what writes for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from watcher.errors import ClusterError, ClusterFault
from watcher.kube.client import ClusterClient
from watcher.kube.objects import Object, ObjectKey, Resource
from watcher.kube.reading import conditions, holds, said, section, text, uid

T = TypeVar("T")

READY_WITHIN = 60.0
"""Seconds for a Namespace to become active, a CRD to be established, an object to be gone."""
SETTLED_WITHIN = 10.0
"""Seconds for which a server may not know a namespace or kind that is there: it has caches, and
there may be several servers."""

_POLL = 0.1
_SETTLING = (ClusterFault.KIND_UNKNOWN, ClusterFault.NAMESPACE_MISSING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How to wait, and how to know how long: seconds of a clock that only goes forward."""

    sleep: Callable[[float], Awaitable[None]]
    clock: Callable[[], float]


async def until_ready(client: ClusterClient, resource: Resource, item: Object, pace: Pace) -> None:
    """Until a Namespace is active, or a CRD established. Raises ClusterError when it takes too
    long, is gone, or can't become so."""
    key = ObjectKey.of(item)
    until = pace.clock() + READY_WITHIN
    current: Object | None = item
    while current is None or not _is_ready(current):
        if current is None:
            raise _not_ready(key, "it was applied, but is gone again")
        accepted = conditions(current).get("NamesAccepted")
        if holds(accepted, "False"):
            raise _not_ready(key, f"it was applied, but its names are refused: {said(accepted)}")
        if pace.clock() >= until:
            why = f"it was applied, but is not ready after {READY_WITHIN:.0f} s"
            raise _not_ready(key, why, temporary=True)
        await pace.sleep(_POLL)
        current = await client.get(resource, key.namespace, key.name)


async def until_gone(client: ClusterClient, resource: Resource, item: Object, pace: Pace) -> None:
    """Until a deleted object is gone. Raises ClusterError when it takes too long, or another one
    of the name is there."""
    key = ObjectKey.of(item)
    until = pace.clock() + READY_WITHIN
    while (current := await client.get(resource, key.namespace, key.name)) is not None:
        if uid(current) != uid(item):
            raise ClusterError(
                "somebody else has created it again",
                fault=ClusterFault.VERSION_CONFLICT,
                about=str(key),
            )
        if pace.clock() >= until:
            raise _not_ready(key, _still_there(current), temporary=True)
        await pace.sleep(_POLL)


async def once_settled(call: Callable[[], Awaitable[T]], pace: Pace) -> T:
    """What `call` gives, tried again while a server does not know a namespace or kind yet."""
    until = pace.clock() + SETTLED_WITHIN
    while True:
        try:
            return await call()
        except ClusterError as error:
            if error.fault not in _SETTLING or pace.clock() >= until:
                raise
        await pace.sleep(_POLL)


def _is_ready(item: Object) -> bool:
    if item["kind"] == "Namespace":
        return text(item, "status", "phase") == "Active"
    return holds(conditions(item).get("Established"))


def _still_there(item: Object) -> str:
    finalizers = section(item, "metadata").get("finalizers")
    names = ", ".join(map(str, finalizers)) if isinstance(finalizers, list) else ""
    waiting = f", it waits for its finalizers: {names}" if names else ""
    return f"it was deleted, but is still there after {READY_WITHIN:.0f} s{waiting}"


def _not_ready(key: ObjectKey, why: str, *, temporary: bool = False) -> ClusterError:
    return ClusterError(why, fault=ClusterFault.UNAVAILABLE, about=str(key), temporary=temporary)
