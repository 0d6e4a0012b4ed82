"""What a run may ask of the world around it: its image's digest and labels, and further runs.

The other ends of the stages' protocols (`stages/base.py`), for executions of one App.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Protocol

from watcher.core import planning, stepping
from watcher.core.pipeline import Execution, Json, NewExecution
from watcher.daemon.deployed import StageDeployments
from watcher.engine.rules import Rules
from watcher.engine.runner import utc_now
from watcher.errors import StageError, UsageError
from watcher.http_client import Connections, HttpSettings
from watcher.registry.client import RegistryClient
from watcher.stages.base import Accounts, Clusters, StageContext, StageLog, StageMemory
from watcher.store.threaded import ThreadedStore

_MOST_FACTS = 1000


class Clients(Protocol):
    """Where the clients of the accounts are, as they are now."""

    def client_named(self, account: str) -> RegistryClient | None: ...


class World(Clients, Protocol):
    """What the contexts are made of; an App is one."""

    @property
    def clusters(self) -> Clusters: ...

    @property
    def accounts(self) -> Accounts: ...

    @property
    def store(self) -> ThreadedStore: ...

    @property
    def rules(self) -> Rules: ...

    @property
    def secret_variables(self) -> frozenset[str]: ...


def contexts(world: World) -> Callable[[Execution, int, StageLog], StageContext]:
    """Makes what stages are given. The facts of a run are kept while it is under way, so that
    every stage of it sees the same digest."""
    connections = Connections(HttpSettings())
    facts: dict[str, RunFacts] = {}

    def context(execution: Execution, index: int, log: StageLog) -> StageContext:
        for over in [key for key in facts if len(facts) > _MOST_FACTS and key != execution.id]:
            del facts[over]
        run = facts.setdefault(execution.id, RunFacts(execution, world))
        stage, spec = execution.stages[index], execution.pipeline.stages[index]

        async def save(memory: StageMemory) -> None:
            resumed, undo = memory.resumed, memory.undo
            await world.store.run(lambda s: s.remember(execution.id, index, resumed, undo))

        return StageContext(
            execution=execution,
            spec=spec,
            index=index,
            attempt=stage.attempts,
            outputs=stepping.outputs_of(execution),
            log=log,
            image=run,
            children=ChildRuns(execution, world, utc_now),
            http=connections.client,
            now=utc_now,
            monotonic=time.monotonic,
            sleep=asyncio.sleep,
            clusters=world.clusters,
            deployments=StageDeployments(world.store, execution, spec, utc_now),
            accounts=world.accounts,
            memory=StageMemory(resumed=stage.resumed, undo=stage.undo, save=save),
            secret_variables=world.secret_variables,
        )

    return context


class RunFacts:
    """The image of one run. Each fact is asked for once, however many stages use it."""

    def __init__(self, execution: Execution, clients: Clients) -> None:
        self._execution = execution
        self._clients = clients
        self._asking = asyncio.Lock()
        self._digest = execution.digest
        self._labels: Mapping[str, str] | None = None

    async def digest(self) -> str:
        """What the event saw, else what the tag points to now."""
        async with self._asking:
            return await self._ask_digest()

    async def labels(self) -> Mapping[str, str]:
        async with self._asking:
            if self._labels is None:
                client, repository, _ = self._image()
                self._labels = await client.labels(repository, await self._ask_digest())
            return self._labels

    async def _ask_digest(self) -> str:
        if self._digest is None:
            client, repository, tag = self._image()
            self._digest = await client.head(repository, tag)
        return self._digest

    def _image(self) -> tuple[RegistryClient, str, str]:
        run = self._execution
        if run.account is None or run.repository is None or run.tag is None:
            raise StageError("this run has no image, so no digest and no labels")
        client = self._clients.client_named(run.account)
        if client is None:
            raise StageError(f"account {run.account!r} is no longer in the config")
        return client, run.repository, run.tag


class ChildRuns:
    """Runs that one run starts by a `pipeline` stage; each sees its parent's `trigger`."""

    def __init__(
        self,
        parent: Execution,
        world: World,
        now: Callable[[], datetime],
    ) -> None:
        self._parent = parent
        self._world = world
        self._now = now

    async def submit(self, pipeline: str, parameters: Mapping[str, Json], key: str) -> str:
        """Raises StageError when the pipeline is unknown or a parameter does not fit."""
        target = self._world.rules.pipelines.get(pipeline)
        if target is None:
            raise StageError(f"there is no pipeline {pipeline!r}")
        try:
            resolved = planning.resolve_parameters(target, parameters)
        except UsageError as error:
            raise StageError(error.message, hint=error.hint) from error
        parent = self._parent
        child = NewExecution(
            key=key,
            trigger=parent.trigger,
            pipeline=target,
            account=parent.account,
            repository=parent.repository,
            tag=parent.tag,
            digest=parent.digest,
            change=parent.change,
            created=self._now(),
            parameters=resolved,
            source={**parent.source, "parameters": resolved},
        )
        await self._world.store.run(lambda store: store.submit(child, parent=parent.id))
        return child.id

    async def execution(self, identifier: str) -> Execution | None:
        return await self._world.store.run(lambda store: store.execution(identifier))
