"""The beginning of an answer that can't be used, for whoever has to find out what it is.

It comes from outside: control characters are cut, and what was sent as a secret is blotted out
should the server repeat it.
"""

from __future__ import annotations

from collections.abc import Sequence

from watcher.registry.answer import clean, forms_of

SHOWN_BYTES = 200
_SHORTEST_SECRET = 4


def excerpt(body: bytes, secrets: Sequence[str]) -> str:
    """`it begins: …` with the first 200 bytes, or that it is empty."""
    if not body.strip():
        return "it is empty"
    # Before anything is cut: what is left of a secret that was cut would not be found any more.
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            for form in forms_of(secret):
                body = body.replace(form.encode(), b"***")
    return f"it begins: {clean(body[:SHOWN_BYTES].decode('utf-8', 'replace'), SHOWN_BYTES)}"
