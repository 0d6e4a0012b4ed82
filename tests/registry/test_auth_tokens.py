"""Answers of token servers: what is believed, and for how long (rows 12 to 15 of the field notes,
as values)."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from watcher.registry.login.tokens import Token, TokenCache, TokenKey, parse_token

NOW = 1_800_000_000.0
HOUR = 3600.0
DAY = 24 * HOUR


def answer(**document: Any) -> bytes:
    return json.dumps(document).encode()


def life(**document: Any) -> float:
    """For how many seconds from now a token is used."""
    return parse_token(answer(token="t", **document), NOW).refresh_at - NOW


def jwt(claims: object) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{payload}.sig"


def stamp(seconds: float) -> str:
    return datetime.fromtimestamp(NOW + seconds, UTC).isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize(
    ("expires_in", "expected"),
    [
        (300, 270),
        ("300", 270),
        (300.0, 270),
        (60, 54),
        (1, 54),
        (0, 54),
        (-5, 54),
        (1e12, DAY * 0.9),
        pytest.param(10**400, 54, id="beyond numbers"),
        ("soon", 54),
        (True, 54),
        ([300], 54),
        ("nan", 54),
        ("inf", DAY * 0.9),
    ],
)
def test_a_life_is_between_a_minute_and_a_day_and_ends_a_tenth_early(
    expires_in: object, expected: float
) -> None:
    assert life(expires_in=expires_in) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        pytest.param({"iat": 0, "exp": HOUR}, HOUR * 0.9, id="exp and iat, by its own clock"),
        pytest.param({"exp": NOW + HOUR}, HOUR * 0.9, id="exp alone"),
        pytest.param({"iat": NOW}, 54, id="no exp"),
        pytest.param({"exp": "never"}, 54, id="exp is no number"),
        pytest.param({"iat": 0, "exp": 30 * DAY}, DAY * 0.9, id="a month"),
        pytest.param({"iat": 9, "exp": 1}, 54, id="over before it began"),
        pytest.param(["no", "claims"], 54, id="a list"),
    ],
)
def test_without_expires_in_a_jwt_gives_a_hint(claims: object, expected: float) -> None:
    token = parse_token(answer(token=jwt(claims)), NOW)
    assert token.refresh_at - NOW == pytest.approx(expected)


@pytest.mark.parametrize("value", ["opaque", "a.b.c", "e30.@@@.x", "..", "e30.W10.x"])
def test_what_is_no_jwt_lives_a_minute(value: str) -> None:
    assert parse_token(answer(token=value), NOW).refresh_at - NOW == pytest.approx(54)


@pytest.mark.parametrize(
    ("issued_at", "expected"),
    [
        pytest.param(stamp(-100), 170, id="a moment ago"),
        pytest.param(stamp(-600), 270, id="10 minutes ago: another clock"),
        pytest.param(stamp(600), 270, id="in 10 minutes: another clock"),
        pytest.param(stamp(-299), 270, id="over on arrival: issued now"),
        pytest.param("2026-11-21T05:00:00", 270, id="no time zone"),
        pytest.param("yesterday", 270, id="no time"),
        pytest.param(7, 270, id="a number"),
        pytest.param("0001-01-01T00:00:00Z", 270, id="Go's zero time"),
    ],
)
def test_issued_at_is_believed_within_five_minutes(issued_at: object, expected: float) -> None:
    slack = 1 if issued_at == stamp(-299) else 0
    assert life(expires_in=299 if slack else 300, issued_at=issued_at) == pytest.approx(
        expected, abs=2 * slack
    )


def test_access_token_goes_before_token() -> None:
    assert parse_token(answer(token="a", access_token="b"), NOW).header == "Bearer b"
    assert parse_token(answer(token="a", access_token=""), NOW).header == "Bearer a"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<html>", id="a web page"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'{"token": "a\\r\\nb"}', id="a line break"),
        pytest.param(b'{"token": "a", "token": "b"}', id="two tokens"),
        pytest.param(b"\xff", id="no UTF-8"),
        pytest.param(b"[" * 100_000, id="endless nesting"),
        pytest.param(b"\xef\xbb\xbf{}", id="a byte order mark"),
    ],
)
def test_what_is_no_answer_is_an_error_without_the_answer_in_it(body: bytes) -> None:
    with pytest.raises(ValueError, match=r".+") as caught:
        parse_token(body, NOW)
    assert len(str(caught.value)) < 200


def test_a_token_is_not_shown() -> None:
    assert "t0ken" not in repr(parse_token(answer(token="t0ken"), NOW))


def test_the_least_recently_used_token_goes_first() -> None:
    cache = TokenCache(maximum=2)
    keys = [TokenKey("realm", None, (f"scope-{number}",), 0) for number in range(3)]
    for key in keys[:2]:
        cache.put(key, Token(key.scopes[0], NOW + 60))
    cache.get(keys[0], NOW)
    cache.put(keys[2], Token("third", NOW + 60))
    assert [cache.get(key, NOW) is not None for key in keys] == [True, False, True]
    assert len(cache) == 2


def test_a_cache_has_room_for_all_that_are_asked_for_in_turn() -> None:
    cache = TokenCache(maximum=2)
    cache.make_room(5)
    cache.make_room(3)
    keys = [TokenKey("realm", None, (f"scope-{number}",), 0) for number in range(5)]
    for key in keys:
        cache.put(key, Token("Bearer t", NOW + 60))
    assert all(cache.get(key, NOW) is not None for key in keys)


def test_only_the_token_that_was_refused_is_dropped() -> None:
    cache = TokenCache()
    key = TokenKey("realm", None, ("scope",), 0)
    cache.put(key, Token("Bearer new", NOW + 60))
    cache.drop(key, "Bearer old")
    assert cache.get(key, NOW) is not None
    cache.drop(key, "Bearer new")
    cache.drop(key, "Bearer new")
    assert cache.get(key, NOW) is None


def test_a_token_is_given_until_its_refresh() -> None:
    cache = TokenCache()
    key = TokenKey("realm", None, ("scope",), 0)
    cache.put(key, Token("t", NOW + 60))
    assert cache.get(key, NOW + 59) is not None
    assert cache.get(key, NOW + 60) is None
