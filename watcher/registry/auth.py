"""Logging in to a registry: what its challenges ask for, and when a refused request is repeated.

    unknown    nothing is sent until a request is refused with a challenge
    Basic      the only offer, or the one left when the token server refuses
    Bearer     a token per set of scopes

A refused request is repeated at most once for each reason of Step; what remains refused is the
repository's failure (AccessDenied) or, when the credential itself is refused, the account's
(AuthenticationFailed). field facts: registries.md sections 1.1 and 1.2.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from watcher.core.account import Credential
from watcher.errors import AuthenticationFailed
from watcher.registry.answer import Answer, spec_error
from watcher.registry.challenges import Challenge, parse_challenges
from watcher.registry.logins import Logins
from watcher.registry.token_server import Realm, basic
from watcher.registry.urls import absolute

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


class Authorization(NamedTuple):
    """What went with a request: a password (`credential`) or a token for `scopes`.

    `is_fresh`: the token was made for this very request.
    """

    header: str
    credential: Credential | None = None
    token: str = ""
    scopes: tuple[str, ...] = ()
    is_fresh: bool = False

    def __repr__(self) -> str:
        return f"Authorization(scopes={self.scopes})"


class RegistryAuth:
    """The way in to one registry with one account; shared by all its requests."""

    def __init__(self, host: str, logins: Logins) -> None:
        self._host = host
        self._logins = logins
        self._realm: Realm | None = None
        self._basic_offered = False
        self._basic_only = False
        self._scopes: dict[str, tuple[str, ...]] = {}

    @property
    def is_unknown(self) -> bool:
        """Whether no challenge was seen yet."""
        return self._realm is None and not self._basic_only

    async def has_credential(self) -> bool:
        return not (await self._logins.current()).is_anonymous

    async def authorization(self, scope: str | None, steps: set[Step]) -> Authorization | None:
        """What to send with a request for `scope`; None while nothing was asked for.

        Raises AuthenticationFailed, AccessDenied, RegistryError, CredentialError.
        """
        if self._basic_only or Step.BASIC in steps:
            return await self._password()
        if self._realm is None:
            return None
        scopes = self._scopes.get(scope, (scope,)) if scope is not None else ()
        try:
            token, is_fresh = await self._logins.token(self._realm, scopes)
        except AuthenticationFailed:
            if not self._basic_offered or (await self._logins.current()).password is None:
                raise
            self._realm, self._basic_only = None, True
            return await self._password()
        return Authorization(
            header=f"Bearer {token.value}",
            token=token.value,
            scopes=scopes,
            is_fresh=is_fresh,
        )

    async def learn(self, answer: Answer, scope: str | None, steps: set[Step]) -> bool:
        """Take the way in from an answer to a request without a login; True: send it again.

        Raises AuthenticationFailed when the account has nothing for what is offered.
        """
        challenges = _challenges(answer)
        if not challenges or Step.CHALLENGED in steps:
            return False
        steps.add(Step.CHALLENGED)
        if not self._remember(challenges, answer.url) and self.is_unknown:
            schemes = ", ".join(sorted({challenge.scheme for challenge in challenges}))
            raise self._logins.failed(f"{self._host} offers no login but {schemes}")
        if self._basic_only and (await self._logins.current()).password is None:
            self._basic_only = False
            raise self._logins.failed(
                f"{self._host} wants a user name and a password", "the account has none"
            )
        self._widen(challenges, scope, ())
        return True

    async def refused(
        self, answer: Answer, sent: Authorization, scope: str | None, steps: set[Step]
    ) -> bool:
        """Learn from a 400, 401 or 403 to a request with a login; True: send it again.

        Raises AuthenticationFailed when the credential itself is refused.
        """
        if answer.status == 400 and spec_error(answer.body).code in _MEANT_SO:
            return False
        if sent.credential is not None:
            return await self._password_refused(answer, sent.credential, steps)
        return await self._token_refused(answer, sent, scope, steps)

    async def elsewhere(self, answer: Answer) -> str | None:
        """The header for another host, to which the registry redirected: an anonymous token by
        that host's own challenge, which changes nothing here. None when it offers none."""
        bearer = _bearer(_challenges(answer))
        if bearer is None:
            return None
        token = await self._logins.anonymous_token(
            _realm(bearer, answer.url), _modest(bearer.scopes)
        )
        return f"Bearer {token.value}"

    def secrets(self, sent: Authorization | None) -> tuple[str, ...]:
        """What no message may repeat, whoever says it."""
        token = (sent.token,) if sent is not None and sent.token else ()
        return (*token, *self._logins.secrets)

    def accepted(self) -> None:
        """The registry let a request in: an earlier refusal is forgotten."""
        self._logins.accepted()

    async def _password(self) -> Authorization | None:
        credential = await self._logins.current()
        header = basic(credential) if credential.password is not None else None
        if header is None:
            return None
        self._logins.check_refusal(credential)
        return Authorization(header=header, credential=credential)

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
            self._logins.drop(sent.token)
            return True
        # Harbor refuses every kind of Authorization with a Basic challenge: good for this request.
        if Step.BASIC in steps or not _offers_basic(challenges):
            return False
        steps.add(Step.BASIC)
        return (await self._logins.current()).password is not None

    async def _password_refused(
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
            if await self._logins.renewed(credential):
                return True
        if answer.status != 401:
            return False
        error = self._logins.failed(f"{self._host} refused the account's password (401)")
        error.status = answer.status
        raise self._logins.refuse(credential, error)

    def _remember(self, challenges: tuple[Challenge, ...], url: str) -> bool:
        """Keep the way in; True when it is news. A Basic challenge never replaces a Bearer one."""
        bearer = _bearer(challenges)
        if _offers_basic(challenges):
            self._basic_offered = True
        if bearer is None:
            is_news = self._basic_offered and self.is_unknown
            self._basic_only |= is_news
            return is_news
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


def _challenges(answer: Answer) -> tuple[Challenge, ...]:
    return parse_challenges(answer.headers.get_list("www-authenticate"))


def _bearer(challenges: tuple[Challenge, ...]) -> Challenge | None:
    return next((c for c in challenges if c.scheme == "bearer" and c.get("realm")), None)


def _offers_basic(challenges: tuple[Challenge, ...]) -> bool:
    return any(challenge.scheme == "basic" for challenge in challenges)


def _realm(bearer: Challenge, url: str) -> Realm:
    """The token server of a challenge; a relative realm starts at the URL that was refused."""
    return Realm(absolute(url, bearer.get("realm") or "") or "", bearer.get("service"))


def _modest(scopes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(scope for scope in scopes if len(scope) <= MAXIMUM_SCOPE_LENGTH)[:MAXIMUM_SCOPES]


def _covers(asked: tuple[str, ...], wish: str) -> bool:
    resource, _, actions = wish.rpartition(":")
    return any(
        resource == other and set(actions.split(",")) <= set(own.split(","))
        for other, _, own in (scope.rpartition(":") for scope in asked)
    )
