"""Logging in to a registry: the state of one account, from the first challenge to the last token.

    unknown    nothing is sent until a request is refused with a challenge
    Basic      the only offer, or the one left when the token server refuses
    Bearer     a token per set of scopes, asked for once however many wait for it, renewed early

A refused request is repeated at most once for each reason of Step; what remains refused is the
repository's failure (AccessDenied) or, when the credential itself is refused, the account's
(AuthenticationFailed). field facts: registries.md section 1.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from urllib.parse import urljoin

from watcher.core.account import Account, Credential, CredentialProvider
from watcher.errors import AuthenticationFailed, ProtocolError, WatcherError
from watcher.registry.answer import Answer, spec_error
from watcher.registry.challenges import Challenge, parse_challenges
from watcher.registry.realms import Guard, expected_token_host
from watcher.registry.token_server import (
    CredentialRefused,
    Realm,
    TokenRequest,
    TokenServer,
    basic,
    secrets_of,
)
from watcher.registry.tokens import Token, TokenCache, TokenKey

FIRST_PAUSE = 60.0
LONGEST_PAUSE = 900.0
MAXIMUM_SCOPES = 4
MAXIMUM_SCOPE_LENGTH = 512
_MEANT_SO = frozenset(
    {"PAGINATION_NUMBER_INVALID", "UNSUPPORTED", "NAME_INVALID", "TAG_INVALID", "DIGEST_INVALID"}
)


class Step(StrEnum):
    """Why a refused request is sent again; each at most once per request."""

    CHALLENGED = "challenged"
    STALE = "stale"
    WIDENED = "widened"
    RENEWED = "renewed"
    BASIC = "basic"


@dataclass(frozen=True, slots=True)
class Authorization:
    """What went with a request. `is_fresh`: the token was made for this very request."""

    header: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    credential: Credential | None = None
    token: str | None = field(default=None, repr=False)
    scopes: tuple[str, ...] = ()
    is_fresh: bool = False


@dataclass(slots=True)
class _Refusal:
    """A credential that was refused, and until when it is not tried again."""

    credential: Credential
    message: str
    until: float
    pause: float


class RegistryAuth:
    """The login of one account at its registry; shared by all requests of the account."""

    def __init__(
        self,
        account: Account,
        credentials: CredentialProvider,
        *,
        server: TokenServer,
        guard: Guard,
        clock: Callable[[], float],
    ) -> None:
        self._registry = account.registry
        self._host = account.registry.name
        self._credentials = credentials
        self._server = server
        self._guard = guard
        self._clock = clock
        self._realm: Realm | None = None
        self._basic_offered = False
        self._basic_only = False
        self._trusted_host = expected_token_host(account.registry)
        self._scopes: dict[str, tuple[str, ...]] = {}
        self._tokens = TokenCache()
        self._flights: dict[TokenKey, asyncio.Future[Token]] = {}
        self._credential = Credential()
        self._generation = 0
        self._refusal: _Refusal | None = None
        self._proven: Credential | None = None
        self._first_login = asyncio.Lock()

    @property
    def is_unknown(self) -> bool:
        """Whether no challenge was seen yet."""
        return self._realm is None and not self._basic_only

    async def has_credential(self) -> bool:
        return not (await self._current()).is_anonymous

    async def authorization(self, scope: str | None, steps: set[Step]) -> Authorization | None:
        """What to send with a request for `scope`; None while nothing was asked for.

        Raises AuthenticationFailed, AccessDenied, RegistryError, CredentialError.
        """
        if self._realm is None or Step.BASIC in steps:
            wanted = self._basic_only or Step.BASIC in steps
            return await self._basic() if wanted else None
        scopes = self._scopes.get(scope, (scope,)) if scope is not None else ()
        try:
            token, is_fresh = await self._token(self._realm, scopes)
        except AuthenticationFailed:
            if not self._basic_offered or (await self._current()).password is None:
                raise
            self._realm, self._basic_only = None, True
            return await self._basic()
        return Authorization(
            f"Bearer {token.value}", (token.value,), None, token.value, scopes, is_fresh
        )

    async def refused(
        self, answer: Answer, sent: Authorization, scope: str | None, steps: set[Step]
    ) -> bool:
        """Learn from a 400, 401 or 403; True when the request should be sent again.

        Raises AuthenticationFailed when the account itself can't log in.
        """
        if answer.status == 400 and spec_error(answer.body).code in _MEANT_SO:
            return False
        if sent.credential is not None:
            return await self._basic_refused(answer, sent.credential, steps)
        return await self._token_refused(answer, sent, scope, steps)

    def accepted(self) -> None:
        """The registry let a request in: an earlier refusal is forgotten."""
        self._refusal = None

    async def elsewhere(self, answer: Answer) -> str | None:
        """The header for another host, to which the registry redirected: an anonymous token by
        that host's own challenge, which changes nothing here. None when it offers none."""
        bearer = _bearer(_challenges(answer))
        if bearer is None:
            return None
        realm = _realm(bearer, answer.url)
        await self._check_place(realm)
        scopes = _modest(bearer.scopes)
        key = TokenKey(realm.url, realm.service, scopes, -1)
        token = self._tokens.get(key, self._clock())
        if token is None:
            token = await self._server.token(TokenRequest(realm, scopes, Credential()))
            self._tokens.put(key, token)
        return f"Bearer {token.value}"

    async def learn(self, answer: Answer, scope: str | None, steps: set[Step]) -> bool:
        """Take the way to log in from an answer to a request without a login; True: send again."""
        challenges = _challenges(answer)
        if not challenges or Step.CHALLENGED in steps:
            return False
        steps.add(Step.CHALLENGED)
        if not self._remember(challenges, answer.url) and self.is_unknown:
            schemes = ", ".join(sorted({challenge.scheme for challenge in challenges}))
            raise self._failed(f"{self._host} offers no login but {schemes}")
        if self._basic_only and (await self._current()).password is None:
            self._basic_only = False
            raise self._failed(
                f"{self._host} wants a user name and a password", "the account has none"
            )
        self._widen(challenges, scope, ())
        return True

    async def _token_refused(
        self, answer: Answer, sent: Authorization, scope: str | None, steps: set[Step]
    ) -> bool:
        challenges = _challenges(answer)
        is_new_realm = self._remember(challenges, answer.url)
        if Step.WIDENED not in steps and self._widen(challenges, scope, sent.scopes):
            steps.add(Step.WIDENED)
            return True
        if Step.STALE not in steps and (is_new_realm or not sent.is_fresh):
            steps.add(Step.STALE)
            self._tokens.drop(sent.token or "")
            return True
        # Harbor refuses every kind of Authorization with a Basic challenge: good for this request.
        if Step.BASIC in steps or not _offers_basic(challenges):
            return False
        steps.add(Step.BASIC)
        return (await self._current()).password is not None

    async def _basic_refused(
        self, answer: Answer, credential: Credential, steps: set[Step]
    ) -> bool:
        challenges = _challenges(answer)
        if Step.BASIC in steps:
            return False
        if _bearer(challenges) and not _offers_basic(challenges) and Step.STALE not in steps:
            steps.add(Step.STALE)
            self._basic_only = False
            return self._remember(challenges, answer.url)
        if Step.RENEWED not in steps:
            steps.add(Step.RENEWED)
            if await self._credentials.renew(credential) != credential:
                return True
        if answer.status != 401:
            return False
        raise self._refuse(
            credential,
            AuthenticationFailed(
                f"{self._host} refused the account's password (401)", host=self._host, status=401
            ),
        )

    async def _basic(self) -> Authorization | None:
        credential = await self._current()
        header = basic(credential) if credential.password is not None else None
        if header is None:
            return None
        self._check_refusal(credential)
        return Authorization(header, secrets_of(credential), credential)

    async def _token(self, realm: Realm, scopes: tuple[str, ...]) -> tuple[Token, bool]:
        token = self._tokens.get(self._key(realm, scopes), self._clock())
        if token is not None:
            return token, False
        credential = await self._current()
        key = self._key(realm, scopes)
        while (flight := self._flights.get(key)) is not None:
            await asyncio.wait((flight,))
            if not flight.cancelled():
                return flight.result(), True
        return await self._fly(key, TokenRequest(realm, scopes, credential)), True

    async def _fly(self, key: TokenKey, request: TokenRequest) -> Token:
        """The one request for a token; whoever else wants it waits for its result or its error."""
        flight: asyncio.Future[Token] = asyncio.get_running_loop().create_future()
        self._flights[key] = flight
        try:
            token = await self._log_in(request)
        except WatcherError as error:
            flight.set_exception(error)
            flight.exception()  # nobody may be waiting
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
        self._check_refusal(credential)
        try:
            token = await self._server.token(request)
        except CredentialRefused as error:
            renewed = await self._credentials.renew(credential)
            if renewed == credential:
                raise self._refuse(credential, error) from error
            credential = self._adopt(renewed)
            try:
                token = await self._server.token(replace(request, credential=renewed))
            except CredentialRefused as again:
                raise self._refuse(renewed, again) from again
        self._proven, self._refusal = credential, None
        self._tokens.put(self._key(request.realm, request.scopes), token)
        return token

    async def _current(self) -> Credential:
        return self._adopt(await self._credentials.get())

    def _adopt(self, credential: Credential) -> Credential:
        """Note the credential of now; another than before ends the life of all tokens."""
        if credential != self._credential:
            self._credential = credential
            self._generation += 1
            self._tokens.clear()
        return credential

    def _key(self, realm: Realm, scopes: tuple[str, ...]) -> TokenKey:
        return TokenKey(realm.url, realm.service, scopes, self._generation)

    def _remember(self, challenges: tuple[Challenge, ...], url: str) -> bool:
        """Keep the way to log in; True when something was learned. A Basic challenge never
        replaces a Bearer one that is known."""
        bearer = _bearer(challenges)
        if _offers_basic(challenges):
            self._basic_offered = True
        if bearer is None:
            learned = self._basic_offered and self.is_unknown
            self._basic_only |= learned
            return learned
        realm = _realm(bearer, url)
        if self._basic_only or realm == self._realm:
            return False
        self._realm = realm
        return True

    def _widen(
        self, challenges: tuple[Challenge, ...], scope: str | None, sent: tuple[str, ...]
    ) -> bool:
        """Ask from now on for what a challenge names beyond what would be (or was) asked for."""
        bearer = _bearer(challenges)
        if bearer is None or scope is None:
            return False
        asked = sent or self._scopes.get(scope, (scope,))
        missing = tuple(wish for wish in _modest(bearer.scopes) if not _covers(asked, wish))
        if missing:
            kept = tuple(old for old in asked if not _covers(missing, old))
            self._scopes[scope] = missing + kept
        return bool(missing)

    async def _check_realm(self, realm: Realm, credential: Credential) -> None:
        await self._check_place(realm)
        if credential.is_anonymous:
            return
        if self._trusted_host is None:
            self._trusted_host = realm.host
        if realm.host != self._trusted_host:
            raise self._failed(
                f"{self._host} names {realm.host} as its token server, where "
                f"{self._trusted_host} is expected; the password was not sent",
                "if the registry's owner moved it, restart to accept the new host",
            )

    async def _check_place(self, realm: Realm) -> None:
        try:
            await self._guard.check(realm.url, "token server")
        except ProtocolError as error:
            raise self._failed(error.message) from error

    def _check_refusal(self, credential: Credential) -> None:
        refusal = self._refusal
        if refusal and refusal.credential == credential and self._clock() < refusal.until:
            raise self._failed(refusal.message, "it is tried again when it changes, or later")

    def _refuse(self, credential: Credential, error: AuthenticationFailed) -> AuthenticationFailed:
        """Rest before this credential is tried again: a registry may lock the account."""
        last = self._refusal
        again = last is not None and last.credential == credential
        pause = min(last.pause * 2, LONGEST_PAUSE) if last and again else FIRST_PAUSE
        self._refusal = _Refusal(credential, error.message, self._clock() + pause, pause)
        return error

    def _failed(self, message: str, hint: str | None = None) -> AuthenticationFailed:
        return AuthenticationFailed(message, host=self._host, hint=hint)


def _challenges(answer: Answer) -> tuple[Challenge, ...]:
    return parse_challenges(answer.headers.get_list("www-authenticate"))


def _bearer(challenges: tuple[Challenge, ...]) -> Challenge | None:
    return next((c for c in challenges if c.scheme == "bearer" and c.get("realm")), None)


def _offers_basic(challenges: tuple[Challenge, ...]) -> bool:
    return any(challenge.scheme == "basic" for challenge in challenges)


def _realm(bearer: Challenge, url: str) -> Realm:
    """The token server of a challenge; a relative realm starts at the URL that was refused."""
    try:
        target = urljoin(url, bearer.get("realm") or "")
    except ValueError:
        target = ""
    return Realm(target.partition("#")[0], bearer.get("service"))


def _modest(scopes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(scope for scope in scopes if len(scope) <= MAXIMUM_SCOPE_LENGTH)[:MAXIMUM_SCOPES]


def _covers(asked: tuple[str, ...], wish: str) -> bool:
    resource, _, actions = wish.rpartition(":")
    return any(
        resource == other and set(actions.split(",")) <= set(own.split(","))
        for other, _, own in (scope.rpartition(":") for scope in asked)
    )
