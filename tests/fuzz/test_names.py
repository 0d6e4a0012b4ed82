"""Names that people write and registries tell: references, registries, repositories, tags."""

from __future__ import annotations

import httpx
from hypothesis import strategies as st

from tests.fuzz.mutations import long_texts, texts
from tests.fuzz.running import busy_at_most, fuzzed, is_clean, outcome_of
from watcher.core.reference import (
    Reference,
    Registry,
    is_digest,
    is_repository_name,
    is_tag,
)
from watcher.registry.urls import origin_of

DIGEST = "sha256:" + "0123456789abcdef" * 4
REFERENCES = (
    "nginx",
    "nginx:1.27",
    "docker.io/nginx",
    "index.docker.io/library/nginx:latest",
    f"ghcr.io/acme/web@{DIGEST}",
    f"localhost:5000/team/sub__app/web-api:v1.0_rc.1@{DIGEST}",
    "123.dkr.ecr.eu-west-1.amazonaws.com/a.b/c-d",
    "[::1]:5000/x",
    "quay.io/a/b:sha-0123abc",
)
ADDRESSES = (
    "index.docker.io",
    "https://registry.example.com:5000/v2/",
    "http://localhost:5000",
    "[2001:db8::1]:443",
    "Registry.Example.Com",
    " ghcr.io/ ",
)
WORDS = ("/", ":", "@", ".", "..", "-", "--", "_", "__", "___", "sha256:", "https://", "http://",
         "localhost", "docker.io/", "library/", "/v2", "[", "]", "::", "5000", ":0", ":65536", "A",
         " ", "%2e", "?", "#", DIGEST)  # fmt: skip


@fuzzed(text=texts(REFERENCES, WORDS))
def test_a_reference_that_is_read_is_printed_and_read_the_same(text: str) -> None:
    reference = outcome_of(lambda: Reference.parse(text), ValueError)
    if reference is None:
        return
    assert Reference.parse(str(reference)) == reference
    assert is_repository_name(reference.repository)
    assert reference.tag is None or is_tag(reference.tag)
    assert reference.digest is None or is_digest(reference.digest)
    assert is_clean(str(reference))
    assert str(reference).isascii()


@fuzzed(text=texts(ADDRESSES, WORDS), plain_http=st.booleans())
def test_an_address_that_is_read_is_one_that_can_be_asked(text: str, plain_http: bool) -> None:
    registry = outcome_of(lambda: Registry.parse(text, plain_http=plain_http), ValueError)
    if registry is None:
        return
    assert Registry.parse(registry.base_url, plain_http=plain_http) == registry
    assert origin_of(registry.base_url + "/v2/") == origin_of(registry.base_url)
    url = httpx.URL(registry.base_url)
    assert url.raw_host
    assert url.path == "/"
    assert not url.userinfo
    assert not url.query


@fuzzed(examples=8, text=long_texts(WORDS))
def test_a_long_name_costs_little(text: str) -> None:
    with busy_at_most():
        outcome_of(lambda: Reference.parse(text), ValueError)
        outcome_of(lambda: Registry.parse(text), ValueError)
        is_tag(text)
        is_digest(text)
