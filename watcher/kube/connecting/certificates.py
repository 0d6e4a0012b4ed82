"""When a client certificate ends, and files that never touch a disk.

An API server answers an expired client certificate with the same 401 as a wrong one, so the time
is read here. TLS libraries want private keys as files: anonymous memory has a path too, needs no
writable directory, and is gone with the process. Only `connection` and `credentials` import this.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from weakref import finalize

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
_SEQUENCE, _CONTEXT_0, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18


class MemoryFile:
    """Bytes under a path that this process alone can read, for as long as the object lives."""

    def __init__(self, content: bytes) -> None:
        descriptor = os.memfd_create("registry-watcher")
        finalize(self, os.close, descriptor)
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        self.path = Path(f"/proc/self/fd/{descriptor}")


def not_after(pem: bytes) -> datetime | None:
    """When the first certificate of a PEM text ends (RFC 5280, 4.1.2.5); None where it can't be
    told."""
    found = _PEM.search(pem)
    if found is None:
        return None
    try:
        return _not_after(base64.b64decode(found[1]))
    except (ValueError, IndexError, binascii.Error):
        return None


def _not_after(der: bytes) -> datetime:
    _, certificate, _ = _element(der)
    _, body, _ = _element(certificate)
    tag, _, rest = _element(body)
    if tag == _CONTEXT_0:
        body = rest
    for _ in ("serial number", "signature algorithm", "issuer"):
        _, _, body = _element(body)
    tag, validity, _ = _element(body)
    if tag != _SEQUENCE:
        raise ValueError("no validity")
    _, _, rest = _element(validity)
    tag, value, _ = _element(rest)
    return _time(tag, value.decode("ascii"))


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """The tag and the content of the first DER element, and what follows it."""
    tag, length, start = data[0], data[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[2:start], "big")
    return tag, data[start : start + length], data[start + length :]


def _time(tag: int, text: str) -> datetime:
    if tag == _UTC_TIME:
        century = "19" if text[:2] >= "50" else "20"
        text = century + text
    elif tag != _GENERALIZED_TIME:
        raise ValueError("no time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
