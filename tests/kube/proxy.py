"""A TLS proxy in front of the API server that counts requests and makes some of them fail.

`with cluster.proxy() as proxy` gives one; `proxy.kubeconfig` leads through it. Who asks shows a
token, which is passed on: a client certificate would end at the proxy.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPResponse, HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.kube.pki import LOOPBACK

_HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive", "content-length"}
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_FORWARDING_TAKES = 60.0

WRITES = "writes"
"""In place of a method: all requests that could change an object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Instead of forwarding. Without a body a `Status` with the code and a message."""

    status: int
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def content(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": self.status}
        return json.dumps(self.body or {**status, "message": "from the proxy"}).encode()


@dataclass(frozen=True, slots=True)
class Delay:
    """Forward after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Hang:
    """Never answer; `forwarded`: after the API server has done what was asked."""

    forwarded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """Reset the connection; `forwarded`: after the API server has done what was asked."""

    forwarded: bool = False


Fault = Answer | Delay | Hang | Reset


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One that came in. `target` is the path with its query."""

    method: str
    target: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def matches(self, method: str, pattern: str) -> bool:
        fits = self.is_write if method == WRITES else method in {"", self.method}
        return fits and re.search(pattern, self.target) is not None

    @property
    def is_write(self) -> bool:
        """Whether it could change an object: no reads, no dry runs, no reviews."""
        return (
            self.method != "GET"
            and "dryRun=" not in self.target
            and not (self.method == "DELETE" and b'"dryRun"' in self.body)
            and "/authorization.k8s.io/" not in self.target
        )


@dataclass(kw_only=True)
class Rule:
    """Strikes requests that match, not the first `after` ones, at most `times` times. `struck` is
    set when it strikes first, before a delay or a hang begins, but after the forwarding."""

    method: str
    pattern: str
    fault: Fault
    after: int
    times: int | None
    seen: int = 0
    struck: threading.Event = field(default_factory=threading.Event)

    def takes(self, request: Request) -> bool:
        if not request.matches(self.method, self.pattern):
            return False
        self.seen += 1
        number = self.seen - self.after
        return number > 0 and (self.times is None or number <= self.times)


class FaultProxy:
    """The running proxy. `kubeconfig` is an administrator's, by token."""

    def __init__(self, *, upstream: str, trust: ssl.SSLContext) -> None:
        parts = urlsplit(upstream)
        self.address = str(parts.hostname), int(parts.port or 443)
        self.trust = trust
        self.url = ""
        self.kubeconfig = Path()
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._rules: list[Rule] = []
        self._requests: list[Request] = []

    def fault(
        self,
        method: str,
        pattern: str,
        fault: Fault,
        *,
        after: int = 0,
        times: int | None = 1,
    ) -> Rule:
        """From now on strike requests whose target matches the pattern; "" is any method, WRITES
        what could change an object. Of several rules the first that takes a request counts."""
        rule = Rule(method=method, pattern=pattern, fault=fault, after=after, times=times)
        with self._lock:
            self._rules.append(rule)
        return rule

    def clear(self) -> None:
        """Forget the rules and the requests so far."""
        with self._lock:
            self._rules.clear()
            self._requests.clear()

    def requests(self, method: str = "", pattern: str = "") -> list[Request]:
        """Those so far that match, in the order of their arrival."""
        with self._lock:
            return [each for each in self._requests if each.matches(method, pattern)]

    def writes(self) -> list[Request]:
        """Those so far that could have changed an object."""
        return self.requests(WRITES)

    def through(self, kubeconfig: Path) -> Path:
        """A copy of a kubeconfig with a token, that leads through the proxy."""
        content = json.loads(kubeconfig.read_text())
        assert "token" in content["users"][0]["user"], "the proxy passes tokens on only"
        content["clusters"][0]["cluster"]["server"] = self.url
        copy = kubeconfig.with_suffix(f".{urlsplit(self.url).port}")
        copy.touch(mode=0o600)
        copy.write_text(json.dumps(content))
        return copy

    def arrived(self, request: Request) -> Rule | None:
        """Note a request; gives the rule that strikes it."""
        with self._lock:
            self._requests.append(request)
            return next((rule for rule in self._rules if rule.takes(request)), None)


class _Server(ThreadingHTTPServer):
    """Ends its connections with itself, and resets those that are marked."""

    daemon_threads = False
    request_queue_size = 64

    def __init__(self, proxy: FaultProxy, context: ssl.SSLContext) -> None:
        super().__init__((LOOPBACK, 0), _Handler)
        self.proxy = proxy
        self.context = context
        self.open: set[socket.socket] = set()
        self.resets: set[socket.socket] = set()

    def get_request(self) -> tuple[socket.socket, Any]:
        plain, address = super().get_request()
        secure = self.context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        self.open.add(secure)
        return secure, address

    def shutdown_request(self, request: Any) -> None:
        self.open.discard(request)
        if request in self.resets:
            self.resets.discard(request)
            request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away, or that does not trust the certificate, is its own affair."""

    def end_connections(self) -> None:
        for each in list(self.open):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # it has ended meanwhile


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    upstream: HTTPSConnection

    def setup(self) -> None:
        super().setup()
        proxy = self.server.proxy
        host, port = proxy.address
        self.upstream = HTTPSConnection(host, port, context=proxy.trust, timeout=_FORWARDING_TAKES)
        self.upstream.connect()
        self.server.open.add(self.upstream.sock)

    def finish(self) -> None:
        self.server.open.discard(self.upstream.sock)
        self.upstream.close()
        super().finish()

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        headers = {key: value for key, value in self.headers.items() if key.lower() != "host"}
        request = Request(method=self.command, target=self.path, headers=headers, body=body)
        rule = self.server.proxy.arrived(request)
        if rule is None:
            self._relay(self._forward(request))
        else:
            self._strike(request, rule)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815

    def _strike(self, request: Request, rule: Rule) -> None:
        closing = self.server.proxy.closing
        answer = self._forward(request) if getattr(rule.fault, "forwarded", False) else None
        if answer is not None:
            answer.read()
        rule.struck.set()
        match rule.fault:
            case Answer() as made:
                self._send(made.status, made.headers, made.content())
            case Delay(seconds):
                closing.wait(seconds)
                self._relay(self._forward(request))
            case Hang():
                closing.wait()
                self.close_connection = True
            case Reset():
                self.server.resets.add(self.connection)
                self.close_connection = True

    def _forward(self, request: Request) -> HTTPResponse:
        self.upstream.request(
            request.method, request.target, body=request.body or None, headers=request.headers
        )
        return self.upstream.getresponse()

    def _relay(self, answer: HTTPResponse) -> None:
        headers = {
            key: value for key, value in answer.getheaders() if key.lower() not in _HOP_BY_HOP
        }
        if answer.length is not None:
            self._send(answer.status, headers, answer.read())
            return
        self._head(answer.status, {**headers, "Transfer-Encoding": "chunked"})
        while piece := answer.read1(65536):
            self._chunk(piece)
        self._chunk(b"")

    def _chunk(self, piece: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.flush()

    def _send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self._head(status, {**headers, "Content-Length": str(len(body))})
        self.wfile.write(body)
        self.wfile.flush()

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response_only(status)
        if not any(key.lower() == "content-type" for key in headers):
            self.send_header("Content-Type", "application/json")
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()


@contextmanager
def running_proxy(*, upstream: str, trust: ssl.SSLContext, pem: Path) -> Iterator[FaultProxy]:
    """Serve on a free loopback port with a certificate, until the block ends."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)
    proxy = FaultProxy(upstream=upstream, trust=trust)
    server = _Server(proxy, context)
    proxy.url = f"https://{LOOPBACK}:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="fault proxy")
    thread.start()
    try:
        yield proxy
    finally:
        proxy.closing.set()
        server.shutdown()
        server.end_connections()
        server.server_close()
        thread.join()
