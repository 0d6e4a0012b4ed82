"""The accounts at work: for each its schedule on the ticker, and the workers that poll for it.

Used by the service, which starts them all and ends them, and by a reload, which exchanges some.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from watcher.core.account import Account
from watcher.daemon.app import App, Member
from watcher.engine.poll_outcome import PollOutcome
from watcher.engine.ticker import Ticker
from watcher.engine.watch import AccountWatch


class AccountsAtWork:
    """`watches` are by account; whoever holds it sees accounts come and go."""

    def __init__(
        self, app: App, ticker: Ticker, *, on_outcome: Callable[[PollOutcome], None]
    ) -> None:
        self.watches: dict[str, AccountWatch] = {}
        self._app = app
        self._ticker = ticker
        self._on_outcome = on_outcome
        self._workers: dict[str, list[asyncio.Task[None]]] = {}

    def start_all(self, group: asyncio.TaskGroup) -> None:
        """Set all accounts of the config to work, as tasks of the group; and those that come."""
        self._group = group
        for name in self._app.members:
            self._start(name).make_contact()

    async def end_all(self) -> None:
        for name in list(self.watches):
            await self.end(name)

    async def take(self, account: Account, before: Account | None) -> None:
        """Work for the account as it is now; one that did not change goes on undisturbed."""
        app = self._app
        if before == account and account.name in self.watches:
            member = app.members[account.name]
            member.repositories = app.repositories(account)
            self.watches[account.name].adopt(member.repositories)
            return
        former = self.watches.get(account.name)
        await self.end(account.name, successor=app.member(account))
        watch = self._start(account.name)
        if former is not None:
            watch.take_over(former)

    async def end(self, name: str, successor: Member | None = None) -> None:
        """Stop an account's work. A successor takes its place before its client closes, so that
        no run under way misses the account; the watch stays until another takes its place, so that
        no webhook does."""
        self._ticker.remove(_job(name))
        if successor is None:
            self.watches.pop(name, None)
        workers = self._workers.pop(name, [])
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        self._app.wake_runner()  # a worker may have been stopped just when its poll was recorded
        member = self._app.members.pop(name, None)
        if successor is not None:
            self._app.members[name] = successor
        if member is not None:
            await member.client.aclose()

    def _start(self, name: str) -> AccountWatch:
        """Its schedule, and as many workers as it may have."""
        app = self._app
        member = app.members[name]
        watch = AccountWatch(
            member.account,
            member.client,
            member.poller,
            app.board,
            member.repositories,
            clock=app.clock,
            log=app.log,
            on_outcome=self._on_outcome,
            on_sooner=lambda: self._ticker.sooner(_job(name)),
        )
        watch.start()
        self.watches[name] = watch
        self._workers[name] = [
            self._group.create_task(watch.work(), name=f"poll {name} {number}")
            for number in range(member.account.limits.concurrency)
        ]
        self._ticker.when_due(_job(name), watch.next_due, watch.enqueue_due)
        return watch


def _job(account: str) -> str:
    """What the ticker calls the account's schedule."""
    return f"account {account}"
