"""What proves to an API server who we are, and how it is renewed while we run.

Tokens in files rotate, plug-ins print short-lived ones: each source is read again when its time has
come, and once more when the server says 401. Sources are shared by threads. Only `connection`
imports this.
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

from watcher.kube.certificates import not_after
from watcher.kube.exec_plugin import ExecPlugin, Granted
from watcher.kube.kubeconfig import misconfigured

FILE_SECONDS = 60.0
"""How long a token that stands in a file is used before the file is read again."""

EARLY = timedelta(seconds=10)
"""How long before its end a plug-in's credential is replaced."""

_TOKEN = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Held:
    """A credential as it is now: headers, and a client certificate with its key as PEM."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    certificate: bytes | None = field(default=None, repr=False)
    key: bytes | None = field(default=None, repr=False)


class Credentials(Protocol):
    """A source of the credential. Both raise ClusterError (CONFIGURATION)."""

    def current(self) -> Held:
        """What to send now. May read a file or run a program."""
        ...

    def renew(self, refused: Held) -> bool:
        """After a 401 to `refused`: whether there is another credential to try."""
        ...


class Fixed:
    """A credential that stands in the kubeconfig itself."""

    def __init__(self, held: Held) -> None:
        self._held = held

    def current(self) -> Held:
        return self._held

    def renew(self, refused: Held) -> bool:
        return False


class CertificateFiles:
    """A client certificate and its key in files, which somebody may replace."""

    def __init__(self, certificate: Path, key: Path, headers: Mapping[str, str]) -> None:
        self._files = (certificate, key)
        self._headers = headers
        self._lock = Lock()
        self._held: Held | None = None

    def current(self) -> Held:
        with self._lock:
            if self._held is None:
                self._held = self._read()
            return self._held

    def renew(self, refused: Held) -> bool:
        with self._lock:
            if self._held is refused:
                self._held = self._read()
            return self._held is not None and self._held.certificate != refused.certificate

    def _read(self) -> Held:
        certificate, key = (_content(file) for file in self._files)
        return Held(headers=self._headers, certificate=certificate, key=key)


class TokenFile:
    """A bearer token in a file that is rewritten from time to time, as that of a pod."""

    def __init__(
        self,
        file: Path,
        *,
        clock: Callable[[], float],
        beside: Held | None = None,
        seconds: float = FILE_SECONDS,
    ) -> None:
        self._file = file
        self._clock = clock
        self._beside = beside or Held()
        self._seconds = seconds
        self._lock = Lock()
        self._held: Held | None = None
        self._read_at = 0.0

    def current(self) -> Held:
        with self._lock:
            if self._held is None or self._clock() - self._read_at >= self._seconds:
                self._held = self._read()
            return self._held

    def renew(self, refused: Held) -> bool:
        with self._lock:
            if self._held is refused:
                self._held = self._read()
            return self._held is not refused

    def _read(self) -> Held:
        """What the file holds; the same object while that stays the same."""
        headers = bearer(_content(self._file).decode(errors="replace"), f"the file {self._file}")
        self._read_at = self._clock()
        if self._held is not None and self._held.headers == headers:
            return self._held
        return Held(headers=headers, certificate=self._beside.certificate, key=self._beside.key)


class FromPlugin:
    """What an exec plug-in prints, until shortly before it ends. One run at a time."""

    def __init__(self, plugin: ExecPlugin, *, now: Callable[[], datetime]) -> None:
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
        ends = [end for end in (granted.expires, _end_of(granted)) if end is not None]
        self._until = min(ends) - EARLY if ends else None
        source = f"the exec plug-in {self._plugin.name!r}"
        return Held(
            headers=bearer(granted.token, source) if granted.token else {},
            certificate=granted.certificate,
            key=granted.key,
        )


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


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise misconfigured(f"{file} can't be read: {error.strerror}") from error
