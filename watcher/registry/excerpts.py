"""The beginning of an answer that can't be used, for whoever has to find out what it is.

It comes from outside: control characters are cut, and what was sent as a secret is blotted out
should the server repeat it.
"""

from __future__ import annotations

from collections.abc import Sequence

from watcher.registry.answer import clean

SHOWN_BYTES = 200
_SHORTEST_SECRET = 4


def excerpt(body: bytes, secrets: Sequence[str]) -> str:
    """`it begins: …` with the first 200 bytes, or that it is empty."""
    if not body.strip():
        return "it is empty"
    # A secret that reaches beyond what is shown must be found whole before it is cut.
    hidden = [s.encode() for s in secrets if len(s) >= _SHORTEST_SECRET]
    head = body[: SHOWN_BYTES + max(map(len, hidden), default=0)]
    for secret in hidden:
        head = head.replace(secret, b"***")
    return f"it begins: {clean(head[:SHOWN_BYTES].decode('utf-8', 'replace'), SHOWN_BYTES)}"
