"""The credential of an account at work: tokens for it, asked for once, and rest when it is refused.

However many requests need the same token, one asks and all share its result or its error. The
password goes only to a token server that was checked, and whose host is the one first seen (or
known beforehand). A refused credential is left alone for a while, lest the account be locked.
Only auth.py imports it. field facts: registries.md sections 1.3, 1.4 and 1.7.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple

from watcher.core.account import Credential, CredentialProvider, CredentialStanding
from watcher.core.reference import Registry
from watcher.errors import (
    AccessDenied,
    AuthenticationFailed,
    CredentialError,
    ProtocolError,
    WatcherError,
)
from watcher.registry.login.token_server import (
    BatchRefused,
    CredentialRefused,
    Realm,
    TokenRequest,
    TokenServer,
    secrets_of,
)
from watcher.registry.login.tokens import Token, TokenCache, TokenKey
from watcher.registry.realms import Guard, expected_token_host

FIRST_PAUSE = 60.0
LONGEST_PAUSE = 900.0
_ANONYMOUS_ELSEWHERE = -1


class _Refusal(NamedTuple):
    """A credential that was refused, why, and until when (epoch seconds) it is not tried again."""

    credential: Credential
    message: str
    until: float
    pause: float

    def holds(self, now: float) -> bool:
        """Whether it rests still; a clock that was set back does not make it rest for longer."""
        return 0 < self.until - now < self.pause + 1


class Logins:
    """The credential and the tokens of one account."""

    def __init__(
        self,
        registry: Registry,
        credentials: CredentialProvider,
        *,
        server: TokenServer,
        guard: Guard,
        clock: Callable[[], float],
    ) -> None:
        self._host = registry.name
        self._credentials = credentials
        self._server = server
        self._guard = guard
        self._clock = clock
        self._trusted_host = expected_token_host(registry)
        self._tokens = TokenCache()
        self._flights: dict[TokenKey, asyncio.Future[Token]] = {}
        self._credential = Credential()
        self.generation = 0
        """Counts the credentials that were used; tokens are good for one."""
        self._had_since: float | None = None
        self._is_unavailable = False
        self._refusal: _Refusal | None = None
        self._proven: Credential | None = None
        self._first_login = asyncio.Lock()

    @property
    def credential(self) -> Credential:
        """The credential that was used last."""
        return self._credential

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secrets of the credential that was used last."""
        return secrets_of(self._credential)

    @property
    def standing(self) -> CredentialStanding:
        """How the account's credential fares."""
        refusal = self._refusal
        return CredentialStanding(
            since=None if self._credential.is_anonymous else self._had_since,
            is_refused=refusal is not None and refusal.credential == self._credential,
            is_unavailable=self._is_unavailable,
        )

    async def current(self) -> Credential:
        """The credential of now; raises CredentialError."""
        return self._adopt(await self._had(self._credentials.get()))

    async def renewed(self, refused: Credential) -> bool:
        """Have the credential read or made again; whether it is another one now."""
        return self._adopt(await self._had(self._credentials.renew(refused))) != refused

    def kept(self, realm: Realm, scopes: tuple[str, ...]) -> Token | None:
        """The token for these scopes that is still good."""
        return self._tokens.get(self._key(realm, scopes), self._clock())

    async def token(
        self, realm: Realm, scopes: tuple[str, ...], alone: tuple[str, ...] = ()
    ) -> Token:
        """A new token, made for this request and all that wait for the same. `alone` as in
        TokenRequest.

        Raises AuthenticationFailed, BatchRefused, AccessDenied, RegistryError, CredentialError.
        """
        credential = await self.current()
        key = self._key(realm, scopes)
        while (flight := self._flights.get(key)) is not None:
            await asyncio.wait((flight,))
            if not flight.cancelled():
                return flight.result()
        return await self._fly(key, TokenRequest(realm, scopes, credential, alone))

    async def anonymous_token(self, realm: Realm, scopes: tuple[str, ...]) -> Token:
        """A token without any credential, for a host to which the registry redirected."""
        key = TokenKey(realm.url, realm.service, scopes, _ANONYMOUS_ELSEWHERE)
        token = self._tokens.get(key, self._clock())
        if token is None:
            await self._check_place(realm)
            request = TokenRequest(realm, scopes, Credential(), is_elsewhere=True)
            token = await self._server.token(request)
            self._tokens.put(key, token)
        return token

    def now(self) -> float:
        """The time by which tokens end, in epoch seconds."""
        return self._clock()

    def drop(self, realm: Realm, scopes: tuple[str, ...], header: str) -> None:
        """Forget a token that was refused."""
        self._tokens.drop(self._key(realm, scopes), header)

    def make_room(self, for_so_many: int) -> None:
        """Keep at least so many tokens."""
        self._tokens.make_room(for_so_many)

    def check_refusal(self, credential: Credential) -> None:
        """Raise AuthenticationFailed while the credential rests after a refusal."""
        refusal = self._refusal
        if refusal and refusal.credential == credential and refusal.holds(self._clock()):
            raise self.failed(refusal.message, "it is tried again when it changes, or later")

    def refuse(self, credential: Credential, error: AuthenticationFailed) -> AuthenticationFailed:
        """Let a refused credential rest: one minute, then twice as long, up to 15 minutes."""
        last = self._refusal
        again = last is not None and last.credential == credential
        pause = min(last.pause * 2, LONGEST_PAUSE) if last and again else FIRST_PAUSE
        self._refusal = _Refusal(credential, error.message, self._clock() + pause, pause)
        return error

    def accepted(self, credential: Credential) -> None:
        """A request was let in with a credential."""
        self._proven, self._refusal = credential, None

    def failed(self, message: str, hint: str | None = None) -> AuthenticationFailed:
        return AuthenticationFailed(message, host=self._host, hint=hint)

    async def _fly(self, key: TokenKey, request: TokenRequest) -> Token:
        flight: asyncio.Future[Token] = asyncio.get_running_loop().create_future()
        self._flights[key] = flight
        try:
            token = await self._log_in(request)
        except WatcherError as error:
            flight.set_exception(error)
            flight.exception()  # looked at here, for nobody may be waiting
            raise
        else:
            flight.set_result(token)
            return token
        finally:
            flight.cancel()
            del self._flights[key]

    async def _log_in(self, request: TokenRequest) -> Token:
        await self._check_realm(request.realm, request.credential)
        if self._proven == request.credential:
            return await self._fetch(request)
        # A password that may be wrong is tried once, not by all workers at once.
        async with self._first_login:
            return await self._fetch(request)

    async def _fetch(self, request: TokenRequest) -> Token:
        credential = request.credential
        self.check_refusal(credential)
        try:
            token = await self._server.token(request)
        except BatchRefused as error:
            credential = await self._another_for(request, error)
            token = await self._server.token(request._replace(credential=credential))
        except (CredentialRefused, AccessDenied) as error:
            credential = await self._renewed_for(request, error)
            try:
                token = await self._server.token(request._replace(credential=credential))
            except CredentialRefused as again:
                raise self.refuse(credential, again) from again
        self.accepted(credential)
        self._tokens.put(self._key(request.realm, request.scopes), token)
        return token

    async def _renewed_for(
        self, request: TokenRequest, error: CredentialRefused | AccessDenied
    ) -> Credential:
        """Another credential after a refusal, which is raised when there is none. GHCR answers
        403 to a token that has expired as to a repository that is not to be read."""
        credential = request.credential
        if not credential.is_anonymous and await self.renewed(credential):
            return self._credential
        raise self.refuse(credential, error) if isinstance(error, CredentialRefused) else error

    async def _another_for(self, request: TokenRequest, error: BatchRefused) -> Credential:
        """What a group may be asked for with after a refusal: a part of it tells whether the
        password was at fault, and has it renewed. Raises the refusal when it was not."""
        if not request.credential.is_anonymous:
            with suppress(AccessDenied):
                await self._fetch(request._replace(scopes=request.alone, alone=()))
            if self._credential != request.credential:
                return self._credential
        raise error

    async def _had(self, given: Awaitable[Credential]) -> Credential:
        """What the source gives; remembered when it gives nothing."""
        try:
            credential = await given
        except CredentialError:
            self._is_unavailable = True
            raise
        self._is_unavailable = False
        return credential

    def _adopt(self, credential: Credential) -> Credential:
        """Another credential than before ends the life of all its tokens."""
        if credential != self._credential:
            self._had_since = self._clock()
            self._credential = credential
            self.generation += 1
            self._tokens.clear()
        return credential

    def _key(self, realm: Realm, scopes: tuple[str, ...]) -> TokenKey:
        return TokenKey(realm.url, realm.service, scopes, self.generation)

    async def _check_realm(self, realm: Realm, credential: Credential) -> None:
        await self._check_place(realm)
        if credential.is_anonymous:
            return
        if self._trusted_host is None:
            self._trusted_host = realm.host
        if realm.host != self._trusted_host:
            raise self.failed(
                f"{self._host} names {realm.host} as its token server, where "
                f"{self._trusted_host} is expected; the password was not sent",
                "if the registry's owner moved it, restart to accept the new host",
            )

    async def _check_place(self, realm: Realm) -> None:
        try:
            await self._guard.check(realm.url, "token server")
        except ProtocolError as error:
            raise self.failed(error.message) from error
