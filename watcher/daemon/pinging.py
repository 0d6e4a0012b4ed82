"""The dead-man ping: called only when every account was really polled since the last one.

A watcher that stands still, can't reach a registry or leaves one repository out is silent, and who
listens raises the alarm. What the ping vouches for is in `core.freshness.is_polled`.
"""

from __future__ import annotations

import asyncio

from watcher.core import freshness
from watcher.core.notifier import Ping
from watcher.daemon.app import App
from watcher.daemon.lookout import Lookout
from watcher.errors import WatcherError
from watcher.telemetry.events import Event

LOOK = 5.0
PATIENCE = 60.0
"""Seconds until a ping that failed is tried again."""


class Pinger:
    """Pings for one App."""

    def __init__(self, app: App, lookout: Lookout) -> None:
        self._app = app
        self._lookout = lookout
        self._since = app.clock()
        self._due: float | None = None

    async def run(self) -> None:
        """Ping as often as the config says, for ever; the config may come to say it later."""
        while True:
            ping = self._app.config.ping
            if ping is not None:
                await self.look(ping)
            await asyncio.sleep(min(LOOK, ping.every.total_seconds()) if ping else LOOK)

    async def look(self, ping: Ping) -> None:
        """Not at once after the start: a process that dies again and again is not well."""
        every, now = ping.every.total_seconds(), self._app.clock()
        if self._due is None or self._due > now + every:  # or set back, or another config
            self._due = now + every
        if now < self._due or not self._all_polled():
            return
        wait = every if await self.ping(ping) else min(every, PATIENCE)
        self._due = self._app.clock() + wait

    async def ping(self, ping: Ping) -> bool:
        """Call it now; a failure is a line in the log, not more."""
        from watcher.http_client import Connections, HttpSettings
        from watcher.notifiers.ping import call

        began = self._app.clock()
        try:
            await call(ping, self._app.environment, Connections(HttpSettings()).client)
        except WatcherError as error:
            self._app.log.warning(Event.PING_FAILED, error=str(error), hint=error.hint)
            return False
        except Exception as error:  # its text may hold the URL
            fault = f"fault in watcher: {type(error).__name__}"
            self._app.log.warning(Event.PING_FAILED, error=fault)
            return False
        self._since = began
        return True

    def _all_polled(self) -> bool:
        now, accounts = self._app.clock(), self._lookout.accounts()
        return bool(accounts) and all(
            freshness.is_polled(account, self._since, now) for account in accounts
        )
