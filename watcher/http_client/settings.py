"""What an account says about HTTP, and what all its requests have in common."""

from __future__ import annotations

from dataclasses import dataclass, field

from watcher import __version__
from watcher.core.account import Account, Timeouts, Tls

USER_AGENT = f"registry-watcher/{__version__}"
KEEP_ALIVE_SECONDS = 75.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """How to reach a host. `proxy` None means what the environment says (with NO_PROXY)."""

    tls: Tls = field(default_factory=Tls)
    proxy: str | None = None
    timeouts: Timeouts = field(default_factory=Timeouts)

    @staticmethod
    def of(account: Account) -> HttpSettings:
        return HttpSettings(tls=account.tls, proxy=account.proxy, timeouts=account.timeouts)
