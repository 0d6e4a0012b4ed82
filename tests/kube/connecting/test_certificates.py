"""When a certificate ends, read from its bytes, and files that are in memory only."""

from __future__ import annotations

import gc
from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from watcher.kube.connecting.certificates import MemoryFile, not_after

KEY = ec.generate_private_key(ec.SECP256R1())


def certificate(end: datetime, *, name: str = "bob") -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(KEY.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - timedelta(days=1))
        .not_valid_after(end)
        .sign(KEY, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


@given(
    st.datetimes(datetime(1951, 1, 1), datetime(9998, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.text("abc", min_size=1, max_size=60),
)
def test_the_end_is_read_as_it_was_written(end: datetime, name: str) -> None:
    assert not_after(certificate(end, name=name)) == end.replace(microsecond=0)


def test_the_first_certificate_of_a_chain_counts_wherever_its_key_stands() -> None:
    first, second = (datetime(year, 1, 1, tzinfo=UTC) for year in (2030, 2040))
    key = b"-----BEGIN PRIVATE KEY-----\nQQ==\n-----END PRIVATE KEY-----\n"
    assert not_after(key + certificate(first) + certificate(second)) == first


@pytest.mark.parametrize(
    "pem",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"-----BEGIN CERTIFICATE-----\n%\n-----END CERTIFICATE-----", id="no base64"),
        pytest.param(b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----", id="short"),
    ],
)
def test_what_is_no_certificate_has_no_end(pem: bytes) -> None:
    assert not_after(pem) is None


@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_an_error(body: bytes) -> None:
    pem = b"-----BEGIN CERTIFICATE-----" + b64encode(body) + b"-----END CERTIFICATE-----"
    assert not_after(pem) is None


def test_a_memory_file_is_read_by_its_path_as_often_as_one_likes() -> None:
    file = MemoryFile(b"content")
    assert [file.path.read_bytes() for _ in range(2)] == [b"content", b"content"]


def test_a_memory_file_ends_with_its_last_user() -> None:
    file = MemoryFile(b"content")
    path, number = file.path, file.path.stat().st_ino
    del file
    gc.collect()
    assert not path.exists() or path.stat().st_ino != number
