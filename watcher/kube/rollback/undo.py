"""Takes back what one stage of a run applied: puts back what was, deletes what the run created.

Everything is looked at anew, so that it may be done twice, or go on after a crash in the middle.
What somebody else changed since is left alone and named. Used by the stage `apply`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from watcher.errors import ClusterError, ClusterFault, StageError
from watcher.kube.applying.notes import event_of, event_text
from watcher.kube.applying.owned_fields import owned_by, without
from watcher.kube.client import Applied, ClusterClient
from watcher.kube.manifests.ordering import deletion_order, waves
from watcher.kube.objects import FIELD_MANAGER, Object, ObjectKey, Resource
from watcher.kube.reading import text, uid
from watcher.kube.rollback.secret_copies import SecretCopies
from watcher.kube.rollback.undo_plan import Change, How, UndoPlan, created_by_us
from watcher.kube.rollouts.follow import Followed
from watcher.kube.workloads import template_mark

_TRIES = 5
_GONE_POLL = 0.5


@dataclass(slots=True)
class PutBack:
    """What became of each object; of those that are `left` alone, why. `targets` are those whose
    rollout is to be followed; `faults` are refusals, a line each, and `error` the first of them."""

    restored: list[ObjectKey] = field(default_factory=list)
    deleted: list[ObjectKey] = field(default_factory=list)
    left: dict[ObjectKey, str] = field(default_factory=dict)
    targets: list[Followed] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    error: ClusterError | None = None

    @property
    def is_nothing(self) -> bool:
        """Whether there were objects to put back, and all of them had to be left alone."""
        return bool(self.left) and not (self.restored or self.deleted or self.faults)

    def check(self) -> None:
        """Raises StageError that names all that could not be put back; a temporary one where
        another try may help."""
        if self.error is not None:
            raise StageError(
                f"not everything could be put back: {'; '.join(self.faults)}",
                temporary=self.error.temporary,
                retry_after=self.error.retry_after,
            ) from self.error


@dataclass(frozen=True, slots=True, kw_only=True)
class Undoing:
    """One rollback. `last_good` holds the objects as the last run that went well applied them; of
    the others what was read before counts. `tell` is given a line for each object; `prepare` is
    called before anything is written."""

    client: ClusterClient
    plan: UndoPlan
    last_good: dict[ObjectKey, Object]
    copies: SecretCopies
    tell: Callable[[str], None]
    prepare: Callable[[], Awaitable[None]]
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    done: PutBack = field(default_factory=PutBack)

    async def put_back(self) -> PutBack:
        """Put back in the order of applying, then delete in the reverse order. Refusals are
        collected: one object that can't be put back keeps no other from it."""
        for change in self._ordered():
            await self._collect(change, self._restore)
        for change in self._to_delete():
            await self._collect(change, self._delete)
        return self.done

    def _ordered(self) -> Iterable[Change]:
        wanted = {change.key: change for change in self.plan.changes if not self._is_new(change)}
        items = [_stub(change) for change in wanted.values()]
        for wave in waves(items, own_kinds=frozenset()):
            for item in wave:
                yield wanted[ObjectKey.of(item)]

    def _to_delete(self) -> Iterable[Change]:
        new = {change.key: change for change in self.plan.changes if self._is_new(change)}
        items = deletion_order(_stub(change) for change in new.values())
        return [new[ObjectKey.of(item)] for item in items]

    def _is_new(self, change: Change) -> bool:
        return change.how is How.CREATED and change.key not in self.last_good

    async def _collect(self, change: Change, work: Callable[[Change], Awaitable[None]]) -> None:
        if change.is_kept:
            self._leave(change, f"a {change.key.kind} is never rolled back")
            return
        try:
            await work(change)
        except ClusterError as error:
            hint = f" ({error.hint})" if error.hint else ""
            self.done.faults.append(f"{change.key}: {error.message}{hint}")
            self.tell(f"{change.key} could not be put back: {error.message}{hint}")
            if self.done.error is None or error.temporary:
                self.done.error = error

    def _leave(self, change: Change, why: str) -> None:
        self.done.left[change.key] = why
        self.tell(f"{change.key} left alone: {why}")

    async def _restore(self, change: Change) -> None:
        """As it was. A change in between, such as of its status, is looked at again."""
        resource = await self.client.resource(change.api_version, change.key.kind)
        for last in (False,) * (_TRIES - 1) + (True,):
            live = await self.client.get(resource, change.key.namespace, change.key.name)
            why = foreign(change, live, self.plan.event_time)
            if why:
                self._leave(change, why)
                return
            try:
                await self._restore_from(change, resource, live)
            except ClusterError as error:
                if last or error.fault is not ClusterFault.VERSION_CONFLICT:
                    raise
            else:
                return

    async def _restore_from(self, change: Change, resource: Resource, live: Object | None) -> None:
        await self.prepare()
        if change.how is How.REPLACED and live is not None and uid(live) != change.uid:
            await self.client.delete(resource, change.key.namespace, change.key.name, uid=uid(live))
            await self._gone(resource, change.key, uid(live))
            live = None
        applied = await self._apply(resource, await self._body(change), live)
        if live is not None and _version(applied.object) == _version(live):
            self.tell(f"{change.key} is as it was")
        else:
            self.tell(f"{change.key} put back{_whence(change, self.last_good)}")
        self.done.restored.append(change.key)
        self.done.targets.append(Followed(resource=resource, applied=applied.object))

    async def _body(self, change: Change) -> Object:
        good = None if change.is_secret else self.last_good.get(change.key)
        body = good if good is not None else change.before
        if body is None:
            raise ClusterError("nothing is known of what it was", fault=ClusterFault.NOT_FOUND)
        if not change.copy:
            return body
        return {**body, "data": await self.copies.values(change.key.namespace, change.copy)}

    async def _apply(self, resource: Resource, body: Object, live: Object | None) -> Applied:
        """Nothing is taken from others: fields that somebody changed since are left to them. With
        what our own patches (`set_image`) wrote there is no such conflict."""
        fenced = _fenced(body, live)
        try:
            return await self.client.apply(resource, fenced)
        except ClusterError as error:
            if error.fault is not ClusterFault.FIELD_CONFLICT or live is None:
                raise
            strangers = [each for each in error.conflicts if each.manager != FIELD_MANAGER]
            for conflict in strangers:
                self.tell(f"{ObjectKey.of(body)}: {conflict.field} left to {conflict.manager}")
            managers = {conflict.manager for conflict in strangers}
            theirs = owned_by(live, managers, subresources=True)
            has_ours = len(strangers) < len(error.conflicts)
            return await self.client.apply(resource, without(fenced, theirs), force=has_ours)

    async def _gone(self, resource: Resource, key: ObjectKey, old: str) -> None:
        while uid(await self.client.get(resource, key.namespace, key.name)) == old:
            await self.sleep(_GONE_POLL)

    async def _delete(self, change: Change) -> None:
        key = change.key
        try:
            resource = await self.client.resource(change.api_version, key.kind)
        except ClusterError as error:
            if error.fault is ClusterFault.KIND_UNKNOWN and not error.temporary:
                return
            raise
        live = await self.client.get(resource, key.namespace, key.name)
        if live is None:
            self.done.deleted.append(key)
            return
        why = foreign(change, live, self.plan.event_time)
        if why:
            self._leave(change, why)
            return
        await self.prepare()
        await self.client.delete(resource, key.namespace, key.name, uid=uid(live))
        self.done.deleted.append(key)
        self.tell(f"{key} deleted: this run had created it")


def foreign(change: Change, live: Object | None, event_time: datetime) -> str:
    """Why an object is no longer what the run made of it, so that it must be left alone."""
    if live is None:
        is_ours = change.how in (How.REPLACED, How.PRUNED, How.CREATED)
        return "" if is_ours else "somebody has deleted it since"
    if text(live, "metadata", "deletionTimestamp"):
        return "it is being deleted"
    if not _is_known(change, live):
        return "somebody has made it anew since"
    event = event_of(live)
    if event is not None and event > event_time:
        return f"a newer event has changed it, of {event_text(event)}"
    mark = template_mark(live)
    if mark and change.marks and mark not in change.marks:
        return "somebody has changed what it runs since"
    return ""


def _is_known(change: Change, live: Object) -> bool:
    """Whether it is the object from before, or the one that the run made."""
    if uid(live) in filter(None, (change.uid, change.made)):
        return True
    return change.how is not How.CHANGED and not change.made and created_by_us(live)


def _fenced(body: Object, live: Object | None) -> Object:
    if live is None:
        return body
    return {**body, "metadata": {**body["metadata"], "resourceVersion": _version(live)}}


def _version(item: Object) -> str:
    return text(item, "metadata", "resourceVersion")


def _whence(change: Change, last_good: dict[ObjectKey, Object]) -> str:
    is_good = change.key in last_good and not change.is_secret
    return " as the last good run applied it" if is_good else " as it was before this run"


def _stub(change: Change) -> Object:
    metadata = {"name": change.key.name, "namespace": change.key.namespace}
    return {"apiVersion": change.api_version, "kind": change.key.kind, "metadata": metadata}
