"""Talks to the `/_admin/` paths that fakereg and the fake registry have, over one connection.

That connection is left out of what they count.
"""

from __future__ import annotations

import http.client
import json
import ssl
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

_STARTS_WITHIN = 60.0


class Admin:
    """`connections`: how many this one has opened so far."""

    def __init__(self, address: str, ca_file: Path | None) -> None:
        self.connections = 0
        self._address = address
        self._context = ssl.create_default_context(cafile=str(ca_file)) if ca_file else None
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, path: str, method: str = "GET", **parameters: str) -> dict[str, Any]:
        """The JSON of the answer. Raises RuntimeError for a refusal, OSError without answer."""
        connection = self._connection or self._connect()
        try:
            connection.request(method, f"/_admin/{path}?{urlencode(parameters)}")
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        if answer.status != 200:
            raise RuntimeError(f"the server refused {path}: {body[:200]!r}")
        document: dict[str, Any] = json.loads(body)
        return document

    def wait(self) -> None:
        """Until the server answers. Raises OSError when it does not in time."""
        deadline = time.monotonic() + _STARTS_WITHIN
        while True:
            try:
                self.ask("stats")
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                return

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> http.client.HTTPConnection:
        if self._context is None:
            connection = http.client.HTTPConnection(self._address, timeout=30)
        else:
            connection = http.client.HTTPSConnection(
                self._address, timeout=30, context=self._context
            )
        connection.connect()
        self.connections += 1
        self._connection = connection
        return connection
