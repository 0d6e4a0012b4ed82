"""Which objects without replicas count as rolled out: a table for each kind."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kube.workloads import condition, conditions, ended, pod, thing, workload
from watcher.kube.objects import Object
from watcher.kube.rollouts.rollout import RolloutState, assess, is_followed

PROGRESSING, READY = RolloutState.PROGRESSING, RolloutState.READY
FAILED = RolloutState.FAILED


@pytest.mark.parametrize(
    ("item", "state", "message"),
    [
        pytest.param(
            pod(found=(condition("PodScheduled", "False", "Unschedulable", "0/3 nodes"),)),
            PROGRESSING,
            "is not scheduled: Unschedulable: 0/3 nodes",
            id="unscheduled",
        ),
        pytest.param(pod(), PROGRESSING, "is Pending, not ready", id="starting"),
        pytest.param(
            pod(phase="Running", found=(condition("Ready", "False"),)),
            PROGRESSING,
            "is Running, not ready",
            id="running",
        ),
        pytest.param(pod(phase="Running", found=(condition("Ready"),)), READY, "ready", id="ready"),
        pytest.param(pod(phase="Succeeded"), READY, "has ended well", id="succeeded"),
        pytest.param(
            thing("Pod", status={"phase": "Failed", "reason": "Evicted", "message": "low on disk"}),
            FAILED,
            "has failed: Evicted: low on disk",
            id="evicted",
        ),
        pytest.param(
            pod(phase="Failed", web={"state": ended(1)}), FAILED, "has failed", id="failed"
        ),
    ],
)
def test_a_pod(item: Object, state: RolloutState, message: str) -> None:
    status = assess(item)
    assert (status.state, status.message) == (state, message)


def of_status(kind: str, spec: Any = None, **status: Any) -> Object:
    return thing(kind, spec=spec, status=status)


def with_conditions(kind: str, *found: Any, **status: Any) -> Object:
    return thing(kind, status={**status, **conditions(*found)})


BALANCER = {"type": "LoadBalancer"}


@pytest.mark.parametrize(
    ("item", "state", "message"),
    [
        pytest.param(
            of_status("PersistentVolumeClaim", phase="Pending"),
            PROGRESSING,
            "is Pending, not bound to a volume",
            id="claim pending",
        ),
        pytest.param(
            of_status("PersistentVolumeClaim"),
            PROGRESSING,
            "is Pending, not bound to a volume",
            id="claim fresh",
        ),
        pytest.param(
            of_status("PersistentVolumeClaim", phase="Bound"), READY, "bound", id="claim bound"
        ),
        pytest.param(
            of_status("PersistentVolumeClaim", phase="Lost"),
            FAILED,
            "has lost its volume",
            id="claim lost",
        ),
        pytest.param(of_status("Namespace", phase="Active"), READY, "active", id="namespace"),
        pytest.param(
            of_status("Namespace"), PROGRESSING, "is not active yet", id="namespace fresh"
        ),
        pytest.param(
            of_status("Namespace", phase="Terminating"),
            FAILED,
            "is being deleted",
            id="namespace terminating",
        ),
        pytest.param(
            of_status("CustomResourceDefinition"),
            PROGRESSING,
            "is not established yet",
            id="definition fresh",
        ),
        pytest.param(
            with_conditions(
                "CustomResourceDefinition", condition("NamesAccepted"), condition("Established")
            ),
            READY,
            "established",
            id="definition established",
        ),
        pytest.param(
            with_conditions(
                "CustomResourceDefinition",
                condition("NamesAccepted", "False", "PluralConflict", '"widgets" is in use'),
                condition("Established", "False"),
            ),
            FAILED,
            'its names are refused: PluralConflict: "widgets" is in use',
            id="definition refused",
        ),
        pytest.param(of_status("Service"), READY, "applied", id="service"),
        pytest.param(
            of_status("Service", BALANCER),
            PROGRESSING,
            "its load balancer has no address yet",
            id="load balancer pending",
        ),
        pytest.param(
            of_status("Service", BALANCER, loadBalancer={"ingress": [{"ip": "10.0.0.1"}]}),
            READY,
            "has an address",
            id="load balancer",
        ),
        pytest.param(
            of_status("APIService"), PROGRESSING, "is not available yet", id="API service fresh"
        ),
        pytest.param(
            with_conditions(
                "APIService", condition("Available", "False", "MissingEndpoints", "no endpoints")
            ),
            PROGRESSING,
            "is not available: MissingEndpoints: no endpoints",
            id="API service down",
        ),
        pytest.param(
            with_conditions("APIService", condition("Available")),
            READY,
            "available",
            id="API service",
        ),
        pytest.param(
            of_status("PodDisruptionBudget", observedGeneration=1),
            PROGRESSING,
            "its controller has not seen the change yet",
            id="budget not observed",
        ),
        pytest.param(
            of_status("PodDisruptionBudget", observedGeneration=2), READY, "applied", id="budget"
        ),
        pytest.param(of_status("ConfigMap"), READY, "applied", id="without a status"),
        pytest.param(
            workload("ReplicaSet", spec={"replicas": 2}, status={"availableReplicas": 1}),
            PROGRESSING,
            "1 of 2 replicas available",
            id="replica set",
        ),
        pytest.param(
            workload("ReplicaSet", spec={"replicas": 2}, status={"availableReplicas": 2}),
            READY,
            "2 replicas available",
            id="replica set done",
        ),
    ],
)
def test_other_kinds(item: Object, state: RolloutState, message: str) -> None:
    status = assess(item)
    assert (status.state, status.message) == (state, message)


def widget(*found: Any, **status: Any) -> Object:
    return with_conditions("Widget", *found, **status)


@pytest.mark.parametrize(
    ("item", "state", "message"),
    [
        pytest.param(of_status("Widget"), READY, "applied", id="says nothing"),
        pytest.param(widget(condition("Ready")), READY, "ready", id="ready"),
        pytest.param(
            widget(condition("Ready", "False", "Building", "1 of 2")),
            PROGRESSING,
            "is not ready: Building: 1 of 2",
            id="not ready",
        ),
        pytest.param(
            widget(condition("Ready", "Unknown")), PROGRESSING, "is not ready", id="unknown"
        ),
        pytest.param(
            widget(condition("Ready"), condition("Reconciling", "True", "Rolling", "going on")),
            PROGRESSING,
            "Rolling: going on",
            id="reconciling",
        ),
        pytest.param(
            widget(
                condition("Reconciling", "False"), condition("Stalled", "True", "Bad", "no disk")
            ),
            FAILED,
            "is stalled: Bad: no disk",
            id="stalled",
        ),
        pytest.param(
            widget(condition("Ready"), observedGeneration=1),
            PROGRESSING,
            "its controller has not seen the change yet",
            id="not observed",
        ),
        pytest.param(
            widget({**condition("Ready"), "observedGeneration": 1}),
            PROGRESSING,
            "its controller has not seen the change yet",
            id="ready of an earlier generation",
        ),
        pytest.param(
            widget({**condition("Stalled"), "observedGeneration": 1}),
            READY,
            "applied",
            id="stalled in an earlier generation",
        ),
        pytest.param(
            widget(condition("Ready"), observedGeneration=2), READY, "ready", id="observed"
        ),
        pytest.param(
            of_status("Widget", conditions={"Ready": True}), READY, "applied", id="odd conditions"
        ),
        pytest.param(
            of_status("Widget", conditions=["Ready", 3], observedGeneration="1"),
            READY,
            "applied",
            id="odd conditions and generation",
        ),
        pytest.param(
            thing("Widget") | {"status": "fine"}, READY, "applied", id="a status that is a text"
        ),
    ],
)
def test_a_custom_resource(item: Object, state: RolloutState, message: str) -> None:
    status = assess(item)
    assert (status.state, status.message) == (state, message)


@pytest.mark.parametrize(
    ("api_version", "kind", "expected"),
    [
        ("apps/v1", "Deployment", True),
        ("apps/v1", "StatefulSet", True),
        ("apps/v1", "DaemonSet", True),
        ("apps/v1", "ReplicaSet", True),
        ("batch/v1", "Job", True),
        ("v1", "Pod", True),
        ("apiregistration.k8s.io/v1", "APIService", True),
        ("argoproj.io/v1alpha1", "Rollout", True),
        ("serving.knative.dev/v1", "Service", True),
        ("batch/v1", "CronJob", False),
        ("v1", "Service", False),
        ("v1", "PersistentVolumeClaim", False),
        ("v1", "ConfigMap", False),
        ("v1", "Namespace", False),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition", False),
        ("policy/v1", "PodDisruptionBudget", False),
        ("autoscaling/v2", "HorizontalPodAutoscaler", False),
        ("networking.k8s.io/v1", "Ingress", False),
        ("gateway.networking.k8s.io/v1", "HTTPRoute", False),
    ],
)
def test_what_a_wait_follows(api_version: str, kind: str, expected: bool) -> None:
    item = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}}
    assert is_followed(item) is expected
