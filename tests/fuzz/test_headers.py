"""Headers of strangers: WWW-Authenticate, Link, Retry-After."""

from __future__ import annotations

import math

from hypothesis import strategies as st

from tests.fuzz.mutations import long_texts, texts
from tests.fuzz.running import busy_at_most, fuzzed, is_clean, outcome_of
from watcher.registry.budgets.retry_after import LONGEST, SHORTEST, retry_after
from watcher.registry.listing.links import next_link, next_url
from watcher.registry.login.challenges import parse_challenges
from watcher.registry.urls import origin_of

PAGE = "https://registry.example.com:5000/v2/acme/web/tags/list?n=100"
OWN = "https://registry.example.com:5000"

CHALLENGES = (
    'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",'
    'scope="repository:library/nginx:pull"',
    'Bearer realm="https://codeberg.org/v2/token",service="container_registry",scope="*",'
    'Basic realm="Gitea, Package API"',
    'Basic realm="My \\"q\\" Realm"',
    'BEARER Realm = "r" ,\tSERVICE= s,error="invalid_token"',
    "Negotiate YII=, NTLM, Digest nonce=abc, qop=auth",
)
CHALLENGE_WORDS = ("Bearer ", "Basic ", "realm=", "scope=", '"', "\\", '\\"', ",", "=", " ", "\t",
                   "error=insufficient_scope", "==", ', ,', 'a="')  # fmt: skip
LINKS = (
    '</v2/acme/web/tags/list?last=v1&n=100>; rel="next"',
    "<https://registry.example.com:5000/v2/acme/web/tags/list?n=100&last=1.0>; rel=next",
    '<?last=a%2Fb%3D&n=2>; rel="next"; title="a, b"',
    '</v2/x?last=a>; rel="previous", </v2/acme/web/tags/list?last=b>; rel="prev next"',
    "</repository/docker/v2/acme/web/tags/list?next_page=abc==>; REL = next",
    "</v2/acme/web/tags/list?last=z>",
)
LINK_WORDS = ("<", ">", ";", ",", '"', "rel=", "next", "//", "//evil.example/", "https://", "@",
              "http:", "file:///", "?", "#", "..", "%2e%2e/", "[", "]", ":5000", ":443",
              "\\")  # fmt: skip
PATIENCE = ("7", "0", "-5", "1.5", "99999", "880.092µs", "1h2m3.5s", "1e9", "inf", "0x10",
            "retry-after: 880.092µs, allowed: 44000/minute", "Wednesday, 21-Oct-26 07:28:00 GMT",
            "Wed, 21 Oct 2026 07:28:00 GMT")  # fmt: skip
PATIENCE_WORDS = ("ns", "us", "ms", "s", "m", "h", ".", "9" * 30, "retry-after:", "GMT", "-0000",
                  "+9999", "Wed,", ":", "\u0665", "\u00c2\u00b5")  # fmt: skip


@fuzzed(lines=st.lists(texts(CHALLENGES, CHALLENGE_WORDS), max_size=3))
def test_challenges_have_a_scheme_and_keys_in_lower_case(lines: list[str]) -> None:
    for challenge in parse_challenges(lines):
        assert challenge.scheme == challenge.scheme.lower() != ""
        assert all(key == key.lower() != "" for key in challenge.parameters)
        assert all(scope.strip() for scope in challenge.scopes)


@fuzzed(line=texts(CHALLENGES, CHALLENGE_WORDS, most=0), other=st.sampled_from(CHALLENGES))
def test_challenges_are_the_same_in_one_line_and_in_two(line: str, other: str) -> None:
    assert parse_challenges([f"{line}, {other}"]) == parse_challenges([line, other])


@fuzzed(line=texts(LINKS, LINK_WORDS))
def test_a_link_that_is_followed_stays_on_its_origin(line: str) -> None:
    link = next_link([line])
    url = outcome_of(lambda: next_url(link or "", PAGE), ValueError)
    if url is None:
        return
    assert origin_of(url) == OWN
    assert url.partition("?")[0].lower() == PAGE.partition("?")[0]
    assert url.isascii()
    assert is_clean(url)


@fuzzed(header=texts(PATIENCE, PATIENCE_WORDS), text=texts(PATIENCE, PATIENCE_WORDS),
        now=st.floats(0, 4e9))  # fmt: skip
def test_patience_is_nothing_or_within_its_bounds(header: str, text: str, now: float) -> None:
    seconds = retry_after(header, text, now)
    assert seconds is None or (math.isfinite(seconds) and SHORTEST <= seconds <= LONGEST)


@fuzzed(examples=8, line=long_texts(CHALLENGE_WORDS))
def test_a_long_challenge_costs_little(line: str) -> None:
    with busy_at_most():
        parse_challenges([line])


@fuzzed(examples=8, line=long_texts(LINK_WORDS))
def test_a_long_link_costs_little(line: str) -> None:
    with busy_at_most():
        link = next_link([line])
        outcome_of(lambda: next_url(link or "", PAGE), ValueError)


@fuzzed(examples=8, text=long_texts(PATIENCE_WORDS))
def test_long_patience_costs_little(text: str) -> None:
    with busy_at_most():
        retry_after(text, text, 0)
