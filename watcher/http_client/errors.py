"""Errors of HTTP libraries in our words: what failed, of which host, and whether it may pass.

They are told apart by the names of their classes, for no library is to be imported only to find
that another one failed. Messages never hold a URL, for that may hold a password.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator
from typing import TYPE_CHECKING

from watcher.errors import ProxyError, TlsError, TransportError

if TYPE_CHECKING:
    from watcher.http_client.proxies import Proxy

_CONNECTING = frozenset({"ConnectTimeout", "ConnectionTimeoutError"})
_READING = frozenset({"TimeoutException", "ServerTimeoutError"})
_REFUSED_BY_PROXY = frozenset({"ProxyError", "ClientHttpProxyError"})
_NOT_REACHED = frozenset({"ConnectError", "ClientConnectorError"})
_NO_HTTP = frozenset({"HttpProcessingError"})
_LARGE_HEAD = ("Got more than", "Too many headers")
_UNREACHABLE = frozenset(
    {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN, errno.EADDRNOTAVAIL}
)

_EARLY = 9  # X509_V_ERR_CERT_NOT_YET_VALID
_EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED
_WRONG_NAME = frozenset({62, 64})  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
_ENDS = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
_STEPS = (ssl.SSLWantReadError, ssl.SSLWantWriteError)
_PLAIN = ("WRONG_VERSION", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE")
_OTHER_VERSION = ("ALERT_PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "WRONG_SSL_VERSION")
_WANTS_CERTIFICATE = "ALERT_CERTIFICATE_REQUIRED"
_REFUSES_CERTIFICATE = (
    "ALERT_UNKNOWN_CA",
    "ALERT_BAD_CERTIFICATE",
    "ALERT_UNSUPPORTED_CERTIFICATE",
    "ALERT_CERTIFICATE_",
    "ALERT_ACCESS_DENIED",
)


class BrokenConnection(Exception):
    """A connection that had stood broke before the whole answer was there; its cause says how."""


def translate(
    error: BaseException,
    host: str,
    proxy: Proxy | None = None,
    *,
    shows_certificate: bool = False,
) -> TransportError:
    """What an error of an HTTP library means, in a sentence; `host` is the one that was asked.

    shows_certificate: a client certificate was at hand.
    """
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if kinds & _REFUSED_BY_PROXY and proxy is not None:
        # aiohttp keeps the status; of the others' messages it is the beginning.
        return refusal_of_proxy(str(getattr(error, "status", None) or str(error)[:3]), host, proxy)
    end = host if proxy is None else f"{host} (by the proxy {proxy.authority})"
    if kinds & (_CONNECTING | _READING) or isinstance(error, TimeoutError):
        return TransportError(_too_slow(kinds, end), host=host)
    tls = _failure_of_tls(error)
    if tls is not None:
        return _tls_error(tls, _end_of_tls(error, host, proxy), shows_certificate)
    if proxy is not None and kinds & _NOT_REACHED:
        way = f"the proxy {proxy.authority} for {host}"
        message = _not_reached(error, way, f"of {way}")
        if message is not None:
            return ProxyError(message, host=host)
    direct = _not_reached(error, host, _name_in(host))
    return TransportError(direct or _broken(error, kinds, end), host=host)


def refusal_of_proxy(status: str, host: str, proxy: Proxy) -> ProxyError:
    """The error of a proxy that answered itself, with this status, instead of leading to `host`.

    Some say 401 where 407 is meant.
    """
    way, said = (
        f"the proxy {proxy.authority} for {host}",
        f" ({status})" if status.isdigit() else "",
    )
    if status not in ("401", "407"):
        return ProxyError(f"{way} refused to connect to it{said}", host=host)
    verb = "wants a login" if proxy.authorization is None else "refused the login"
    hint = "give user and password in its URL: `proxy: http://USER:PASSWORD@HOST:PORT`"
    return ProxyError(f"{way} {verb}{said}", host=host, status=int(status), hint=hint)


def is_broken_connection(error: BaseException | None) -> bool:
    """Whether a request died on a connection that had stood, so that one more try is sensible."""
    return isinstance(error, BrokenConnection) and _failure_of_tls(error) is None


def is_untrusted(error: BaseException) -> bool:
    """Whether the certificate of the other side was not believed."""
    return any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes_of(error))


def causes_of(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and those that led to it; of several at once the first."""
    while error is not None:
        yield error
        first = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else None
        error = first or error.__cause__ or error.__context__


def words(error: BaseException) -> str:
    """What an error says of itself; of OpenSSL's the reason alone."""
    if isinstance(error, ssl.SSLError) and getattr(error, "reason", None):
        return error.reason
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _too_slow(kinds: set[str], host: str) -> str:
    if kinds & _CONNECTING:
        return f"connecting to {host} took too long"
    if kinds & _READING:
        return f"an answer of {host} took too long"
    return f"the whole exchange with {host} took too long"


def _not_reached(error: BaseException, what: str, whose_name: str) -> str | None:
    for cause in causes_of(error):
        if isinstance(cause, socket.gaierror):
            return f"the name {whose_name} could not be resolved"
        if isinstance(cause, ConnectionRefusedError):
            return f"{what} refused the connection"
        if isinstance(cause, OSError) and cause.errno in _UNREACHABLE:
            return f"{what} can't be reached: {words(cause)}"
    return None


def _name_in(host: str) -> str:
    """What is asked of a resolver: without the port."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host


def _broken(error: BaseException, kinds: set[str], host: str) -> str:
    if kinds & _NOT_REACHED:
        return f"{host} can't be reached: {words(error)}"
    for cause in causes_of(error):
        if any(large in str(cause) for large in _LARGE_HEAD):
            return f"{host} sent headers that are too large"
        if kinds & _NO_HTTP or type(cause).__name__ in _NO_HTTP:
            return f"{host} did not answer in HTTP"
    if isinstance(error, BrokenConnection) and not error.args:
        error = error.__cause__ or error
    return f"{host} broke the connection: {words(error)}"


def _failure_of_tls(error: BaseException) -> ssl.SSLError | None:
    """What TLS said at first: aiohttp's own errors are of these classes too, but know nothing."""
    said = [
        cause
        for cause in causes_of(error)
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, _STEPS)
    ]
    return said[-1] if said and not isinstance(said[-1], _ENDS) else None


def _end_of_tls(error: BaseException, host: str, proxy: Proxy | None) -> str:
    """Whose certificate it is about, where TLS leads to the proxy and through it."""
    end = f"{getattr(error, 'host', None)}:{getattr(error, 'port', None)}"
    return f"the proxy {end}" if proxy is not None and proxy.authority == end else host


def _tls_error(error: ssl.SSLError, host: str, shows_certificate: bool) -> TlsError:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _certificate_error(error, host)
    reason = error.reason or str(error)
    is_about_client = any(part in reason for part in _REFUSES_CERTIFICATE)
    if _WANTS_CERTIFICATE in reason or (is_about_client and not shows_certificate):
        hint = "name one with `tls: {client_cert: PATH, client_key: PATH}`"
        return TlsError(f"{host} wants a client certificate", host=host, hint=hint)
    if is_about_client:
        hint = "is `tls: {client_cert: PATH}` of an issuer that it knows, and not expired?"
        return TlsError(f"{host} refused the client certificate: {reason}", host=host, hint=hint)
    if any(part in reason for part in _OTHER_VERSION):
        return TlsError(f"{host} speaks no common version of TLS: {reason}", host=host)
    if any(part in reason for part in _PLAIN):
        hint = "is it a plain http registry? (`plain_http: true`)"
        return TlsError(f"no TLS connection to {host}: {reason}", host=host, hint=hint)
    return TlsError(f"no TLS connection to {host}: {reason}", host=host)


def _certificate_error(error: ssl.SSLCertVerificationError, host: str) -> TlsError:
    if error.verify_code == _EXPIRED:
        return TlsError(f"the certificate of {host} has expired", host=host)
    if error.verify_code == _EARLY:
        hint = "is the clock of this machine right?"
        return TlsError(f"the certificate of {host} is not valid yet", host=host, hint=hint)
    if error.verify_code in _WRONG_NAME:
        return TlsError(f"the certificate of {host} is for another name", host=host)
    return TlsError(
        f"the certificate of {host} is not trusted: {error.verify_message}",
        host=host,
        hint="name the issuer's certificate with `tls: {ca_file: PATH}`",
    )
