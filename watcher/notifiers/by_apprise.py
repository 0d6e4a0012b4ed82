"""Messages by Apprise, which speaks to mail servers, chats and pagers. The only importer of it.

Apprise blocks, so each attempt has a thread of its own, which may hang without holding up anything.
It says why it failed only in its log: what it logs in that thread at WARNING is the reason, without
any part of the URL; nothing else that is logged there goes anywhere.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import unquote

from watcher.core.message import Message
from watcher.core.notifier import SecretUrl
from watcher.errors import NotifierError
from watcher.notifiers import LONGEST_ATTEMPT
from watcher.notifiers.addresses import read_url
from watcher.telemetry.log import PRIVATE_THREAD

if TYPE_CHECKING:
    import apprise

_SHORTEST_SECRET = 4
_LONGEST_REASON = 300


class AppriseSender:
    """One Apprise URL. `within` is what an attempt may take, in seconds."""

    def __init__(
        self, url: SecretUrl, environment: Mapping[str, str], *, within: float = LONGEST_ATTEMPT
    ) -> None:
        self._url = url
        self._environment = environment
        self._within = within
        self._thread: threading.Thread | None = None

    async def send(self, message: Message) -> None:
        """Raises NotifierError when Apprise says no or takes too long, RequestError when there is
        no URL. Apprise does not say whose fault it was, so all are temporary."""
        if self._thread is not None and self._thread.is_alive():
            raise NotifierError("Apprise still hangs in an earlier attempt", temporary=True)
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()

        def work() -> None:
            try:
                deliver(read_url(self._url, self._environment), message)
            except Exception as error:
                _settle(loop, ended, error)
            else:
                _settle(loop, ended, None)

        self._thread = threading.Thread(target=work, name=PRIVATE_THREAD, daemon=True)
        self._thread.start()
        try:
            async with asyncio.timeout(self._within):
                await ended
        except TimeoutError:
            slow = f"Apprise did not end within {self._within:g} s"
            raise NotifierError(slow, temporary=True) from None


def deliver(url: str, message: Message) -> None:
    """Hand over the message; blocks. Raises NotifierError."""
    with _reasons() as reasons:
        try:
            taken = _notify(url, message)
        except NotifierError:
            raise
        except Exception as error:  # of whatever kind, and its text may hold the URL
            raise NotifierError(f"Apprise failed: {type(error).__name__}", temporary=True) from None
    if not taken:
        reason = without_parts(" ".join(reasons), url)[:_LONGEST_REASON]
        raise NotifierError(reason or "Apprise could not hand it over", temporary=True)


def is_understood(url: str) -> bool:
    """Whether Apprise knows what to do with the URL; nothing is sent."""
    with _reasons():
        return _addressed(url) is not None


def _addressed(url: str) -> apprise.Apprise | None:
    """Apprise with this one address, which it may not take for several. With a time-out of its own
    it would work in other threads, which all addresses share and a few that hang use up."""
    import apprise

    asset = apprise.AppriseAsset(
        app_id="registry-watcher",
        app_desc="registry-watcher",
        async_mode=False,
        service_timeout=0,
    )
    service = apprise.Apprise.instantiate(url, asset=asset)
    return None if service is None else apprise.Apprise(service, asset=asset)


def _notify(url: str, message: Message) -> bool:
    """As plain text, whatever the service makes of it: what a registry said is no markup."""
    import apprise

    address = _addressed(url)
    if address is None:
        raise NotifierError("Apprise does not understand the URL")
    return bool(
        address.notify(
            body=message.text,
            title=message.title,
            notify_type=apprise.NotifyType(message.severity.value),
            body_format=apprise.NotifyFormat.TEXT,
        )
    )


def without_parts(text: str, url: str) -> str:
    """The text without what stands in the URL: host, user, password, path or query."""
    rest = url.partition("://")[2]
    parts = {*re.split(r"[/:@?&=#,\s]+", rest), *re.split(r"[/:@?&=#,\s]+", unquote(rest))}
    long_enough = (part for part in parts if len(part) >= _SHORTEST_SECRET)
    for part in sorted(long_enough, key=len, reverse=True):
        text = text.replace(part, "…")
    return text


class _Reasons(logging.Handler):
    """Keeps what this thread logs."""

    def __init__(self, kept: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._kept = kept
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self._kept.append(" ".join(record.getMessage().split()))


@contextmanager
def _reasons() -> Iterator[list[str]]:
    """What Apprise warns of inside the block, which goes nowhere else."""
    logger = logging.getLogger("apprise")
    logger.propagate = False
    logger.setLevel(logging.WARNING)
    kept: list[str] = []
    handler = _Reasons(kept)
    logger.addHandler(handler)
    try:
        yield kept
    finally:
        logger.removeHandler(handler)


def _settle(
    loop: asyncio.AbstractEventLoop, ended: asyncio.Future[None], error: Exception | None
) -> None:
    """Tell the loop, unless nobody waits any more."""

    def tell() -> None:
        if ended.done():
            return
        if error is None:
            ended.set_result(None)
        else:
            ended.set_exception(error)

    try:
        loop.call_soon_threadsafe(tell)
    except RuntimeError:
        return  # the loop was closed meanwhile
