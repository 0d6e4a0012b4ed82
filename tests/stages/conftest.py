"""A maker of stage contexts with a clock that only sleeps can move, and a small HTTP server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contract.stages import Nothing
from tests.kube.cluster import RealCluster
from tests.receiving import Receiver as Receiver
from tests.receiving import Reply as Reply
from tests.receiving import Request as Request
from tests.receiving import receiver as receiver
from tests.stages.deploying import Deploying, open_store
from watcher.core.pipeline import Execution, ExecutionStatus, Json, Pipeline, StageSpec
from watcher.errors import StageError
from watcher.http_client import Connections, HttpSettings
from watcher.stages.base import StageContext, StageLog, StageMemory

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DIGEST = "sha256:" + "a" * 64
SOURCE: dict[str, Json] = {
    "name": "web-release",
    "type": "docker",
    "account": "dockerhub",
    "registry": "index.docker.io",
    "repository": "acme/demoapp",
    "namespace": "acme",
    "tag": "1.10",
    "digest": None,
    "previous_digest": None,
    "change": "new",
    "time": "2026-03-01T11:59:00Z",
    "artifacts": [
        {
            "type": "docker/image",
            "name": "index.docker.io/acme/demoapp",
            "version": "1.10",
            "reference": "index.docker.io/acme/demoapp:1.10",
        }
    ],
    "parameters": {},
    "user": None,
}


def make_execution(**changes: Any) -> Execution:
    execution = Execution(
        id="0123456789abcdef",
        key="key",
        trigger="web-release",
        pipeline=Pipeline(name="deploy-web", stages=()),
        status=ExecutionStatus.RUNNING,
        account="dockerhub",
        repository="acme/demoapp",
        tag="1.10",
        digest=None,
        change="new",
        created=START,
        started=START,
        finished=None,
        parameters={"replicas": "3"},
        source=SOURCE,
        stages=(),
    )
    return replace(execution, **changes)


@dataclass
class FakeTime:
    """Now, which moves by what is slept, and jumps by `jumps` with each sleep."""

    moment: datetime = START
    slept: float = 0.0
    jumps: timedelta = timedelta()

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return self.slept

    async def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.moment += timedelta(seconds=seconds) + self.jumps
        await asyncio.sleep(0)


@dataclass
class FakeImage:
    """Counts what a registry would have been asked."""

    asked: list[str] = field(default_factory=list)
    known_labels: Mapping[str, str] = field(default_factory=lambda: {"commit": "abc"})

    async def digest(self) -> str:
        self.asked.append("digest")
        return DIGEST

    async def labels(self) -> Mapping[str, str]:
        self.asked.append("labels")
        return self.known_labels


@dataclass
class FakeChildren:
    """Runs by key, as the real one: the same key is never queued twice."""

    pipelines: tuple[str, ...] = ("smoke-test",)
    submitted: dict[str, tuple[str, Mapping[str, Json]]] = field(default_factory=dict)
    executions: dict[str, Execution] = field(default_factory=dict)

    async def submit(self, pipeline: str, parameters: Mapping[str, Json], key: str) -> str:
        if pipeline not in self.pipelines:
            raise StageError(f"there is no pipeline {pipeline}")
        identifier = f"child of {key}"
        if key not in self.submitted:
            self.submitted[key] = (pipeline, parameters)
            self.executions[identifier] = make_execution(
                id=identifier,
                pipeline=Pipeline(name=pipeline, stages=()),
                status=ExecutionStatus.QUEUED,
            )
        return identifier

    async def execution(self, identifier: str) -> Execution | None:
        return self.executions.get(identifier)


def plain_http() -> AbstractAsyncContextManager[httpx.AsyncClient]:
    return Connections(HttpSettings()).client()


ContextMaker = Callable[..., StageContext]


@pytest.fixture
def make_context() -> ContextMaker:
    """A context for the stage `step` of a run for index.docker.io/acme/demoapp:1.10."""

    def make(**changes: Any) -> StageContext:
        time = changes.pop("time", None) or FakeTime()
        context = StageContext(
            execution=make_execution(),
            spec=StageSpec(name="step", type="any", options=None),
            index=0,
            attempt=1,
            outputs={},
            log=StageLog(),
            image=FakeImage(),
            children=FakeChildren(),
            http=plain_http,
            now=time.now,
            monotonic=time.monotonic,
            sleep=time.sleep,
            clusters=Nothing(),
            deployments=Nothing(),
            accounts=Nothing(),
            memory=StageMemory(resumed=changes.pop("resumed", None)),
        )
        return replace(context, **changes)

    return make


@pytest.fixture
async def deploying(cluster: RealCluster, tmp_path: Path) -> AsyncIterator[Deploying]:
    """Pipelines in a namespace of their own."""
    made = Deploying(
        directory=tmp_path,
        cluster=cluster,
        namespace=cluster.namespace(),
        store=open_store(tmp_path),
    )
    yield made
    await made.close()
