"""The marks of an ApplySet (KEP-3659): which objects a stage has applied, written in the cluster.

A ConfigMap, the parent, lists kinds and namespaces; each member carries a label with its id. The
same marks as `kubectl apply --applyset` makes, so that other tools know whose the objects are:
https://kubernetes.io/docs/reference/labels-annotations-taints/#applyset-kubernetes-io-id. Pure.
"""

from __future__ import annotations

import hashlib
import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from watcher.errors import StageError
from watcher.kube.applying.owned_fields import applied_by_us
from watcher.kube.applying.plan import ApplyOptions
from watcher.kube.objects import Object, ObjectKey, Resource, group_of
from watcher.kube.reading import section, text

PARENT = Resource("", "v1", "ConfigMap", "configmaps", True)  # noqa: FBT003
ID = "applyset.kubernetes.io/id"
PART_OF = "applyset.kubernetes.io/part-of"
TOOLING = "applyset.kubernetes.io/tooling"
GROUP_KINDS = "applyset.kubernetes.io/contains-group-kinds"
NAMESPACES = "applyset.kubernetes.io/additional-namespaces"
KINDS = "registry-watcher/kinds"
"""Our own: the kinds with the versions that they were applied in, to be found again by."""
STAGE = "registry-watcher/stage"
PRUNE = "registry-watcher/prune"
"""With the value `disabled` an object is never pruned."""

_TOOL = "registry-watcher"
_NAME_LENGTH = 36
_KIND = re.compile(r"([a-z0-9][-a-z0-9.]{0,252}/)?[a-z][-a-z0-9]{0,62}/[-A-Za-z0-9]{1,63}")
_NAMESPACE = re.compile(r"[-a-z0-9]{1,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """Where members may be: apiVersions by (group, kind), and namespaces."""

    kinds: Mapping[tuple[str, str], str] = field(default_factory=dict)
    namespaces: frozenset[str] = frozenset()

    def joined(self, newer: Extent) -> Extent:
        """Both; of a kind's two versions the newer extent's."""
        return Extent(
            kinds={**self.kinds, **newer.kinds}, namespaces=self.namespaces | newer.namespaces
        )


def extent_of(items: Iterable[Object]) -> Extent:
    """Where these objects are."""
    found = [(item["apiVersion"], ObjectKey.of(item)) for item in items]
    return Extent(
        kinds={(key.group, key.kind): api_version for api_version, key in found},
        namespaces=frozenset(key.namespace for _, key in found if key.namespace),
    )


def listed_extent(parent: Object | None) -> Extent:
    """What a parent lists; what is no kind and no namespace, nobody's apply wrote there."""
    annotations = section(parent, "metadata", "annotations")
    kinds = {}
    for entry in filter(_KIND.fullmatch, text(annotations, KINDS).split(",")):
        api_version, _, kind = entry.rpartition("/")
        kinds[group_of(api_version), kind] = api_version
    namespaces = frozenset(filter(_NAMESPACE.fullmatch, text(annotations, NAMESPACES).split(",")))
    own = {text(parent, "metadata", "namespace")} - {""}
    return Extent(kinds=kinds, namespaces=namespaces | own)


def parent_name(options: ApplyOptions) -> str:
    """The parent's name: readable, and another one for every pipeline and stage."""
    exact = json.dumps([options.pipeline, options.stage])
    words = re.sub(r"[^a-z0-9]+", "-", f"{options.pipeline}-{options.stage}".lower())
    readable = words[:_NAME_LENGTH].strip("-")
    digest = hashlib.sha256(exact.encode()).hexdigest()[:8]
    return "-".join(filter(None, [_TOOL, readable, digest]))


def set_id(options: ApplyOptions) -> str:
    """The id of the stage's ApplySet."""
    return id_of(parent_name(options), options.namespace)


def id_of(name: str, namespace: str) -> str:
    """The id that KEP-3659 makes of the name of a parent."""
    exact = f"{name}.{namespace}.{PARENT.kind}.{PARENT.group}"
    digest = urlsafe_b64encode(hashlib.sha256(exact.encode()).digest())
    return f"applyset-{digest.decode().rstrip('=')}-v1"


def parent_object(options: ApplyOptions, extent: Extent) -> Object:
    """The parent that lists this extent."""
    kinds = sorted(f"{kind}.{group}" if group else kind for group, kind in extent.kinds)
    versions = sorted(f"{api}/{kind}" for (_, kind), api in extent.kinds.items())
    return {
        "apiVersion": PARENT.api_version,
        "kind": PARENT.kind,
        "metadata": {
            "name": parent_name(options),
            "namespace": options.namespace,
            "labels": {ID: set_id(options)},
            "annotations": {
                TOOLING: f"{_TOOL}/v1",
                GROUP_KINDS: ",".join(kinds),
                NAMESPACES: ",".join(sorted(extent.namespaces - {options.namespace})),
                KINDS: ",".join(versions),
                STAGE: f"{options.pipeline}/{options.stage}",
            },
        },
    }


def is_written(parent: Object | None, desired: Object) -> bool:
    """Whether the parent says all that it has to say."""
    return all(
        section(parent, "metadata", part).get(key) == value
        for part in ("labels", "annotations")
        for key, value in desired["metadata"][part].items()
    )


def check_parent(parent: Object, options: ApplyOptions) -> None:
    """Raises StageError where the parent is another tool's or another set's."""
    tool = text(parent, "metadata", "annotations", TOOLING)
    there = text(parent, "metadata", "labels", ID)
    about = f"{ObjectKey.of(parent)}, in which this stage notes what it applies,"
    if tool.partition("/")[0] != _TOOL:
        owner = f"belongs to {tool}" if tool else "was not made for this"
        raise StageError(f"{about} {owner}", hint="delete or rename it, or set `prune: false`")
    if there != set_id(options):
        raise StageError(f"{about} has another id ({there})", hint="delete it")


def as_member(item: Object, identifier: str) -> Object:
    """The object with the label of the set."""
    metadata = item["metadata"]
    labels = {**(metadata.get("labels") or {}), PART_OF: identifier}
    return {**item, "metadata": {**metadata, "labels": labels}}


def check_membership(live: Object, options: ApplyOptions) -> None:
    """Raises StageError where the object is in another set: the two would prune each other's."""
    there = text(live, "metadata", "labels", PART_OF)
    if there and there != set_id(options):
        raise StageError(
            f"it belongs to another stage's or tool's ApplySet ({there})",
            hint=f"apply it in one place only, or remove its label {PART_OF}",
        )


def is_labelled_by_us(item: Object) -> bool:
    """Whether we set the label, instead of somebody who copied an object with it."""
    return f"f:{PART_OF}" in section(applied_by_us(item), "f:metadata", "f:labels")


def is_protected(item: Object) -> bool:
    return text(item, "metadata", "annotations", PRUNE) == "disabled"
