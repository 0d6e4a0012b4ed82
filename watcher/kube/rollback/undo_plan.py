"""What taking an apply back needs to know: which objects it creates or changes, and what they were.

Written down before the first write, as JSON data that outlives a crash. It holds no value of any
Secret: those are kept in the cluster (`secret_copies`). Pure; used by the stage `apply` and `undo`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from watcher.kube.applying.comparing import content
from watcher.kube.applying.owned_fields import applied_by_us, owned_by, part, united
from watcher.kube.manifests.ordering import NEVER_PRUNED
from watcher.kube.objects import FIELD_MANAGER, LAST_APPLIED, Object, ObjectKey
from watcher.kube.reading import listed, nested, text, uid
from watcher.kube.workloads import template_mark

_SECRET = ("", "Secret")
NEVER_UNDONE = NEVER_PRUNED | {("batch", "Job")}
"""Taking these back would lose data, or do work again."""


_ONE_REQUEST = timedelta(seconds=1)
"""Servers write both times in the same request, each in whole seconds."""


class How(StrEnum):
    """What a run does to an object."""

    CREATED = "created"
    CHANGED = "changed"
    REPLACED = "replaced"
    PRUNED = "pruned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One object that a run creates or changes.

    `uid` is that of the object before, `made` that of the one that we created, as far as it is
    known. `before` is what to apply in order to have it back, without the values of a Secret:
    `copy` names the Secret that holds these. `marks` are the fingerprints of its pod template
    before and after the change: with any other one, somebody else has changed it since.
    """

    key: ObjectKey
    api_version: str
    how: How
    uid: str = ""
    made: str = ""
    before: Object | None = None
    copy: str = ""
    marks: tuple[str, ...] = ()

    @property
    def is_secret(self) -> bool:
        return (self.key.group, self.key.kind) == _SECRET

    @property
    def is_kept(self) -> bool:
        """Whether a rollback leaves it as it is, whatever happened to it."""
        return (self.key.group, self.key.kind) in NEVER_UNDONE

    def to_json(self) -> dict[str, Any]:
        key = self.key
        return {
            "key": [key.group, key.kind, key.namespace, key.name],
            "api_version": self.api_version,
            "how": self.how.value,
            "uid": self.uid,
            "made": self.made,
            "before": self.before,
            "copy": self.copy,
            "marks": list(self.marks),
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Change:
        return Change(
            key=ObjectKey(*data["key"]),
            api_version=data["api_version"],
            how=How(data["how"]),
            uid=data["uid"],
            made=data["made"],
            before=data["before"],
            copy=data["copy"],
            marks=tuple(data["marks"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoPlan:
    """All that one stage of one run changes. `unknown`: how it ended could not be read from the
    cluster, so that it must be looked at before anything is taken back. `blames_image`: all was
    applied, and either the rollout failed or a later stage did. `done`: all was taken back,
    and only the copies of Secrets are still to go."""

    changes: tuple[Change, ...]
    digest: str | None
    event_time: datetime
    unknown: bool = False
    blames_image: bool = False
    done: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "changes": [change.to_json() for change in self.changes],
            "digest": self.digest,
            "event_time": self.event_time.isoformat(),
            "unknown": self.unknown,
            "blames_image": self.blames_image,
            "done": self.done,
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> UndoPlan:
        return UndoPlan(
            changes=tuple(map(Change.from_json, data["changes"])),
            digest=data["digest"],
            event_time=datetime.fromisoformat(data["event_time"]),
            unknown=data["unknown"],
            blames_image=data["blames_image"],
            done=data["done"],
        )

    def joined(self, later: Iterable[Change]) -> UndoPlan:
        """With what a later attempt of the same run changes: what an object was before counts
        from the first."""
        known = {change.key: change for change in self.changes}
        for change in later:
            known[change.key] = _joined(known.get(change.key), change)
        return replace(self, changes=tuple(known.values()))

    def with_made(self, objects: Iterable[tuple[Object, bool | None]]) -> UndoPlan:
        """After the server answered: which objects there are now, whether it was our request that
        made each (None: the answer got lost), and what they run."""
        answered = {ObjectKey.of(item): (item, is_new) for item, is_new in objects}
        return replace(
            self,
            changes=tuple(
                _answered(change, *answered[change.key]) if change.key in answered else change
                for change in self.changes
            ),
        )


def change_of(
    how: How,
    item: Object,
    *,
    live: Object | None,
    result: Object | None,
    taken_over: Collection[str] = (),
) -> Change:
    """What a run is about to do to an object: `live` is what was read, `result` what the server's
    dry run says will come of it. `taken_over` names managers whose fields become ours with it.

    Raises StageError for an object that is nested too deeply.
    """
    key = ObjectKey.of(item)
    with nested(key):
        marks = tuple(filter(None, (template_mark(each) for each in (live, result) if each)))
        before = _before(how, live, result, taken_over) if live is not None else None
    return Change(
        key=key,
        api_version=item["apiVersion"],
        how=how,
        uid=uid(live),
        made=uid(live) if how is How.CHANGED and live and created_by_us(live) else "",
        before=without_values(before) if before is not None else None,
        marks=marks,
    )


def values_of(
    how: How, live: Object, result: Object | None, taken_over: Collection[str]
) -> dict[str, str]:
    """The values of a Secret that `change_of` leaves out."""
    found = _before(how, live, result, taken_over).get("data")
    return dict(found) if isinstance(found, dict) else {}


def without_values(item: Object) -> Object:
    """The object, a Secret without its values."""
    if item["kind"] != "Secret" or item["apiVersion"] != "v1":
        return item
    return {name: value for name, value in item.items() if name not in ("data", "stringData")}


def created_by_us(item: Object) -> bool:
    """Whether our apply made the object, and no later one of ours changed it."""
    created = _time(item, "metadata", "creationTimestamp")
    applied = [
        _time(entry, "time")
        for entry in listed(item, "metadata", "managedFields")
        if (text(entry, "manager"), text(entry, "operation")) == (FIELD_MANAGER, "Apply")
    ]
    return any(abs(time - created) <= _ONE_REQUEST for time in applied if time and created)


def _time(item: object, *path: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text(item, *path))
    except ValueError:
        return None


def _before(how: How, live: Object, result: Object | None, taken_over: Collection[str]) -> Object:
    """To apply this is to set back all that we owned, and all that we take now: what was not there
    goes away, for we own it and no longer ask for it. kubectl's copy of its own last manifest
    stays nobody's: it may hold secrets."""
    ours = united(applied_by_us(live), owned_by(live, taken_over))
    body = part(live, united(ours, applied_by_us(result) if result is not None else {}))
    if how is How.REPLACED:
        body = content(live)  # there will be nothing left to add to
    body["metadata"].get("annotations", {}).pop(LAST_APPLIED, None)
    return body


def _joined(earlier: Change | None, later: Change) -> Change:
    if earlier is None:
        return later
    marks = tuple(dict.fromkeys((*earlier.marks, *later.marks)))
    makes = earlier.how in (How.CREATED, How.REPLACED) and later.made != earlier.uid
    made = earlier.made or (later.made if makes else "")
    return replace(earlier, marks=marks, made=made)


def _answered(change: Change, item: Object, is_new: bool | None) -> Change:
    """What somebody else created after the plan was made is not the run's, though it applied it.
    Where the answer got lost that made it, its fields tell."""
    mark = template_mark(item)
    marks = tuple(dict.fromkeys((*change.marks, *([mark] if mark else []))))
    may_be_new = change.how in (How.CREATED, How.REPLACED) and uid(item) != change.uid
    is_ours = may_be_new and (created_by_us(item) if is_new is None else is_new)
    return replace(change, marks=marks, made=uid(item) if is_ours else change.made)
