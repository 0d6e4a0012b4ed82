"""The stages that a pipeline can be made of, one module each (SPEC 7).

Cheap to import: a stage's module is loaded when the stage is looked up, and what it needs to run
(jinja2, httpx, yaml) when it runs. A new stage is a module and a line here.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from watcher.config.fields import Kind
    from watcher.stages.base import Stage

_CLASSES = {
    "apply": "ApplyStage",
    "set_image": "SetImageStage",
    "restart": "RestartStage",
    "rollback": "RollbackStage",
    "delete": "DeleteStage",
    "pull_secret": "PullSecretStage",
    "render": "RenderStage",
    "webhook": "WebhookStage",
    "command": "CommandStage",
    "wait": "WaitStage",
    "verify": "VerifyStage",
    "pipeline": "PipelineStage",
}
_Value = TypeVar("_Value")


class _ByType(Mapping[str, _Value]):
    """Something of each type of stage, made when it is looked up."""

    def __init__(self, make: Callable[[str], _Value]) -> None:
        self._make = make

    def __getitem__(self, name: str) -> _Value:
        if name not in _CLASSES:
            raise KeyError(name)
        return self._make(name)

    def __contains__(self, name: object) -> bool:
        return name in _CLASSES

    def __iter__(self) -> Iterator[str]:
        return iter(_CLASSES)

    def __len__(self) -> int:
        return len(_CLASSES)


def _stage(name: str) -> Stage:
    stage: Stage = getattr(import_module(f"{__name__}.{name}"), _CLASSES[name])()
    return stage


class _Undoable(Container[str]):
    """The types of stages that are `base.Undoable`; a module is loaded when it is asked for."""

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in _CLASSES and hasattr(_stage(name), "undo")


STAGES: Mapping[str, Stage] = _ByType(_stage)
OPTIONS: Mapping[str, Kind] = _ByType(lambda name: _stage(name).options)
"""The schema of each stage's value in the config."""

UNDOABLE: Container[str] = _Undoable()
"""The types of stages whose work can be taken back."""
