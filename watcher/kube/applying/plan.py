"""What an apply is going to do, and what became of each object: values only.

`preflight.make_plan` makes a Plan and changes nothing, `apply.execute` carries it out, and
`inventory.prune` deletes afterwards what the stage no longer has. Stages may import it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from watcher.core.cluster import Cluster
from watcher.errors import StageError
from watcher.kube.objects import Object, ObjectKey, Resource

EVENT_NOTE = "registry-watcher/event"
"""The time of the event that an object's image came from; RFC 3339 with microseconds."""

NOTE_KEYS = frozenset(
    {
        EVENT_NOTE,
        "registry-watcher/execution",
        "registry-watcher/tag",
        "registry-watcher/digest",
        "kubernetes.io/change-cause",
    }
)
"""Annotations that tell of a run. They alone are no reason to change an object."""


class Action(StrEnum):
    """What is going to happen, or has happened, to one object."""

    CREATED = "created"
    CONFIGURED = "configured"
    UNCHANGED = "unchanged"
    REPLACED = "replaced"
    PRUNED = "pruned"
    KEPT = "kept"
    """No longer in the bundle, but not deleted either; it is left alone from now on."""
    FAILED = "failed"
    NOT_APPLIED = "not applied"
    """Something before it failed."""

    @property
    def writes(self) -> bool:
        """Whether an apply sends this object."""
        return self in (Action.CREATED, Action.CONFIGURED, Action.REPLACED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflicts:
    """Whose fields may be taken: all, or those of the managers named. Fields of controllers and
    autoscalers are taken only with `force`."""

    force: bool = False
    managers: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyOptions:
    """How one stage applies its objects.

    `namespace` is where objects go that name none, `replace` are kinds (`Kind` or `Kind.group`)
    that may be deleted and created anew where a change is refused as immutable. `event_time` is
    that of the event that the run came from: None fences nothing. `notes` are annotations (of
    NOTE_KEYS) for the objects in `noted`; these are keys of the objects as handed to `make_plan`.
    """

    pipeline: str
    stage: str
    cluster: Cluster
    namespace: str
    conflicts: Conflicts = field(default_factory=Conflicts)
    replace: frozenset[str] = frozenset()
    prune: bool = False
    dry_run: bool = False
    event_time: datetime | None = None
    notes: Mapping[str, str] = field(default_factory=dict)
    noted: frozenset[ObjectKey] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedObject:
    """One object of the bundle.

    `desired` is what is sent, placed in its namespace, with `notes` as further annotations; `live`
    is what is there, `result` what the dry run made of it. `deferred` objects could not be asked
    about yet, because their namespace or kind comes in the same bundle: `action` is then a guess.
    `force` takes fields from others, `migrate` first takes over what kubectl's client-side commands
    own. `place` says where the manifest stands.
    """

    key: ObjectKey
    resource: Resource
    desired: Object = field(repr=False)
    action: Action
    wave: int
    place: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)
    live: Object | None = field(default=None, repr=False)
    result: Object | None = field(default=None, repr=False)
    deferred: bool = False
    force: bool = False
    migrate: bool = False
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one object; `object` is as the cluster holds it now, None where it is gone or
    unknown. `reason` says why it failed or is kept; `warnings` are those that the plan had not.
    `is_doubtful`: it failed, and may have been written nevertheless; `is_new`: whether our
    request made it, None where no answer said so."""

    key: ObjectKey
    action: Action
    resource: Resource
    object: Object | None = field(default=None, repr=False)
    warnings: tuple[str, ...] = ()
    reason: str = ""
    is_doubtful: bool = False
    is_new: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """The ApplySet (KEP-3659) of a stage: `desired` is the ConfigMap that lists it, as it must be
    while the bundle is applied, `live` as it is."""

    desired: Object
    live: Object | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that an apply is going to do. `items` are in the order of applying; `obsolete`
    tells what pruning would do, PRUNED or KEPT each; `warnings` are what people should read."""

    items: tuple[PlannedObject, ...]
    warnings: tuple[str, ...] = ()
    inventory: Inventory | None = None
    obsolete: tuple[Result, ...] = ()

    @property
    def results(self) -> tuple[Result, ...]:
        """The results that applying and pruning would have, as far as a dry run can tell."""
        foreseen = [
            Result(
                key=item.key,
                action=item.action,
                resource=item.resource,
                object=item.result,
                warnings=item.warnings,
            )
            for item in self.items
        ]
        return (*foreseen, *self.obsolete)


class ApplyFailed(StageError):
    """Applying stopped in the middle. `results` holds every object of the bundle, in order: those
    that were applied, the one that FAILED, and those NOT_APPLIED."""

    results: tuple[Result, ...] = ()


class Newer(StageError):
    """The cluster already holds what a newer event wanted: nothing older may take its place.
    `results` is empty when nothing was applied, else as in ApplyFailed."""

    results: tuple[Result, ...] = ()
