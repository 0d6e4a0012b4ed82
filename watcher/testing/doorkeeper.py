"""Decides which request may pass, and writes the challenge for one that may not.

Imported by the fake registry and by its native APIs, which guard their own paths.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable

from watcher.testing.access import CATALOG_SCOPE, Auth, BasicAuth, BearerAuth, PasswordBearer
from watcher.testing.records import Kind, Route
from watcher.testing.tokens import Passwords, TokenServer, Verdict, bearer, credentials
from watcher.testing.wire import Headers, Request, Response, error_response

_LISTINGS = (Kind.TAGS, Kind.NATIVE)
_EXPIRED = "Your authorization token has expired. Reauthenticate and try again."
_DENIED = "requested access to the resource is denied"


class Doorkeeper:
    """Acts by the settings. `knows` says whether there is such a repository."""

    def __init__(
        self,
        auth: Auth,
        clock: Callable[[], float],
        knows: Callable[[str], bool] = lambda repository: True,
    ) -> None:
        self.auth = auth
        self.passwords = Passwords(auth.users if isinstance(auth, BasicAuth | BearerAuth) else {})
        settings = auth if isinstance(auth, BearerAuth) else BearerAuth()
        self.tokens = TokenServer(settings, self.passwords, clock, self._grants)
        self._knows = knows

    def token(self, request: Request) -> Response:
        """The answer of the token server."""
        if isinstance(self.auth, BearerAuth):
            return self.tokens.answer(request)
        return error_response(404, "UNSUPPORTED", "this registry has no token server")

    def refusal(self, request: Request, where: Route, url: str) -> Response | None:
        """The refusal of this request, or None when it may pass."""
        if isinstance(self.auth, BasicAuth):
            return self._basic_refusal(self.auth, request, where, url)
        if isinstance(self.auth, BearerAuth):
            return self._bearer_refusal(self.auth, request, where, url)
        return None

    def user(self, request: Request) -> str | None:
        """Who sends this request, by password or token; None: nobody that is known."""
        given = credentials(request)
        if given is not None:
            return given[0] if self.passwords.check(given) is Verdict.RIGHT else None
        token = bearer(request) or ""
        grant = self.tokens.grant(token)
        return grant.user if grant is not None else self._password_owner(token)

    def may_read(self, user: str | None, repository: str) -> bool:
        """Whether a user (None: anybody) may read a repository, be there one or not."""
        auth = self.auth
        if isinstance(auth, BasicAuth | BearerAuth) and repository in auth.denied:
            return False
        if isinstance(auth, BearerAuth) and auth.public is not None and user is None:
            return repository in auth.public
        return True

    def is_admin(self, user: str | None) -> bool:
        """Whether a user may see all there is."""
        auth = self.auth
        return not isinstance(auth, BearerAuth) or auth.admins is None or user in auth.admins

    def _grants(self, user: str | None, scope: str) -> bool:
        if scope == CATALOG_SCOPE:
            return self.is_admin(user)
        repository = scope.removeprefix("repository:").rpartition(":")[0]
        hides_missing = isinstance(self.auth, BearerAuth) and self.auth.hides_missing
        if hides_missing and not self._knows(repository):
            return False
        return self.may_read(user, repository)

    def _basic_refusal(
        self, auth: BasicAuth, request: Request, where: Route, url: str
    ) -> Response | None:
        given = credentials(request)
        verdict = Verdict.WRONG if given is None else self.passwords.check(given)
        if verdict is Verdict.EXPIRED and auth.expired_status != 401:
            return error_response(auth.expired_status, "DENIED", _EXPIRED)
        if verdict is not Verdict.RIGHT:
            service = "" if auth.service is None else f',service="{auth.service}"'
            line = f'Basic realm="{auth.realm.replace("{url}", url)}"{service}'
            return _unauthorized((("WWW-Authenticate", line),))
        if where.repository in auth.denied:
            return error_response(403, "DENIED", _DENIED)
        return None

    def _bearer_refusal(
        self, auth: BearerAuth, request: Request, where: Route, url: str
    ) -> Response | None:
        scope = _scope(auth, where)
        given = credentials(request)
        if given is not None and auth.accepts_basic:
            return self._password_refusal(auth, given, scope, url)
        token = bearer(request)
        if token is None:
            if scope == CATALOG_SCOPE and auth.open_catalog:
                return None
            return _challenge(auth, request, scope, url, error=None)
        owner = self._password_owner(token)
        if owner is not None:
            return None if self._opens(owner, scope) else error_response(403, "DENIED", _DENIED)
        return self._token_refusal(auth, request, scope, url, token)

    def _token_refusal(
        self, auth: BearerAuth, request: Request, scope: str | None, url: str, token: str
    ) -> Response | None:
        grant = self.tokens.grant(token)
        if grant is None:
            if auth.stale_status != 401:
                return error_response(auth.stale_status, "DENIED", _EXPIRED)
            return _challenge(auth, request, scope, url, error="invalid_token")
        if scope == CATALOG_SCOPE and (auth.basic_realm or not auth.grants_catalog):
            if not auth.basic_realm:
                return None
            return _challenge(auth, request, scope, url, error=None)
        opens = scope in grant.scopes if auth.scoped else self._opens(grant.user, scope)
        if scope is None or opens:
            return None
        return _challenge(auth, request, scope, url, error="insufficient_scope")

    def _password_refusal(
        self, auth: BearerAuth, given: tuple[str, str], scope: str | None, url: str
    ) -> Response | None:
        right = self.passwords.check(given) is Verdict.RIGHT
        if right and given[0] not in auth.token_only_users and self._opens(given[0], scope):
            return None
        if auth.basic_realm is not None:
            return _unauthorized((("WWW-Authenticate", f'Basic realm="{auth.basic_realm}"'),))
        return _unauthorized(_lines(auth, scope, url, error=None))

    def _opens(self, user: str | None, scope: str | None) -> bool:
        if scope is None:
            return True
        if scope == CATALOG_SCOPE:
            return self.is_admin(user)
        return self.may_read(user, scope.removeprefix("repository:").rpartition(":")[0])

    def _password_owner(self, token: str) -> str | None:
        """The user whose password came in place of a token, where that is accepted."""
        if not isinstance(self.auth, BearerAuth):
            return None
        match self.auth.password_bearer:
            case PasswordBearer.REFUSED:
                return None
            case PasswordBearer.BASE64:
                return self.passwords.owner(_decoded(token))
        return self.passwords.owner(token)


def _scope(auth: BearerAuth, where: Route) -> str | None:
    """The token scope that a request needs; None for a ping."""
    if where.kind is Kind.CATALOG:
        return CATALOG_SCOPE
    if not where.repository:
        return None
    action = auth.listing_action if where.kind in _LISTINGS else "pull"
    return f"repository:{where.repository}:{action}"


def _challenge(
    auth: BearerAuth, request: Request, scope: str | None, url: str, error: str | None
) -> Response:
    asks_basic = "authorization" in request.headers or scope == CATALOG_SCOPE
    if auth.basic_realm is not None and asks_basic:
        return _unauthorized((("WWW-Authenticate", f'Basic realm="{auth.basic_realm}"'),))
    return _unauthorized(_lines(auth, scope, url, error))


def _unauthorized(headers: Headers) -> Response:
    return error_response(401, "UNAUTHORIZED", "authentication required", headers)


def _lines(auth: BearerAuth, scope: str | None, url: str, error: str | None) -> Headers:
    lines = auth.challenges if auth.challenges is not None else (_bearer_line(auth, scope, error),)
    host = url.partition("://")[2]
    return tuple(
        (
            "WWW-Authenticate",
            line.replace("{url}", url).replace("{host}", host).replace("{scope}", scope or ""),
        )
        for line in lines
    )


def _bearer_line(auth: BearerAuth, scope: str | None, error: str | None) -> str:
    if scope is None or not auth.scoped:
        scope = auth.ping_scope
    parts = {
        "realm": auth.realm,
        "service": auth.service,
        "scope": scope if auth.names_scope else None,
        "error": error if auth.names_error else None,
    }
    text = ",".join(f'{name}="{value}"' for name, value in parts.items() if value is not None)
    return f"Bearer {text}"


def _decoded(token: str) -> str:
    try:
        return base64.b64decode(token, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
