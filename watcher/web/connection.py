"""One connection of a client, and the crowd of all: deadlines and caps that uvicorn does not have.

uvicorn's h11 protocol bounds how long a connection may idle between requests, and nothing else: a
client may send a header, a body or read an answer as slowly as it likes, in any number. So its
protocol is extended here by one timer for what a connection does at the moment, and by a cap: one
connection too many costs the one that has been waiting for its client the longest, so that whoever
sends a whole request, as a probe does, is served beside a thousand who drip. Whoever sends the next
request before it has its answer gets that answer and no other: a connection full of requests would
always be at one, and so never have to go. Only `server` imports this.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable
from enum import Enum
from http import HTTPStatus
from typing import Any

import h11
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from watcher.web.limits import Limits
from watcher.web.refusals import refusal_body


class Phase(Enum):
    """What a connection waits for."""

    HEAD = "head"
    BODY = "body"
    ANSWER = "answer"
    LEAVING = "leaving"


class BoundedConfig(Config):
    """uvicorn's settings, and ours for each connection."""

    limits = Limits()
    on_shed: Callable[[], None]
    is_ending = False


class _Bounded(h11.Connection):
    """h11's, which bounds bytes but not in how many chunks they come, and takes chunks where a
    length is given too: whoever passed the request on may have counted that, and let another
    request hide in it (RFC 9112, section 6.3)."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(h11.SERVER, limits.head_bytes)
        self.asks_for_head = False
        self._limits = limits
        self._chunks = self._size = 0

    def next_event(self) -> Any:
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._chunks = self._size = 0
            self.asks_for_head = event.method == b"HEAD"
            _check_one_length(event)
        elif isinstance(event, h11.Data):
            self._size += len(event.data)
            self._chunks += event.chunk_end
            self._check_chunks()
        return event

    def _check_chunks(self) -> None:
        limits = self._limits
        if self._chunks > limits.chunks and self._size < self._chunks * limits.chunk_bytes:
            raise h11.RemoteProtocolError(
                "too many chunks", error_status_hint=HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            )


def _check_one_length(request: h11.Request) -> None:
    if {b"content-length", b"transfer-encoding"} <= {name for name, _ in request.headers}:
        raise h11.RemoteProtocolError("a length and chunks")


class BoundedProtocol(H11Protocol):
    """uvicorn's protocol with a deadline for each phase."""

    conn: _Bounded

    def __init__(
        self,
        config: BoundedConfig,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.conn = _Bounded(config.limits)
        self.phase: Phase | None = None
        self.since = 0.0
        self.is_gone = False
        self._settings = config
        self._limits = config.limits
        self._timer: asyncio.TimerHandle | None = None
        self._taken = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self._settings.is_ending:  # accepted just before the end, unknown to uvicorn's shutdown
            self.cut_off()
            return
        self._look()
        self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_gone = True
        self._disarm()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._taken += len(data)
        if self._taken > self._limits.request_bytes:
            self.cut_off()
            return
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        self.phase, self._taken = None, 0
        if self._is_ahead():
            self.transport.close()
        super().on_response_complete()
        self._look()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._look()

    def shutdown(self) -> None:
        super().shutdown()
        self._look()

    def send_400_response(self, msg: str) -> None:
        """h11 could not read the request; it knows the status that fits."""
        error = sys.exception()
        status = getattr(error, "error_status_hint", HTTPStatus.BAD_REQUEST)
        self._refuse(HTTPStatus(status), "this is no HTTP/1.1 request that can be served")

    def cut_off(self) -> None:
        """Close at once, whatever is under way."""
        self.is_gone = True
        self.transport.abort()

    def _is_ahead(self) -> bool:
        """Whether more came than the request that is answered now."""
        more, _ = self.conn.trailing_data
        return self.conn.their_state is h11.DONE and bool(more.strip(b"\r\n"))

    def _look(self) -> None:
        """Begin the time of a phase that was entered."""
        phase = self._present_phase()
        if phase is self.phase or self.is_gone:
            return
        self.phase, self.since = phase, self.loop.time()
        self._disarm()
        self._timer = self.loop.call_later(self._allowed(phase), self._too_slow)

    def _present_phase(self) -> Phase:
        if self.transport.is_closing():
            return Phase.LEAVING
        if self.conn.their_state is h11.IDLE:
            return Phase.HEAD
        if self.conn.their_state is h11.SEND_BODY:
            return Phase.BODY
        return Phase.ANSWER

    def _allowed(self, phase: Phase) -> float:
        limits = self._limits
        return {
            Phase.HEAD: limits.head_seconds,
            Phase.BODY: limits.body_seconds,
            Phase.ANSWER: limits.answer_seconds + limits.linger_seconds,
            Phase.LEAVING: limits.linger_seconds,
        }[phase]

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        waits_for_client = self.phase in (Phase.HEAD, Phase.BODY)
        if waits_for_client and self._taken and self.conn.our_state in _MAY_ANSWER:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "the request took too long to come")
            self._look()
        else:
            self.cut_off()

    def _refuse(self, status: HTTPStatus, error: str) -> None:
        """Answer without the application, and close. A request under way is over for it."""
        if self.conn.our_state not in _MAY_ANSWER:
            self.cut_off()
            return
        body = refusal_body(error)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        for event in (
            h11.Response(status_code=status, headers=headers, reason=status.phrase.encode()),
            h11.Data(data=b"" if self._is_asked_for_head() else body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _is_asked_for_head(self) -> bool:
        """Whether what is answered is a HEAD, so that no body may follow."""
        return self.conn.our_state is h11.SEND_RESPONSE and self.conn.asks_for_head

    def _make_room(self) -> None:
        here = [each for each in _bounded(self.connections) if not each.is_gone]
        if len(here) <= self._limits.connections:
            return
        others = [each for each in here if each is not self]
        waiting = [each for each in others if each.phase is not Phase.ANSWER]
        leaving = [each for each in waiting if each.phase is Phase.LEAVING]
        min(leaving or waiting or others, key=lambda each: each.since).cut_off()
        self._settings.on_shed()


_MAY_ANSWER = (h11.IDLE, h11.SEND_RESPONSE)


def _bounded(connections: Iterable[object]) -> list[BoundedProtocol]:
    return [each for each in connections if isinstance(each, BoundedProtocol)]
