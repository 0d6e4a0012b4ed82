"""FakeRegistry: a container registry on a real loopback socket, for tests and for the demo.

    async with FakeRegistry(auth=BearerAuth(users={"acme": "secret"})) as registry:
        digest = registry.push("acme/web", "1.0")
        registry.fault(Fault(match=Match(kind=Kind.TAGS), times=1, action=Respond(503)))
        ... point a client at registry.address ...
        assert registry.count(Kind.TAGS) == 2

It can play a kind of registry: `FakeRegistry(profile=PROFILES["quay"], users={"acme": "secret"})`,
with PROFILES of `watcher.testing.profiles`.

By hand: `python -m watcher.testing.registry --port 5000`, then
`curl -X POST 'localhost:5000/_admin/push?repository=acme/web&tag=1.1'`. With
`--profile quay --user 'acme+robot:secret' --public acme/open` it behaves as Quay does.
Anyone may import it; it imports neither pytest nor an HTTP client.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from watcher.testing import admin
from watcher.testing.access import Auth, token_path
from watcher.testing.answers import Answers
from watcher.testing.connection import Connection, Visit
from watcher.testing.content import Content
from watcher.testing.doorkeeper import Doorkeeper
from watcher.testing.faults import Fault, FaultTable
from watcher.testing.limits import Quota, RateLimit
from watcher.testing.native.call import Call
from watcher.testing.paging import Paging
from watcher.testing.profile import Profile, auth_of
from watcher.testing.records import Counters, Kind, Recorded, Route, record, route
from watcher.testing.wire import Request, Response, decoded_path, error_response


class FakeRegistry(Content):
    """A registry that serves what was pushed into it, and misbehaves where it is told to.

    profile: the kind of registry that it plays; without one it is a plain registry.
    users: name to password, for the profile's way to log in; without any everyone reads all.
    public: repositories that may be read without a user, where there are users and the kind of
        registry knows that.
    admins: users who may list all there is; None: as the profile has it.
    version: what it says of itself, where the profile does.
    limits: quotas that are in force; what they leave open is the profile's.
    auth: NoAuth(), BasicAuth(...) or BearerAuth(...) of `watcher.testing.access`, in place of
        the profile's; may be replaced while it runs (`registry.auth = ...`), which forgets all
        tokens.
    paging: how lists are cut, see `watcher.testing.paging.Paging`, in place of the profile's; may
        be replaced, too.
    tls: a server-side context makes it speak https.
    needs_accept: a manifest whose media type the request does not accept is "unknown", as
        distribution answers; False serves it anyway.
    host, port: where it listens; port 0 takes a free one.
    clock: epoch seconds, for the life of tokens, quotas, and when tags were pushed.
    keeps: how many requests the log holds, the oldest are dropped.

    Everything that Content has (push, move, delete_tag, seed ...) may be called at any time,
    also from another thread.
    """

    def __init__(
        self,
        *,
        profile: Profile | None = None,
        users: Mapping[str, str] | None = None,
        public: Collection[str] = (),
        admins: Collection[str] | None = None,
        version: str | None = None,
        limits: RateLimit | Sequence[RateLimit] = (),
        auth: Auth | None = None,
        paging: Paging | None = None,
        tls: ssl.SSLContext | None = None,
        needs_accept: bool = True,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Callable[[], float] = time.time,
        keeps: int = 10_000,
    ) -> None:
        super().__init__(clock)
        profile = profile or Profile()
        self.counters = Counters()
        self.version = profile.version if version is None else version
        self._listen = (host, port)
        self._tls = tls
        self._needs_accept = needs_accept
        self._profile = profile if paging is None else _paged(profile, paging)
        self.auth = auth or auth_of(profile, users or {}, frozenset(public), _set(admins))
        self._answers = Answers(self, self._profile, needs_accept=needs_accept)
        self.limits = (limits,) if isinstance(limits, RateLimit) else limits
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
        self._doorkeeper = Doorkeeper(auth, self._clock, lambda name: self.tags(name) is not None)

    @property
    def profile(self) -> Profile:
        return self._profile

    @profile.setter
    def profile(self, profile: Profile) -> None:
        """Its answers change, its users do not."""
        self._profile = profile
        self._answers = Answers(self, profile, needs_accept=self._needs_accept)

    @property
    def paging(self) -> Paging:
        return self._profile.paging

    @paging.setter
    def paging(self, paging: Paging) -> None:
        self.profile = _paged(self._profile, paging)

    @property
    def limits(self) -> Sequence[RateLimit]:
        return self._limits

    @limits.setter
    def limits(self, limits: Sequence[RateLimit]) -> None:
        """Quotas that are in force from now on, unused."""
        self._limits = tuple(self._profile.limit_like(limit) for limit in limits)
        self._quotas = [Quota(limit, self._clock) for limit in self._limits]

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
        self._doorkeeper.tokens.revoke()

    def rotate_password(self, user: str, password: str) -> None:
        """From now on the user has this password; the one before it is an expired one."""
        self._doorkeeper.passwords.rotate(user, password)

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
            try:
                yield registry
            finally:
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
        where = route(request, token_path(self.auth), self._profile.route_native)
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
        refusals = [quota.refusal(request, where) for quota in self._quotas]
        refusal = next((one for one in refusals if one is not None), None)
        answer = refusal or self._granted(request, where)
        told = [pair for quota in self._quotas for pair in quota.headers(where)]
        told += [(name, text.format(version=self.version)) for name, text in self._profile.headers]
        if where.kind in self._profile.closes:
            told.append(("Connection", "close"))
        return replace(answer, headers=(*answer.headers, *told)) if told else answer

    def _granted(self, request: Request, where: Route) -> Response:
        """The answer where no quota is in the way."""
        door = self._doorkeeper
        if where.kind is Kind.TOKEN:
            before = door.tokens.issued
            response = door.token(request)
            self.counters.tokens += door.tokens.issued - before
            return response
        native = self._profile.native
        if native is not None and native.route(decoded_path(request)) is not None:
            call = Call(request, where, self.url, self, door, self.version)
            return _natively(native.answer, call)
        refusal = None if where.kind is Kind.PROBE else door.refusal(request, where, self.url)
        return refusal or self._answers.answer(request, where, self.url, door.user(request))

    def _close_connections(self) -> None:
        for connection in tuple(self._connections):
            connection.close()


def _natively(answer: Callable[[Call], Response], call: Call) -> Response:
    try:
        return answer(call)
    except ValueError as error:
        return error_response(400, "BAD_REQUEST", str(error))


def _paged(profile: Profile, paging: Paging) -> Profile:
    return replace(profile, paging=paging, catalog=paging)


def _set(names: Collection[str] | None) -> frozenset[str] | None:
    return None if names is None else frozenset(names)


if __name__ == "__main__":
    sys.exit(admin.main(FakeRegistry))
