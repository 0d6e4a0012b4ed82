"""Bearer tokens: what a token server answers, how long it may be used, and where it is kept.

Distribution token specification; field experience: `expires_in` is often missing (Quay, ACR,
GitLab), so the token's own `exp` is read as a hint for scheduling, never as a proof.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections import OrderedDict
from datetime import datetime
from typing import Any, NamedTuple

from watcher.core.oci import parse_object

BEARER = "Bearer "
SHORTEST_LIFE = 60.0
LONGEST_LIFE = 24 * 3600.0
BELIEVED_CLOCK_SKEW = 300.0
MAXIMUM_TOKENS = 1000
"""Of an account with few repositories; one with more has room for twice as many as these."""
USUAL_SIZE = 4 * 1024
"""Bytes of a token and its scopes: larger ones have room for fewer."""
_TOKEN = re.compile(r"[\x21-\x7e]{1,16384}")


class Token(NamedTuple):
    """A token, as it is sent, and the second (of the epoch) from which a new one is asked for."""

    header: str
    refresh_at: float

    def __repr__(self) -> str:
        return f"Token(refresh_at={self.refresh_at})"


class TokenKey(NamedTuple):
    """What a token was given for. `generation` counts the credentials of the account."""

    realm: str
    service: str | None
    scopes: tuple[str, ...]
    generation: int


class TokenCache:
    """The tokens of one account; the least recently used goes first."""

    def __init__(self, maximum: int = MAXIMUM_TOKENS) -> None:
        self._maximum = maximum
        self._tokens: OrderedDict[TokenKey, Token] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return len(self._tokens)

    def make_room(self, for_so_many: int) -> None:
        """Whoever asks for all of these in turn must find each of them again."""
        self._maximum = max(self._maximum, for_so_many)

    def get(self, key: TokenKey, now: float) -> Token | None:
        token = self._tokens.get(key)
        if token is None or now >= token.refresh_at:
            return None
        self._tokens.move_to_end(key)
        return token

    def put(self, key: TokenKey, token: Token) -> None:
        self._remove(key)
        self._tokens[key] = token
        self._size += _size(key, token)
        while len(self._tokens) > self._maximum or (
            self._size > self._maximum * USUAL_SIZE and len(self._tokens) > 1
        ):
            self._remove(next(iter(self._tokens)))

    def drop(self, key: TokenKey, header: str) -> None:
        """Forget a token that was refused, unless there is another one by now."""
        token = self._tokens.get(key)
        if token is not None and token.header == header:
            self._remove(key)

    def clear(self) -> None:
        self._tokens.clear()
        self._size = 0

    def _remove(self, key: TokenKey) -> None:
        token = self._tokens.pop(key, None)
        if token is not None:
            self._size -= _size(key, token)


def _size(key: TokenKey, token: Token) -> int:
    return len(token.header) + len(key.realm) + len(key.service or "") + sum(map(len, key.scopes))


def parse_token(body: bytes, now: float) -> Token:
    """Read a token server's answer; raises ValueError with a sentence that holds no secret."""
    document = parse_object(body)
    value = document.get("access_token") or document.get("token")
    if not isinstance(value, str) or _TOKEN.fullmatch(value) is None:
        raise ValueError("it holds no usable token")
    life = _life(document.get("expires_in"), value, now)
    issued = _issued(document.get("issued_at"), now)
    if issued + life <= now:
        issued = now
    return Token(BEARER + value, issued + life - max(5.0, life / 10))


def _life(expires_in: object, value: str, now: float) -> float:
    seconds = _number(expires_in)
    if seconds is None:
        seconds = _life_of_jwt(value, now)
    if math.isnan(seconds):  # from one infinity to another
        seconds = SHORTEST_LIFE
    return min(max(seconds, SHORTEST_LIFE), LONGEST_LIFE)


def _life_of_jwt(value: str, now: float) -> float:
    claims = _claims(value)
    expires = _number(claims.get("exp"))
    if expires is None:
        return SHORTEST_LIFE
    issued = _number(claims.get("iat"))
    return expires - (now if issued is None else issued)


def _claims(value: str) -> dict[str, Any]:
    """The unverified payload of a JWT; empty for an opaque token."""
    parts = value.split(".")
    if len(parts) != 3:
        return {}
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _issued(value: object, now: float) -> float:
    try:
        issued = datetime.fromisoformat(str(value))
        seconds = issued.timestamp() if issued.tzinfo else now
    except (ValueError, OverflowError):
        return now
    return seconds if abs(seconds - now) <= BELIEVED_CLOCK_SKEW else now


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return None if math.isnan(number) else number
