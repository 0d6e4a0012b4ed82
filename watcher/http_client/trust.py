"""Which certificates are believed: those of `ca_file`, then those of the system's roots."""

from __future__ import annotations

import os
import re
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from watcher.core.account import Tls
from watcher.errors import TlsError
from watcher.http_client.errors import words

_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")


class Trust:
    """A TLS context that trusts `ca_file` alone until that is not enough. A registry of the house
    never pays for the system's roots, which may take longer to read than ten listings.
    """

    def __init__(self, tls: Tls, environment: Mapping[str, str]) -> None:
        """Raises TlsError when a file can't be used."""
        self.context = context_of(tls)
        self.is_wide = tls.insecure_skip_verify
        self._environment = environment
        if tls.ca_file is None:
            self.widened()

    def widened(self) -> ssl.SSLContext:
        """The context with the system's roots (SSL_CERT_FILE and SSL_CERT_DIR in their place).

        Raises TlsError when SSL_CERT_FILE or SSL_CERT_DIR can't be used.
        """
        if not self.is_wide:
            _load_roots(self.context, self._environment)
            self.is_wide = True
        return self.context


def context_of(tls: Tls) -> ssl.SSLContext:
    """What an account says about TLS; without the system's roots. Raises TlsError when a file that
    it names can't be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if tls.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if tls.ca_file is not None:
        with _readable("ca_file", tls.ca_file):
            context.load_verify_locations(cafile=tls.ca_file)
    if tls.client_cert is not None:
        _load_client(context, tls.client_cert, tls.client_key)
    return context


def _load_client(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    """OpenSSL does not say which of the two files it has trouble with, so they are looked at."""
    of_key = ("client_key", key) if key is not None else ("client_cert", certificate)
    for (name, path), mark, what in (
        (("client_cert", certificate), b"-----BEGIN CERTIFICATE", "certificate"),
        (of_key, b"PRIVATE KEY-----", "private key"),
    ):
        with _readable(name, path):
            if mark not in path.read_bytes():
                raise _unusable(name, path, f"there is no {what} in it")

    def no_pass_phrase() -> str:
        """Without this OpenSSL would ask for it on the terminal."""
        raise _unusable(*of_key, "its private key is protected by a pass phrase")

    try:
        context.load_cert_chain(certificate, key, password=no_pass_phrase)
    except ssl.SSLError as error:
        reason = words(error)
        if "MISMATCH" in reason:
            reason = f"its private key is not that of {certificate}"
        raise _unusable(*of_key, reason) from error


def _load_roots(context: ssl.SSLContext, environment: Mapping[str, str]) -> None:
    file, directory = environment.get("SSL_CERT_FILE"), environment.get("SSL_CERT_DIR")
    if file or directory:
        with _readable("SSL_CERT_FILE or SSL_CERT_DIR", Path(file or directory or "")):
            context.load_verify_locations(file or None, directory or None)
        return
    paths = ssl.get_default_verify_paths()
    # A hashed directory is read certificate by certificate, on demand; loading the whole bundle
    # costs as much as ten listings.
    if paths.capath and any(map(_HASHED.fullmatch, os.listdir(paths.capath))):
        context.load_verify_locations(capath=paths.capath)
    elif paths.cafile:
        context.load_verify_locations(cafile=paths.cafile)
    else:
        import certifi

        context.load_verify_locations(cafile=certifi.where())


@contextmanager
def _readable(key: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        said = words(error)
        if "NO_CERTIFICATE" in said or "no start line" in said.lower():
            said = "there is no certificate in it"
        raise _unusable(key, path, said) from error


def _unusable(key: str, path: Path, reason: str) -> TlsError:
    return TlsError(f"`{key}` can't be used: {path}: {reason}")


@contextmanager
def sparing_the_roots() -> Iterator[None]:
    """Where a library makes TLS contexts of its own when it is imported, for nobody's use: they
    get no roots, which would take longer to read than the import. Other threads get theirs."""
    thread = threading.get_ident()
    load = ssl.SSLContext.set_default_verify_paths

    def load_for_others(context: ssl.SSLContext) -> None:
        if threading.get_ident() != thread:
            load(context)

    ssl.SSLContext.set_default_verify_paths = load_for_others  # type: ignore[assignment,method-assign]
    try:
        yield
    finally:
        del ssl.SSLContext.set_default_verify_paths
