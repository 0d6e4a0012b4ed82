"""The stages that a pipeline can be made of, one module each (SPEC 7).

Cheap to import: what a stage needs to run (jinja2, httpx, yaml) is imported when it runs. A new
stage is a module and a line here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from watcher.stages.base import Stage
from watcher.stages.command import CommandStage
from watcher.stages.pipeline import PipelineStage
from watcher.stages.render import RenderStage
from watcher.stages.verify import VerifyStage
from watcher.stages.wait import WaitStage
from watcher.stages.webhook import WebhookStage

_ALL: tuple[Stage, ...] = (
    RenderStage(),
    WebhookStage(),
    CommandStage(),
    WaitStage(),
    VerifyStage(),
    PipelineStage(),
)
STAGES: Mapping[str, Stage] = MappingProxyType({stage.type: stage for stage in _ALL})
