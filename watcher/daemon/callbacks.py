"""Tells Docker Hub that a delivery arrived, where its payload asks for that: later, and once.

Only a URL of Docker Hub's is ever called, at addresses that were checked; a failure is a line of
the log. "Validate a webhook callback" of the documentation of Docker Hub.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import timedelta

from watcher.core.account import Timeouts
from watcher.core.reference import DOCKER_HUB_NAME, Registry
from watcher.errors import WatcherError
from watcher.http_client.connections import Connections
from watcher.http_client.settings import USER_AGENT, HttpSettings
from watcher.registry.realms import Guard, Resolve, resolve_by_system
from watcher.telemetry.events import Event
from watcher.telemetry.log import Log
from watcher.web.hooks.callback import is_docker_hub

MOST_WAITING = 100
LONGEST = 10.0
"""Seconds for one call."""
_ANSWER_CAP = 64 * 1024
_SAID = {
    "state": "success",
    "description": "The repository is being looked at.",
    "context": "registry-watcher",
}
_TIMEOUTS = Timeouts(connect=timedelta(seconds=5), read=timedelta(seconds=5))


class Callbacks:
    """Calls, one after another, whatever `add` was given; `run` is a task of the daemon."""

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        log: Log,
        resolve: Resolve = resolve_by_system,
    ) -> None:
        self._log = log
        self._urls: asyncio.Queue[str] = asyncio.Queue(MOST_WAITING)
        self._connections = Connections(HttpSettings(timeouts=_TIMEOUTS), environment=environment)
        self._guard = Guard(
            Registry.parse(DOCKER_HUB_NAME),
            resolve=resolve,
            pin=self._connections.pin,
            is_proxied=lambda origin: self._connections.proxy_for(origin) is not None,
        )

    def add(self, url: str) -> None:
        """Call it when its turn comes; one that is not Docker Hub's never."""
        if not is_docker_hub(url):
            self._failed("the payload names a callback that is not Docker Hub's; it is not called")
            return
        try:
            self._urls.put_nowait(url)
        except asyncio.QueueFull:
            self._failed(f"more than {MOST_WAITING} callbacks wait; one is left out")

    async def run(self) -> None:
        """For ever."""
        try:
            while True:
                await self._call(await self._urls.get())
        finally:
            await self._connections.aclose()

    async def _call(self, url: str) -> None:
        try:
            async with asyncio.timeout(LONGEST):
                await self._guard.check(url, "callback")
                status = await self._post(url)
        except WatcherError as error:
            self._failed(str(error))
        except TimeoutError:
            self._failed(f"no answer to a callback within {LONGEST:g} s")
        except Exception as error:  # what a stranger named must not end the daemon
            self._log.error(Event.INTERNAL_ERROR, error=repr(error), where="callback")
        else:
            if not 200 <= status < 300:
                self._failed(f"the callback was answered {status}")

    async def _post(self, url: str) -> int:
        headers = [
            (b"User-Agent", USER_AGENT.encode()),
            (b"Content-Type", b"application/json"),
        ]
        reply = await self._connections.exchange(
            "POST",
            url,
            headers,
            cap=_ANSWER_CAP,
            host="Docker Hub",
            content=json.dumps(_SAID).encode(),
        )
        return reply.status

    def _failed(self, reason: str) -> None:
        """The URL itself is not said: it is as good as a password for this one delivery."""
        self._log.warning(Event.CALLBACK_FAILED, sender="dockerhub", error=reason)
