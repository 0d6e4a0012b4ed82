"""Kubernetes clusters as configured (SPEC 7.1, `clusters:`). Values only."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """One cluster, and what stages may do in it.

    Without `kubeconfig` and `context`: in-cluster credentials when there are any, else the usual
    kubeconfig. `namespace` is the default of stages that name none. `allowed_namespaces` are names
    or patterns with `*`; None allows the namespace of each stage only. `allowed_cluster_kinds` are
    kinds without a namespace that may be applied, `Kind` or `Kind.group`; none unless listed.
    """

    name: str
    kubeconfig: Path | None = None
    context: str | None = None
    namespace: str | None = None
    allowed_namespaces: tuple[str, ...] | None = None
    allowed_cluster_kinds: frozenset[str] = frozenset()

    def allows_namespace(self, namespace: str, *, own: str) -> bool:
        """Whether a stage that works in the namespace `own` may touch `namespace`."""
        if self.allowed_namespaces is None:
            return namespace == own
        return any(fnmatchcase(namespace, pattern) for pattern in self.allowed_namespaces)

    def allows_cluster_kind(self, group: str, kind: str) -> bool:
        return not self.allowed_cluster_kinds.isdisjoint({kind, f"{kind}.{group}"})


DEFAULT_CLUSTER = Cluster(name="default")
"""What stages use where the config has no `clusters:`."""
