"""What an account says about HTTP, and what all its requests have in common."""

from __future__ import annotations

from dataclasses import dataclass, field

from watcher import __version__
from watcher.core.account import Account, Timeouts, Tls

MAXIMUM_ORIGINS = 8
"""To how many origins connections stay open: a registry that redirects to ever new ones must not
use up the open files of the process."""
USER_AGENT = f"registry-watcher/{__version__}"
KEEP_ALIVE_SECONDS = 75.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """How to reach a host. `proxy` None means what the environment says (with NO_PROXY), `http2`
    None that who makes the connections knows."""

    tls: Tls = field(default_factory=Tls)
    proxy: str | None = None
    timeouts: Timeouts = field(default_factory=Timeouts)
    http2: bool | None = None

    @property
    def longest(self) -> float:
        """Seconds that one exchange may take: connecting, and two reads."""
        limits = self.timeouts
        return min(limits.total, limits.connect + 2 * limits.read).total_seconds()

    @staticmethod
    def of(account: Account) -> HttpSettings:
        return HttpSettings(
            tls=account.tls, proxy=account.proxy, timeouts=account.timeouts, http2=account.http2
        )
