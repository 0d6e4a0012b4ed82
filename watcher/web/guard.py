"""The outermost layer of the application: sizes of requests, headers of every answer, and nothing
of a fault for strangers. Plain ASGI, so that it holds for whatever is mounted inside.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from email.utils import formatdate
from http import HTTPStatus

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from watcher.telemetry.events import Event
from watcher.telemetry.log import Log
from watcher.web.limits import Limits
from watcher.web.refusals import Refused, refusal_body

Header = tuple[bytes, bytes]

_ALWAYS: tuple[Header, ...] = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
"""For every answer that does not say otherwise itself."""


class Guard:
    """Wraps an application. `Refused` is raised where the application reads too much, which its
    own handlers answer; what comes before it is answered here."""

    def __init__(self, application: ASGIApp, *, log: Log, limits: Limits) -> None:
        self._application = application
        self._log = log
        self._limits = limits
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        answer = _Answer(send)
        body = _Body(self, receive)
        try:
            refusal = self._refusal(scope["headers"])
            if refusal is not None:
                await answer.refuse(*refusal)
                return
            async with asyncio.timeout(self._limits.answer_seconds):
                await self._application(scope, body, answer)
        except ClientDisconnect:
            return  # in the middle of its body: there is nobody left to answer, and nothing amiss
        except TimeoutError:
            if not answer.is_begun:
                await answer.refuse(HTTPStatus.SERVICE_UNAVAILABLE, "the answer took too long")
        except Exception as error:
            self._log.error(Event.INTERNAL_ERROR, error=repr(error), where="http")
            if not answer.is_begun:
                await answer.refuse(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error")
        finally:
            self._held -= self._shared(body.size)

    def take(self, of_this: int, more: int) -> None:
        """Account for bytes of a body that holds `of_this` already; raises Refused."""
        if of_this + more > self._limits.body_bytes:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, self._too_large)
        shared = self._shared(of_this + more) - self._shared(of_this)
        if shared and self._held + shared > self._limits.bodies_bytes:
            raise Refused(
                HTTPStatus.SERVICE_UNAVAILABLE, "too much at once", headers={"retry-after": "10"}
            )
        self._held += shared

    def _shared(self, size: int) -> int:
        """How much of a body is not its own."""
        return max(0, size - self._limits.own_bytes)

    def _refusal(self, headers: Iterable[Header]) -> tuple[HTTPStatus, str] | None:
        """What can be said before the body is read, and without an application."""
        pairs = list(headers)
        if sum(len(name) + len(value) + 4 for name, value in pairs) > self._limits.head_bytes:
            return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the headers are too large"
        announced = dict(pairs).get(b"content-length", b"0")
        if int(announced) > self._limits.body_bytes:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, self._too_large
        return None

    @property
    def _too_large(self) -> str:
        return f"a body may have {self._limits.body_bytes} bytes"


class _Body:
    """A request's body on its way in, counted."""

    def __init__(self, guard: Guard, receive: Receive) -> None:
        self.size = 0
        self._guard = guard
        self._receive = receive

    async def __call__(self) -> Message:
        message = await self._receive()
        more = len(message.get("body", b""))
        if more:
            self._guard.take(self.size, more)
            self.size += more
        return message


class _Answer:
    """An answer on its way out, with the headers that every one has."""

    def __init__(self, send: Send) -> None:
        self.is_begun = False
        self._send = send

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.is_begun = True
            own = list(message.get("headers", []))
            said = {name.lower() for name, _ in own}
            added = [header for header in _ALWAYS if header[0] not in said]
            date = (b"date", formatdate(usegmt=True).encode())
            message = {**message, "headers": [date, *added, *own]}
        await self._send(message)

    async def refuse(self, status: HTTPStatus, error: str) -> None:
        body = refusal_body(error)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ]
        await self({"type": "http.response.start", "status": status, "headers": headers})
        await self({"type": "http.response.body", "body": body})
