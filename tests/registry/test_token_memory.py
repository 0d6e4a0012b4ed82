"""Tokens of a hostile server, however long and many, take bounded memory and time."""

from __future__ import annotations

import base64
import json

from watcher.registry.login.tokens import (
    LONGEST_LIFE,
    MAXIMUM_TOKENS,
    USUAL_SIZE,
    Token,
    TokenCache,
    TokenKey,
    parse_token,
)

NOW = 1_800_000_000.0


def test_no_token_is_good_for_ever() -> None:
    claims = base64.urlsafe_b64encode(b'{"exp":1e999,"iat":1e999}').rstrip(b"=").decode()
    token = parse_token(json.dumps({"token": f"a.{claims}.c"}).encode(), NOW)
    assert NOW < token.refresh_at <= NOW + LONGEST_LIFE


def test_ever_new_long_tokens_take_bounded_memory() -> None:
    """As of a registry that names ever new scopes, and a token server that answers with 16 KiB."""
    cache = TokenCache()
    keys = [TokenKey("realm", None, (f"{number:0>512}",), 0) for number in range(5000)]
    for key in keys:
        cache.put(key, Token("Bearer " + "t" * 16384, NOW + 60))
    kept = [key for key in keys if cache.get(key, NOW) is not None]
    assert kept == keys[-len(kept) :]
    assert 100 < len(kept) * 16384 // 1024 <= MAXIMUM_TOKENS * USUAL_SIZE // 1024
