"""uvicorn inside the daemon's own event loop: one task of its group, without signals, logging or
access log of its own. The composition root binds it before anything starts, so that an address
that can't be had is an error of the start and not of a task.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from watcher.core.serving import HttpSettings
from watcher.errors import ListenError
from watcher.telemetry.events import Event
from watcher.telemetry.log import Log
from watcher.web.connection import BoundedConfig, BoundedProtocol
from watcher.web.limits import Limits

SHED_SECONDS = 60.0
"""How often the log says at most that connections were cut off."""

_HINTS = {
    errno.EADDRINUSE: "another program has the port: stop it, or choose another in `http.listen`",
    errno.EACCES: "ports below 1024 need a right of their own: choose one above in `http.listen`",
    errno.EADDRNOTAVAIL: "this machine has no such address; `0.0.0.0` takes all that it has",
}


class HttpServer:
    """Serves one application at the address of the settings. Made anew for each start."""

    def __init__(
        self, application: Any, settings: HttpSettings, *, log: Log, limits: Limits | None = None
    ) -> None:
        self._log = log
        self._settings = settings
        self._limits = limits or Limits()
        self._socket: socket.socket | None = None
        self._shed = 0
        self._said_shed: float | None = None
        self._server = _Embedded(self._config(application))

    def bind(self) -> str:
        """Take the address; it as `HOST:PORT`, with the port that was found for port 0. Raises
        ListenError. From now on clients can connect, and wait for `serve`."""
        host = self._settings.address
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # Only where the protocol is named does asyncio switch Nagle's algorithm off, which would
        # hold each answer's body back for 40 ms.
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((host, self._settings.port))
            listening.listen(self._limits.queue)
        except OSError as error:
            listening.close()
            raise _no_address(self._settings, error) from error
        self._socket = listening
        address = _text(*listening.getsockname()[:2])
        self._log.info(Event.LISTENING, address=address)
        return address

    async def serve(self) -> None:
        """Serve until `stop`; then answer what is under way, within the limits' time."""
        assert self._socket is not None  # the root binds first
        try:
            await self._server.serve([self._socket])
        finally:
            for listener in self._server.servers:
                listener.close()
            for connection in list(self._server.server_state.connections):
                if isinstance(connection, BoundedProtocol):
                    connection.cut_off()

    def stop(self) -> None:
        """Take no more connections; `serve` ends soon."""
        self._server.end()

    def close(self) -> None:
        """Give the address back, where `serve` was never begun."""
        if self._socket is not None:
            self._socket.close()

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._server.server_state.connections)

    def _config(self, application: Any) -> BoundedConfig:
        limits = self._limits
        config = BoundedConfig(
            application,
            http=BoundedProtocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="critical",  # what a stranger sends is no news, and would fill the log
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            backlog=limits.at_once,
            timeout_keep_alive=limits.idle_seconds,
            timeout_graceful_shutdown=limits.drain_seconds,
        )
        config.limits, config.on_shed = limits, self._shed_one
        return config

    def _shed_one(self) -> None:
        self._shed += 1
        now = asyncio.get_running_loop().time()
        if self._said_shed is None or now - self._said_shed >= SHED_SECONDS:
            self._log.warning(
                Event.CONNECTIONS_SHED, count=self._shed, most=self._limits.connections
            )
            self._shed, self._said_shed = 0, now


class _Embedded(uvicorn.Server):
    """Without signals, which are the daemon's, and without uvicorn's ten looks a second."""

    def __init__(self, config: BoundedConfig) -> None:
        super().__init__(config)
        self.servers = []
        self._settings = config
        self._ended = asyncio.Event()

    def end(self) -> None:
        self.should_exit = self._settings.is_ending = True
        self._ended.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """asyncio takes one number for how many are accepted at a time and how many may wait in
        the kernel; where few may wait, a knock that is not heard is repeated a second later."""
        await super().startup(sockets)
        for listening in sockets or ():
            listening.listen(self._settings.limits.queue)

    async def main_loop(self) -> None:
        await self._ended.wait()


def _no_address(settings: HttpSettings, error: OSError) -> ListenError:
    address = _text(settings.host, settings.port)
    reason = (error.strerror or str(error)).lower()
    return ListenError(
        f"can't listen on {address}: {reason}",
        hint=_HINTS.get(error.errno or 0, "see `http.listen` in the config"),
    )


def _text(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
