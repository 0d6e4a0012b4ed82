"""Certificates of a docker-registry: whom a client believes, and what it says when it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.registry.clients import connect
from tests.servers import RealRegistry
from tests.transport.asking import error_of, shown
from tests.transport.conftest import TAGS, Certificates, Front, SecureRegistry, tags
from tests.transport.servers import handshakes
from watcher.core.account import Tls
from watcher.errors import TlsError


async def test_the_authority_that_ca_file_names_is_believed(
    secure: SecureRegistry, certificates: Certificates
) -> None:
    tls = Tls(ca_file=certificates.ours.certificate)
    async with connect(secure("good").url, tls=tls) as client:
        assert await tags(client) == set(TAGS)


async def test_a_ca_file_stands_beside_the_systems_roots(
    secure: SecureRegistry, certificates: Certificates
) -> None:
    registry = secure("good")
    failures = handshakes(registry)
    roots = {"SSL_CERT_FILE": str(certificates.ours.certificate)}
    tls = Tls(ca_file=certificates.stranger.certificate)
    async with connect(registry.url, tls=tls, client={"environment": roots}) as client:
        assert await tags(client) == set(TAGS)
        assert await tags(client) == set(TAGS)
    assert len(failures.lines()) == 1  # the roots are read once, and then kept


async def test_a_self_signed_certificate_is_believed_where_ca_file_names_it(
    secure: SecureRegistry, certificates: Certificates
) -> None:
    registry = secure("self-signed")
    tls = Tls(ca_file=certificates.servers["self-signed"])
    async with connect(registry.url, tls=tls) as client:
        assert await tags(client) == set(TAGS)


@pytest.mark.parametrize("kind", ["good", "expired", "early", "misnamed", "self-signed"])
async def test_verification_is_left_out_only_where_the_account_says_so(
    secure: SecureRegistry, kind: str
) -> None:
    async with connect(secure(kind).url, tls=Tls(insecure_skip_verify=True)) as client:
        assert await tags(client) == set(TAGS)


@pytest.mark.parametrize(
    ("kind", "sentence", "hint"),
    [
        pytest.param("good", "is not trusted: unable to get local issuer", "ca_file", id="unknown"),
        pytest.param("self-signed", "is not trusted: self-signed", "ca_file", id="self-signed"),
        pytest.param("expired", "has expired", "", id="expired"),
        pytest.param("early", "is not valid yet", "clock", id="not valid yet"),
        pytest.param("misnamed", "is for another name", "", id="another name"),
    ],
)
async def test_a_certificate_is_refused_for_what_it_is_and_no_more_than_twice(
    secure: SecureRegistry, certificates: Certificates, kind: str, sentence: str, hint: str
) -> None:
    registry = secure(kind)
    failures = handshakes(registry)
    authority = certificates.stranger if kind == "good" else certificates.ours
    roots = {"SSL_CERT_FILE": str(certificates.stranger.certificate)}
    tls = Tls(ca_file=authority.certificate)
    async with connect(registry.url, tls=tls, client={"environment": roots}) as client:
        error = await error_of(client)
    assert isinstance(error, TlsError)
    assert f"the certificate of {registry.address} {sentence}" in str(error)
    assert hint in (error.hint or "")
    assert not error.temporary
    assert 1 <= len(failures.wait_for(1)) <= 2
    assert all("handshake error" in line for line in failures.lines())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(None, "No such file", id="missing"),
        pytest.param("", "no certificate in it", id="empty"),
        pytest.param("no certificate\n", "no certificate in it", id="no PEM"),
    ],
)
async def test_a_ca_file_that_is_of_no_use_is_named(
    secure: SecureRegistry, tmp_path: Path, content: str | None, words: str
) -> None:
    path = tmp_path / "authority.pem"
    if content is not None:
        path.write_text(content)
    async with connect(secure("good").url, tls=Tls(ca_file=path)) as client:
        error = await error_of(client)
    assert isinstance(error, TlsError)
    assert str(error).startswith(f"`ca_file` can't be used: {path}: ")
    assert words in str(error)


@pytest.mark.parametrize("server", ["docker-registry", "nginx"])
async def test_plain_http_to_a_server_of_https_says_so(
    secure: SecureRegistry, front: Front, server: str
) -> None:
    address = front.address("http1") if server == "nginx" else secure("good").address
    async with connect(f"http://{address}") as client:
        error = await error_of(client)
    assert "plain_http" in shown(error)


async def test_https_to_a_server_of_plain_http_says_so(library: RealRegistry) -> None:
    async with connect(f"https://{library.address}") as client:
        error = await error_of(client)
    assert isinstance(error, TlsError)
    assert "plain_http" in shown(error)
