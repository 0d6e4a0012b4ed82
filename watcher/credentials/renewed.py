"""A credential that has to be fetched: kept for a while, fetched once for all who wait.

The last good one stays in use until its time is over, even when fetching anew fails meanwhile.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from datetime import timedelta

from watcher.core.account import Credential
from watcher.errors import CredentialError

SHORTEST_PAUSE = timedelta(minutes=1)


class Renewed:
    """Fetches by `fetch`, at most once a minute after a refusal or a failure."""

    def __init__(
        self,
        fetch: Callable[[], Awaitable[Credential]],
        *,
        ttl: timedelta,
        clock: Callable[[], float],
    ) -> None:
        self._fetch = fetch
        self._ttl = ttl.total_seconds()
        self._clock = clock
        self._flight = asyncio.Lock()
        self._credential: Credential | None = None
        self._fetched_at = -math.inf
        self._failure: CredentialError | None = None
        self._rests_since = -math.inf

    async def get(self) -> Credential:
        """The kept credential while it is young enough, else a new one."""
        if (credential := self._kept()) is not None:
            return credential
        async with self._flight:
            if (credential := self._kept()) is not None:
                return credential
            if self._is_resting():
                self._raise_failure()
            return await self._fetch_now()

    async def renew(self, refused: Credential) -> Credential:
        """Fetch anew, unless that was done meanwhile or less than a minute ago."""
        async with self._flight:
            kept = self._kept()
            if kept is not None and kept != refused:
                return kept
            if self._is_resting():
                self._raise_failure()
                return refused
            credential = await self._fetch_now()
            self._rests_since = self._clock()
            return credential

    def _kept(self) -> Credential | None:
        """A clock that was set back must not keep a credential for ever."""
        age = self._clock() - self._fetched_at
        return self._credential if 0 <= age < self._ttl else None

    def _is_resting(self) -> bool:
        return 0 <= self._clock() - self._rests_since < SHORTEST_PAUSE.total_seconds()

    def _raise_failure(self) -> None:
        """A new error each time: one that is raised again and again grows its traceback."""
        if self._failure is not None:
            raise CredentialError(self._failure.message, hint=self._failure.hint)

    async def _fetch_now(self) -> Credential:
        try:
            credential = await self._fetch()
        except CredentialError as error:
            self._failure = error
            self._rests_since = self._clock()
            raise
        self._failure = None
        self._credential = credential
        self._fetched_at = self._clock()
        return credential
