"""What systemd is told, and what it asks for: readiness, status line, watchdog (sd_notify(3)).

One datagram per message to the socket that $NOTIFY_SOCKET names; nothing to import for it. Without
such a socket all of this does nothing. What children inherit leaves `OURS` out: they must not speak
for the daemon. Used by the daemon; the names also by whatever starts programs.
"""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

OURS = frozenset({"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"})
"""Variables that are for the daemon alone."""

CREDENTIALS = "CREDENTIALS_DIRECTORY"
"""Names where secrets lie: for programs that give passwords, not for those that use images."""

_LONGEST_STATUS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceManager:
    """Who started this process and listens to it. `address` None: nobody does. `watchdog`: how
    long it may be silent before it is killed; None: for ever."""

    address: str | None = None
    watchdog: timedelta | None = None

    @staticmethod
    def of(environment: Mapping[str, str], pid: int) -> ServiceManager:
        """The one that the environment names for this process. A watchdog for another process, or
        of no sensible length, is none."""
        named = environment.get("NOTIFY_SOCKET", "")
        address = named if named[:1] in ("/", "@") and len(named) > 1 else None
        if environment.get("WATCHDOG_PID", str(pid)) != str(pid):
            return ServiceManager(address=address)
        return ServiceManager(
            address=address, watchdog=_duration(environment.get("WATCHDOG_USEC", ""))
        )

    @property
    def listens(self) -> bool:
        return self.address is not None

    def ready(self, status: str) -> bool:
        """The service does its work now, after a start or a reload. False where this could not be
        said, as for all messages; none of them raises or waits."""
        return self._send("READY=1", _status(status))

    def reloading(self) -> bool:
        """A reload begins; `ready` ends it, whatever became of it."""
        now = time.monotonic_ns() // 1000
        return self._send("RELOADING=1", f"MONOTONIC_USEC={now}", _status("reads the config"))

    def stopping(self, within: timedelta) -> bool:
        """The process ends in order, which may take so long."""
        return self._send("STOPPING=1", _extension(within), _status("stops"))

    def status(self, status: str) -> bool:
        """One line for `systemctl status`."""
        return self._send(_status(status))

    def goes_on(self) -> bool:
        """Feed the watchdog."""
        return self._send("WATCHDOG=1")

    def needs(self, more: timedelta) -> bool:
        """Starting or stopping goes on for at most so long from now."""
        return self._send(_extension(more))

    def _send(self, *assignments: str) -> bool:
        if self.address is None:
            return False
        address = f"\0{self.address[1:]}" if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
                sender.sendto("\n".join(assignments).encode(), address)
        except (OSError, ValueError):
            return False
        return True


def _status(text: str) -> str:
    """One line, since a newline would begin another assignment."""
    lines = (" ".join(line.split()) for line in text.splitlines())
    return f"STATUS={'; '.join(filter(None, lines))[:_LONGEST_STATUS]}"


def _extension(more: timedelta) -> str:
    return f"EXTEND_TIMEOUT_USEC={math.ceil(more / timedelta(microseconds=1))}"


def _duration(microseconds: str) -> timedelta | None:
    if not (microseconds.isascii() and microseconds.isdigit()):
        return None
    try:
        return timedelta(microseconds=int(microseconds)) or None
    except (OverflowError, ValueError):
        return None
