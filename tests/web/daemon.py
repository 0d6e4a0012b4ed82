"""A daemon's whole Service inside the test's event loop, with its HTTP side on a free port.

It polls a fake registry. Used by the tests of this directory only.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import jsonschema

from tests.system.watching import account, trigger
from tests.web.serving import PATIENCE, Answer, parse, until
from watcher.config.load import load
from watcher.daemon.app import App, opened
from watcher.daemon.service import Service
from watcher.stages import OPTIONS
from watcher.telemetry.log import Log
from watcher.testing.registry import FakeRegistry
from watcher.web.api.routes import OPERATIONS
from watcher.web.api.shapes import COMPONENTS

REPOSITORY = "acme/web"


@dataclass
class Working:
    """A daemon at work."""

    address: tuple[str, int]
    app: App
    log: StringIO

    async def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request; `body` as JSON, or bytes as they are."""
        content = body if isinstance(body, bytes) else b""
        names = {"host": "localhost", "connection": "close"}
        if body is not None and not isinstance(body, bytes):
            content = json.dumps(body).encode()
            names["content-type"] = "application/json"
        if content:
            names["content-length"] = str(len(content))
        names |= {key.lower(): value for key, value in (headers or {}).items()}
        lines = [f"{method} {path} HTTP/1.1", *(f"{key}: {value}" for key, value in names.items())]
        reader, writer = await asyncio.open_connection(*self.address)
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + content)
        try:
            return parse(await asyncio.wait_for(reader.read(), PATIENCE))
        finally:
            writer.close()

    async def get(self, path: str) -> Any:
        """The JSON of something that is there, and that is as described."""
        answer = await self.ask("GET", f"/api/v1{path}")
        assert answer.status == 200, answer
        check_shape("GET", path, answer.json)
        return answer.json

    async def post(self, path: str, body: Any = None) -> Answer:
        """An action; what it answers is as described."""
        answer = await self.ask("POST", f"/api/v1{path}", body)
        if answer.status < 300:
            check_shape("POST", path, answer.json)
        return answer

    def lines(self, event: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.log.getvalue().splitlines()]
        return [line for line in lines if line["event"] == event]

    async def baselined(self) -> None:
        """The first look at the repository is over; it is not waited for its turn."""
        await self.post("/poll")
        await until(lambda: self.app.board.get("main", REPOSITORY).known)


def check_shape(method: str, path: str, value: Any) -> None:
    """Raises ValidationError for an answer that is other than its operation declares."""
    words = path.partition("?")[0].split("/")
    fits = [each for each in OPERATIONS if each.method == method and _names(each.path, words)]
    schema = {**fits[0].answer, "components": {"schemas": COMPONENTS}}
    jsonschema.validate(value, schema, jsonschema.Draft202012Validator)


def _names(template: str, words: list[str]) -> bool:
    parts = template.split("/")
    same = [part == word or part.startswith("{") for part, word in zip(parts, words, strict=False)]
    return len(parts) == len(words) and all(same)


def document(
    registry: FakeRegistry,
    directory: Path,
    notifiers: Sequence[Mapping[str, Any]] = (),
    **http: str,
) -> dict[str, Any]:
    """A config that polls one repository every second; `fail` fails, `deploy` does not."""
    return {
        "state": str(directory / "watcher.db"),
        "http": {"listen": "127.0.0.1:0", **http},
        "notifiers": list(notifiers),
        "accounts": [account(registry.address, REPOSITORY, hold_above=2)],
        "triggers": [
            trigger("t", "deploy", REPOSITORY),
            trigger("broken", "fail", REPOSITORY, enabled=False),
        ],
        "pipelines": [
            {
                "name": "deploy",
                "parameters": {"size": {"default": "small"}},
                "stages": [{"name": "go", "command": ["true"]}],
            },
            {"name": "fail", "stages": [{"name": "go", "command": ["false"]}]},
        ],
    }


@asynccontextmanager
async def working(
    directory: Path,
    registry: FakeRegistry,
    notifiers: Sequence[Mapping[str, Any]] = (),
    **http: str,
) -> AsyncIterator[Working]:
    """Ends in order when the block does."""
    path = directory / "config.yaml"
    path.write_text(json.dumps(document(registry, directory, notifiers, **http)))
    config = load(path, stages=OPTIONS, environment={})
    stream = StringIO()
    log = Log("info", "json", stream)
    way_in = opened(config, log=log, clock=time.time, environment={}, command="test")
    async with way_in as app:
        service = Service(app, lambda: config)
        serving = asyncio.create_task(service.run())
        found = Working(("", 0), app, stream)
        await until(lambda: bool(found.lines("started")) or serving.done())
        host, _, port = found.lines("listening")[0]["address"].rpartition(":")
        found.address = (host, int(port))
        try:
            yield found
        finally:
            service.stop()
            await asyncio.wait_for(serving, PATIENCE)
