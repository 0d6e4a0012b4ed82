"""Manifests from bytes: what is believed, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from watcher.core.oci import (
    ACCEPT,
    DOCKER_MANIFEST,
    DOCKER_SCHEMA_1,
    OCI_INDEX,
    OCI_MANIFEST,
    Manifest,
    digest_of,
    parse_object,
)
from watcher.testing.images import DOCKER_LIST, multi_platform, single

DIGEST = f"sha256:{'a' * 64}"
CONFIG = {"mediaType": "x", "digest": DIGEST, "size": 2}


def parse(document: Any, content_type: str = "") -> Manifest:
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Manifest.parse(content, content_type, digest_of(content))


def test_an_image_tells_its_config_and_has_no_children() -> None:
    image = single(b"x")
    manifest = Manifest.parse(image.top.body, image.top.media_type, image.top.digest)
    assert manifest.config is not None
    assert manifest.config.digest in image.blobs
    assert (manifest.is_index, manifest.children) == (False, ())


@pytest.mark.parametrize("media_type", [OCI_MANIFEST, DOCKER_MANIFEST])
def test_an_index_tells_its_platforms(media_type: str) -> None:
    index = multi_platform(b"x", ["linux/amd64", "linux/arm64/v8"], media_type=media_type)
    manifest = Manifest.parse(index.top.body, index.top.media_type, index.top.digest)
    assert manifest.is_index
    assert [str(child.platform) for child in manifest.children] == ["linux/amd64", "linux/arm64/v8"]
    assert manifest.config is None


@pytest.mark.parametrize(
    ("document", "content_type", "expected"),
    [
        pytest.param({"config": CONFIG}, "", OCI_MANIFEST, id="no type anywhere: an image"),
        pytest.param({"manifests": []}, "text/plain", OCI_INDEX, id="no type anywhere: an index"),
        pytest.param({"schemaVersion": 1}, "application/json", DOCKER_SCHEMA_1, id="schema 1"),
        pytest.param({}, f"{DOCKER_LIST}; charset=utf-8", DOCKER_LIST, id="parameters are cut"),
        pytest.param({}, OCI_INDEX.upper(), OCI_INDEX, id="case does not matter"),
        pytest.param({"mediaType": DOCKER_LIST}, "", DOCKER_LIST, id="the body says it alone"),
    ],
)
def test_the_media_type_comes_from_header_body_or_shape(
    document: dict[str, Any], content_type: str, expected: str
) -> None:
    assert parse(document, content_type).media_type == expected


@pytest.mark.parametrize(
    ("document", "content_type", "reason"),
    [
        pytest.param({"manifests": [], "layers": []}, "", "at once", id="index and image"),
        pytest.param({"manifests": [], "config": CONFIG}, "", "at once", id="index with a config"),
        pytest.param({"layers": []}, OCI_INDEX, "at once", id="an image sent as an index"),
        pytest.param({"manifests": []}, DOCKER_MANIFEST, "at once", id="an index sent as an image"),
        pytest.param(
            {"mediaType": OCI_INDEX, "config": CONFIG}, "", "at once", id="an image that says index"
        ),
        pytest.param({"mediaType": OCI_INDEX}, OCI_MANIFEST, "Content-Type", id="two types"),
        pytest.param({"config": {"digest": "sha256:../../x"}}, "", "digest", id="a path as digest"),
        pytest.param({"config": {"digest": DIGEST}}, "", "size", id="no size"),
        pytest.param({"config": {**CONFIG, "size": -1}}, "", "size", id="a size below nothing"),
        pytest.param({"config": {**CONFIG, "size": True}}, "", "size", id="a size that is true"),
        pytest.param({"manifests": {}}, "", "list", id="manifests that are no list"),
        pytest.param({"manifests": ["x"]}, "", "list", id="manifests that are no objects"),
        pytest.param({"manifests": [{}]}, "", "digest", id="a child without a digest"),
        pytest.param(b'{"config": {}, "config": {}}', "", "twice", id="a key twice"),
        pytest.param(b"[]", "", "not an object", id="a list"),
        pytest.param(b'{"a": NaN}', "", "NaN", id="not a number"),
        pytest.param(b'{"a":' * 50_000, "", "deeply", id="endless nesting"),
        pytest.param("\ufeff{}".encode(), "", "BOM", id="a byte order mark"),
        pytest.param("{}".encode("utf-16"), "", "decode", id="UTF-16"),
        pytest.param(b"", "", "Expecting", id="nothing"),
    ],
)
def test_a_manifest_that_could_mean_two_things_or_none_is_refused(
    document: Any, content_type: str, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        parse(document, content_type)


def test_other_bytes_than_the_digest_names_are_refused() -> None:
    image = single(b"x")
    with pytest.raises(ValueError, match="does not hash to"):
        Manifest.parse(image.top.body + b"\n", image.top.media_type, image.top.digest)


def test_a_sha512_digest_is_verified_with_sha512() -> None:
    content = b"{}"
    digest = digest_of(content, "sha512")
    assert Manifest.parse(content, OCI_MANIFEST, digest).digest == digest


def test_accept_names_every_type_in_one_line_and_never_a_wildcard() -> None:
    assert ACCEPT.split(", ")[0] == OCI_INDEX
    assert len(ACCEPT.split(", ")) == 7
    assert "*" not in ACCEPT


def test_an_object_is_read_from_utf_8() -> None:
    assert parse_object('{"ä": "€"}'.encode()) == {"ä": "€"}
