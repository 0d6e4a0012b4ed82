"""One request over the official client's connection pool, and its failures in our words.

Neither retried nor redirected by the pool, bounded in time and size, and never decompressed: what
the pool does by default multiplies time-outs and follows where a credential must not go.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from watcher.errors import ClusterError, ClusterFault
from watcher.kube.connecting.answers import Answer, warnings_of
from watcher.kube.connecting.kubeconfig import misconfigured
from watcher.kube.connecting.requests import Request
from watcher.kube.redaction import redacted

if TYPE_CHECKING:
    import urllib3

BODY_LIMIT = 64 << 20
"""Bytes of an answer; more than 40 pages of the largest objects."""

_CHUNK = 1 << 16
_ERRNO = re.compile(r"^\[Errno -?\d+\] ")
_UNREACHED = "is the server in the kubeconfig the right one, and can it be reached from here?"


class Unsent(ClusterError):
    """The request never reached the server: repeating it can't do anything twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds: to connect, for the server to say something more, and for the whole answer."""

    connect: float = 5.0
    read: float = 30.0
    whole: float = 60.0


def send(
    pool: urllib3.PoolManager,
    server: str,
    request: Request,
    *,
    headers: Mapping[str, str],
    timeouts: Timeouts,
    clock: Callable[[], float] = time.monotonic,
) -> Answer:
    """Send it and read the whole answer, whatever its status. Blocks; threads may share the pool.

    Raises ClusterError: UNAVAILABLE (as Unsent where no connection came about), CONFIGURATION for
    what TLS refuses, NOT_KUBERNETES for an answer beyond BODY_LIMIT.
    """
    import urllib3

    own = {"accept": request.accept, **headers}
    if request.body is not None:
        own["content-type"] = request.content_type
    ends = clock() + timeouts.connect + timeouts.whole
    try:
        response = pool.request(
            request.method,
            server + request.target,
            body=request.body,
            headers=own,
            timeout=urllib3.Timeout(connect=timeouts.connect, read=timeouts.read),
            retries=False,
            redirect=False,
            preload_content=False,
            decode_content=False,
        )
        try:
            body = _body(response, request.about, ends=ends, clock=clock)
        except BaseException:
            response.close()
            raise
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        raise translated(error, server, request.about) from error
    return Answer(
        status=response.status,
        headers={name.lower(): value for name, value in response.headers.items()},
        body=body,
        warnings=warnings_of(response.headers.getlist("warning")),
    )


def _body(
    response: urllib3.BaseHTTPResponse, about: str, *, ends: float, clock: Callable[[], float]
) -> bytes:
    body = bytearray()
    while chunk := response.read1(_CHUNK, decode_content=False):
        body += chunk
        if len(body) > BODY_LIMIT:
            raise ClusterError(
                f"the answer is larger than {BODY_LIMIT >> 20} MiB",
                fault=ClusterFault.NOT_KUBERNETES,
                about=about,
                status=response.status,
            )
        if clock() > ends:
            raise TimeoutError
    response.release_conn()
    return bytes(body)


def translated(error: Exception, server: str, about: str) -> ClusterError:
    """An exception of the HTTP library as ClusterError. Its own text is shown only where it can't
    hold a credential."""
    from urllib3 import exceptions

    host = urlsplit(server).netloc.rpartition("@")[2]
    match error:
        case exceptions.NameResolutionError():
            return _unavailable(f"the host name of {host} can't be resolved", about, sent=False)
        case exceptions.NewConnectionError():
            why = redacted(_ERRNO.sub("", str(error).rpartition(": ")[2]), limit=80)
            return _unavailable(f"no connection to {host}: {why}", about, sent=False)
        case exceptions.ConnectTimeoutError():
            return _unavailable(f"no connection to {host} in time", about, sent=False)
        case exceptions.ProxyError():
            return _unavailable(f"the proxy before {host} does not work", about, sent=False)
        case exceptions.SSLError():
            return _tls(error, host, about)
        case exceptions.ReadTimeoutError() | TimeoutError():
            return _unavailable(f"{host} did not answer in time", about)
        case exceptions.ProtocolError() | ConnectionError():
            return _unavailable(f"{host} closed the connection without a whole answer", about)
        case exceptions.LocationParseError() | ValueError():
            return misconfigured(f"no request can be sent to {host}")
        case OSError():
            why = error.strerror or type(error).__name__
            return misconfigured(f"a connection to {host} can't be set up: {why}")
    return _unavailable(f"{host} could not be asked: {type(error).__name__}", about)


def _unavailable(message: str, about: str, *, sent: bool = True) -> ClusterError:
    kind = ClusterError if sent else Unsent
    hint = None if sent else _UNREACHED
    return kind(message, fault=ClusterFault.UNAVAILABLE, about=about, temporary=True, hint=hint)


def _tls(error: Exception, host: str, about: str) -> ClusterError:
    """What TLS refused: a certificate is for the operator to put right, a broken stream is not."""
    text = str(error)
    lowered = text.lower()
    if "certificate verify failed" in lowered or "hostname mismatch" in lowered:
        why = text.partition("certificate verify failed: ")[2].partition(" (_ssl")[0]
        return misconfigured(
            f"the certificate of {host} is not accepted: {redacted(why or 'not verified')}",
            "check certificate-authority-data of the kubeconfig, and the clocks",
        )
    if "alert" in lowered and ("certificate" in lowered or "unknown ca" in lowered):
        return misconfigured(
            f"{host} refuses the client certificate", "is it expired, or of another authority?"
        )
    if "wrong version number" in lowered or "record layer failure" in lowered:
        return misconfigured(f"{host} does not speak TLS", "check the address in the kubeconfig")
    if "pem" in lowered or "key values mismatch" in lowered or "no certificate or crl" in lowered:
        return misconfigured(f"a certificate or key for {host} can't be used")
    return _unavailable(f"the TLS connection to {host} broke", about)
