"""The machine that a contract test plays with: one engine, one directory, workers to kill."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.contract.engines import ENGINES
from tests.contract.stages import Journal
from watcher.core.pipeline import (
    Execution,
    ExecutionStatus,
    Json,
    NewExecution,
    OnFailure,
    Pipeline,
    StageSpec,
)
from watcher.engine.port import Runner

PATIENCE = 20.0
ROOT = Path(__file__).parents[2]


class Machine:
    """Talks to the engine from this process, as the command line does beside a daemon."""

    def __init__(self, engine: str, directory: Path, runner: Runner) -> None:
        self.runner = runner
        self.directory = directory
        self._engine = engine
        self._workers: list[subprocess.Popen[bytes]] = []

    def start(self) -> subprocess.Popen[bytes]:
        worker = subprocess.Popen(
            [sys.executable, "-m", "tests.contract.worker", self._engine, str(self.directory)],
            cwd=ROOT,
        )
        self._workers.append(worker)
        return worker

    def stop(self, how: signal.Signals) -> int:
        """The worker's exit code; negative when the signal ended it."""
        worker = self._workers.pop()
        worker.send_signal(how)
        return worker.wait(PATIENCE)

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def make(self, name: str) -> None:
        """The file that a stage waits for or needs."""
        (self.directory / name).touch()

    async def submit(
        self, *stages: StageSpec, key: str = "key", pipeline: str | None = None
    ) -> str:
        new = run_of(*stages, key=key, pipeline=pipeline)
        await self.runner.submit(new)
        return new.id

    async def get(self, identifier: str) -> Execution:
        execution = await self.runner.get(identifier)
        assert execution is not None
        return execution

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not await condition():
                await asyncio.sleep(0.02)

    async def reaches(self, identifier: str, status: ExecutionStatus) -> Execution:
        async def there() -> bool:
            return (await self.get(identifier)).status is status

        try:
            await self.until(there)
        except TimeoutError:
            pytest.fail(f"not {status}: {await self.get(identifier)}")
        return await self.get(identifier)

    async def says(self, identifier: str, what: str, times: int = 1) -> None:
        """Until the journal has the line `times` times."""

        async def there() -> bool:
            return self.said(identifier).count(what) >= times

        await self.until(there)

    def said(self, identifier: str) -> list[str]:
        """The journal of one run: `stage what`."""
        prefix = f"{identifier}/"
        return [
            line.removeprefix(prefix)
            for line in Journal(self.directory).lines()
            if line.startswith(prefix)
        ]

    def clean_up(self) -> None:
        for worker in self._workers:
            worker.kill()
            worker.wait()


def stage(kind: str, name: str | None = None, **values: Json) -> StageSpec:
    """A stage of that type, named by it; `attempts`, `timeout` and `on_failure` apart, values are
    options."""
    attempts, timeout = values.pop("attempts", 1), values.pop("timeout", 60.0)
    on_failure = OnFailure(values.pop("on_failure", "stop"))
    return StageSpec(
        name=name or kind,
        type=kind,
        options=values,
        attempts=attempts,
        timeout=timedelta(seconds=timeout),
        backoff=timedelta(seconds=0.05),
        on_failure=on_failure,
    )


def run_of(*stages: StageSpec, key: str = "key", pipeline: str | None = None) -> NewExecution:
    return NewExecution(
        key=key,
        trigger="t",
        pipeline=Pipeline(name=pipeline or key, stages=stages),
        account="a",
        repository="r",
        tag=key,
        digest=None,
        change="new",
        created=datetime.now(UTC),
        parameters={},
        source={},
    )


@pytest.fixture(params=list(ENGINES))
async def machine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Machine]:
    async with ENGINES[request.param](tmp_path) as runner:
        made = Machine(request.param, tmp_path, runner)
        try:
            yield made
        finally:
            made.clean_up()
