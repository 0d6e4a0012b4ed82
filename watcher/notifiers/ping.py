"""The dead-man ping: one GET, whose staying out raises the alarm elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from watcher.core.notifier import Ping
from watcher.errors import NotifierError
from watcher.http_client.calls import HttpClient, ask, host_of
from watcher.notifiers import LONGEST_ATTEMPT
from watcher.notifiers.addresses import read_url


async def call(ping: Ping, environment: Mapping[str, str], http: HttpClient) -> None:
    """Raises NotifierError for any answer but 2xx, TransportError, RequestError."""
    url = await asyncio.to_thread(read_url, ping.url, environment)
    answer = await ask(http, "GET", url, headers={}, within=LONGEST_ATTEMPT)
    if not 200 <= answer.status < 300:
        raise NotifierError(f"{host_of(url)} answered {answer.status}")
