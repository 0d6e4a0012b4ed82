"""Who may read the fake registry: nobody asked, Basic, or Bearer with a token server.

The settings are frozen values; what a token server remembers lives in its Doorkeeper.
Imported by the fake registry; tests and plug-in authors choose NoAuth, BasicAuth or BearerAuth.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from watcher.testing.wire import Headers, Request, Response, error_response, json_response

CATALOG_SCOPE = "registry:catalog:*"


@dataclass(frozen=True, slots=True)
class NoAuth:
    """Everyone reads everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BasicAuth:
    """A user and a password on each request; repositories in `denied` are refused with 403."""

    users: Mapping[str, str] = field(repr=False)
    realm: str = "Registry"
    denied: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class BearerAuth:
    """Tokens for scopes, from `/token` by GET or POST (distribution's token specification).

    users: name to password; without any, everyone gets tokens.
    anonymous: tokens also for requests without a user.
    denied: repositories for which a token is given without the right to read them.
    service, names_scope: what the challenge tells; None or False leaves it out.
    realm: where the challenge points; `{url}` is this registry. May be relative.
    challenges: the exact WWW-Authenticate lines instead (`{url}`, `{scope}` are filled in).
    ttl: seconds that a token is accepted.
    tells_expiry, expires_in: whether `expires_in` stands in the answer, and another value for it.
    token_keys: the JSON keys that carry the token (`token`, `access_token`, or both).
    issued_at: another value of `issued_at`; None: now.
    jwt: tokens look like a JWT with `iat` and `exp` (unsigned), otherwise they are opaque.
    stale_status: the answer to a token that is not accepted; 400 comes without a challenge,
        as on ECR Public.
    grants_catalog: False refuses the catalog's scope with 400, as Quay does; its catalog is then
        open to every token.
    post_status: the refusal of POST (404, 405 ...); None: POST works.
    identity_tokens: refresh token to user, for POST with `grant_type=refresh_token`.
    """

    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    anonymous: bool = False
    denied: frozenset[str] = frozenset()
    service: str | None = "fake-registry"
    names_scope: bool = True
    realm: str = "{url}/token"
    challenges: Sequence[str] | None = None
    ttl: float = 300
    tells_expiry: bool = True
    expires_in: object = None
    token_keys: Sequence[str] = ("token",)
    issued_at: str | None = None
    jwt: bool = False
    stale_status: int = 401
    grants_catalog: bool = True
    post_status: int | None = None
    identity_tokens: Mapping[str, str] = field(default_factory=dict, repr=False)


Auth = NoAuth | BasicAuth | BearerAuth


@dataclass(frozen=True, slots=True)
class _Grant:
    scopes: frozenset[str]
    expires: float


class Doorkeeper:
    """Decides each request by the settings, and hands out tokens."""

    def __init__(self, auth: Auth, clock: Callable[[], float]) -> None:
        self.auth = auth
        self.issued = 0
        self._clock = clock
        self._grants: dict[str, _Grant] = {}

    def revoke(self) -> None:
        """No token that was given out so far is accepted any more."""
        self._grants.clear()

    def refusal(self, request: Request, scope: str | None, url: str) -> Response | None:
        """The refusal of this request, or None when it may pass. `scope` is None for a ping."""
        if isinstance(self.auth, BasicAuth):
            return _basic_refusal(self.auth, request, scope)
        if isinstance(self.auth, BearerAuth):
            return self._bearer_refusal(self.auth, request, scope, url)
        return None

    def _bearer_refusal(
        self, auth: BearerAuth, request: Request, scope: str | None, url: str
    ) -> Response | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return _challenge(auth, scope, url, error=None)
        grant = self._grants.get(token)
        if grant is None or grant.expires <= self._clock():
            if auth.stale_status != 401:
                return error_response(auth.stale_status, "DENIED", "the token is not valid")
            return _challenge(auth, scope, url, error="invalid_token")
        if scope == CATALOG_SCOPE and not auth.grants_catalog:
            return None
        if scope is None or scope in grant.scopes:
            return None
        return _challenge(auth, scope, url, error="insufficient_scope")

    def token(self, request: Request) -> Response:
        """The answer of the token server."""
        auth = self.auth
        if not isinstance(auth, BearerAuth):
            return error_response(404, "UNSUPPORTED", "this registry has no token server")
        if request.method == "POST" and auth.post_status is not None:
            return error_response(auth.post_status, "UNSUPPORTED", "use GET")
        if not _may_have_token(auth, request):
            return error_response(401, "UNAUTHORIZED", "authentication required")
        scopes = _asked_scopes(request)
        if CATALOG_SCOPE in scopes and not auth.grants_catalog:
            return error_response(400, "INVALID_SCOPE", "unknown scope")
        return self._issue(auth, scopes)

    def _issue(self, auth: BearerAuth, asked: Sequence[str]) -> Response:
        self.issued += 1
        now = self._clock()
        token = _jwt(now, now + auth.ttl) if auth.jwt else f"opaque-{secrets.token_hex(16)}"
        granted = frozenset(
            scope for one in asked for scope in _readings(one) if not _is_denied(auth.denied, scope)
        )
        self._grants[token] = _Grant(granted, now + auth.ttl)
        document: dict[str, object] = dict.fromkeys(auth.token_keys, token)
        if auth.tells_expiry:
            document["expires_in"] = auth.ttl if auth.expires_in is None else auth.expires_in
            moment = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            document["issued_at"] = auth.issued_at or moment
        return json_response(document)


def credentials(request: Request) -> tuple[str, str] | None:
    """User and password of a Basic Authorization header; None where there is none."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return user, password


def _basic_refusal(auth: BasicAuth, request: Request, scope: str | None) -> Response | None:
    given = credentials(request)
    if given is None or auth.users.get(given[0]) != given[1]:
        challenge = (("WWW-Authenticate", f'Basic realm="{auth.realm}"'),)
        return error_response(401, "UNAUTHORIZED", "authentication required", challenge)
    if scope is not None and _is_denied(auth.denied, scope):
        return error_response(403, "DENIED", "requested access to the resource is denied")
    return None


def _challenge(auth: BearerAuth, scope: str | None, url: str, error: str | None) -> Response:
    lines = auth.challenges if auth.challenges is not None else (_bearer_line(auth, scope, error),)
    headers: Headers = tuple(
        ("WWW-Authenticate", line.replace("{url}", url).replace("{scope}", scope or ""))
        for line in lines
    )
    return error_response(401, "UNAUTHORIZED", "authentication required", headers)


def _bearer_line(auth: BearerAuth, scope: str | None, error: str | None) -> str:
    parts = {
        "realm": auth.realm,
        "service": auth.service,
        "scope": scope if auth.names_scope else None,
        "error": error,
    }
    text = ",".join(f'{name}="{value}"' for name, value in parts.items() if value is not None)
    return f"Bearer {text}"


def _may_have_token(auth: BearerAuth, request: Request) -> bool:
    if request.method == "POST":
        form = request.form
        if form.get("grant_type") == "refresh_token":
            return form.get("refresh_token") in auth.identity_tokens
        given: tuple[str, str] | None = (form.get("username", ""), form.get("password", ""))
    else:
        given = credentials(request)
    if given is None:
        return auth.anonymous or not auth.users
    return auth.users.get(given[0]) == given[1]


def _asked_scopes(request: Request) -> list[str]:
    if request.method == "POST":
        return request.form.get("scope", "").split()
    return [scope for key, value in request.parameters if key == "scope" for scope in value.split()]


def _readings(scope: str) -> list[str]:
    """The scopes that are checked later and that this one, with its list of actions, holds."""
    kind, _, rest = scope.partition(":")
    name, _, actions = rest.rpartition(":")
    return [f"{kind}:{name}:{action}" for action in actions.split(",")]


def _is_denied(denied: frozenset[str], scope: str) -> bool:
    return scope.removeprefix("repository:").rpartition(":")[0] in denied


def _jwt(issued: float, expires: float) -> str:
    payload = {"iat": int(issued), "exp": int(expires), "jti": secrets.token_hex(8)}
    parts = ({"alg": "none", "typ": "JWT"}, payload, "unsigned")
    return ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts
    )
