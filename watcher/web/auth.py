"""Who may use the HTTP side: who holds the token; where none is demanded, who is on this machine.

A token is read from its file again whenever that changed, and a file that can't be used lets nobody
in. Without a token only a loopback address is listened on; but any page in a browser of this
machine can send requests there, so those that come by another name (DNS rebinding) or from another
origin are refused. So is what a proxy on this machine passes on: it may come from anywhere.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from watcher.core.serving import LONGEST_TOKEN, HttpSettings, is_token
from watcher.telemetry.events import Event
from watcher.telemetry.log import Log
from watcher.web.refusals import Refused

MOST_WRONG, WRONG_SECONDS = 30, 60.0
"""Wrong tokens that are answered 401 in so many seconds; more of them are answered 429. The right
one is always let in."""

_OF_THIS_MACHINE = (
    HTTPStatus.FORBIDDEN,
    "this address is for this machine alone",
    "ask for it as 127.0.0.1 or localhost, or set `http.token_file`",
)
_OWN_SITES = ("same-origin", "none")  # what browsers say of a page of ours, and of a typed address
_PASSED_ON = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


class TokenFile:
    """A token as its file has it now."""

    def __init__(self, path: Path, *, log: Log) -> None:
        self._path = path
        self._log = log
        self._signature: tuple[int, int, int] | None = None
        self._token: bytes | None = None
        self._complaint: str | None = None

    def is_held_by(self, given: bytes) -> bool:
        """Whether this is the token; compared in constant time. Raises Refused (503) when the
        file is missing or has no token that could be sent."""
        return hmac.compare_digest(self._present(), given)

    def has_signed(self, content: bytes, signature: str) -> bool:
        """Whether the signature, in hexadecimal digits, is HMAC-SHA256 of the content with this
        token as its key; compared in constant time. Raises as `is_held_by`."""
        right = hmac.new(self._present(), content, hashlib.sha256).hexdigest()
        return hmac.compare_digest(right.encode(), signature.lower().encode("utf-8", "replace"))

    def _present(self) -> bytes:
        self._look()
        if self._token is None:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "not available")
        return self._token

    def _look(self) -> None:
        """Read the file if it changed since; what is wrong with it is said once."""
        try:
            found = self._path.stat()
            signature = (found.st_mtime_ns, found.st_size, found.st_ino)
            if signature != self._signature:
                self._token = self._read()
                self._signature = signature
            complaint = None if self._token else "it is empty, too large, or not of one line"
        except OSError as error:
            self._token = self._signature = None
            complaint = error.strerror or str(error)
        if complaint is not None and complaint != self._complaint:
            self._log.error(Event.TOKEN_UNUSABLE, file=str(self._path), error=complaint)
        self._complaint = complaint

    def _read(self) -> bytes | None:
        with self._path.open("rb") as file:
            token = file.read(LONGEST_TOKEN + 1).strip()
        return token if is_token(token) else None


class Gate:
    """Decides about each request to what strangers may not see or do."""

    def __init__(self, token: TokenFile | None, *, log: Log, clock: Callable[[], float]) -> None:
        """`clock` is monotonic, in seconds."""
        self._token = token
        self._wrong = WrongTokens(log=log, clock=clock)

    def check(self, request: HTTPConnection) -> None:
        """Raises Refused for whom it does not let in."""
        if self._token is None:
            check_local(request)
        else:
            self._check_token(self._token, request)

    def check_name(self, request: HTTPConnection) -> None:
        """For what is shown without a token. Where only this machine is served, raises Refused for
        a page that reaches it under a name of its own (DNS rebinding). None can by an address; and
        whoever names no host, as probes of HTTP/1.0, is no browser."""
        if self._token is None and not _is_address_or_here(request.headers.get("host", "")):
            raise Refused(*_OF_THIS_MACHINE)

    def lets_in(self, request: HTTPConnection) -> bool:
        """The same as an answer; nothing is counted, and a missing token is no news."""
        if self._token is None or "authorization" in request.headers:
            try:
                self.check(request)
            except Refused:
                return False
            return True
        return False

    def _check_token(self, token: TokenFile, request: HTTPConnection) -> None:
        given = _bearer(request)
        if given is not None and token.is_held_by(given):
            return
        if given is not None:
            self._wrong.count(request)
        raise Refused(
            HTTPStatus.UNAUTHORIZED,
            "unauthorized",
            "send the header `Authorization: Bearer TOKEN`",
            headers={"www-authenticate": "Bearer"},
        )


class WrongTokens:
    """Bounds how often somebody may guess; one line a minute says that somebody does."""

    def __init__(self, *, log: Log, clock: Callable[[], float]) -> None:
        """`clock` is monotonic, in seconds."""
        self._log = log
        self._clock = clock
        self._wrong: deque[float] = deque(maxlen=MOST_WRONG)
        self._said: float | None = None

    def count(self, request: HTTPConnection) -> None:
        """One more; raises Refused (429) when there are too many."""
        now = self._clock()
        while self._wrong and now - self._wrong[0] > WRONG_SECONDS:
            self._wrong.popleft()
        if self._said is None or now - self._said > WRONG_SECONDS:
            self._said = now
            client = request.client.host if request.client else None
            self._log.warning(Event.TOKEN_REFUSED, client=client, path=request.scope["path"])
        if len(self._wrong) == MOST_WRONG:
            raise Refused(
                HTTPStatus.TOO_MANY_REQUESTS,
                "too many wrong tokens",
                headers={"retry-after": str(int(WRONG_SECONDS))},
            )
        self._wrong.append(now)


def api_token(settings: HttpSettings, log: Log) -> TokenFile | None:
    """The token of the API and the page."""
    return None if settings.token_file is None else TokenFile(settings.token_file, log=log)


def hook_token(settings: HttpSettings, log: Log) -> TokenFile | None:
    """The token of senders of webhooks: their own, else that of the API."""
    path = settings.hook_token_file or settings.token_file
    return None if path is None else TokenFile(path, log=log)


def _bearer(request: HTTPConnection) -> bytes | None:
    """The token of the Authorization header (RFC 6750), as the bytes that came."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    token = given.strip(" \t")  # of latin-1, strip() would take letters' bytes for blanks
    return token.encode("latin-1") if scheme.lower() == "bearer" and token else None


def check_local(request: HTTPConnection) -> None:
    """Where no token is demanded: raises Refused for what a page of another site may have sent, and
    for what a proxy says that it passes on."""
    host = request.headers.get("host", "")
    if not _is_loopback_name(host):
        raise Refused(*_OF_THIS_MACHINE)
    if any(name in request.headers for name in _PASSED_ON):
        raise Refused(
            HTTPStatus.FORBIDDEN,
            "a proxy passed this on, and no token is demanded",
            "set `http.token_file`",
        )
    is_own = _is_origin_of(host, request.headers.get("origin"))
    if not is_own or request.headers.get("sec-fetch-site", "none") not in _OWN_SITES:
        raise Refused(HTTPStatus.FORBIDDEN, "requests of other sites are refused")


def _is_loopback_name(host: str) -> bool:
    """Whether the Host header names this machine as only itself does; whatever the port."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _is_address_or_here(host: str) -> bool:
    """Whether the Host header names no machine but this one; whatever the port."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name in ("", "localhost") or bool(ipaddress.ip_address(name))
    except ValueError:
        return False


def _is_origin_of(host: str, origin: str | None) -> bool:
    """Whether the Origin header, where there is one, is this host's own."""
    try:
        return origin is None or urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False
