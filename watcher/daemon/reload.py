"""Takes a changed config over while the daemon works; a bad one keeps what was (SPEC 8)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from watcher.config.load import Config
from watcher.daemon.announcing import Announcer
from watcher.daemon.app import App
from watcher.daemon.at_work import AccountsAtWork
from watcher.daemon.supervision import Supervision
from watcher.engine.rules import Rules
from watcher.errors import ConfigError, ListenError, StateError
from watcher.telemetry.events import Event
from watcher.telemetry.families import Count, ReloadResult

LoadConfig = Callable[[], Config]


class Reload:
    """One reload at a time, by a signal or because a file changed."""

    def __init__(
        self,
        app: App,
        load: LoadConfig,
        accounts: AccountsAtWork,
        *,
        announcer: Announcer,
        supervision: Supervision,
    ) -> None:
        self._app = app
        self._load = load
        self._accounts = accounts
        self._announcer = announcer
        self._supervision = supervision
        self._signature = app.config.loaded
        self._under_way = asyncio.Lock()

    async def if_changed(self) -> None:
        """Reload when a file of the config was written, added or removed since the last time."""
        if self._app.config.signature() != self._signature:
            await self.now()

    async def now(self) -> None:
        """Take over what the files say; accounts that did not change go on undisturbed."""
        async with self._under_way:
            self._signature = self._app.config.signature()
            self._supervision.reloading()
            refused = await self._read_anew()
            self._supervision.reloaded(refused)
            self._app.config_is_current = refused is None
            result = ReloadResult.LOADED if refused is None else ReloadResult.REJECTED
            self._app.meter.count(Count.CONFIG_RELOADS, result)

    async def _read_anew(self) -> str | None:
        """None, or why the new config is refused."""
        app = self._app
        try:
            config = await asyncio.to_thread(self._load)
            _check_unchanged(app.config, config)
            switches = await app.store.run(lambda store: store.enabled_overrides())
        except (ConfigError, ListenError, StateError) as error:
            reason = "; ".join(str(error).splitlines())
            app.log.error(Event.CONFIG_REJECTED, error=reason, kept=str(app.config.path))
            self._announcer.config_read(error)
            return reason
        await self._adopt(config, switches)
        self._announcer.config_read(None)
        self._signature = config.loaded
        app.config_loaded = app.clock()
        app.log.info(Event.CONFIG_LOADED, accounts=len(config.accounts))
        return None

    async def _adopt(self, config: Config, switches: Mapping[str, bool]) -> None:
        app = self._app
        before = {account.name: account for account in app.config.accounts}
        after = {account.name: account for account in config.accounts}
        app.config = config
        app.use(Rules.of(config.triggers, config.pipelines, switches))
        for name in before.keys() - after.keys():
            await self._accounts.end(name)
        for name, account in after.items():
            await self._accounts.take(account, before.get(name))


def _check_unchanged(before: Config, after: Config) -> None:
    """What is opened once, at the start. Raises StateError and ListenError."""
    if after.state != before.state:
        raise StateError("the state file can't change while running; restart for it")
    if after.http != before.http:
        raise ListenError("`http` can't change while running; restart for it")
