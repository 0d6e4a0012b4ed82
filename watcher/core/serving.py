"""Where the daemon's HTTP side listens, and who may use it (SPEC 9). Values only."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import NamedTuple

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8484
LONGEST_TOKEN = 4096

_CONTROLS = frozenset([*range(0x20), 0x7F])


class HttpSettings(NamedTuple):
    """`host` is an IP address or `localhost`. `token_file` is for the API, the page and, where
    `hook_token_file` is None, for senders of webhooks. Port 0 takes any that is free."""

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    token_file: Path | None = None
    hook_token_file: Path | None = None

    @property
    def address(self) -> str:
        """The IP address. `localhost` is 127.0.0.1 and nothing that this name may also lead to:
        there somebody else may listen."""
        return DEFAULT_HOST if self.host == "localhost" else self.host

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it: then no token is needed."""
        return ipaddress.ip_address(self.address).is_loopback


def is_token(content: bytes) -> bool:
    """Whether this can be a token: neither empty nor too large, and such that a header can hold it,
    which no line end can be in."""
    return 0 < len(content) <= LONGEST_TOKEN and _CONTROLS.isdisjoint(content)
