"""The earlier pod templates of a workload, as the cluster keeps them: the ReplicaSets of a
Deployment, the ControllerRevisions of a StatefulSet or DaemonSet.

What `kubectl rollout history` and `kubectl rollout undo` look at. Used by the stage `rollback`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from watcher.errors import StageError
from watcher.kube import reading
from watcher.kube.client import ClusterClient
from watcher.kube.objects import Object, ObjectKey
from watcher.kube.rollouts.owned_pods import REVISION, selector_text
from watcher.kube.workloads import API_VERSION, is_same_template

_HASH = "pod-template-hash"


@dataclass(frozen=True, slots=True)
class Revision:
    """One earlier or present pod template. `notes` are the annotations of the workload then."""

    number: int
    template: dict[str, Any]
    notes: dict[str, str]

    @property
    def images(self) -> str:
        """What it runs, for people."""
        found = reading.images(reading.section(self.template, "spec")).values()
        return ", ".join(dict.fromkeys(found))


async def revisions(client: ClusterClient, item: Object) -> list[Revision]:
    """Those that the cluster still has, newest first: the first is the present one."""
    kind = "ReplicaSet" if item["kind"] == "Deployment" else "ControllerRevision"
    resource = await client.resource(API_VERSION, kind)
    namespace = ObjectKey.of(item).namespace
    found = await client.list(resource, namespace, labels=selector_text(item))
    own = map(_revision, reading.owned_by(found, reading.uid(item)))
    return sorted((each for each in own if each.template), key=lambda each: -each.number)


def target(found: Sequence[Revision], wanted: int | None, about: str) -> Revision:
    """The revision with that number, without one the last before the present that runs something
    else: a mere restart makes a revision too. Raises StageError."""
    numbers = ", ".join(str(each.number) for each in found) or "none"
    if wanted is None:
        for each in found[1:]:
            if not is_same_template(each.template, found[0].template):
                return each
        hint = "it has never changed" if len(found) < 2 else f"all run the same: {numbers}"
        raise StageError(f"{about}: there is no earlier revision", hint=hint)
    for each in found:
        if each.number == wanted:
            return each
    raise StageError(f"{about} has no revision {wanted}", hint=f"there are: {numbers}")


def _revision(keeper: Object) -> Revision:
    notes = dict(reading.section(keeper, "metadata", "annotations"))
    if keeper["kind"] != "ReplicaSet":
        template = dict(reading.section(keeper, "data", "spec", "template"))
        template.pop("$patch", None)
        return Revision(reading.count(keeper, "revision"), template, notes)
    number = notes.get(REVISION, "")
    template = dict(reading.section(keeper, "spec", "template"))
    metadata = dict(reading.section(template, "metadata"))
    labels = dict(reading.section(metadata, "labels"))
    labels.pop(_HASH, None)
    template["metadata"] = {**metadata, "labels": labels}
    return Revision(int(number) if number.isdecimal() else 0, template, notes)
