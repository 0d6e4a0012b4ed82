"""The keys of the daemon's HTTP side (SPEC 3, 9), and the HttpSettings that they make."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from watcher.config.fields import Field, PathValue, Section, Text
from watcher.config.items import Data
from watcher.config.reading import Reading
from watcher.core.serving import DEFAULT_HOST, DEFAULT_PORT, HttpSettings

_LISTEN = r"(localhost|[0-9.]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}"

HTTP = Section(
    {
        "listen": Field(
            Text(matches=_LISTEN, rule="ADDRESS:PORT; an IPv6 address in [brackets]"),
            default=f"{DEFAULT_HOST}:{DEFAULT_PORT}",
            doc="Address and port. Any address but a loopback one needs `token_file`.",
            example="0.0.0.0:8484",
        ),
        "token_file": Field(
            PathValue(),
            doc="The token that the API, the page and webhooks demand. Read again when it changed.",
            example="/run/secrets/watcher-token",
            default_doc="none; then only a loopback address may be listened on",
        ),
        "hook_token_file": Field(
            PathValue(),
            doc="A token for senders of webhooks, which is good for nothing else.",
            example="/run/secrets/hook-token",
            default_doc="`token_file` is theirs too",
        ),
    }
)


def build(data: Data, reading: Reading) -> HttpSettings | None:
    """The settings of a section that was read; None after problems were reported."""
    host, _, port = data["listen"].rpartition(":")
    host = host.strip("[]")
    line = reading.lines.get("http.listen", reading.lines["http"])
    if host != "localhost" and not _is_address(host):
        reading.refuse_at(line, "http.listen", f"{host!r} is not an IP address")
        return None
    if int(port) > 65535:
        reading.refuse_at(line, "http.listen", f"there is no port {port}", "0 to 65535")
        return None
    settings = HttpSettings(
        host=host,
        port=int(port),
        token_file=_path(data, "token_file"),
        hook_token_file=_path(data, "hook_token_file"),
    )
    if not settings.is_loopback and settings.token_file is None:
        message = f"{host} can be reached from elsewhere, and no token is demanded"
        reading.refuse_at(line, "http.listen", message, "add `token_file`, or listen on 127.0.0.1")
        return None
    return settings


def _path(data: Data, key: str) -> Path | None:
    return Path(data[key]) if key in data else None


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
