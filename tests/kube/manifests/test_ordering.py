"""The order of kinds: what others need comes first, and deleting goes the other way round."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.kube.manifests.ordering import (
    NEVER_PRUNED,
    WAVES,
    defined_kinds,
    deletion_order,
    prune_order,
    waves,
)

RBAC = "rbac.authorization.k8s.io/v1"
CRD = "apiextensions.k8s.io/v1 CustomResourceDefinition"
IN_ORDER = [
    "v1 Namespace",
    CRD,
    "own.example/v1 Own",
    "scheduling.k8s.io/v1 PriorityClass",
    "storage.k8s.io/v1 StorageClass",
    "node.k8s.io/v1 RuntimeClass",
    "networking.k8s.io/v1 IngressClass",
    f"{RBAC} ClusterRole",
    f"{RBAC} ClusterRoleBinding",
    "v1 ResourceQuota",
    "v1 LimitRange",
    "networking.k8s.io/v1 NetworkPolicy",
    "v1 ServiceAccount",
    f"{RBAC} Role",
    f"{RBAC} RoleBinding",
    "v1 Secret",
    "v1 ConfigMap",
    "v1 PersistentVolume",
    "v1 PersistentVolumeClaim",
    "v1 Service",
    "acme.example/v1 Probe",
    "serving.knative.dev/v1 Service",
    "apps/v1 DaemonSet",
    "apps/v1beta2 Deployment",
    "apps/v1 StatefulSet",
    "apps/v1 ReplicaSet",
    "v1 Pod",
    "batch/v1 Job",
    "batch/v1beta1 CronJob",
    "autoscaling/v2 HorizontalPodAutoscaler",
    "policy/v1 PodDisruptionBudget",
    "networking.k8s.io/v1 Ingress",
    "gateway.networking.k8s.io/v1 HTTPRoute",
    "apiregistration.k8s.io/v1 APIService",
    "admissionregistration.k8s.io/v1 MutatingWebhookConfiguration",
    "admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration",
    "admissionregistration.k8s.io/v1 ValidatingAdmissionPolicy",
    "admissionregistration.k8s.io/v1 ValidatingAdmissionPolicyBinding",
]
OWN_KINDS = frozenset({("own.example", "Own")})


def made(words: str, name: str = "a", namespace: str = "n") -> dict[str, Any]:
    version, kind = words.split()
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": version, "kind": kind, "metadata": metadata}


def words_of(items: list[dict[str, Any]]) -> list[str]:
    return [f"{item['apiVersion']} {item['kind']}" for item in items]


@given(st.randoms())
def test_kinds_go_in_the_documented_order(random: Random) -> None:
    items = [made(words) for words in IN_ORDER]
    random.shuffle(items)
    found = waves(items, own_kinds=OWN_KINDS)
    assert [words for wave in found for words in words_of(wave)] == IN_ORDER


def test_each_wave_ends_before_the_next() -> None:
    found = waves([made(words) for words in IN_ORDER], own_kinds=OWN_KINDS)
    firsts = [words_of(wave)[0].split()[1] for wave in found]
    assert firsts == [
        "Namespace",
        "CustomResourceDefinition",
        "Own",
        "PriorityClass",
        "ResourceQuota",
        "Service",
        "DaemonSet",
        "Ingress",
        "MutatingWebhookConfiguration",
    ]


def test_a_custom_kind_waits_for_services_unless_the_bundle_defines_it() -> None:
    items = [made("own.example/v1 Own"), made("v1 Service"), made("v1 ConfigMap")]
    orders = [
        [words_of(wave)[0].split()[1] for wave in waves(items, own_kinds=kinds)]
        for kinds in (frozenset[tuple[str, str]](), OWN_KINDS)
    ]
    assert orders == [["ConfigMap", "Service"], ["Own", "ConfigMap", "Service"]]


@given(
    st.lists(
        st.builds(
            made, st.sampled_from(IN_ORDER), st.sampled_from("abc"), st.sampled_from(["", "n", "m"])
        )
    ),
    st.randoms(),
)
def test_the_order_depends_on_what_is_there_alone(
    items: list[dict[str, Any]], random: Random
) -> None:
    shuffled = list(items)
    random.shuffle(shuffled)
    assert waves(items) == waves(shuffled)
    assert all(waves(items))
    assert sum(map(len, waves(items))) == len(items)


def test_inside_a_kind_namespace_and_name_decide() -> None:
    places = [("b", "m"), ("a", "n"), ("a", "m"), ("c", "")]
    (wave,) = waves([made("v1 ConfigMap", *place) for place in places])
    found = [(item["metadata"]["name"], item["metadata"]["namespace"]) for item in wave]
    assert found == [("c", ""), ("a", "m"), ("b", "m"), ("a", "n")]


def test_deleting_goes_the_other_way_round() -> None:
    items = [made(words) for words in IN_ORDER]
    assert words_of(deletion_order(items, own_kinds=OWN_KINDS)) == IN_ORDER[::-1]


def test_what_holds_data_is_never_pruned() -> None:
    items = [made(words) for words in IN_ORDER]
    kept = {"Namespace", "CustomResourceDefinition", "PersistentVolumeClaim", "PersistentVolume"}
    pruned = {words.split()[1] for words in words_of(prune_order(items))}
    assert {kind for _, kind in NEVER_PRUNED} == kept
    assert pruned == {words.split()[1] for words in IN_ORDER} - kept


@pytest.mark.parametrize(
    ("spec", "kinds"),
    [
        pytest.param(
            {"group": "own.example", "names": {"kind": "Own"}}, {("own.example", "Own")}, id="sound"
        ),
        pytest.param({"group": "own.example"}, set(), id="no names"),
        pytest.param({"group": 5, "names": {"kind": "Own"}}, set(), id="a number as group"),
        pytest.param({"group": "g", "names": "Own"}, set(), id="text as names"),
        pytest.param(None, set(), id="no spec"),
    ],
)
def test_the_kinds_that_a_bundle_defines_are_known(spec: Any, kinds: set[tuple[str, str]]) -> None:
    items = [{**made(CRD), "spec": spec}, {**made("v1 ConfigMap"), "spec": spec}]
    assert defined_kinds(items) == kinds


def test_no_kind_is_listed_twice() -> None:
    listed = [kind for wave in WAVES for kind in wave]
    assert len(listed) == len(set(listed))
