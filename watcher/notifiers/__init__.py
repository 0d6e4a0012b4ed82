"""How a message gets to a notifier: by a webhook, or by Apprise; and the dead-man ping.

Used by the daemon and by `watcher notify test`. Importing it imports neither httpx nor Apprise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from watcher.core.message import Message
from watcher.core.notifier import Notifier
from watcher.http_client.calls import HttpClient

LONGEST_ATTEMPT = 30.0
"""Seconds for one attempt; who takes longer has not got the message."""


class Sender(Protocol):
    """One notifier, ready to be sent to."""

    async def send(self, message: Message) -> None:
        """Hand over one message within 30 s. Raises NotifierError or another WatcherError, whose
        text holds nothing of a URL but a host; a temporary one is no fault of the message."""
        ...


def sender_of(notifier: Notifier, environment: Mapping[str, str], http: HttpClient) -> Sender:
    """What is a secret is read with each message, so that it may change at any time."""
    if notifier.webhook is not None:
        from watcher.notifiers.webhook import WebhookSender

        return WebhookSender(notifier.webhook, environment, http)
    assert notifier.apprise is not None  # the config has seen to it
    from watcher.notifiers.by_apprise import AppriseSender

    return AppriseSender(notifier.apprise, environment)
