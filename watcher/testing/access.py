"""Who may read the fake registry: nobody asked, Basic, or Bearer with a token server.

Frozen settings only; `watcher.testing.doorkeeper` acts by them. Imported by the fake registry and
its profiles; tests and plug-in authors choose NoAuth, BasicAuth or BearerAuth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import StrEnum

CATALOG_SCOPE = "registry:catalog:*"


class PasswordBearer(StrEnum):
    """Whether a user's password is accepted in place of a token, and how it is written."""

    REFUSED = "refused"
    PLAIN = "plain"
    BASE64 = "base64"


@dataclass(frozen=True, slots=True)
class NoAuth:
    """Everyone reads everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BasicAuth:
    """A user and a password on each request; repositories in `denied` are refused with 403.

    service: stands in the challenge when given (ECR). `{url}` in the realm is this registry.
    expired_status: the answer to a password that was rotated away; other than 401 it comes
        without a challenge (ECR: 403, at times 400).
    """

    users: Mapping[str, str] = field(repr=False)
    realm: str = "Registry"
    denied: frozenset[str] = frozenset()
    service: str | None = None
    expired_status: int = 401


@dataclass(frozen=True, slots=True, kw_only=True)
class BearerAuth:
    """Tokens for scopes, from `/token` by GET or POST (distribution's token specification).

    users: name to password; without any, everyone gets tokens.
    anonymous: tokens also for requests without a user.
    denied: repositories for which a token is given without the right to read them.
    public: what may be read without a user; None: everything.
    admins: who may list the catalog; None: everyone.
    service, names_scope: what the challenge tells; None or False leaves it out. `{host}` and
        `{url}` in the service are filled in.
    realm: where the challenge points; `{url}` is this registry. May be relative.
    challenges: the exact WWW-Authenticate lines instead (`{url}`, `{scope}` are filled in).
    ping_scope: the scope in the challenge of a ping (GHCR has a placeholder).
    names_error: whether the challenge says why a token did not do.
    basic_realm: Harbor's way: whoever sent an Authorization, and whoever asks for the catalog,
        is challenged for Basic in this realm; only Basic opens the catalog.
    ttl: seconds that a token is accepted.
    tells_expiry, expires_in: whether `expires_in` stands in the answer, and another value for it.
    token_keys: the JSON keys that carry the token (`token`, `access_token`, or both).
    issued_at: another value of `issued_at`; None: now.
    jwt: tokens look like a JWT with `iat` and `exp` (unsigned), otherwise they are opaque:
        `token_form` with a random part for `{}`.
    scoped: False: a token opens all that its user may read, whatever scope was asked, and the
        challenge always names `ping_scope` (ECR Public, Nexus).
    stale_status: the answer to a token that is not accepted; 400 comes without a challenge,
        as on ECR Public.
    grants_catalog: False refuses the catalog's scope with 400, as Quay does; its catalog is then
        open to every token.
    open_catalog: the catalog is answered even without a token (Quay; it is then empty).
    single_scope: more than one scope in a token request is refused with 400 (GitLab).
    known_actions: another action in a scope is refused with 400 (Quay); None: any.
    listing_action: the action that lists need (ACR: metadata_read).
    hides_missing: no rights are given for a repository that does not exist (Hub: 401).
    refused_scope_status: the token server's refusal of a scope that may not be read (GHCR: 403);
        None: a token without that scope.
    bad_login_status: the token server's refusal of a wrong user or password.
    post_status: the refusal of POST (404, 405 ...), except with a refresh token where there are
        `token_only_users`; None: POST works.
    identity_tokens: refresh token to user, for POST with `grant_type=refresh_token`.
    accepts_basic: user and password open everything directly, without a token.
    token_only_users: users whose password is a refresh token: for the token server only (ACR).
    password_bearer: whether a password is accepted as a Bearer token (GHCR, Google).
    """

    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    anonymous: bool = False
    denied: frozenset[str] = frozenset()
    public: AbstractSet[str] | None = None
    admins: AbstractSet[str] | None = None
    service: str | None = "fake-registry"
    names_scope: bool = True
    realm: str = "{url}/token"
    challenges: Sequence[str] | None = None
    ping_scope: str | None = None
    names_error: bool = True
    basic_realm: str | None = None
    ttl: float = 300
    tells_expiry: bool = True
    expires_in: object = None
    token_keys: Sequence[str] = ("token",)
    issued_at: str | None = None
    jwt: bool = False
    token_form: str = "opaque-{}"  # noqa: S105 - the form of a token
    scoped: bool = True
    stale_status: int = 401
    grants_catalog: bool = True
    open_catalog: bool = False
    single_scope: bool = False
    known_actions: frozenset[str] | None = None
    listing_action: str = "pull"
    hides_missing: bool = False
    refused_scope_status: int | None = None
    bad_login_status: int = 401
    post_status: int | None = None
    identity_tokens: Mapping[str, str] = field(default_factory=dict, repr=False)
    accepts_basic: bool = False
    token_only_users: frozenset[str] = frozenset()
    password_bearer: PasswordBearer = PasswordBearer.REFUSED


Auth = NoAuth | BasicAuth | BearerAuth


def token_path(auth: Auth) -> str:
    """Where the token server is on the registry itself, as far as the realm points there."""
    if isinstance(auth, BearerAuth) and auth.realm.startswith("{url}/"):
        return auth.realm.removeprefix("{url}").partition("?")[0]
    return "/token"
