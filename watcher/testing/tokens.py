"""The fake registry's token server, and the passwords that it and the registry know.

What was given out is remembered here; what may be given out say the settings in
`watcher.testing.access`. Imported by the doorkeeper only.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto

from watcher.testing.access import CATALOG_SCOPE, BearerAuth
from watcher.testing.wire import Request, Response, error_response, json_response


class Verdict(Enum):
    """What a password is worth."""

    RIGHT = auto()
    EXPIRED = auto()
    WRONG = auto()


class Passwords:
    """The password of each user now, and those that were rotated away."""

    def __init__(self, users: Mapping[str, str]) -> None:
        self._now = dict(users)
        self._gone: set[tuple[str, str]] = set()

    def __bool__(self) -> bool:
        return bool(self._now)

    def rotate(self, user: str, password: str) -> None:
        """From now on this is the user's password; the one before it is an expired one."""
        if user in self._now:
            self._gone.add((user, self._now[user]))
        self._gone.discard((user, password))
        self._now[user] = password

    def check(self, given: tuple[str, str]) -> Verdict:
        user, password = given
        if self._now.get(user) == password:
            return Verdict.RIGHT
        return Verdict.EXPIRED if given in self._gone else Verdict.WRONG

    def owner(self, password: str) -> str | None:
        """The user with that password."""
        return next((user for user, known in self._now.items() if known == password), None)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token that was given out opens, for whom (None: for nobody known), and until when."""

    user: str | None
    scopes: frozenset[str]
    expires: float


class TokenServer:
    """Answers token requests; `may` says which scope is for which user."""

    def __init__(
        self,
        auth: BearerAuth,
        passwords: Passwords,
        clock: Callable[[], float],
        may: Callable[[str | None, str], bool],
    ) -> None:
        self.issued = 0
        self._auth = auth
        self._passwords = passwords
        self._clock = clock
        self._may = may
        self._grants: dict[str, Grant] = {}

    def revoke(self) -> None:
        """No token that was given out so far is accepted any more."""
        self._grants.clear()

    def grant(self, token: str) -> Grant | None:
        """What a token opens; None when it is unknown or its time is over."""
        grant = self._grants.get(token)
        return None if grant is None or grant.expires <= self._clock() else grant

    def mint(self, user: str | None, scopes: frozenset[str]) -> str:
        """A new token."""
        now = self._clock()
        auth = self._auth
        if auth.jwt:
            token = _jwt(now, now + auth.ttl)
        else:
            token = auth.token_form.format(secrets.token_hex(16))
        self._grants[token] = Grant(user, scopes, now + auth.ttl)
        return token

    def answer(self, request: Request) -> Response:
        """The answer of the token endpoint."""
        auth = self._auth
        if auth.post_status is not None and self._posts_password(request):
            return error_response(auth.post_status, "UNSUPPORTED", "use GET")
        user, allowed = self._user(request)
        if not allowed:
            code = "UNAUTHORIZED" if auth.bad_login_status == 401 else "DENIED"
            return error_response(auth.bad_login_status, code, "authentication required")
        scopes = _asked_scopes(request)
        return self._scope_refusal(user, scopes) or self._issue(user, scopes)

    def _posts_password(self, request: Request) -> bool:
        """Whether it is a POST, other than with a refresh token where there may be one."""
        takes = self._auth.token_only_users and request.form.get("grant_type") == "refresh_token"
        return request.method == "POST" and not takes

    def _user(self, request: Request) -> tuple[str | None, bool]:
        """Who asks, and whether they may have a token."""
        if request.method == "POST":
            form = request.form
            if form.get("grant_type") == "refresh_token":
                return self._refreshed_user(form.get("refresh_token", ""))
            given: tuple[str, str] | None = (form.get("username", ""), form.get("password", ""))
        else:
            given = credentials(request)
        if given is None:
            return None, self._auth.anonymous or not self._passwords
        return given[0], self._passwords.check(given) is Verdict.RIGHT

    def _refreshed_user(self, token: str) -> tuple[str | None, bool]:
        user = self._auth.identity_tokens.get(token)
        if user is None and (owner := self._passwords.owner(token)) in self._auth.token_only_users:
            user = owner
        return user, user is not None

    def _scope_refusal(self, user: str | None, scopes: Sequence[str]) -> Response | None:
        auth = self._auth
        if CATALOG_SCOPE in scopes and not auth.grants_catalog:
            return error_response(400, "INVALID_SCOPE", "unknown scope")
        if auth.single_scope and len(scopes) > 1:
            return error_response(400, "INVALID_SCOPE", "one scope in a request")
        actions = {action for scope in scopes for action in scope.rpartition(":")[2].split(",")}
        if auth.known_actions is not None and actions - auth.known_actions:
            return error_response(400, "INVALID_SCOPE", f"unknown actions: {sorted(actions)}")
        refused = auth.refused_scope_status
        if refused is not None and not all(self._may(user, scope) for scope in scopes):
            return error_response(refused, "DENIED", "requested access to the resource is denied")
        return None

    def _issue(self, user: str | None, asked: Sequence[str]) -> Response:
        self.issued += 1
        auth, now = self._auth, self._clock()
        readings = (reading for scope in asked for reading in _readings(scope))
        token = self.mint(user, frozenset(one for one in readings if self._may(user, one)))
        document: dict[str, object] = dict.fromkeys(auth.token_keys, token)
        if auth.tells_expiry:
            # Go clients want a whole number.
            life = int(auth.ttl) if auth.ttl == int(auth.ttl) else auth.ttl
            document["expires_in"] = life if auth.expires_in is None else auth.expires_in
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


def bearer(request: Request) -> str | None:
    """The token of a Bearer Authorization header; None where there is none."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    return value if scheme.lower() == "bearer" else None


def _asked_scopes(request: Request) -> list[str]:
    if request.method == "POST":
        return request.form.get("scope", "").split()
    return [scope for key, value in request.parameters if key == "scope" for scope in value.split()]


def _readings(scope: str) -> list[str]:
    """The scopes that are checked later and that this one, with its list of actions, holds."""
    kind, _, rest = scope.partition(":")
    name, _, actions = rest.rpartition(":")
    return [f"{kind}:{name}:{action}" for action in actions.split(",")]


def _jwt(issued: float, expires: float) -> str:
    payload = {"iat": int(issued), "exp": int(expires), "jti": secrets.token_hex(8)}
    parts = ({"alg": "none", "typ": "JWT"}, payload, "unsigned")
    return ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts
    )
