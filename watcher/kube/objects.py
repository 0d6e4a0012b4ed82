"""Kubernetes objects as plain data: what identifies one, and the URL path it lives under.

No name reaches a path unchecked: a slash, a `?` or `..` in a name would be another request. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from watcher.errors import ClusterError, ClusterFault

Object = dict[str, Any]
"""One object as JSON data; never a typed model, which would drop what it does not know."""

FIELD_MANAGER = "registry-watcher"
"""For ever: under another name every field of the old one would stay behind."""

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""The annotation in which kubectl's client-side apply keeps the whole manifest, Secrets too."""

_SEGMENT = re.compile(r"(?!\.{1,2}$)[^/%?#\s\x00-\x1f\x7f]{1,253}")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True, order=True)
class ObjectKey:
    """What an object is, whatever version it was written in. `group` is empty for the core group,
    `namespace` for objects that live in none."""

    group: str
    kind: str
    namespace: str
    name: str

    @staticmethod
    def of(item: Object) -> ObjectKey:
        metadata = item.get("metadata") or {}
        return ObjectKey(
            group_of(item["apiVersion"]),
            item["kind"],
            metadata.get("namespace") or "",
            metadata.get("name") or "",
        )

    def __str__(self) -> str:
        """As kubectl names it: `deployment.apps/web in namespace shop`."""
        kind = self.kind.lower() + (f".{self.group}" if self.group else "")
        place = f" in namespace {self.namespace}" if self.namespace else ""
        return f"{kind}/{self.name}{place}"


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind as a server serves it: its name in URLs, and whether it lives in namespaces."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool
    verbs: frozenset[str] = frozenset()

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(
        self, namespace: str = "", name: str | None = None, subresource: str | None = None
    ) -> str:
        """The URL path of the collection, of an object, or of its subresource.

        Raises ClusterError (INVALID) for a name or namespace that can't stand in a path.
        """
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", check_namespace(namespace)]
        parts.append(self.plural)
        if name is not None:
            parts.append(check_name(name, self.kind))
        if subresource is not None:
            parts.append(subresource)
        return "/" + "/".join(quote(part, safe="") for part in parts)


def group_of(api_version: str) -> str:
    """`apps` of `apps/v1`; empty for `v1`."""
    group, slash, _ = api_version.partition("/")
    return group if slash else ""


def check_name(name: str, kind: str) -> str:
    """The name, or ClusterError (INVALID) when it could change the request it stands in, or the
    terminal that shows it."""
    if _SEGMENT.fullmatch(name) is None or not name.isprintable():
        raise ClusterError(f"{name!r} can't be the name of a {kind}", fault=ClusterFault.INVALID)
    return name


def check_namespace(namespace: str) -> str:
    """The namespace, or ClusterError (INVALID) when it is no DNS label (RFC 1123)."""
    if _NAMESPACE.fullmatch(namespace) is None:
        raise ClusterError(f"{namespace!r} is no namespace", fault=ClusterFault.INVALID)
    return namespace
