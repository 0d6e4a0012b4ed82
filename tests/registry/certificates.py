"""Throw-away certificates for tests: an authority, and certificates of servers and clients."""

from __future__ import annotations

import ipaddress
import ssl
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAY = timedelta(days=1)


class Authority:
    """A certificate authority whose files live in a test's own directory."""

    def __init__(self, directory: Path, *, now: datetime, name: str = "Test authority") -> None:
        self._directory = directory
        self._now = now
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        self._certificate = (
            self._builder(self._name, self._key.public_key(), now + 10 * _DAY)
            .add_extension(constraints, critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )
        self.certificate = directory / f"{name.replace(' ', '-')}.pem"
        self.certificate.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, host: str, *, expired: bool = False, early: bool = False) -> Path:
        """A PEM file with key and certificate for a host name or IP address; `early`: its time
        has not come."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        names = x509.SubjectAlternativeName([_general_name(host)])
        return self._issue(host, subject, names, expired=expired, early=early)

    def issue_client(
        self, name: str, *, organizations: tuple[str, ...] = (), expired: bool = False
    ) -> Path:
        """A PEM file with key and certificate of a client; Kubernetes reads user and groups so."""
        groups = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, each) for each in organizations]
        subject = x509.Name([*groups, x509.NameAttribute(NameOID.COMMON_NAME, name)])
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        return self._issue(name, subject, usage, expired=expired)

    def _issue(
        self,
        name: str,
        subject: x509.Name,
        extension: x509.ExtensionType,
        *,
        expired: bool,
        early: bool = False,
    ) -> Path:
        key = ec.generate_private_key(ec.SECP256R1())
        end = self._now - _DAY if expired else self._now + 5 * _DAY
        begin = self._now + _DAY if early else self._now - 10 * _DAY
        certificate = (
            self._builder(subject, key.public_key(), end, begin)
            .add_extension(extension, critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )
        kind = "-expired" if expired else "-early" if early else ""
        path = self._directory / f"{name}{kind}.pem"
        path.write_bytes(_pem(key, certificate))
        return path

    def server_context(self, host: str, *, expired: bool = False) -> ssl.SSLContext:
        """The server side of TLS with a certificate for `host`."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.issue(host, expired=expired))
        return context

    def _builder(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        end: datetime,
        begin: datetime | None = None,
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin or self._now - 10 * _DAY)
            .not_valid_after(end)
        )


def self_signed(directory: Path, host: str, *, now: datetime) -> Path:
    """A PEM file with key and certificate of a server that vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _DAY)
        .add_extension(x509.SubjectAlternativeName([_general_name(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = directory / f"{host}-self-signed.pem"
    path.write_bytes(_pem(key, certificate))
    return path


def _pem(key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ) + certificate.public_bytes(serialization.Encoding.PEM)


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
