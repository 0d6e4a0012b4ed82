"""Asking a registry's own API: with which login, and what comes of an answer that is none.

    GitLab, ACR    the login of the v2 API, for the repository's pull scope
    Quay           an OAuth token ($oauthtoken) as Bearer; a robot's password is never sent there
    Docker Hub     nothing, or once that is refused a token of its own for the password
    Harbor         the password (Basic)

Nothing secret goes to another origin than the API's. Whatever is no answer leaves as None, and the
caller asks v2: an API beside v2 is a convenience, never a condition.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from watcher.core.account import Account, DialectName
from watcher.core.host import Counts, Recognition
from watcher.errors import AuthenticationFailed, RateLimited, RegistryError, TransportError
from watcher.registry.answer import Answer, forms_of, is_html
from watcher.registry.budgets.limits import Lane
from watcher.registry.excerpts import excerpt
from watcher.registry.listing.lists import Repository
from watcher.registry.login.logins import Logins
from watcher.registry.login.token_server import basic
from watcher.registry.native import harbor
from watcher.registry.native.hub_login import HubLogin
from watcher.registry.native.standing import Standing
from watcher.registry.quirks import NativeApi
from watcher.registry.session import Session
from watcher.registry.urls import origin_of
from watcher.registry.wire import Ask, Wire

PAGE_CAP = 4 * 1024 * 1024
QUAY_OAUTH_USER = "$oauthtoken"
LONGEST_QUEUE = 10.0
"""Seconds of its pace that may wait for the API; beyond that v2 is sooner."""
SHARE_OF_TOTAL = 1 / 3
"""Of the time that a poll may take: the rest is for v2, should the API be too slow."""

DAY = 24 * 3600.0
_OK, _SERVER_ERROR, _TIME_OUT, _UNKNOWN_METHOD = 200, 500, 408, 405

T = TypeVar("T")
Fetch = Callable[[str], Awaitable[Answer]]
Work = Callable[[Fetch], Awaitable[T]]


class Refused(Exception):
    """The API has no usable answer: for this repository, or for none."""

    def __init__(self, reason: str, *, for_all: bool) -> None:
        super().__init__(reason)
        self.for_all = for_all


class Resting(Exception):
    """The API is not to be asked now."""


class NativeClient:
    """The native API of one account's registry."""

    def __init__(
        self, account: Account, wire: Wire, session: Session, logins: Logins, lane: Lane
    ) -> None:
        self._registry = account.registry
        self._longest = account.timeouts.total.total_seconds() * SHARE_OF_TOTAL
        self._wire = wire
        self._session = session
        self._logins = logins
        self._lane = lane
        self._hub = HubLogin(wire, logins)
        self._waiting = 0
        self._version: str | None = None
        self._version_asked = 0.0
        self.standing = Standing(f"{account.registry.name}: the registry's own API", lane)

    @property
    def origin(self) -> str:
        """Where the API is: with the registry, but for Docker Hub itself."""
        elsewhere = self._lane.dialect.native_url
        return elsewhere if elsewhere and self._registry.is_docker_hub else self._wire.origin

    @property
    def known_version(self) -> str | None:
        """What the registry said of its version within a day, if it was asked."""
        found = self._lane.facts.recognition
        return found.version if found is not None and self._is_fresh(found.at) else None

    async def version(self, repository: Repository) -> str | None:
        """Harbor's version, which it tells to who has logged in; asked once a day."""
        if self._is_fresh(self._version_asked):
            return self.known_version
        self._version_asked = now = self._lane.now()

        async def ask(fetch: Fetch) -> str | None:
            answer = await fetch(harbor.system_info(self.origin))
            try:
                return harbor.read_version(answer)
            except ValueError as error:
                raise self.misread(answer, error) from error

        version = await self.attempt(repository, ask, for_all=True)
        if version is not None:  # kept with what was recognised, for `plan` and a new start
            self._lane.facts.recognition = Recognition(DialectName.HARBOR, version, now)
        return version

    async def attempt(
        self, repository: Repository, work: Work[T], *, for_all: bool = False
    ) -> T | None:
        """Do what asks the API, by the function that is handed over; None: it has no answer now.
        `for_all`: what is asked is the same for all repositories, and so is a refusal.

        `work` raises ValueError for what it does not understand.
        """
        if self._is_crowded():
            return None
        self._waiting += 1
        try:
            async with asyncio.timeout(self._longest):
                result = await work(lambda url: self._fetch(url, repository))
        except (RateLimited, AuthenticationFailed, Resting):
            return None
        except (TransportError, TimeoutError):
            self.standing.failed()
            return None
        except Refused as refusal:
            concerned = for_all or refusal.for_all
            self.standing.refused(repository.name, str(refusal), for_all=concerned)
            return None
        except RegistryError as error:
            reason = f"is of no use: {error.message}"
            self.standing.refused(repository.name, reason, for_all=for_all)
            return None
        finally:
            self._waiting -= 1
        self.standing.answered()
        return result

    def misread(self, answer: Answer, error: ValueError) -> Refused:
        """What to raise for an answer of an unknown form."""
        shown = excerpt(answer.body, (*self._logins.secrets, *self._hub.secrets))
        return Refused(f"sent what can't be read ({error}); {shown}", for_all=False)

    def _is_fresh(self, at: float) -> bool:
        return 0 <= self._lane.now() - at < DAY

    def _is_crowded(self) -> bool:
        pace = self._lane.dialect.native_requests_per_second
        return pace is not None and self._waiting >= pace * LONGEST_QUEUE

    async def _fetch(self, url: str, repository: Repository) -> Answer:
        if not self.standing.may_ask(repository.name):
            raise Resting
        ask = Ask(
            url=url,
            what=f"{repository.what} by its own API",
            cap=PAGE_CAP,
            scope=repository.scope,
            compressed=True,
            priority=repository.priority,
            counts=Counts.NATIVE,
        )
        answer = await self._ask(ask)
        patience = self._wire.patience(answer, self._lane.key_of(Counts.NATIVE))
        if patience is not None:
            raise patience
        if answer.status >= _SERVER_ERROR or answer.status == _TIME_OUT:
            raise TransportError(
                f"{self._wire.host} answered {answer.status}", host=self._wire.host
            )
        if answer.status != _OK:
            for_all = answer.status == _UNKNOWN_METHOD
            raise Refused(f"answered {answer.status} for {repository.what}", for_all=for_all)
        if origin_of(answer.url) != self.origin:
            raise Refused("redirects to another host", for_all=True)
        if is_html(answer):
            raise Refused("sent a web page", for_all=True)
        return answer

    async def _ask(self, ask: Ask) -> Answer:
        match self._lane.dialect.native:
            case NativeApi.DOCKER_HUB:
                return await self._hub.ask(ask, self.origin)
            case NativeApi.QUAY:
                header = await self._oauth_token()
            case NativeApi.HARBOR:
                header = await self._password()
            case _:
                answer, sent = await self._session.ask(ask)
                return _without(answer, sent.token if sent else "")
        return await self._wire.deliver(ask, header, self.origin)

    async def _oauth_token(self) -> str | None:
        credential = await self._logins.current()
        if credential.username != QUAY_OAUTH_USER or not credential.password:
            return None
        self._logins.check_refusal(credential)
        return f"Bearer {credential.password}"

    async def _password(self) -> str | None:
        credential = await self._logins.current()
        if credential.password is None:
            return None
        self._logins.check_refusal(credential)
        return basic(credential)


def _without(answer: Answer, token: str) -> Answer:
    """An answer that does not repeat the token, for its beginning may be shown."""
    body = answer.body
    for form in forms_of(token) if token else ():
        body = body.replace(form.encode(), b"***")
    return answer._replace(body=body)
