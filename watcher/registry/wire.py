"""Requests of one account on their way: turns and pace, time limits, redirects, capped bodies.

Knows nothing of logins but the one rule that matters: `Authorization` goes to the registry's own
origin only. Every failure to get an answer leaves as a TransportError or a ProtocolError.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import NamedTuple

from watcher.core.account import Account
from watcher.core.host import Counts
from watcher.errors import ProtocolError, RateLimited, RegistryError
from watcher.http_client import USER_AGENT, Connections
from watcher.registry.answer import Answer, failure, spec_error
from watcher.registry.budgets.limits import Lane, Priority
from watcher.registry.budgets.retries import Sleep, with_one_retry
from watcher.registry.budgets.retry_after import retry_after
from watcher.registry.realms import Guard
from watcher.registry.urls import absolute, origin_of
from watcher.telemetry.families import Count
from watcher.telemetry.meter import UNMEASURED, Meter

MAXIMUM_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_USER_AGENT = (b"User-Agent", USER_AGENT.encode())
_GZIP = (b"Accept-Encoding", b"gzip")
_PLAIN = (b"Accept-Encoding", b"identity")
_CODES = {code.value: str(code.value) for code in HTTPStatus}


class Destination(StrEnum):
    """Where a request goes on behalf of a registry: what its host is called, a stranger chooses."""

    REGISTRY = "registry"
    NATIVE = "native"
    TOKEN = "token"  # noqa: S105 - no password
    ELSEWHERE = "elsewhere"


class Ask(NamedTuple):
    """One thing asked of a registry. `what` names it in errors; `cap` bounds the body in bytes;
    `if_none_match` is the ETag of what is known already."""

    url: str
    what: str
    cap: int
    scope: str | None = None
    method: str = "GET"
    accept: bytes = b"application/json"
    compressed: bool = False
    priority: Priority = Priority.SCHEDULED
    counts: Counts = Counts.REQUESTS
    if_none_match: str | None = None


class Wire:
    """Sends requests over an account's connections, in the turns of its lane."""

    def __init__(
        self,
        account: Account,
        connections: Connections,
        lane: Lane,
        guard: Guard,
        sleep: Sleep,
        meter: Meter = UNMEASURED,
    ) -> None:
        self.host = account.registry.name
        self.origin = origin_of(account.registry.base_url + "/")
        self.lane = lane
        self._connections = connections
        self._guard = guard
        self._meter = meter
        self.sleep = sleep

    async def deliver(self, ask: Ask, authorization: str | None, home: str) -> Answer:
        """Send, follow redirects, and try once more after a failure of a moment.

        `authorization` goes to the origin `home` only, in each hop.
        """
        return await with_one_retry(lambda: self._follow(ask, authorization, home), self.sleep)

    async def send(
        self,
        method: str,
        url: str,
        headers: list[tuple[bytes, bytes]],
        cap: int,
        content: bytes = b"",
        *,
        priority: Priority = Priority.SCHEDULED,
        counts: Counts = Counts.REQUESTS,
        is_elsewhere: bool = False,
        to: Destination = Destination.REGISTRY,
    ) -> Answer:
        """One request, one answer, in its turn and within the time limits. `is_elsewhere`: at a
        host to which the registry redirected."""
        code = "none"
        async with self.lane.turn(priority, counts):
            try:
                reply = await self._connections.exchange(
                    method,
                    url,
                    headers,
                    cap=cap,
                    host=self.host,
                    content=content,
                    is_elsewhere=is_elsewhere,
                )
                code = _CODES.get(reply.status) or _class_of(reply.status)
            finally:
                self._meter.count(Count.REQUESTS, self.host, to, code)
        return Answer(reply.status, reply.headers, reply.body, url)

    def refuse(self, answer: Answer, ask: Ask, secrets: tuple[str, ...] = ()) -> RegistryError:
        """The error of an answer; a host that asks for patience (429, 503) gets it."""
        key = self.lane.key_of(ask.counts)
        return self.patience(answer, key) or failure(answer, self.host, ask.what, secrets)

    def patience(self, answer: Answer, key: str) -> RateLimited | None:
        """Park `key` when the answer asks for it, and say so; None when it does not."""
        told = answer.headers.get("retry-after")
        if answer.status != 429 and not (answer.status == 503 and told):
            return None
        message = spec_error(answer.body).message
        seconds = self.lane.park(key, retry_after(told, message, self.lane.now()))
        return RateLimited(
            f"{self.host} asks for patience ({answer.status}) for {seconds:.0f} s",
            host=self.host,
            status=answer.status,
            retry_after=timedelta(seconds=seconds),
        )

    async def _follow(self, ask: Ask, authorization: str | None, home: str) -> Answer:
        url = ask.url
        is_elsewhere = self._is_elsewhere(url)
        if is_elsewhere:  # a page, or a request with a token, where we were led before
            await self._guard.check(url, "next page")
        seen = {url}
        for _ in range(MAXIMUM_REDIRECTS + 1):
            headers = [
                _USER_AGENT,
                (b"Accept", ask.accept),
                _GZIP if ask.compressed else _PLAIN,
            ]
            if authorization is not None and origin_of(url) == home:
                headers.append((b"Authorization", authorization.encode("ascii")))
            if ask.if_none_match is not None:
                headers.append((b"If-None-Match", ask.if_none_match.encode("ascii")))
            answer = await self.send(
                ask.method,
                url,
                headers,
                ask.cap,
                priority=ask.priority,
                counts=ask.counts,
                is_elsewhere=is_elsewhere,
                to=_destination(ask.counts, is_elsewhere=is_elsewhere),
            )
            if ask.counts is Counts.NATIVE or origin_of(url) == self.origin:
                self.lane.note(answer, ask.counts)
            if answer.status not in _REDIRECTS:
                return answer
            url = await self._next_hop(answer, ask)
            if url in seen:
                raise self._lost(ask, "in a circle")
            seen.add(url)
            is_elsewhere = self._is_elsewhere(url)
        raise self._lost(ask, f"more than {MAXIMUM_REDIRECTS} times")

    def _is_elsewhere(self, url: str) -> bool:
        return origin_of(url) not in (self.origin, self.lane.dialect.native_url)

    async def _next_hop(self, answer: Answer, ask: Ask) -> str:
        url = absolute(answer.url, answer.headers.get("location") or "")
        if url is None:
            raise self._lost(ask, "to no place")
        if answer.url.startswith("https://") and not url.startswith("https://"):
            raise self._lost(ask, "from https to something else")
        if origin_of(url) != self.origin:
            await self._guard.check(url, "redirect target")
        return url

    def _lost(self, ask: Ask, where: str) -> ProtocolError:
        return ProtocolError(f"{self.host} redirects {ask.what} {where}", host=self.host)


def _destination(counts: Counts, *, is_elsewhere: bool) -> Destination:
    if is_elsewhere:
        return Destination.ELSEWHERE
    return Destination.NATIVE if counts is Counts.NATIVE else Destination.REGISTRY


def _class_of(status: int) -> str:
    """A code that no specification has, in so many words that a hostile server makes few."""
    return f"{status // 100}xx" if 100 <= status < 600 else "other"
