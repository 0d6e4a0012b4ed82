"""A daemon in this process against a fake registry, and what its `/metrics` would answer.

Used by the tests of this directory. `Observed.wait_for` looks until the sample has come or the
deadline is over; nothing sleeps for luck.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from io import StringIO
from pathlib import Path
from typing import Any, Self

from prometheus_client.parser import text_string_to_metric_families

from watcher.config.load import Config, load
from watcher.core.health import HealthReport
from watcher.daemon.app import App
from watcher.daemon.exposition import Exposition
from watcher.daemon.measuring import measured
from watcher.daemon.service import Service
from watcher.engine.board import StatusBoard
from watcher.engine.rules import Rules
from watcher.registry.budgets.limits import HostLimits
from watcher.stages import OPTIONS
from watcher.store.connection import Fault, no_fault
from watcher.store.sqlite import Store
from watcher.store.threaded import ThreadedStore
from watcher.telemetry.families import PREFIX
from watcher.telemetry.log import Log
from watcher.telemetry.meter import Meter
from watcher.telemetry.metrics import PrometheusMeter
from watcher.testing.registry import FakeRegistry

REPOSITORY = "acme/web"
PATIENCE = 20.0

Series = tuple[str, frozenset[tuple[str, str]]]


class Scrape:
    """The samples of one answer in the text format."""

    def __init__(self, body: bytes) -> None:
        families = list(text_string_to_metric_families(body.decode()))
        self.families = {family.name: family for family in families}
        self.samples: dict[Series, float] = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float | None:
        """The sample's value, None where there is none; names without the prefix."""
        return self.samples.get((PREFIX + name, frozenset(labels.items())))

    def total(self, name: str, **labels: str) -> float:
        """The sum of all samples that have these labels among theirs."""
        return sum(
            value
            for (found, theirs), value in self.samples.items()
            if found == PREFIX + name and frozenset(labels.items()) <= theirs
        )

    def labels(self, label: str) -> set[str]:
        """Every value of a label in the whole answer."""
        return {value for _, labels in self.samples for name, value in labels if name == label}


class Observed:
    """The daemon. `fault` makes transactions fail at the store's named points; `health` is what it
    says of itself, None: how it really fares."""

    def __init__(
        self, registry: FakeRegistry, directory: Path, settings: Mapping[str, Any]
    ) -> None:
        self.registry = registry
        self.path = directory / "config.yaml"
        self.document = document(registry.address, directory, **settings)
        self.write(self.document)
        self.health: HealthReport | None = None
        self.fault: Callable[[str], None] = lambda point: None

    def write(self, document: Mapping[str, Any]) -> None:
        draft = self.path.with_suffix(".draft")
        draft.write_text(json.dumps(document))
        draft.replace(self.path)

    def load(self) -> Config:
        return load(self.path, stages=OPTIONS, environment={})

    @asynccontextmanager
    async def working(self) -> AsyncIterator[Self]:
        """The daemon works inside the block, and is stopped in order at its end."""
        config = self.load()
        async with AsyncExitStack() as stack:
            meter = stack.enter_context(measured(config))
            assert isinstance(meter, PrometheusMeter)
            self.app = app_of(config, stack, lambda point: self.fault(point), meter)
            self.service = Service(self.app, self.load)
            self.exposition = Exposition(self.app, meter, self._report)
            serving = asyncio.create_task(self.service.run())
            try:
                yield self
            finally:
                self.fault = no_fault
                self.service.stop()
                await serving

    def _report(self) -> HealthReport:
        return self.health or self.service.vitals.health()

    async def scrape(self) -> Scrape:
        body, _ = await self.exposition()
        return Scrape(body)

    async def wait_for(
        self, name: str, expected: float | Callable[[float], bool], **labels: str
    ) -> float:
        """Scrape until the sample is as expected; its value."""
        deadline = time.monotonic() + PATIENCE
        while True:
            value = (await self.scrape()).value(name, **labels)
            if value is not None and _fits(value, expected):
                return value
            assert time.monotonic() < deadline, f"{name} {labels} is {value}, not {expected}"
            await asyncio.sleep(0.05)


def _fits(value: float, expected: float | Callable[[float], bool]) -> bool:
    return expected(value) if callable(expected) else value == expected


def document(address: str, directory: Path, **settings: Any) -> dict[str, Any]:
    """A config that polls one repository every second; `stages` are those of its pipeline, the
    rest goes to the account."""
    notifiers = settings.pop("notifiers", [])
    stages = settings.pop("stages", [{"command": ["true"], "name": "go"}])
    account = {
        "name": "main",
        "address": address,
        "plain_http": True,
        "repositories": [REPOSITORY],
        "poll": "1s",
        **settings,
    }
    return {
        "state": str(directory / "watcher.db"),
        "http": {"listen": "127.0.0.1:0"},
        "accounts": [account],
        "triggers": [
            {
                "name": "web",
                "account": "main",
                "repository": REPOSITORY,
                "order": "first_seen",
                "fire": "each",
                "pipeline": "deploy",
            }
        ],
        "pipelines": [{"name": "deploy", "stages": stages}],
        "notifiers": notifiers,
    }


def app_of(config: Config, stack: AsyncExitStack, fault: Fault, meter: Meter) -> App:
    """An App around a state file on which a test may make writing fail."""
    store = ThreadedStore(lambda: Store.open(config.state, fault=fault))
    stack.push_async_callback(store.close)
    app = App(
        config,
        store,
        StatusBoard(),
        HostLimits(),
        Rules.of(config.triggers, config.pipelines, {}),
        catalogs={},
        log=Log("error", stream=StringIO()),
        clock=time.time,
        environment={},
        meter=meter,
    )
    stack.push_async_callback(app.close)
    return app
