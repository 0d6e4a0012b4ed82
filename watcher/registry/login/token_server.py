"""Asking a token server: which request it gets, what its refusals mean.

GET with Basic is understood everywhere (distribution token specification); POST (OAuth 2) is for
identity tokens only, for many servers answer it 404, 405 or 401. Redirects are not followed: the
password goes to the realm that was checked, and nowhere else.
"""

from __future__ import annotations

from base64 import b64encode
from typing import NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from watcher.core.account import Credential
from watcher.errors import AccessDenied, AuthenticationFailed, ProtocolError, RegistryError
from watcher.http_client import USER_AGENT
from watcher.registry.answer import Answer, failure
from watcher.registry.bodies import TOKEN_CAP
from watcher.registry.budgets.limits import Priority
from watcher.registry.budgets.retries import with_one_retry
from watcher.registry.login.tokens import Token, parse_token
from watcher.registry.wire import Destination, Wire

CATALOG_SCOPE = "registry:catalog:*"
MAXIMUM_BATCH_TOKEN = 6 * 1024
"""How long (in characters) a token for a group may be: it goes with each request as a header,
and servers bound these (nginx: 8 KiB)."""
CLIENT_ID = "registry-watcher"
_IDENTITY_USER = "<token>"
_NO_POST_HERE = frozenset({404, 405})
_TOO_MUCH_AT_ONCE = frozenset({400, 401, 403, 413, 414, 431})


class Realm(NamedTuple):
    """Where a Bearer challenge sends its client: the token server's URL, and its `service`."""

    url: str
    service: str | None

    @property
    def host(self) -> str:
        return (urlsplit(self.url).hostname or "").lower()


class TokenRequest(NamedTuple):
    """What a token is asked for, with which credential. `alone`: of a group's scopes those that are
    asked for without the others when the group is refused; empty for no group. `is_elsewhere`: for
    a host to which the registry redirected."""

    realm: Realm
    scopes: tuple[str, ...]
    credential: Credential
    alone: tuple[str, ...] = ()
    is_elsewhere: bool = False


class CredentialRefused(AuthenticationFailed):
    """The token server does not take this credential; another one may be tried."""


class BatchRefused(AccessDenied):
    """No token for a group of repositories; each may still have one of its own."""


class TokenServer:
    """Token requests of one account."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def token(self, request: TokenRequest) -> Token:
        """Ask for a token. Raises CredentialRefused, BatchRefused, AccessDenied, RateLimited,
        RegistryError."""
        answer = await self._answer(request)
        if answer.status == 400 and request.scopes == (CATALOG_SCOPE,):
            # Quay knows no such scope, and gives a token that lists the catalog without any.
            answer = await self._answer(request._replace(scopes=()))
        if answer.status != 200:
            raise self._refusal(answer, request)
        self._wire.lane.succeeded(self._wire.lane.account_key)
        try:
            token = parse_token(answer.body, self._wire.lane.now())
        except ValueError as error:
            raise ProtocolError(
                f"the token server {request.realm.host} gave an unusable answer: {error}",
                host=self._wire.host,
            ) from error
        if request.alone and len(token.header) > MAXIMUM_BATCH_TOKEN:
            size = f"{len(token.header)} bytes for {len(request.scopes)} scopes"
            raise BatchRefused(f"a token of {size} is too long", host=self._wire.host)
        return token

    async def _answer(self, request: TokenRequest) -> Answer:
        credential = request.credential
        if credential.identity_token is not None:
            answer = await self._post(request, credential.identity_token)
            refused = answer.status in (400, 401) and credential.password is not None
            if answer.status not in _NO_POST_HERE and not refused:
                return answer
        return await self._get(request)

    async def _get(self, request: TokenRequest) -> Answer:
        query = [("scope", scope) for scope in request.scopes]
        if request.realm.service is not None:
            query.insert(0, ("service", request.realm.service))
        headers = _headers()
        authorization = basic(request.credential)
        if authorization is not None:
            query.append(("account", request.credential.username or _IDENTITY_USER))
            headers.append((b"Authorization", authorization.encode("ascii")))
        url = _with_query(request.realm.url, urlencode(query, quote_via=quote, safe="/:,*"))
        away = request.is_elsewhere
        return await with_one_retry(
            lambda: self._send("GET", url, headers, is_elsewhere=away), self._wire.sleep
        )

    async def _post(self, request: TokenRequest, identity_token: str) -> Answer:
        form = {
            "grant_type": "refresh_token",
            "refresh_token": identity_token,
            "client_id": CLIENT_ID,
            "service": request.realm.service or "",
            "scope": " ".join(request.scopes),
        }
        content = urlencode({key: value for key, value in form.items() if value}).encode()
        headers = _headers()
        headers.append((b"Content-Type", b"application/x-www-form-urlencoded"))
        return await self._send("POST", request.realm.url, headers, content)

    async def _send(
        self,
        method: str,
        url: str,
        headers: list[tuple[bytes, bytes]],
        content: bytes = b"",
        *,
        is_elsewhere: bool = False,
    ) -> Answer:
        """A token goes before all else: requests wait for it, an urgent one perhaps."""
        return await self._wire.send(
            method,
            url,
            headers,
            TOKEN_CAP,
            content,
            priority=Priority.URGENT,
            is_elsewhere=is_elsewhere,
            to=Destination.TOKEN,
        )

    def _refusal(self, answer: Answer, request: TokenRequest) -> RegistryError:
        lane, host = self._wire.lane, self._wire.host
        asked = self._wire.patience(answer, lane.account_key)
        if asked is not None:
            return asked
        if answer.status >= 500:
            lane.park(lane.account_key, None)
        what = " ".join(request.scopes) or "a token"
        server = f"the token server {request.realm.host}"
        error = failure(answer, server, what, secrets_of(request.credential))
        error.host = host
        if request.alone and answer.status in _TOO_MUCH_AT_ONCE:
            return BatchRefused(error.message, host=host, status=answer.status)
        if answer.status in (400, 401) and not request.credential.is_anonymous:
            return CredentialRefused(error.message, host=host, status=answer.status)
        if answer.status in (401, 403):
            return AccessDenied(error.message, host=host, status=answer.status, hint=error.hint)
        if answer.status < 500:
            return AuthenticationFailed(error.message, host=host, status=answer.status)
        return error


def basic(credential: Credential) -> str | None:
    """The Basic header of a credential (UTF-8, RFC 7617); None when it has nothing to send."""
    secret = credential.password if credential.password is not None else credential.identity_token
    if secret is None:
        return None
    pair = f"{credential.username or _IDENTITY_USER}:{secret}"
    return "Basic " + b64encode(pair.encode()).decode("ascii")


def secrets_of(credential: Credential) -> tuple[str, ...]:
    """What must never be repeated: the secrets, and the header made of them."""
    header = basic(credential)
    secrets = (credential.password, credential.identity_token, header and header[6:])
    return tuple(secret for secret in secrets if secret)


def _headers() -> list[tuple[bytes, bytes]]:
    return [
        (b"User-Agent", USER_AGENT.encode()),
        (b"Accept", b"application/json"),
        (b"Accept-Encoding", b"identity"),
    ]


def _with_query(url: str, query: str) -> str:
    """The realm with our parameters after those that it already has."""
    if not query:
        return url
    return f"{url}{'&' if '?' in url else '?'}{query}"
