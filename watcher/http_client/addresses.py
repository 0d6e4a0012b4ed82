"""Names whose addresses were checked: connections go to those, and to no others.

A host that resolves to a public address while it is checked, and to a private one when the
connection is made (DNS rebinding), would lead a request into the network of the house.
"""

from __future__ import annotations

from collections.abc import Sequence

MAXIMUM_NAMES = 1024
"""More than there are requests between check and connection: what is forgotten is resolved anew,
by nobody checked."""


class CheckedAddresses:
    """The addresses that were checked last, per name."""

    def __init__(self) -> None:
        self._pinned: dict[str, tuple[str, ...]] = {}

    def pin(self, host: str, addresses: Sequence[str]) -> None:
        """From now on connections to `host` go to these addresses."""
        self._pinned.pop(host, None)
        if len(self._pinned) >= MAXIMUM_NAMES:
            del self._pinned[next(iter(self._pinned))]
        self._pinned[host] = tuple(addresses)

    def of(self, host: str) -> tuple[str, ...]:
        """The addresses of `host`; none where any will do."""
        return self._pinned.get(host.lower(), ())
