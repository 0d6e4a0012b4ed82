"""Asking the registry something, login included: one answer, or an error that says whose fault.

Joins wire.py (how requests travel) with auth.py (what they carry). Only client.py imports it.
"""

from __future__ import annotations

from watcher.errors import AuthenticationFailed, ProtocolError, RegistryError
from watcher.registry.answer import Answer, spec_error
from watcher.registry.bodies import ERROR_CAP
from watcher.registry.excerpts import excerpt
from watcher.registry.login.auth import RegistryAuth
from watcher.registry.login.authorization import Authorization, Step, Verdict
from watcher.registry.urls import origin_of
from watcher.registry.wire import Ask, Wire

_ABOUT_LOGIN = frozenset({400, 401, 403, 404})
_ABOUT_PASSWORD = frozenset({"", "DENIED", "UNAUTHORIZED"})


class Session:
    """The requests of one account."""

    def __init__(self, base_url: str, wire: Wire, auth: RegistryAuth) -> None:
        self._base_url = base_url
        self._wire = wire
        self._auth = auth

    async def ask(
        self, ask: Ask, steps: set[Step] | None = None
    ) -> tuple[Answer, Authorization | None]:
        """The answer after as many logins as are sensible; its status may be any but a redirect.

        `steps` is handed in by who asks the same in several ways, so that no login is tried anew.
        """
        steps = set() if steps is None else steps
        while True:
            sent = await self._auth.authorization(ask.scope, steps)
            header = sent.header if sent else None
            answer = await self._wire.deliver(ask, header, self._wire.origin)
            if answer.status < 300:
                if sent is not None:
                    self._auth.accepted(sent, steps)
                return answer, sent
            if origin_of(answer.url) != self._wire.origin:
                return await self._ask_elsewhere(ask, answer), None
            if answer.status not in _ABOUT_LOGIN or not await self._may_repeat(
                ask, answer, sent, steps
            ):
                return answer, sent

    async def get(self, ask: Ask) -> tuple[Answer, Authorization | None]:
        """As `ask`, where only 200 is an answer; raises the RegistryError tree."""
        answer, sent = await self.ask(ask)
        if answer.status != 200:
            raise self.error(ask, answer, sent)
        return answer, sent

    def error(self, ask: Ask, answer: Answer, sent: Authorization | None) -> RegistryError:
        """What a refusal means; parks the host when it asks for patience."""
        error = self._wire.refuse(answer, ask, self._auth.secrets(sent))
        is_password = sent is not None and sent.credential is not None and not sent.token
        if answer.status == 400 and is_password and spec_error(answer.body).code in _ABOUT_PASSWORD:
            # ECR answers so to a password that has expired; it was renewed, and still refused.
            return AuthenticationFailed(error.message, host=error.host, status=400)
        return error

    def unusable(self, answer: Answer, sent: Authorization | None, what: str) -> ProtocolError:
        """The error of an answer that is not what was asked for, with its beginning."""
        shown = excerpt(answer.body, self.secrets(sent))
        return ProtocolError(f"{self._wire.host} sent {what}; {shown}", host=self._wire.host)

    def secrets(self, sent: Authorization | None) -> tuple[str, ...]:
        """What must not be shown of an answer to what was sent."""
        return self._auth.secrets(sent)

    async def learn_login(self) -> None:
        """Ask `/v2/` for its challenge, where an answer without a login would be half the truth."""
        if await self._auth.wants_challenge():
            await self._auth.learn(await self._ping(), None, set())

    async def _may_repeat(
        self, ask: Ask, answer: Answer, sent: Authorization | None, steps: set[Step]
    ) -> bool:
        if sent is not None:
            return answer.status != 404 and await self._may_repeat_login(ask, answer, sent, steps)
        if answer.status == 401 and "www-authenticate" in answer.headers:
            return await self._auth.learn(answer, ask.scope, steps)
        if answer.status == 400 or Step.CHALLENGED in steps:
            return False
        # Some registries hide what needs a login, or refuse without saying how to log in.
        if answer.status == 401:
            if await self._auth.learn(await self._ping(), None, steps):
                return True
            raise AuthenticationFailed(
                f"{self._wire.host} refused {ask.what} without saying how to log in",
                host=self._wire.host,
                status=401,
            )
        if await self._auth.wants_challenge():
            return await self._auth.learn(await self._ping(), None, steps)
        return False

    async def _may_repeat_login(
        self, ask: Ask, answer: Answer, sent: Authorization, steps: set[Step]
    ) -> bool:
        verdict = await self._auth.refused(answer, sent, ask.scope, steps)
        if verdict is not Verdict.PASSWORD:
            return verdict is Verdict.AGAIN
        # Harbor refuses what is forbidden in the words of a wrong password; its ping tells which.
        if not sent.is_direct or (await self._ping(sent.header)).status == 401:
            raise self._auth.password_refused(sent, answer.status)
        return False

    async def _ping(self, authorization: str | None = None) -> Answer:
        ask = Ask(url=f"{self._base_url}/v2/", what="its API", cap=ERROR_CAP)
        return await self._wire.deliver(ask, authorization, self._wire.origin)

    async def _ask_elsewhere(self, ask: Ask, answer: Answer) -> Answer:
        """A host to which the registry redirects may want an anonymous token of its own."""
        if answer.status != 401:
            return answer
        header = await self._auth.elsewhere(answer)
        if header is None:
            return answer
        there = ask._replace(url=answer.url)
        return await self._wire.deliver(there, header, origin_of(answer.url))
