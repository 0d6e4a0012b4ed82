"""What counts as a fault of a pod, by the states that kubelets and schedulers report."""

from __future__ import annotations

import pytest

from tests.kube.workloads import condition, crashed, ended, is_waiting, pod, thing
from watcher.kube.objects import Object
from watcher.kube.rollouts.pod_faults import fault_of, worst_fault

BACK_OFF = "back-off 10s restarting failed container"


@pytest.mark.parametrize(
    ("item", "told", "fatal"),
    [
        pytest.param(
            pod(web=is_waiting("ErrImagePull", "manifest unknown")),
            "ErrImagePull: manifest unknown (image web:2)",
            True,
            id="no such image",
        ),
        pytest.param(
            pod(web=is_waiting("ImagePullBackOff", 'Back-off pulling image "web:2"')),
            'ImagePullBackOff: Back-off pulling image "web:2"',
            True,
            id="no such image, tried again",
        ),
        pytest.param(
            pod(image="web:2 bad", web=is_waiting("InvalidImageName")),
            "InvalidImageName: image web:2 bad",
            True,
            id="no image name",
        ),
        pytest.param(
            pod(web=is_waiting("ErrImageNeverPull")),
            "ErrImageNeverPull: image web:2",
            True,
            id="image never pulled",
        ),
        pytest.param(
            pod(web=is_waiting("CreateContainerConfigError", 'secret "db" not found')),
            'CreateContainerConfigError: secret "db" not found (image web:2)',
            True,
            id="secret missing",
        ),
        pytest.param(
            pod(web=is_waiting("RunContainerError", "exec: no such file")),
            "RunContainerError: exec: no such file (image web:2)",
            True,
            id="program missing",
        ),
        pytest.param(
            pod(phase="Running", web=crashed(2)),
            "CrashLoopBackOff: exit code 2, 3 restarts",
            True,
            id="crash loop",
        ),
        pytest.param(
            pod(phase="Running", web=crashed(137, reason="OOMKilled", restarts=1)),
            "CrashLoopBackOff, OOMKilled: exit code 137, 1 restart",
            True,
            id="too little memory",
        ),
        pytest.param(
            pod(phase="Running", web=crashed(0)),
            "CrashLoopBackOff: exit code 0, 3 restarts",
            True,
            id="ends at once without a fault",
        ),
        pytest.param(
            pod(
                phase="Running",
                web={"ready": False, "restartCount": 1, "state": {}, "lastState": ended(1)},
            ),
            "Error: exit code 1, 1 restart",
            False,
            id="crashed once, runs again",
        ),
        pytest.param(
            pod(
                phase="Running",
                web={"ready": False, "restartCount": 4, "state": {}, "lastState": ended(1)},
            ),
            "Error: exit code 1, 4 restarts",
            True,
            id="crashed often, runs just now",
        ),
        pytest.param(
            pod(web={"ready": False, "state": ended(3, message="no such table")}),
            "Error: exit code 3: no such table",
            False,
            id="ended with a last word",
        ),
        pytest.param(
            pod(web=is_waiting("CrashLoopBackOff", BACK_OFF)),
            f"CrashLoopBackOff: {BACK_OFF}",
            True,
            id="crash loop of unknown cause",
        ),
        pytest.param(
            pod(web=is_waiting("SomethingNew", "wait and see")),
            "SomethingNew: wait and see (image web:2)",
            False,
            id="a reason that nobody knows",
        ),
    ],
)
def test_a_container_s_fault(item: Object, told: str, fatal: bool) -> None:
    fault = fault_of(item)
    assert fault is not None
    assert (str(fault), fault.fatal) == (f"pod web-1-a, container web: {told}", fatal)


@pytest.mark.parametrize(
    ("item", "told"),
    [
        pytest.param(
            pod(found=(condition("PodScheduled", "False", "Unschedulable", "0/3 nodes"),)),
            "pod web-1-a: Unschedulable: 0/3 nodes",
            id="no node",
        ),
        pytest.param(
            thing("Pod", status={"phase": "Failed", "reason": "Evicted", "message": "low on disk"}),
            "pod web: Evicted: low on disk",
            id="evicted",
        ),
        pytest.param(
            pod(
                phase="Running",
                found=(condition("Ready", "False"),),
                web={"ready": False, "state": {"running": {}}},
            ),
            "pod web-1-a: NotReady: running, but not ready: web",
            id="not ready",
        ),
    ],
)
def test_a_pod_s_fault(item: Object, told: str) -> None:
    fault = fault_of(item)
    assert (str(fault), fault and fault.fatal) == (told, False)


@pytest.mark.parametrize(
    "item",
    [
        pytest.param(pod(), id="fresh"),
        pytest.param(pod(web=is_waiting("ContainerCreating")), id="starting"),
        pytest.param(pod(web=is_waiting("PodInitializing")), id="initializing"),
        pytest.param(
            pod(
                phase="Running",
                found=(condition("Ready"),),
                web={"ready": True, "restartCount": 7, "lastState": ended(1)},
            ),
            id="ready after crashes",
        ),
        pytest.param(thing("Pod") | {"status": "fine"}, id="an odd status"),
    ],
)
def test_a_pod_without_a_fault(item: Object) -> None:
    assert fault_of(item) is None


def test_the_worst_of_several_pods_is_told_and_those_that_go_are_not() -> None:
    pods = [
        pod(name="a", found=(condition("PodScheduled", "False", "Unschedulable"),)),
        pod(name="b", web=is_waiting("ImagePullBackOff")),
        pod(name="c", web=is_waiting("ErrImagePull", "not found")),
        pod(name="d", web=is_waiting("InvalidImageName")),
    ]
    pods[-1]["metadata"]["deletionTimestamp"] = "2026-11-21T03:00:00Z"
    fault = worst_fault(pods)
    assert fault is not None
    assert fault.pod == "c"


def test_an_init_container_counts() -> None:
    item = pod(web=is_waiting("PodInitializing"))
    item["status"]["initContainerStatuses"] = [
        {"name": "migrate", "image": "migrate:1", **crashed(1, restarts=2)}
    ]
    assert str(fault_of(item)) == (
        "pod web-1-a, container migrate: CrashLoopBackOff: exit code 1, 2 restarts"
    )
