"""Messages as JSON by POST, signed where there is a secret; the same key with each attempt."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime

from watcher import __version__
from watcher.core.message import Message
from watcher.core.notifier import Webhook
from watcher.errors import NotifierError
from watcher.http_client.calls import (
    KEY_HEADER,
    SIGNATURE_HEADER,
    HttpClient,
    ask,
    checked_headers,
    host_of,
    read_secret,
    signature,
)
from watcher.notifiers import LONGEST_ATTEMPT
from watcher.notifiers.addresses import read_url


class WebhookSender:
    """Redirects are not followed: who moved says so."""

    def __init__(self, webhook: Webhook, environment: Mapping[str, str], http: HttpClient) -> None:
        self._webhook = webhook
        self._environment = environment
        self._http = http

    async def send(self, message: Message) -> None:
        """Raises TransportError without an answer, RequestError where the URL, a header or the
        secret is of no use, NotifierError for any answer but 2xx."""
        content = json.dumps(message.to_json(__version__), ensure_ascii=False).encode()
        url, signed = await asyncio.to_thread(self._read, content)
        headers = {
            "Content-Type": "application/json",
            **checked_headers(self._webhook.headers),
            KEY_HEADER: message.key,
            **signed,
        }
        answer = await ask(
            self._http, "POST", url, headers=headers, content=content, within=LONGEST_ATTEMPT
        )
        if not 200 <= answer.status < 300:
            raise NotifierError(
                f"{host_of(url)} answered {answer.status}",
                temporary=answer.is_temporary,
                retry_after=answer.retry_after(datetime.now(UTC)),
            )

    def _read(self, content: bytes) -> tuple[str, dict[str, str]]:
        url = read_url(self._webhook.url, self._environment)
        if self._webhook.secret_file is None:
            return url, {}
        secret = read_secret(self._webhook.secret_file, "secret_file")
        return url, {SIGNATURE_HEADER: signature(secret, content)}
