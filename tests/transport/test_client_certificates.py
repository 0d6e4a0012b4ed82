"""Mutual TLS: a docker-registry and an nginx that want a certificate of their clients."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from tests.registry.clients import connect
from tests.transport.asking import error_of, shown
from tests.transport.conftest import TAGS, Certificates, Front, SecureRegistry, tags
from watcher.core.account import Tls
from watcher.errors import RegistryError, TlsError

SERVERS = ("docker-registry", "nginx")


@pytest.fixture
def address(request: pytest.FixtureRequest, secure: SecureRegistry, front: Front) -> str:
    if request.param == "nginx":
        return front.address("mutual")
    return secure("mutual").address


def parts(path: Path, directory: Path) -> tuple[Path, Path]:
    """Certificate and key of a PEM file with both, in files of their own."""
    text = path.read_text()
    start = text.index("-----BEGIN CERTIFICATE")
    certificate, key = directory / f"{path.stem}.crt", directory / f"{path.stem}.key"
    key.write_text(text[:start])
    certificate.write_text(text[start:])
    return certificate, key


@pytest.mark.parametrize("address", SERVERS, indirect=True)
@pytest.mark.parametrize("in_one_file", [True, False], ids=["one file", "two files"])
async def test_the_right_certificate_lets_in(
    address: str, certificates: Certificates, tmp_path: Path, in_one_file: bool
) -> None:
    both = certificates.ours.issue_client("robot")
    certificate, key = (both, None) if in_one_file else parts(both, tmp_path)
    tls = Tls(ca_file=certificates.ours.certificate, client_cert=certificate, client_key=key)
    async with connect(f"https://{address}", tls=tls) as client:
        assert await tags(client) == set(TAGS)


def strange(certificates: Certificates) -> Path:
    return certificates.stranger.issue_client("robot")


def outdated(certificates: Certificates) -> Path:
    return certificates.ours.issue_client("robot", expired=True)


async def refused(address: str, certificates: Certificates, client_cert: Path | None) -> str:
    """What is said; the registry must be named, and no retry may help."""
    tls = Tls(ca_file=certificates.ours.certificate, client_cert=client_cert)
    async with connect(f"https://{address}", tls=tls) as client:
        error = await error_of(client)
    assert address in str(error)
    assert not error.temporary
    return shown(error)


async def test_none_is_said_with_the_keys_that_name_one(
    secure: SecureRegistry, certificates: Certificates
) -> None:
    said = await refused(secure("mutual").address, certificates, None)
    assert "wants a client certificate" in said
    assert "client_cert" in said


@pytest.mark.parametrize("make", [strange, outdated])
async def test_one_that_is_not_accepted_is_said(
    secure: SecureRegistry, certificates: Certificates, make: Callable[[Certificates], Path]
) -> None:
    said = await refused(secure("mutual").address, certificates, make(certificates))
    assert "refused the client certificate" in said


async def test_nginx_says_itself_that_there_is_none(
    front: Front, certificates: Certificates
) -> None:
    said = await refused(front.address("mutual"), certificates, None)
    assert "No required SSL certificate was sent" in said


@pytest.mark.parametrize("make", [strange, outdated])
async def test_nginx_says_itself_that_it_does_not_accept_one(
    front: Front, certificates: Certificates, make: Callable[[Certificates], Path]
) -> None:
    said = await refused(front.address("mutual"), certificates, make(certificates))
    assert "The SSL certificate error" in said


async def unusable(address: str, tls: Tls) -> str:
    async with connect(f"https://{address}", tls=tls) as client:
        error: RegistryError = await error_of(client)
    assert isinstance(error, TlsError)
    assert not error.temporary
    assert "_ssl.c" not in str(error)
    return str(error)


def no_file(path: Path) -> None:
    """Nothing is there."""


def a_directory(path: Path) -> None:
    path.mkdir()


def no_pem(path: Path) -> None:
    path.write_text("neither key nor certificate\n")


@pytest.mark.parametrize("which", ["client_cert", "client_key"])
@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(no_file, "No such file", id="missing"),
        pytest.param(a_directory, "Is a directory", id="directory"),
        pytest.param(no_pem, "in it", id="no PEM"),
    ],
)
async def test_a_file_that_is_of_no_use_is_named(
    secure: SecureRegistry,
    certificates: Certificates,
    tmp_path: Path,
    which: str,
    make: Callable[[Path], None],
    words: str,
) -> None:
    certificate, key = parts(certificates.ours.issue_client("robot"), tmp_path)
    bad = tmp_path / "bad.pem"
    make(bad)
    if which == "client_cert":
        tls = Tls(client_cert=bad, client_key=key)
    else:
        tls = Tls(client_cert=certificate, client_key=bad)
    said = await unusable(secure("mutual").address, tls)
    assert said.startswith(f"`{which}` can't be used: {bad}: ")
    assert words in said


async def test_a_certificate_without_a_key_is_said(
    secure: SecureRegistry, certificates: Certificates, tmp_path: Path
) -> None:
    certificate, _ = parts(certificates.ours.issue_client("robot"), tmp_path)
    said = await unusable(secure("mutual").address, Tls(client_cert=certificate))
    assert said == f"`client_cert` can't be used: {certificate}: there is no private key in it"


async def test_the_key_of_another_certificate_is_said(
    secure: SecureRegistry, certificates: Certificates, tmp_path: Path
) -> None:
    certificate, _ = parts(certificates.ours.issue_client("robot"), tmp_path)
    _, key = parts(certificates.ours.issue_client("other"), tmp_path)
    tls = Tls(client_cert=certificate, client_key=key)
    said = await unusable(secure("mutual").address, tls)
    assert (
        said == f"`client_key` can't be used: {key}: its private key is not that of {certificate}"
    )


async def test_a_key_with_a_pass_phrase_is_refused_and_nobody_is_asked_for_it(
    secure: SecureRegistry, certificates: Certificates, tmp_path: Path
) -> None:
    certificate, key = parts(certificates.ours.issue_client("robot"), tmp_path)
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"correct-horse"),
        )
    )
    tls = Tls(client_cert=certificate, client_key=key)
    said = await unusable(secure("mutual").address, tls)
    assert (
        said == f"`client_key` can't be used: {key}: its private key is protected by a pass phrase"
    )
