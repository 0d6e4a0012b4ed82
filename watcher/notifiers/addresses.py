"""Where the URL of a notifier or of the ping comes from: the config, a file or the environment."""

from __future__ import annotations

from collections.abc import Mapping

from watcher.core.notifier import SecretUrl
from watcher.errors import RequestError
from watcher.http_client.calls import read_secret


def read_url(source: SecretUrl, environment: Mapping[str, str]) -> str:
    """The URL as it is now. Raises RequestError, which names the source and never the URL."""
    if source.file is not None:
        try:
            return read_secret(source.file, "url_file").decode().strip()
        except UnicodeDecodeError:
            raise RequestError(f"url_file {source.file} holds no text") from None
    if source.variable is not None:
        value = environment.get(source.variable, "").strip()
        if not value:
            raise RequestError(f"the environment variable {source.variable} is not set")
        return value
    return source.url or ""
