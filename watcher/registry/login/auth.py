"""Logging in to a registry: what its challenges ask for, and when a refused request is repeated.

    directly   the password with the first request, where the dialect has it so (direct.py)
    unknown    nothing is sent until a request is refused with a challenge
    Basic      the only offer, or the one left when the token server refuses
    Bearer     a token per set of scopes, or one for a group of repositories (scopes.py)

A refused request is repeated at most once for each reason of Step; what remains refused is the
repository's failure (AccessDenied) or, when the credential itself is refused, the account's
(AuthenticationFailed). field facts: registries.md sections 1.1 and 1.2.
"""

from __future__ import annotations

from watcher.core.account import Account, Credential
from watcher.errors import AuthenticationFailed
from watcher.registry.answer import Answer, spec_error
from watcher.registry.budgets.limits import Lane
from watcher.registry.login.authorization import Authorization, Step, Verdict
from watcher.registry.login.challenges import Challenge, parse_challenges
from watcher.registry.login.direct import direct_header
from watcher.registry.login.logins import Logins
from watcher.registry.login.scopes import Scopes, modest
from watcher.registry.login.token_server import BatchRefused, Realm, basic
from watcher.registry.login.tokens import MAXIMUM_TOKENS
from watcher.registry.quirks import Login
from watcher.registry.urls import absolute

__all__ = ["Authorization", "RegistryAuth", "Step", "Verdict"]

_MEANT_SO = frozenset(
    {"PAGINATION_NUMBER_INVALID", "UNSUPPORTED", "NAME_INVALID", "TAG_INVALID", "DIGEST_INVALID"}
)


class RegistryAuth:
    """The way in to one registry with one account; shared by all its requests."""

    def __init__(self, account: Account, logins: Logins, lane: Lane) -> None:
        self._host = account.registry.name
        self._logins = logins
        self._lane = lane
        self._dialect = lane.dialect
        self._scopes = Scopes(account.limits.scopes_per_token)
        self._scopes.follow(self._dialect)
        self._realm: Realm | None = None
        self._basic_offered = False
        self._basic_only = False
        self._ready: dict[str | None, Authorization] = {}
        self._ready_of = logins.generation
        self._room = MAXIMUM_TOKENS
        self._refused_directly: Credential | None = None
        self._not_directly: Credential | None = None

    @property
    def is_unknown(self) -> bool:
        """Whether no challenge was seen yet."""
        return self._realm is None and not self._basic_only

    def expect(self, scopes: frozenset[str]) -> None:
        """The scopes that will be asked for again and again: where the registry takes it so, a
        token is asked for several of them at once."""
        self._ready.clear()
        self._scopes.batches.expect(scopes)
        self._room = max(MAXIMUM_TOKENS, 2 * len(scopes))
        self._logins.make_room(self._room)

    async def wants_challenge(self) -> bool:
        """Whether there is a credential that can't be sent before a challenge was seen."""
        if not self.is_unknown:
            return False
        credential = await self._logins.current()
        return not credential.is_anonymous and self._direct_header(credential) is None

    async def authorization(self, scope: str | None, steps: set[Step]) -> Authorization | None:
        """What to send with a request for `scope`; None while nothing was asked for.

        Raises AuthenticationFailed, AccessDenied, RegistryError, CredentialError.
        """
        dialect = self._lane.dialect
        if dialect is not self._dialect:
            self._dialect = dialect
            self._scopes.follow(dialect)
            self._ready.clear()
        ready = self._ready.get(scope)
        if ready is not None and not steps and self._is_good(ready):
            return ready
        if self._basic_only or Step.BASIC in steps:
            return await self._password()
        if dialect.login is not Login.CHALLENGED and Step.INDIRECT not in steps:
            sent = await self._directly()
            if sent is not None:
                return sent
        if self._realm is None:
            return None
        return await self._bearer(self._realm, scope, steps)

    async def learn(self, answer: Answer, scope: str | None, steps: set[Step]) -> bool:
        """Take the way in from an answer to a request without a login; True: send it again.

        Raises AuthenticationFailed when the account has nothing for what is offered.
        """
        self._ready.clear()
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
        self._widen(challenges, scope)
        return True

    async def refused(
        self, answer: Answer, sent: Authorization, scope: str | None, steps: set[Step]
    ) -> Verdict:
        """Learn from a 400, 401 or 403 to a request with a login."""
        self._ready.clear()
        if answer.status == 400 and spec_error(answer.body).code in _MEANT_SO:
            return Verdict.LEAVE
        if sent.is_direct and self._gives_way(answer, sent, steps):
            return Verdict.AGAIN
        if sent.credential is not None:
            return await self._password_refused(answer, sent.credential, steps)
        return await self._token_refused(answer, sent, scope, steps)

    def password_refused(self, sent: Authorization, status: int) -> AuthenticationFailed:
        """The error of an account whose password is at fault; it rests from now on."""
        error = self._logins.failed(f"{self._host} refused the account's password ({status})")
        error.status = status
        return self._logins.refuse(sent.credential or Credential(), error)

    async def elsewhere(self, answer: Answer) -> str | None:
        """The header for another host, to which the registry redirected: an anonymous token by
        that host's own challenge, which changes nothing here. None when it offers none."""
        bearer = _bearer(_challenges(answer))
        if bearer is None:
            return None
        token = await self._logins.anonymous_token(
            _realm(bearer, answer.url), modest(bearer.scopes)
        )
        return token.header

    def secrets(self, sent: Authorization | None) -> tuple[str, ...]:
        """What no message may repeat, whoever says it."""
        token = (sent.token,) if sent is not None and sent.token else ()
        return (*token, *self._logins.secrets)

    def accepted(self, sent: Authorization, steps: set[Step]) -> None:
        """The registry let a request in: an earlier refusal is forgotten, and what had to be done
        for it is done at once from now on."""
        if sent.credential is not None:
            self._logins.accepted(sent.credential)
        elif Step.INDIRECT in steps and self._logins.credential == self._refused_directly:
            self._not_directly = self._refused_directly
        if Step.ALONE in steps and sent.realm is not None:
            self._scopes.batches.end(sent.realm)

    def _direct_header(self, credential: Credential) -> str | None:
        """A credential that was refused directly, and let in by a token, is not sent so again."""
        if credential == self._not_directly:
            return None
        return direct_header(self._dialect.login, credential)

    async def _directly(self) -> Authorization | None:
        credential = await self._logins.current()
        header = self._direct_header(credential)
        if header is None:
            return None
        self._logins.check_refusal(credential)
        return Authorization(header=header, credential=credential, is_direct=True)

    async def _password(self) -> Authorization | None:
        credential = await self._logins.current()
        header = basic(credential) if credential.password is not None else None
        if header is None:
            return None
        self._logins.check_refusal(credential)
        return Authorization(header=header, credential=credential)

    async def _bearer(
        self, realm: Realm, scope: str | None, steps: set[Step]
    ) -> Authorization | None:
        scopes, alone = self._scopes.asked(realm, scope, alone=Step.ALONE in steps)
        token = self._logins.kept(realm, scopes)
        is_fresh = token is None
        if token is None:
            try:
                token = await self._logins.token(realm, scopes, alone)
            except BatchRefused:
                self._scopes.batches.end(realm)
                return await self._bearer(realm, scope, steps)
            except AuthenticationFailed:
                if not self._basic_offered or (await self._logins.current()).password is None:
                    raise
                self._realm, self._basic_only = None, True
                return await self._password()
        sent = Authorization(
            header=token.header,
            realm=realm,
            scopes=scopes,
            is_fresh=is_fresh,
            is_shared=bool(alone),
            until=token.refresh_at,
        )
        if not is_fresh and not steps:
            self._keep_ready(scope, sent)
        return sent

    def _keep_ready(self, scope: str | None, sent: Authorization) -> None:
        """An idle poll does not work out anew what it sent a minute ago. Whatever is learned, and
        any refusal, ends it for all scopes."""
        if self._ready_of != self._logins.generation or len(self._ready) >= self._room:
            self._ready.clear()
            self._ready_of = self._logins.generation
        self._ready[scope] = sent

    def _is_good(self, ready: Authorization) -> bool:
        return self._logins.now() < ready.until and self._ready_of == self._logins.generation

    def _gives_way(self, answer: Answer, sent: Authorization, steps: set[Step]) -> bool:
        """Whether a registry that refuses what was sent directly may take a token instead. One
        that offers Basic means the password itself."""
        challenges = _challenges(answer)
        wants_token = _bearer(challenges) is not None and not _offers_basic(challenges)
        if not sent.token and not wants_token:
            return False
        steps.add(Step.INDIRECT)
        self._refused_directly = sent.credential
        self._remember(challenges, answer.url)
        return True

    async def _token_refused(
        self, answer: Answer, sent: Authorization, scope: str | None, steps: set[Step]
    ) -> Verdict:
        challenges = _challenges(answer)
        is_new_realm = self._remember(challenges, answer.url)
        if Step.WIDENED not in steps and self._widen(
            challenges, scope, () if sent.is_shared else sent.scopes
        ):
            steps.add(Step.WIDENED)
            return Verdict.AGAIN
        if Step.STALE not in steps and (is_new_realm or not sent.is_fresh):
            steps.add(Step.STALE)
            if sent.realm is not None:
                self._logins.drop(sent.realm, sent.scopes, sent.header)
            return Verdict.AGAIN
        if sent.is_shared and scope is not None and Step.ALONE not in steps:
            steps.add(Step.ALONE)
            self._scopes.batches.leave(scope)
            return Verdict.AGAIN
        # Harbor refuses every kind of Authorization with a Basic challenge: good for this request.
        if Step.BASIC in steps or not _offers_basic(challenges):
            return Verdict.LEAVE
        steps.add(Step.BASIC)
        has_password = (await self._logins.current()).password is not None
        return Verdict.AGAIN if has_password else Verdict.LEAVE

    async def _password_refused(
        self, answer: Answer, credential: Credential, steps: set[Step]
    ) -> Verdict:
        challenges = _challenges(answer)
        if Step.BASIC in steps:
            return Verdict.LEAVE
        if _bearer(challenges) and not _offers_basic(challenges) and Step.STALE not in steps:
            steps.add(Step.STALE)
            self._basic_only = False
            return Verdict.AGAIN if self._remember(challenges, answer.url) else Verdict.LEAVE
        if Step.RENEWED not in steps:
            steps.add(Step.RENEWED)
            if await self._logins.renewed(credential):
                return Verdict.AGAIN
        return Verdict.PASSWORD if answer.status == 401 else Verdict.LEAVE

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
        self,
        challenges: tuple[Challenge, ...],
        scope: str | None,
        sent: tuple[str, ...] = (),
    ) -> bool:
        bearer = _bearer(challenges)
        if bearer is None or scope is None:
            return False
        return self._scopes.widen(scope, bearer.scopes, sent)


def _challenges(answer: Answer) -> tuple[Challenge, ...]:
    return parse_challenges(answer.headers.get_list("www-authenticate"))


def _bearer(challenges: tuple[Challenge, ...]) -> Challenge | None:
    return next((c for c in challenges if c.scheme == "bearer" and c.get("realm")), None)


def _offers_basic(challenges: tuple[Challenge, ...]) -> bool:
    return any(challenge.scheme == "basic" for challenge in challenges)


def _realm(bearer: Challenge, url: str) -> Realm:
    """The token server of a challenge; a relative realm starts at the URL that was refused."""
    return Realm(absolute(url, bearer.get("realm") or "") or "", bearer.get("service"))
