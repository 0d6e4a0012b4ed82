"""Docker Hub's login of its own API: nothing at first, a token for the password once refused.

`POST /v2/auth/token` (docs.docker.com "Docker Hub API"); the token is kept as long as its JWT
says. A password that is refused rests for an hour. Imported by asking.py.
"""

from __future__ import annotations

import asyncio
import json

from watcher.core.account import Credential
from watcher.core.host import Counts
from watcher.errors import TransportError
from watcher.http_client import USER_AGENT
from watcher.registry.answer import Answer
from watcher.registry.bodies import TOKEN_CAP
from watcher.registry.login.logins import Logins
from watcher.registry.login.tokens import BEARER, Token, parse_token
from watcher.registry.native.docker_hub import LOGIN_PATH
from watcher.registry.native.standing import REST
from watcher.registry.wire import Ask, Destination, Wire

_OK, _UNAUTHORIZED, _SERVER_ERROR = 200, 401, 500
_HIDDEN = frozenset({_UNAUTHORIZED, 403, 404})


class HubLogin:
    """Requests to Docker Hub's own API, with a login where one is needed."""

    def __init__(self, wire: Wire, logins: Logins) -> None:
        self._wire = wire
        self._logins = logins
        self._token: Token | None = None
        self._credential = Credential()
        self._refused_until = 0.0
        self._login = asyncio.Lock()

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self._token.header.removeprefix(BEARER),) if self._token else ()

    async def ask(self, ask: Ask, origin: str) -> Answer:
        """The answer; a refusal is repeated once with a (new) token, where there is a password."""
        sent = await self._kept()
        if sent is None and self._token is not None:  # it was needed before, and has run out
            sent = await self._new(None, origin)
        answer = await self._wire.deliver(ask, _header(sent), origin)
        if answer.status not in _HIDDEN or (sent and answer.status != _UNAUTHORIZED):
            return answer
        token = await self._new(sent, origin)
        if token is None:
            return answer
        return await self._wire.deliver(ask, _header(token), origin)

    async def _kept(self) -> Token | None:
        token = self._token
        if token is None or token.refresh_at <= self._wire.lane.now():
            return None
        return token if await self._logins.current() == self._credential else None

    async def _new(self, refused: Token | None, origin: str) -> Token | None:
        """A token made now, or by another request meanwhile."""
        async with self._login:
            kept = await self._kept()
            if kept is not None and kept is not refused:
                return kept
            self._token = None
            credential = await self._logins.current()
            if not credential.username or not credential.password:
                return None
            if credential == self._credential and self._wire.lane.now() < self._refused_until:
                return None
            self._logins.check_refusal(credential)
            self._credential = credential
            self._token = await self._log_in(credential, origin)
            if self._token is None:
                self._refused_until = self._wire.lane.now() + REST
            return self._token

    async def _log_in(self, credential: Credential, origin: str) -> Token | None:
        document = {"identifier": credential.username, "secret": credential.password}
        headers = [
            (b"User-Agent", USER_AGENT.encode()),
            (b"Accept", b"application/json"),
            (b"Accept-Encoding", b"identity"),
            (b"Content-Type", b"application/json"),
        ]
        content = json.dumps(document).encode()
        answer = await self._wire.send(
            "POST",
            f"{origin}{LOGIN_PATH}",
            headers,
            TOKEN_CAP,
            content,
            counts=Counts.NATIVE,
            to=Destination.TOKEN,
        )
        patience = self._wire.patience(answer, self._wire.lane.native_key)
        if patience is not None:
            raise patience
        if answer.status >= _SERVER_ERROR:
            raise TransportError(f"{LOGIN_PATH} answered {answer.status}", host=self._wire.host)
        if answer.status != _OK:
            return None
        try:
            return parse_token(answer.body, self._wire.lane.now())
        except ValueError:
            return None


def _header(token: Token | None) -> str | None:
    return token.header if token else None
