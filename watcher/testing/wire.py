"""HTTP/1.1 as the fake registry speaks it: requests out of bytes, responses into bytes.

Pure, small and forgiving: it serves tests, not the public. Imported by the fake registry only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote

Headers = tuple[tuple[str, str], ...]

_END_OF_HEAD = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Request:
    """One request; header names are lower case, the query is as it came (not decoded)."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """The query's parameters, decoded, in order."""
        return parse_qsl(self.query, keep_blank_values=True)

    def parameter(self, name: str) -> str | None:
        """The first value of a query parameter, decoded."""
        return next((value for key, value in self.parameters if key == name), None)

    def raw_parameter(self, name: str) -> str | None:
        """The first value of a query parameter byte for byte, as opaque cursors need it."""
        pairs = (pair.partition("=") for pair in self.query.split("&"))
        return next((value for key, _, value in pairs if key == name), None)

    @property
    def form(self) -> dict[str, str]:
        """The fields of a form-encoded body; none of one that is JSON."""
        if "json" in self.headers.get("content-type", ""):
            return {}
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class Response:
    """One response; Content-Length is added unless the headers say how long the body is."""

    status: int = 200
    headers: Headers = ()
    body: bytes = field(default=b"", repr=False)

    def header(self, name: str) -> str | None:
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)

    def head(self) -> bytes:
        """The status line and headers, with the empty line that ends them."""
        lines = [f"HTTP/1.1 {self.status} {_reason(self.status)}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.header("Content-Length") is None and self.header("Transfer-Encoding") is None:
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join(lines).encode("latin-1") + _END_OF_HEAD

    def encode(self, *, with_body: bool = True) -> bytes:
        """The whole response as bytes."""
        return self.head() + self.body if with_body else self.head()


def json_response(document: object, status: int = 200, headers: Headers = ()) -> Response:
    """A response with a JSON body."""
    body = json.dumps(document, separators=(",", ":")).encode()
    return Response(status, (("Content-Type", "application/json"), *headers), body)


def error_response(status: int, code: str, message: str, headers: Headers = ()) -> Response:
    """An error in the form of the OCI distribution specification ("Error Codes")."""
    return json_response({"errors": [{"code": code, "message": message}]}, status, headers)


def parse_request(buffer: bytes) -> tuple[Request, int] | None:
    """The first complete request in the buffer and how many bytes it took; None: more needed.

    Raises ValueError when the bytes are no HTTP/1 request.
    """
    if buffer and not buffer[:1].isalpha():
        raise ValueError("that is no HTTP; TLS, perhaps")
    end = buffer.find(_END_OF_HEAD)
    if end < 0:
        return None
    first, *lines = buffer[:end].decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    headers = _headers(lines)
    start = end + len(_END_OF_HEAD)
    size = start + int(headers.get("content-length", "0"))
    if len(buffer) < size:
        return None
    return Request(method, target, headers, bytes(buffer[start:size])), size


def _headers(lines: Sequence[str]) -> dict[str, str]:
    """Names in lower case; a header that stands twice is one list (RFC 9110 section 5.3)."""
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        key = name.strip().lower()
        headers[key] = f"{headers[key]}, {value.strip()}" if key in headers else value.strip()
    return headers


def decoded_path(request: Request) -> str:
    """The path with its percent-escapes read."""
    return unquote(request.path)


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
