"""How a container of the kubelet stand-in fares, told by a word in its image's name: pure tables.

The words stand alone (`acme/web:2-bad`, not `acme/badge`) and outside the digest. Reasons and
messages are those of a real kubelet with containerd.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Pod = Mapping[str, Any]


class Behaviour(StrEnum):
    READY = "ready"
    BAD = "bad"
    CRASH = "crash"
    SLOW = "slow"
    HANG = "hang"
    NO_CONFIG = "no-config"
    INVALID = "invalid"
    JOB_OK = "job-ok"
    JOB_FAIL = "job-fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A container's state from `at` seconds after its pod got a node. `waiting` is a reason and a
    message, `event` as well; both may use {image}, {container} and {pod}."""

    at: float = 0.0
    waiting: tuple[str, str] | None = None
    exit_code: int | None = None
    ready: bool = False
    restarts: int = 0
    event: tuple[str, str] | None = None


_NOT_FOUND = (
    'rpc error: code = NotFound desc = failed to pull and unpack image "{image}": '
    'failed to resolve reference "{image}": {image}: not found'
)
_BACK_OFF = "back-off 10s restarting failed container={container} pod={pod}"
_NO_CONFIG = 'configmap "settings" not found'
_INVALID = 'Failed to apply default image tag "{image}": couldn\'t parse image reference "{image}"'


def _crash(at: float, restarts: int) -> Step:
    return Step(
        at=at,
        waiting=("CrashLoopBackOff", _BACK_OFF),
        restarts=restarts,
        event=("BackOff", "Back-off restarting failed container"),
    )


SCRIPTS: Mapping[Behaviour, tuple[Step, ...]] = {
    Behaviour.READY: (Step(ready=True),),
    Behaviour.BAD: (
        Step(
            waiting=("ErrImagePull", _NOT_FOUND),
            event=("Failed", 'Failed to pull image "{image}": ' + _NOT_FOUND),
        ),
        Step(
            at=0.5,
            waiting=("ImagePullBackOff", 'Back-off pulling image "{image}"'),
            event=("BackOff", 'Back-off pulling image "{image}"'),
        ),
    ),
    Behaviour.CRASH: (_crash(0.0, 1), _crash(1.0, 2), _crash(3.0, 3)),
    Behaviour.SLOW: (Step(), Step(at=5.0, ready=True)),
    Behaviour.HANG: (Step(),),
    Behaviour.NO_CONFIG: (
        Step(
            waiting=("CreateContainerConfigError", _NO_CONFIG),
            event=("Failed", f"Error: {_NO_CONFIG}"),
        ),
    ),
    Behaviour.INVALID: (
        Step(waiting=("InvalidImageName", _INVALID), event=("InspectFailed", _INVALID)),
    ),
    Behaviour.JOB_OK: (Step(), Step(at=0.3, exit_code=0)),
    Behaviour.JOB_FAIL: (Step(), Step(at=0.3, exit_code=1)),
}

_WORDS = "|".join(each for each in Behaviour if each not in {Behaviour.READY, Behaviour.INVALID})
_WORD = re.compile(rf"(?<![a-z0-9])(?:{_WORDS})(?![a-z0-9])")
_REFERENCE = re.compile(r"[a-z0-9][a-zA-Z0-9._:/\[\]-]*(?:@sha256:[0-9a-f]{64})?")
_DONE_AT_ONCE = (Step(exit_code=0),)


def behaviour_of(image: str, told: Mapping[str, str]) -> Behaviour:
    """`told` maps a text to the behaviour of the images that contain it, and comes first."""
    for text, behaviour in told.items():
        if text in image:
            return Behaviour(behaviour)
    if not _REFERENCE.fullmatch(image):
        return Behaviour.INVALID
    word = _WORD.search(image.partition("@")[0])
    return Behaviour(word.group()) if word else Behaviour.READY


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """What lies before one pod: the script of each container, by name."""

    pod: Pod
    scripts: Mapping[str, tuple[Step, ...]]
    init_scripts: Mapping[str, tuple[Step, ...]]

    @classmethod
    def of(cls, pod: Pod, told: Mapping[str, str]) -> Life:
        spec = pod["spec"]
        return cls(
            pod=pod,
            scripts={
                each["name"]: SCRIPTS[behaviour_of(each["image"], told)]
                for each in spec["containers"]
            },
            init_scripts={
                each["name"]: _init_script(behaviour_of(each["image"], told))
                for each in spec.get("initContainers", [])
            },
        )

    def times(self) -> list[float]:
        """When the pod's status changes, in seconds after it got its node."""
        scripts = [*self.scripts.values(), *self.init_scripts.values()]
        return sorted({step.at for script in scripts for step in script})

    def step(self, container: str, elapsed: float) -> Step:
        script = self.scripts.get(container) or self.init_scripts[container]
        return [step for step in script if step.at <= elapsed][-1]

    def initialized(self, elapsed: float) -> bool:
        return all(self.step(name, elapsed).exit_code == 0 for name in self.init_scripts)

    def current(self, elapsed: float) -> dict[str, Step]:
        """The step of each container and init container."""
        steps = {name: self.step(name, elapsed) for name in self.init_scripts}
        if self.initialized(elapsed):
            return steps | {name: self.step(name, elapsed) for name in self.scripts}
        waiting = Step(waiting=("PodInitializing", ""))
        return steps | dict.fromkeys(self.scripts, waiting)

    def events(self, at: float) -> list[tuple[str, str]]:
        """Reason and message of the warnings that begin at a time of `times`."""
        return [
            (step.event[0], self.told(step.event[1], name))
            for name, step in self.current(at).items()
            if step.event is not None and step.at == at
        ]

    def told(self, text: str, container: str) -> str:
        metadata = self.pod["metadata"]
        full = f"{metadata['name']}_{metadata['namespace']}({metadata['uid']})"
        return text.format(image=self.image(container), container=container, pod=full)

    def image(self, container: str) -> str:
        spec = self.pod["spec"]
        every = [*spec["containers"], *spec.get("initContainers", [])]
        return str(next(each["image"] for each in every if each["name"] == container))


def _init_script(behaviour: Behaviour) -> tuple[Step, ...]:
    return _DONE_AT_ONCE if behaviour is Behaviour.READY else SCRIPTS[behaviour]


def status_of(
    life: Life, elapsed: float, *, address: str, now: Callable[[], str]
) -> dict[str, Any]:
    """The pod's `status`, `elapsed` seconds after it got its node."""
    steps = life.current(elapsed)
    main = {name: steps[name] for name in life.scripts}
    init = {name: steps[name] for name in life.init_scripts}
    time = now()
    return {
        "phase": _phase(list(main.values()), initialized=life.initialized(elapsed)),
        "podIP": address,
        "hostIP": "127.0.0.1",
        "startTime": life.pod.get("status", {}).get("startTime") or time,
        "conditions": _conditions(main, initialized=life.initialized(elapsed), time=time),
        "containerStatuses": [_container(life, each, step, time) for each, step in main.items()],
        "initContainerStatuses": [
            _container(life, each, step, time) for each, step in init.items()
        ],
    }


def _phase(steps: list[Step], *, initialized: bool) -> str:
    if all(step.exit_code is not None for step in steps):
        return "Failed" if any(step.exit_code for step in steps) else "Succeeded"
    pulled = all(step.waiting is None or step.restarts for step in steps)
    return "Running" if initialized and pulled else "Pending"


def _conditions(main: Mapping[str, Step], *, initialized: bool, time: str) -> list[dict[str, Any]]:
    unready = [name for name, step in main.items() if not step.ready]
    why = {
        "reason": "ContainersNotReady",
        "message": f"containers with unready status: [{' '.join(unready)}]",
    }
    truths = {
        "PodScheduled": True,
        "Initialized": initialized,
        "ContainersReady": not unready,
        "Ready": not unready,
    }
    return [
        {"type": name, "status": str(true), "lastTransitionTime": time}
        | ({} if true or name == "Initialized" else why)
        for name, true in truths.items()
    ]


def _container(life: Life, name: str, step: Step, time: str) -> dict[str, Any]:
    image = life.image(name)
    return {
        "name": name,
        "image": image,
        "imageID": "" if step.waiting and not step.restarts else f"test://{image}",
        "ready": step.ready,
        "started": step.ready,
        "restartCount": step.restarts,
        "state": _state(life, name, step, time),
        "lastState": _terminated(1, time) if step.restarts else {},
    }


def _state(life: Life, name: str, step: Step, time: str) -> dict[str, Any]:
    if step.waiting is not None:
        reason, message = step.waiting
        return {"waiting": {"reason": reason, "message": life.told(message, name)}}
    if step.exit_code is not None:
        return _terminated(step.exit_code, time)
    return {"running": {"startedAt": time}}


def _terminated(exit_code: int, time: str) -> dict[str, Any]:
    reason = "Error" if exit_code else "Completed"
    return {
        "terminated": {
            "exitCode": exit_code,
            "reason": reason,
            "startedAt": time,
            "finishedAt": time,
        }
    }
