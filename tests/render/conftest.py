"""The scope of a run for index.docker.io/acme/demoapp."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.stages.conftest import SOURCE, make_execution
from watcher.core.pipeline import Json
from watcher.render.scope import build_scope

ScopeMaker = Callable[..., dict[str, Json]]


@pytest.fixture
def make_scope() -> ScopeMaker:
    def make(
        tag: str = "1.10",
        *,
        outputs: dict[str, Json] | None = None,
        digest: str | None = None,
        labels: dict[str, str] | None = None,
        **parameters: Any,
    ) -> dict[str, Json]:
        execution = make_execution(tag=tag, source={**SOURCE, "tag": tag}, parameters=parameters)
        return build_scope(execution, outputs or {}, digest=digest, labels=labels)

    return make
