"""What proves to an API server who we are, and how it is renewed while we run.

Tokens in files rotate, plug-ins print short-lived ones: each source is read again when its time has
come, and once more when the server says 401. Sources are shared by threads. Only `users` and
`connection` import this.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Protocol

from watcher.errors import ClusterError
from watcher.kube.connecting.certificates import not_after
from watcher.kube.connecting.exec_plugin import ExecPlugin, Granted
from watcher.kube.connecting.kubeconfig import content_of, misconfigured

FILE_SECONDS = 60.0
"""How long a token that stands in a file is used before the file is read again."""

EARLY = timedelta(seconds=10)
"""How long before its end a plug-in's credential is replaced."""

_TOKEN = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """A client certificate with its key, as PEM."""

    certificate: bytes = field(repr=False)
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Held:
    """A credential as it is now; compared by identity, so that a refused one is known again."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    pair: KeyPair | None = None

    def same_as(self, other: Held) -> bool:
        return self.headers == other.headers and self.pair == other.pair


class Credentials(Protocol):
    """A source of the credential. Both methods raise ClusterError (CONFIGURATION)."""

    @property
    def seconds(self) -> float:
        """How long getting it may take."""
        ...

    def current(self) -> Held:
        """What to send now. May read a file or run a program."""
        ...

    def renew(self, refused: Held) -> bool:
        """After a 401 to `refused`: whether there is another one to try."""
        ...


class FromFiles:
    """A credential that stands in the kubeconfig or in files that somebody may replace. It is read
    again after a 401, and where it is a token, also once it is `lifetime` seconds old."""

    seconds = 0.0

    def __init__(
        self, read: Callable[[], Held], *, clock: Callable[[], float], lifetime: float | None = None
    ) -> None:
        self._read = read
        self._clock = clock
        self._lifetime = lifetime
        self._lock = Lock()
        self._held: Held | None = None
        self._read_at = 0.0

    def current(self) -> Held:
        with self._lock:
            held = self._held
            if held is None:
                return self._again()
            if self._lifetime is None or self._clock() - self._read_at < self._lifetime:
                return held
            try:
                return self._again()
            except ClusterError:  # being replaced just now; the old one holds until it is refused
                self._read_at = self._clock()
                return held

    def renew(self, refused: Held) -> bool:
        with self._lock:
            held = self._again() if self._held is refused else self._held
            return held is not refused

    def _again(self) -> Held:
        """What there is now: the same value while that stays the same."""
        held = self._read()
        self._read_at = self._clock()
        if self._held is None or not self._held.same_as(held):
            self._held = held
        return self._held


class FromPlugin:
    """What an exec plug-in prints, until shortly before it ends. One run at a time."""

    def __init__(self, plugin: ExecPlugin, *, now: Callable[[], datetime]) -> None:
        self.seconds = plugin.seconds
        self._plugin = plugin
        self._now = now
        self._lock = Lock()
        self._held: Held | None = None
        self._until: datetime | None = None

    def current(self) -> Held:
        with self._lock:
            if self._held is None or (self._until is not None and self._now() >= self._until):
                self._held = self._run()
            return self._held

    def renew(self, refused: Held) -> bool:
        with self._lock:
            if self._held is refused:
                self._held = self._run()
            return True

    def _run(self) -> Held:
        granted = self._plugin.run()
        pair = None
        if granted.certificate is not None and granted.key is not None:
            pair = KeyPair(certificate=granted.certificate, key=granted.key)
        ends = [end for end in (granted.expires, _end_of(granted)) if end is not None]
        self._until = self._replaced_at(min(ends)) if ends else None
        source = f"the exec plug-in {self._plugin.name!r}"
        return Held(headers=bearer(granted.token, source) if granted.token else {}, pair=pair)

    def _replaced_at(self, end: datetime) -> datetime:
        """What is about to end when it comes is used to its end, not replaced at every request."""
        return end - EARLY if self._now() < end - EARLY else end


def token_from(file: Path) -> Mapping[str, str]:
    """The header for the token that a file holds."""
    return bearer(content_of(file).decode(errors="replace"), f"the file {file}")


def bearer(token: str, source: str) -> Mapping[str, str]:
    """The header for a token, without the newline that files end in. The token never gets into a
    message: an HTTP library would print one that can't be a header."""
    token = token.strip()
    if not token:
        raise misconfigured(f"{source} holds no token")
    if _TOKEN.fullmatch(token) is None:
        raise misconfigured(f"{source} holds a token with characters that can't be sent")
    return {"authorization": f"Bearer {token}"}


def basic(username: str, password: str) -> Mapping[str, str]:
    """The header for a name and a password (RFC 7617)."""
    value = base64.b64encode(f"{username}:{password}".encode()).decode()
    return {"authorization": f"Basic {value}"}


def _end_of(granted: Granted) -> datetime | None:
    return not_after(granted.certificate) if granted.certificate else None
