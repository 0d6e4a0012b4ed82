"""What `validate` finds out about notifiers and the ping without calling any of them. No finding
holds a part of a URL.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from watcher.errors import RequestError

if TYPE_CHECKING:
    from watcher.config.load import Config
    from watcher.core.notifier import Notifier, SecretUrl

HINT = "`watcher notify test` sends a message by it"


def notifier_faults(config: Config, environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What is wrong with a notifier or the ping, and what to do about it."""
    for notifier in config.notifiers:
        for fault in _faults(notifier, environment):
            yield f"notifier {notifier.name}: {fault}", HINT
    if config.ping is not None:
        for fault in _unreadable(config.ping.url, environment):
            yield f"ping: {fault}", "it would stay out, and who listens raise the alarm"


def _faults(notifier: Notifier, environment: Mapping[str, str]) -> Iterator[str]:
    if notifier.apprise is not None:
        yield from _not_understood(notifier.apprise, environment)
    if notifier.webhook is not None:
        from watcher.http_client.calls import checked_headers, read_secret

        yield from _unreadable(notifier.webhook.url, environment)
        try:
            checked_headers(notifier.webhook.headers)
            if notifier.webhook.secret_file is not None:
                read_secret(notifier.webhook.secret_file, "secret_file")
        except RequestError as error:
            yield str(error)


def _not_understood(source: SecretUrl, environment: Mapping[str, str]) -> Iterator[str]:
    from watcher.notifiers.addresses import read_url
    from watcher.notifiers.by_apprise import is_understood

    try:
        if not is_understood(read_url(source, environment)):
            yield "Apprise does not understand the URL"
    except RequestError as error:
        yield str(error)


def _unreadable(source: SecretUrl, environment: Mapping[str, str]) -> Iterator[str]:
    from watcher.http_client.calls import host_of
    from watcher.notifiers.addresses import read_url

    try:
        host_of(read_url(source, environment))
    except RequestError as error:
        yield str(error)
