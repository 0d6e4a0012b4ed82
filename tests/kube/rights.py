"""Roles and bindings for a test's service account: pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Rules = Sequence[Mapping[str, Any]]
_API = "rbac.authorization.k8s.io"
_BASE = f"/apis/{_API}/v1"


def rules_of(documents: Iterable[Mapping[str, Any] | None]) -> tuple[Rules, Rules]:
    """The rules that a manifest grants in a namespace, and those that it grants everywhere: a
    ClusterRole grants everywhere what a ClusterRoleBinding of the same manifest refers to."""
    there = [each for each in documents if each]
    everywhere = {each["roleRef"]["name"] for each in there if each["kind"] == "ClusterRoleBinding"}
    inside: list[Mapping[str, Any]] = []
    outside: list[Mapping[str, Any]] = []
    for each in there:
        if each["kind"] == "ClusterRole" and each["metadata"]["name"] in everywhere:
            outside += each["rules"]
        elif each["kind"] in {"Role", "ClusterRole"}:
            inside += each["rules"]
    return inside, outside


def grants(
    namespace: str, account: str, rules: Rules, cluster_rules: Rules
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects that grant the rules, each with the path it is posted to."""
    subject = {"kind": "ServiceAccount", "name": account, "namespace": namespace}
    for prefix, path, granted in (
        ("", f"{_BASE}/namespaces/{namespace}", rules),
        ("Cluster", _BASE, cluster_rules),
    ):
        if granted:
            metadata = {"metadata": {"name": account}}
            reference = {"apiGroup": _API, "kind": f"{prefix}Role", "name": account}
            yield f"{path}/{prefix.lower()}roles", {**metadata, "rules": list(granted)}
            yield (
                f"{path}/{prefix.lower()}rolebindings",
                {**metadata, "subjects": [subject], "roleRef": reference},
            )


def questions(
    namespace: str, account: str, rules: Rules, cluster_rules: Rules
) -> Iterator[dict[str, Any]]:
    """SubjectAccessReviews that are all allowed once the API server knows the grants: one per
    rule, as it learns whole roles at a time."""
    user = f"system:serviceaccount:{namespace}:{account}"
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}"]
    asker = {"user": user, "groups": groups}
    for inside, granted in ((namespace, rules), ("", cluster_rules)):
        for rule in granted:
            if "resources" in rule:
                resource, _, subresource = rule["resources"][0].partition("/")
                attributes = {
                    "namespace": inside,
                    "verb": rule["verbs"][0],
                    "group": rule["apiGroups"][0],
                    "resource": resource,
                    "subresource": subresource,
                    "name": rule.get("resourceNames", [""])[0],
                }
                yield {**asker, "resourceAttributes": attributes}
