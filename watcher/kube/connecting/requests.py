"""What is sent to an API server for each thing that is asked of it: values only. Pure.

Names are checked before they become a path (`Resource.path`), so that none is another request.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import urlencode

from watcher.errors import ClusterError, ClusterFault
from watcher.kube.objects import Object, ObjectKey, Resource, check_name, check_namespace

LOG_BYTES = 64 * 1024
"""Bytes of a container's log that are asked for."""


class PatchType(StrEnum):
    """What the body of a PATCH is; server-side apply has a method of its own."""

    JSON = "application/json-patch+json"
    MERGE = "application/merge-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is sent. `about` names the object that it is about, for messages."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = field(default=None, repr=False)
    content_type: str = "application/json"
    accept: str = "application/json"
    about: str = ""

    @property
    def target(self) -> str:
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path


def to_get(resource: Resource, namespace: str, name: str) -> Request:
    about = _about(resource, namespace, name)
    return Request(method="GET", path=_object_path(resource, namespace, name), about=about)


def to_list(resource: Resource, namespace: str, query: Mapping[str, str]) -> Request:
    place = f" in namespace {namespace}" if namespace else ""
    return Request(
        method="GET",
        path=resource.path(namespace),
        query=query,
        about=f"the list of {resource.plural}{place}",
    )


def to_apply(
    resource: Resource, item: Object, *, dry_run: bool, force: bool, manager: str
) -> Request:
    key = ObjectKey.of(item)
    return Request(
        method="PATCH",
        path=_object_path(resource, key.namespace, key.name),
        query={
            "fieldManager": manager,
            "fieldValidation": "Strict",
            "force": "true" if force else "false",
            **_dry(dry_run),
        },
        body=_encoded(item, str(key)),
        content_type="application/apply-patch+yaml",
        about=str(key),
    )


def to_patch(
    resource: Resource,
    namespace: str,
    name: str,
    body: Any,
    *,
    content_type: PatchType,
    subresource: str | None,
    manager: str,
    dry_run: bool,
) -> Request:
    about = _about(resource, namespace, name)
    return Request(
        method="PATCH",
        path=_object_path(resource, namespace, name, subresource),
        query={"fieldManager": manager, **_dry(dry_run)},
        body=_encoded(body, about),
        content_type=content_type.value,
        about=about,
    )


def to_create(resource: Resource, item: Object, *, manager: str, dry_run: bool) -> Request:
    key = ObjectKey.of(item)
    _check_placed(resource, key.namespace, str(key))
    return Request(
        method="POST",
        path=resource.path(key.namespace),
        query={"fieldManager": manager, "fieldValidation": "Strict", **_dry(dry_run)},
        body=_encoded(item, str(key)),
        about=str(key),
    )


def to_delete(
    resource: Resource,
    namespace: str,
    name: str,
    *,
    uid: str | None,
    resource_version: str | None,
    propagation: str,
    grace_seconds: int | None,
    dry_run: bool,
) -> Request:
    about = _about(resource, namespace, name)
    conditions = {"uid": uid, "resourceVersion": resource_version}
    options = {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": propagation,
        "preconditions": {key: value for key, value in conditions.items() if value} or None,
        "gracePeriodSeconds": grace_seconds,
        "dryRun": ["All"] if dry_run else None,
    }
    given = {key: value for key, value in options.items() if value is not None}
    return Request(
        method="DELETE",
        path=_object_path(resource, namespace, name),
        body=_encoded(given, about),
        about=about,
    )


def to_read_log(namespace: str, pod: str, container: str, *, previous: bool, lines: int) -> Request:
    query = {"container": container, "tailLines": str(lines), "limitBytes": str(LOG_BYTES)}
    return Request(
        method="GET",
        path=f"/api/v1/namespaces/{check_namespace(namespace)}/pods/{check_name(pod, 'Pod')}/log",
        query={**query, **({"previous": "true"} if previous else {})},
        accept="*/*",
        about=f"pod/{pod} in namespace {namespace}",
    )


def to_review(attributes: Mapping[str, str]) -> Request:
    """A SelfSubjectAccessReview of these `resourceAttributes`."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": dict(attributes)},
    }
    about = "the review of our rights"
    return Request(
        method="POST",
        path="/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        body=_encoded(review, about),
        about=about,
    )


def names_version(body: Any) -> bool:
    """Whether a patch says which version of the object it is for, so that the same patch can't be
    done twice."""
    if isinstance(body, list):
        return any(part.get("path") == "/metadata/resourceVersion" for part in body)
    return bool((body.get("metadata") or {}).get("resourceVersion"))


def _about(resource: Resource, namespace: str, name: str) -> str:
    return str(ObjectKey(resource.group, resource.kind, namespace, name))


def _object_path(
    resource: Resource, namespace: str, name: str, subresource: str | None = None
) -> str:
    _check_placed(resource, namespace, _about(resource, namespace, name))
    return resource.path(namespace, name, subresource)


def _check_placed(resource: Resource, namespace: str, about: str) -> None:
    """Without its namespace the path would be that of something else."""
    if resource.namespaced and not namespace:
        raise ClusterError("no namespace is given", fault=ClusterFault.INVALID, about=about)


def _dry(dry_run: bool) -> dict[str, str]:
    return {"dryRun": "All"} if dry_run else {}


def _encoded(body: Any, about: str) -> bytes:
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, TypeError) as error:
        raise ClusterError(
            "it can't be written as JSON: a number that is infinite, or text that is no Unicode",
            fault=ClusterFault.INVALID,
            about=about,
        ) from error
