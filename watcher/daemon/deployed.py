"""What stages may know of earlier runs and of accounts: the other ends of `stages/base.py`'s
protocols Deployments and Accounts, for executions of one App.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Protocol

from watcher import credentials
from watcher.config.load import Config
from watcher.core.account import Account, Credential
from watcher.core.change import ChangeKind
from watcher.core.deployment import Bundle, Rejection
from watcher.core.pipeline import Execution, StageSpec
from watcher.errors import StageError
from watcher.store.threaded import ThreadedStore


class StageDeployments:
    """Of one stage of one run."""

    def __init__(
        self,
        store: ThreadedStore,
        execution: Execution,
        spec: StageSpec,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._execution = execution
        self._stage = spec.name
        self._now = now

    @property
    def _pipeline(self) -> str:
        return self._execution.pipeline.name

    async def last_good(self) -> Bundle | None:
        """Of another run: one that is retried is not taken back to what it applied itself."""
        bundle = await self._store.run(lambda s: s.last_good(self._pipeline, self._stage))
        return None if bundle is None or bundle.execution == self._execution.id else bundle

    async def propose(self, bundle: Bundle) -> None:
        await self._store.run(lambda s: s.propose(self._pipeline, self._stage, bundle))

    async def reject(self, digest: str | None, reason: str) -> None:
        run = self._execution
        if run.repository is None or run.change == ChangeKind.DELETED.value:
            return
        rejection = Rejection(
            pipeline=self._pipeline,
            account=run.account,
            repository=run.repository,
            tag=run.tag,
            digest=digest,
            execution=run.id,
            reason=reason,
            time=self._now(),
        )
        await self._store.run(lambda s: s.reject(rejection))

    async def rejected(self, digest: str | None) -> Rejection | None:
        run = self._execution
        if run.repository is None:
            return None
        return await self._store.run(lambda s: s.rejection_of_run(self._pipeline, run.id, digest))


class Configured(Protocol):
    """Where the config is, as it is now."""

    @property
    def config(self) -> Config: ...

    @property
    def environment(self) -> Mapping[str, str]: ...

    @property
    def clock(self) -> Callable[[], float]: ...


class ConfiguredAccounts:
    """The credentials of the accounts that the config has now."""

    def __init__(self, world: Configured) -> None:
        self._world = world

    async def credential(self, name: str) -> tuple[Account, Credential]:
        """Asked for anew. Raises StageError, CredentialError."""
        account = next((a for a in self._world.config.accounts if a.name == name), None)
        if account is None:
            raise StageError(f"there is no account {name!r}")
        provider = credentials.provider(
            account.credential,
            account.registry,
            clock=self._world.clock,
            environment=self._world.environment,
        )
        return account, await provider.get()
