"""Stages that write down what they do, in a journal that outlives every kill."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from watcher.config.fields import Anything, Kind
from watcher.core import stepping
from watcher.core.account import Account, Credential
from watcher.core.cluster import DEFAULT_CLUSTER, Cluster
from watcher.core.deployment import Bundle, Rejection
from watcher.core.pipeline import (
    Done,
    Execution,
    Failed,
    Json,
    Retry,
    StageOutcome,
    Waiting,
)
from watcher.engine.runner import utc_now
from watcher.errors import StageError
from watcher.stages.base import Stage, StageContext, StageLog, StageMemory

if TYPE_CHECKING:
    from watcher.kube.client import ClusterClient


class Journal:
    """One line per thing that happened: `execution/stage what`."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "journal"

    def write(self, context: StageContext, what: str) -> None:
        line = f"{context.idempotency_key} {what}\n".encode()
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, line)  # one write: no line is ever half there
        os.close(file)

    def lines(self) -> list[str]:
        return self._path.read_text().splitlines() if self._path.exists() else []


class JournalStage:
    """Says that it started, does one of the things below, says that it is done. A `deploy` can be
    taken back."""

    options: Kind = Anything()
    has_dry_run = False

    def __init__(self, kind: str, directory: Path) -> None:
        self.type = kind
        self._directory = directory
        self._journal = Journal(directory)

    async def run(self, options: Json, context: StageContext) -> StageOutcome:
        self._journal.write(context, f"started {context.attempt}")
        context.log.line(f"attempt {context.attempt}")
        outcome = await self._do(options, context)
        if isinstance(outcome, Done):
            self._journal.write(context, "done")
        return outcome

    async def _do(self, options: Json, context: StageContext) -> StageOutcome:
        match self.type:
            case "flaky" if context.attempt < options["succeeds_at"]:
                return Retry(f"attempt {context.attempt} is not enough")
            case "needs" if not (self._directory / options["file"]).exists():
                return Failed(f"{options['file']} is missing")
            case "hold":
                await self._until_there(options["file"], context)
            case "pause" if context.resumed is None:
                until = context.now() + timedelta(seconds=options["seconds"])
                return Waiting(until, "the time", {"until": until.isoformat()})
            case "approve":
                within = options.get("within")
                end = context.now() + timedelta(seconds=within) if within else None
                return Waiting(end, stepping.FOR_PERSON)
            case "deploy":
                await context.memory.keep_undo({"name": context.spec.name})
                if options.get("breaks"):
                    return Failed("it is broken")
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
        return Done({"attempt": context.attempt})

    async def undo(self, options: Json, context: StageContext) -> StageOutcome:
        self._journal.write(context, f"taking back {context.memory.undo['name']}")
        context.log.line("taking back")
        if "undo_waits_for" in options:
            await self._until_there(options["undo_waits_for"], context)
        if options.get("undo_dies"):
            os.kill(os.getpid(), signal.SIGKILL)
        self._journal.write(context, "taken back")
        return Done()

    async def _until_there(self, name: str, context: StageContext) -> None:
        try:
            while not (self._directory / name).exists():
                await asyncio.sleep(0.02)
        except asyncio.CancelledError:
            self._journal.write(context, "cancelled")
            raise


def stages_in(directory: Path) -> Mapping[str, Stage]:
    kinds = ("note", "flaky", "needs", "hold", "pause", "approve", "deploy", "die")
    return {kind: JournalStage(kind, directory) for kind in kinds}


class Nothing:
    """No image, no children, no cluster, no account and no history: a run that needs none."""

    async def digest(self) -> str:
        raise StageError("no image")

    async def labels(self) -> Mapping[str, str]:
        raise StageError("no image")

    async def submit(self, pipeline: str, parameters: Mapping[str, Json], key: str) -> str:
        raise StageError("no pipelines")

    async def execution(self, identifier: str) -> Execution | None:
        return None

    def settings(self, name: str | None) -> Cluster:
        return DEFAULT_CLUSTER

    async def client(self, name: str | None) -> ClusterClient:
        raise StageError("no cluster")

    async def credential(self, name: str) -> tuple[Account, Credential]:
        raise StageError("no accounts")

    async def last_good(self) -> Bundle | None:
        return None

    async def propose(self, bundle: Bundle) -> None:
        raise StageError("nothing is deployed here")

    async def reject(self, digest: str | None, reason: str) -> None:
        raise StageError("nothing is rejected here")

    async def rejected(self, digest: str | None) -> Rejection | None:
        return None


def _no_http() -> Any:
    raise StageError("no network")


def context_of(execution: Execution, index: int, log: StageLog) -> StageContext:
    stage = execution.stages[index]
    return StageContext(
        execution=execution,
        spec=execution.pipeline.stages[index],
        index=index,
        attempt=stage.attempts,
        outputs=stepping.outputs_of(execution),
        log=log,
        image=Nothing(),
        children=Nothing(),
        http=_no_http,
        now=utc_now,
        monotonic=time.monotonic,
        sleep=asyncio.sleep,
        clusters=Nothing(),
        deployments=Nothing(),
        accounts=Nothing(),
        memory=StageMemory(resumed=stage.resumed, undo=stage.undo),
    )
