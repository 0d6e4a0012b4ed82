"""Taking over objects that kubectl's client-side commands made.

Server-side apply removes only fields that its manager owned before. What `kubectl apply` wrote is
owned by a manager of its own, so that a field which the manifest no longer has would stay for ever:
before our first apply these fields are made ours, as `kubectl apply --server-side` itself does
(client-go, util/csaupgrade). Only listed managers: what others set stays theirs.
"""

from __future__ import annotations

from typing import Any

from watcher.kube.applying.comparing import LAST_APPLIED, version
from watcher.kube.applying.owned_fields import Fields, fields_of, united
from watcher.kube.client import ClusterClient, PatchType
from watcher.kube.objects import FIELD_MANAGER, Object, ObjectKey, Resource
from watcher.kube.reading import listed, text

MIGRATED = frozenset(
    {
        "kubectl",
        "kubectl-client-side-apply",
        "kubectl-create",
        "kubectl-expose",
        "kubectl-last-applied",
        "kubectl-replace",
        "kubectl-run",
    }
)
"""Managers that wrote whole objects. Those that change one field, such as `kubectl-edit`,
`kubectl-set`, `kubectl-annotate` or `kubectl-scale`, keep what they changed."""

_TAKEN = frozenset((manager, "Update") for manager in MIGRATED)
_OURS = (FIELD_MANAGER, "Apply")


def needs_migration(live: Object) -> bool:
    """Whether kubectl's client-side commands own fields, and we have never applied the object."""
    owners = [_owner(entry) for entry in _entries(live)]
    return _OURS not in owners and any(owner in _TAKEN for owner in owners)


def migrated_fields(live: Object) -> list[dict[str, Any]]:
    """The `managedFields` of the object with the fields of those managers made ours. The annotation
    in which kubectl remembers its last apply is owned by nobody then, as kubectl leaves it."""
    entries = _entries(live)
    taken = [entry for entry in entries if _owner(entry) in _TAKEN]
    if not taken:
        return entries
    fields = united(fields_of(live, lambda owner: owner in _TAKEN or owner == _OURS))
    ours = {
        **taken[-1],
        "manager": FIELD_MANAGER,
        "operation": "Apply",
        "fieldsV1": _without_last_applied(fields),
    }
    others = [entry for entry in entries if _owner(entry) not in _TAKEN | {_OURS}]
    return [ours, *others]


async def take_over(client: ClusterClient, resource: Resource, live: Object) -> Object:
    """Make the fields ours, and give the object as it is then. Values do not change.

    Raises ClusterError: VERSION_CONFLICT when it changed since it was read.
    """
    key = ObjectKey.of(live)
    patch = [
        {"op": "replace", "path": "/metadata/managedFields", "value": migrated_fields(live)},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": version(live)},
    ]
    return await client.patch(resource, key.namespace, key.name, patch, content_type=PatchType.JSON)


def _entries(live: Object) -> list[dict[str, Any]]:
    return [dict(entry) for entry in listed(live, "metadata", "managedFields")]


def _owner(entry: dict[str, Any]) -> tuple[str, str]:
    """Manager and operation; what wrote a subresource, such as the status, is never ours."""
    if text(entry, "subresource"):
        return "", ""
    return text(entry, "manager"), text(entry, "operation")


def _without_last_applied(fields: Fields) -> dict[str, Any]:
    metadata = dict(fields.get("f:metadata", {}))
    annotations = dict(metadata.pop("f:annotations", {}))
    annotations.pop(f"f:{LAST_APPLIED}", None)
    if any(key != "." for key in annotations):
        metadata["f:annotations"] = annotations
    rest = {key: value for key, value in fields.items() if key != "f:metadata"}
    return {**rest, "f:metadata": metadata} if metadata else rest
