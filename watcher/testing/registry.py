"""FakeRegistry: a container registry on a real loopback socket, for tests and for the demo.

    async with FakeRegistry(auth=BearerAuth(users={"acme": "secret"})) as registry:
        digest = registry.push("acme/web", "1.0")
        registry.fault(Fault(match=Match(kind=Kind.TAGS), times=1, action=Respond(503)))
        ... point a client at registry.address ...
        assert registry.count(Kind.TAGS) == 2

By hand: `python -m watcher.testing.registry --port 5000`, then
`curl -X POST 'localhost:5000/_admin/push?repository=acme/web&tag=1.1'`.
Anyone may import it; it imports neither pytest nor an HTTP client.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from watcher.testing import admin
from watcher.testing.access import Auth, Doorkeeper, NoAuth
from watcher.testing.answers import Answers
from watcher.testing.connection import Connection, Visit
from watcher.testing.content import Content
from watcher.testing.faults import Fault, FaultTable
from watcher.testing.paging import Paging
from watcher.testing.records import Counters, Kind, Recorded, Route, record, route
from watcher.testing.wire import Request, Response


class FakeRegistry(Content):
    """A registry that serves what was pushed into it, and misbehaves where it is told to.

    auth: NoAuth(), BasicAuth(...) or BearerAuth(...) of `watcher.testing.access`; may be
        replaced while it runs (`registry.auth = ...`), which forgets all tokens.
    paging: how lists are cut, see `watcher.testing.paging.Paging`; may be replaced, too.
    tls: a server-side context makes it speak https.
    needs_accept: a manifest whose media type the request does not accept is "unknown", as
        distribution answers; False serves it anyway.
    host, port: where it listens; port 0 takes a free one.
    clock: epoch seconds, for the life of tokens.
    keeps: how many requests the log holds, the oldest are dropped.

    Everything that Content has (push, move, delete_tag, seed ...) may be called at any time,
    also from another thread.
    """

    def __init__(
        self,
        *,
        auth: Auth | None = None,
        paging: Paging | None = None,
        tls: ssl.SSLContext | None = None,
        needs_accept: bool = True,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Callable[[], float] = time.time,
        keeps: int = 10_000,
    ) -> None:
        super().__init__()
        self.counters = Counters()
        self._listen = (host, port)
        self._tls = tls
        self._clock = clock
        self._needs_accept = needs_accept
        self._doorkeeper = Doorkeeper(auth or NoAuth(), clock)
        self._answers = Answers(self, paging or Paging(), needs_accept=needs_accept)
        self._faults = FaultTable()
        self._log: deque[Recorded] = deque(maxlen=keeps)
        self._connections: set[Connection] = set()
        self._playing: set[asyncio.Task[None]] = set()
        self._opened = 0
        self._server: asyncio.Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def address(self) -> str:
        """`host:port`, as an account's `address` takes it; RuntimeError before the start."""
        if self._server is None:
            raise RuntimeError("the fake registry is not running")
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"{host}:{port}"

    @property
    def url(self) -> str:
        """`http://host:port`, or https with TLS."""
        return f"{'https' if self._tls else 'http'}://{self.address}"

    @property
    def auth(self) -> Auth:
        return self._doorkeeper.auth

    @auth.setter
    def auth(self, auth: Auth) -> None:
        self._doorkeeper = Doorkeeper(auth, self._clock)

    @property
    def paging(self) -> Paging:
        return self._answers.paging

    @paging.setter
    def paging(self, paging: Paging) -> None:
        self._answers = Answers(self, paging, needs_accept=self._needs_accept)

    @property
    def requests(self) -> list[Recorded]:
        """The log of requests, oldest first; secrets are not in it."""
        return list(self._log)

    def requests_of(self, kind: Kind, repository: str | None = None) -> list[Recorded]:
        """The log's requests of a kind, and where one is given of a repository."""
        return [
            entry
            for entry in self._log
            if entry.kind is kind and repository in (None, entry.repository)
        ]

    def count(self, kind: Kind, repository: str | None = None) -> int:
        """How many requests of a kind came (of one repository: as far as the log reaches)."""
        if repository is None:
            return self.counters.requests[kind]
        return len(self.requests_of(kind, repository))

    def reset_log(self) -> None:
        """Empty the log and set the counters to 0."""
        self._log.clear()
        self.counters = Counters()

    def fault(self, fault: Fault) -> None:
        """Set a fault; it stands behind those that are set already."""
        self._faults.add(fault)

    def clear_faults(self) -> None:
        """From now on nothing goes wrong."""
        self._faults.clear()

    def revoke_tokens(self) -> None:
        """No token given out so far is accepted any more."""
        self._doorkeeper.revoke()

    def close_connections(self) -> None:
        """Close all open connections, as a server does with idle ones."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._close_connections)

    async def start(self) -> None:
        """Listen. `async with` does it."""
        loop = self._loop = asyncio.get_running_loop()
        host, port = self._listen
        self._server = await loop.create_server(
            lambda: Connection(self), host, port, ssl=self._tls, backlog=1024
        )

    async def stop(self) -> None:
        """Stop listening and close all connections; `start` takes the same port again."""
        if self._server is None:
            return
        host, port = self.address.rsplit(":", 1)
        self._listen = (host, int(port))
        self._server.close()
        self._close_connections()
        for task in self._playing:
            task.cancel()
        await asyncio.gather(*self._playing, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    @classmethod
    @contextmanager
    def in_thread(cls, **settings: Any) -> Iterator[Self]:
        """Run one in a thread of its own, for tests that are not async or start programs.

        Takes the arguments of the constructor.
        """
        registry = cls(**settings)
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="fake-registry", daemon=True)
        thread.start()
        try:
            asyncio.run_coroutine_threadsafe(registry.start(), loop).result()
            yield registry
            asyncio.run_coroutine_threadsafe(registry.stop(), loop).result()
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def opened(self, connection: Connection) -> int:
        """For connections: one was opened; returns its number."""
        self._connections.add(connection)
        self.counters.connections += 1
        self._opened += 1
        return self._opened

    def closed(self, connection: Connection) -> None:
        """For connections: one was closed."""
        self._connections.discard(connection)

    def playing(self, task: asyncio.Task[None]) -> None:
        """For connections: a fault is being played."""
        self._playing.add(task)
        task.add_done_callback(self._playing.discard)

    def visit(self, request: Request, connection: int) -> Visit:
        """For connections: take one request in, and say how it is to be answered."""
        where = route(request)
        entry = record(request, where, connection)
        if admin.is_admin(request):
            return Visit(where, entry, None, lambda: admin.answer(self, request), is_admin=True)
        self._log.append(entry)
        self.counters.requests[where.kind] += 1
        action = self._faults.take(request, where)
        self.counters.faults += action is not None
        return Visit(where, entry, action, lambda: self._answer(request, where))

    def answered(self, visit: Visit, status: int) -> None:
        """For connections: a response with this status is being sent."""
        visit.entry.status = status
        if not visit.is_admin:
            self.counters.statuses[status] += 1

    def _answer(self, request: Request, where: Route) -> Response:
        if where.kind is Kind.TOKEN:
            before = self._doorkeeper.issued
            response = self._doorkeeper.token(request)
            self.counters.tokens += self._doorkeeper.issued - before
            return response
        refusal = self._doorkeeper.refusal(request, where.scope, self.url)
        return refusal or self._answers.answer(request, where, self.url)

    def _close_connections(self) -> None:
        for connection in tuple(self._connections):
            connection.close()


if __name__ == "__main__":
    sys.exit(admin.main(FakeRegistry))
