"""Errors of HTTP libraries in our words: what failed, of which host, and whether it may pass.

Messages never hold a URL, for that may hold a password.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

import httpx

from watcher.errors import ProxyError, TlsError, TransportError

_EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED
_WRONG_NAME = frozenset({62, 64})  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH


def translate(error: Exception, host: str) -> TransportError:
    """What an error of httpx means, in a sentence; `host` is the one that was asked."""
    causes = tuple(causes_of(error))
    if isinstance(error, httpx.ProxyError):
        return ProxyError(f"the proxy for {host} refused: {error}", host=host)
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        step = "connecting to" if isinstance(error, httpx.ConnectTimeout) else "an answer of"
        return TransportError(f"{step} {host} took too long", host=host)
    for cause in causes:
        if isinstance(cause, ssl.SSLError):
            return _tls_error(cause, host)
        if isinstance(cause, socket.gaierror):
            return TransportError(f"the name {host} could not be resolved", host=host)
        if isinstance(cause, ConnectionRefusedError):
            return TransportError(f"{host} refused the connection", host=host)
    if isinstance(error, httpx.ConnectError):
        return TransportError(f"{host} can't be reached: {error}", host=host)
    return TransportError(f"{host} broke the connection: {words(error)}", host=host)


def is_broken_connection(error: BaseException | None) -> bool:
    """Whether a request died on a connection that had stood, so that one more try is sensible."""
    return isinstance(
        error, httpx.ReadError | httpx.WriteError | httpx.CloseError | httpx.RemoteProtocolError
    )


def _tls_error(error: ssl.SSLError, host: str) -> TlsError:
    if not isinstance(error, ssl.SSLCertVerificationError):
        reason = error.reason or str(error)
        hint = "is it a plain http registry? (`plain_http: true`)" if "WRONG_V" in reason else None
        return TlsError(f"no TLS connection to {host}: {reason}", host=host, hint=hint)
    if error.verify_code == _EXPIRED:
        return TlsError(f"the certificate of {host} has expired", host=host)
    if error.verify_code in _WRONG_NAME:
        return TlsError(f"the certificate of {host} is for another name", host=host)
    return TlsError(
        f"the certificate of {host} is not trusted: {error.verify_message}",
        host=host,
        hint="name the issuer's certificate with `tls: {ca_file: PATH}`",
    )


def is_untrusted(error: Exception) -> bool:
    return any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes_of(error))


def causes_of(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def words(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
