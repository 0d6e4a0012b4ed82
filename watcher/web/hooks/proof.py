"""How a sender shows that it knows the secret: with the token itself, or by signing with it.

Senders differ in what they can be told to send, so the token may stand in any of a few headers, or
in the URL. Values only; the secret itself stays where it is compared, in constant time.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

TOKEN_HEADERS = ("x-watcher-token", "x-gitlab-token", "x-registry-token", "x-api-key")
TIMESTAMP_HEADER = "x-watcher-timestamp"
LARGEST_SKEW = 300.0
"""Seconds by which the timestamp of a signed delivery may be off."""

_BLANKS = " \t"
"""Of a header's latin-1 text, strip() would take the bytes of letters for blanks."""
_SIGNATURE = "sha256="
_MOST_DIGITS = 12


class Secret(Protocol):
    """The token, known to whoever compares. Both raise Refused where it can't be read."""

    def is_held_by(self, given: bytes) -> bool: ...

    def has_signed(self, content: bytes, signature: str) -> bool:
        """Whether the signature, in hexadecimal digits, is HMAC-SHA256 of the content."""
        ...


@dataclass(frozen=True, slots=True)
class Signed:
    """What a sender signed, and the timestamp in it (epoch seconds) where there is one."""

    content: bytes
    signature: str
    moment: float | None = None

    def is_stale(self, now: float) -> bool:
        return self.moment is not None and abs(now - self.moment) > LARGEST_SKEW


def tokens_given(headers: Mapping[str, str], query: Sequence[str]) -> list[bytes]:
    """Everything that may be the token: `Authorization` as it is, what it carries (RFC 6750, and
    the password of RFC 7617), other headers, and the URL's `token`. A URL has one: of a thousand in
    it none is looked at, or one request would be as many guesses."""
    given = [headers[name] for name in TOKEN_HEADERS if name in headers]
    authorization = headers.get("authorization", "").strip(_BLANKS)
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "basic":
        given.append(_password(rest))
    elif authorization:
        given += [authorization, rest.strip(_BLANKS)]
    by_header = [text.encode("latin-1", "replace") for text in given if text]
    by_url = query if len(query) == 1 else ()
    return by_header + [text.encode("utf-8", "replace") for text in by_url if text]


def is_held(secret: Secret, given: Iterable[bytes]) -> bool:
    """Whether one of these is the token; all are compared, whichever it is."""
    matches = [secret.is_held_by(each) for each in given]
    return any(matches)


def signed(headers: Mapping[str, str], name: str | None, body: bytes) -> Signed | None:
    """What the sender says that it signed; None where it did not, or not in a form that is known.

    With `X-Watcher-Timestamp` that is the timestamp, a dot and the body.
    """
    header = headers.get(name, "") if name is not None else ""
    if not header.startswith(_SIGNATURE):
        return None
    signature = header.removeprefix(_SIGNATURE)
    stamp = headers.get(TIMESTAMP_HEADER) if name == "x-watcher-signature-256" else None
    if stamp is None:
        return Signed(body, signature)
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= _MOST_DIGITS):
        return None
    return Signed(stamp.encode() + b"." + body, signature, float(stamp))


def _password(credentials: str) -> str:
    try:
        decoded = base64.b64decode(credentials.strip(), validate=True).decode("latin-1")
    except (binascii.Error, ValueError):
        return ""
    return decoded.partition(":")[2]
