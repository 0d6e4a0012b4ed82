"""Other answers of strangers: tokens, errors, quotas, manifests."""

from __future__ import annotations

import json
import math
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.answers import HOST, SECRET, answer
from tests.fuzz.mutations import json_bodies, long_texts, texts
from tests.fuzz.running import busy_at_most, fuzzed, is_clean, outcome_of
from watcher.core.oci import Manifest, digest_of, parse_object, strings
from watcher.core.reference import is_digest
from watcher.registry.answer import failure
from watcher.registry.bodies import parse_json
from watcher.registry.budgets import quota
from watcher.registry.excerpts import excerpt
from watcher.registry.login.tokens import BEARER, BELIEVED_CLOCK_SKEW, LONGEST_LIFE, parse_token

NOW = 1_800_000_000.0
LONGEST_TOKEN = 16_384
JWT = "eyJhbGciOiJub25lIn0.eyJleHAiOjE4MDAwMDM2MDAsImlhdCI6MTgwMDAwMDAwMH0.c2ln"
TOKENS: tuple[Any, ...] = (
    {"token": JWT, "access_token": JWT, "expires_in": 300, "issued_at": "2027-01-15T08:00:00Z"},
    {"access_token": SECRET},
    {"token": SECRET, "expires_in": "60", "issued_at": "2027-01-15T07:59:00.123456789+00:00"},
)
ERRORS: tuple[Any, ...] = (
    {"errors": [{"code": "NAME_UNKNOWN", "message": "repository name not known", "detail": {}}]},
    {"errors": [{"code": "DENIED", "message": f"not for {SECRET}"}]},
    {"detail": "rate limited", "error": SECRET},
)
OCI = "application/vnd.oci.image"
SHA = "sha256:" + "0" * 64
MANIFESTS: tuple[Any, ...] = (
    {
        "schemaVersion": 2,
        "mediaType": f"{OCI}.manifest.v1+json",
        "config": {"mediaType": f"{OCI}.config.v1+json", "digest": SHA, "size": 7},
        "layers": [{"mediaType": f"{OCI}.layer.v1.tar", "digest": SHA, "size": 9}],
        "annotations": {"org.opencontainers.image.version": "1.0"},
    },
    {
        "schemaVersion": 2,
        "mediaType": f"{OCI}.index.v1+json",
        "manifests": [
            {"mediaType": f"{OCI}.manifest.v1+json", "digest": SHA, "size": 7,
             "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}},
        ],
    },
    {"schemaVersion": 1, "name": "a", "tag": "b", "fsLayers": [], "history": []},
)  # fmt: skip
QUOTAS = ("100;w=21600", "76;w=21600", "100, 100;w=60;burst=0", '"default";r=50;t=30', "-1", "0",
          "limit=100, remaining=50, reset=30", '"default";q=100;w=60', "1800000060",
          "1800000060123")  # fmt: skip
QUOTA_WORDS = (";", ",", "=", "w=", "r=", "t=", "q=", "remaining=", '"', "1e9", "9" * 20, ".", "-")
quota_texts = st.one_of(st.none(), texts(QUOTAS, QUOTA_WORDS))


@fuzzed(body=json_bodies(TOKENS))
def test_a_token_can_be_sent_and_ends_or_is_refused_without_being_told(body: bytes) -> None:
    token = outcome_of(lambda: parse_token(body, NOW), ValueError)
    if token is None:
        return
    assert token.header.startswith(BEARER)
    value = token.header.removeprefix(BEARER)
    assert value.isascii()
    assert is_clean(value)
    assert " " not in value
    assert -BELIEVED_CLOCK_SKEW <= token.refresh_at - NOW <= LONGEST_LIFE + BELIEVED_CLOCK_SKEW
    assert value not in repr(token)


@fuzzed(body=json_bodies(TOKENS))
def test_a_refused_token_is_not_told(body: bytes) -> None:
    try:
        parse_token(body, NOW)
    except ValueError as error:
        said = str(error)
    else:
        said = ""
    assert SECRET not in said
    assert len(said) < 200


@fuzzed(claims=json_bodies([{"exp": NOW + 3600, "iat": NOW}], most=2))
def test_claims_of_a_token_are_only_a_hint(claims: bytes) -> None:
    from base64 import urlsafe_b64encode

    payload = urlsafe_b64encode(claims).rstrip(b"=").decode()
    body = json.dumps({"token": f"e30.{payload}.c2ln"}).encode()
    token = outcome_of(lambda: parse_token(body, NOW), ValueError)
    if token is None:
        assert len(body) > LONGEST_TOKEN
        return
    assert 0 < token.refresh_at - NOW <= LONGEST_LIFE


@fuzzed(body=json_bodies(ERRORS), status=st.sampled_from([301, 400, 401, 404, 407, 429, 500]),
        content_type=st.sampled_from(["application/json", "TEXT/HTML; x"]))  # fmt: skip
def test_a_refusal_is_told_in_clean_words_without_secrets(
    body: bytes, status: int, content_type: str
) -> None:
    told = answer(body, status=status, headers={"content-type": content_type})
    error = failure(told, HOST, "repository acme/web", (SECRET,))
    assert is_clean(error.message)
    assert SECRET not in error.message
    assert len(error.message) < 600
    assert error.status == status


@fuzzed(parts=st.lists(st.one_of(json_bodies(ERRORS[:1]), st.binary(max_size=120)), min_size=2,
                       max_size=4))  # fmt: skip
def test_an_excerpt_is_short_clean_and_holds_no_secret(parts: list[bytes]) -> None:
    shown = excerpt(SECRET.encode().join(parts), (SECRET,))
    assert is_clean(shown)
    assert SECRET not in shown
    assert SECRET[:4] not in shown
    assert len(shown) < 250


@fuzzed(combined=quota_texts, policy=quota_texts, remaining=quota_texts, limit=quota_texts,
        reset=quota_texts)  # fmt: skip
def test_a_quota_is_nothing_or_within_its_bounds(
    combined: str | None,
    policy: str | None,
    remaining: str | None,
    limit: str | None,
    reset: str | None,
) -> None:
    sent = {
        "ratelimit": combined,
        "ratelimit-policy": policy,
        "ratelimit-remaining": remaining,
        "ratelimit-limit": limit,
        "ratelimit-reset": reset,
    }
    headers = {name: text for name, text in sent.items() if text is not None}
    told = quota.told(answer(b"", headers=headers).headers, NOW)
    if told is not None:
        assert 0 <= told.remaining < math.inf
        assert told.allowed is None or 1 <= told.allowed < math.inf
        assert NOW < told.resets <= NOW + quota.LONGEST


@fuzzed(body=json_bodies(MANIFESTS), content_type=st.sampled_from([
        f"{OCI}.manifest.v1+json", f"{OCI}.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json; charset=utf-8", "text/html", "",
        "application/json"]))  # fmt: skip
def test_a_manifest_is_whole_or_refused_in_clean_words(body: bytes, content_type: str) -> None:
    digest = digest_of(body)
    manifest = outcome_of(lambda: Manifest.parse(body, content_type, digest), ValueError)
    if manifest is None:
        return
    for found in (*manifest.children, *([manifest.config] if manifest.config else [])):
        assert is_digest(found.digest)
        assert found.size >= 0
        assert str(found.platform or "") is not None
    assert not (manifest.is_index and {"layers", "config"} & manifest.document.keys())
    assert all(isinstance(value, str) for value in manifest.annotations.values())
    json.dumps(manifest.document, ensure_ascii=False).encode()
    assert Manifest.parse(body, content_type, digest) == manifest


@fuzzed(body=json_bodies(MANIFESTS), other=json_bodies(MANIFESTS))
def test_a_manifest_of_another_digest_is_never_believed(body: bytes, other: bytes) -> None:
    if body != other:
        assert outcome_of(lambda: Manifest.parse(body, "", digest_of(other)), ValueError) is None


@fuzzed(body=json_bodies([{"config": {"Labels": {"a": "b", "c": None}}}]))
def test_labels_are_texts(body: bytes) -> None:
    document = outcome_of(lambda: parse_object(body), ValueError)
    config = (document or {}).get("config")
    labels = strings(config.get("Labels")) if isinstance(config, dict) else {}
    assert all(isinstance(value, str) for value in labels.values())


@fuzzed(
    examples=8, text=long_texts(["[", "{", '"a":', "1", ",", "]", "}", "\\ud800", "NaN", "9" * 90])
)
def test_long_json_costs_little(text: str) -> None:
    with busy_at_most():
        outcome_of(lambda: parse_json(text.encode()), ValueError)
        outcome_of(lambda: parse_object(text.encode()), ValueError)
        outcome_of(lambda: parse_token(text.encode(), NOW), ValueError)


@fuzzed(examples=8, text=long_texts(QUOTA_WORDS))
def test_a_long_quota_costs_little(text: str) -> None:
    with busy_at_most():
        quota.told(answer(b"", headers={"ratelimit": text, "ratelimit-policy": text}).headers, NOW)
        quota.told(answer(b"", headers={"x-ratelimit-remaining": text}).headers, NOW)
