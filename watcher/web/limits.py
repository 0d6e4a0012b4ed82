"""What a client may take of the daemon, whoever it is: seconds, bytes, connections. Values only.

Polling comes first: whatever is beyond these is cut off, and the registries are asked in time.
"""

from __future__ import annotations

from dataclasses import dataclass

KIB, MIB = 1024, 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`head_seconds` is for the request line and headers from the moment they may come,
    `body_seconds` for the body, `answer_seconds` for the application, `linger_seconds` until the
    client took the answer, `drain_seconds` for all answers under way when the daemon stops.
    `own_bytes` of a body are always taken, so that whoever fills the common room keeps no ordinary
    request out; `bodies_bytes` is for what all bodies under way have beyond these, together. A body
    that comes in more than so many `chunks` needs `chunk_bytes` in each on average: a small one
    takes as long to read as a large one. Of the `queue` of those who knock, `at_once` are let in at
    a time: until those too many are closed, a few times as many files may be open beyond
    `connections`."""

    connections: int = 128
    head_seconds: float = 10.0
    body_seconds: float = 20.0
    answer_seconds: float = 30.0
    idle_seconds: int = 5
    linger_seconds: float = 5.0
    drain_seconds: int = 3
    head_bytes: int = 16 * KIB
    body_bytes: int = MIB
    own_bytes: int = 64 * KIB
    bodies_bytes: int = 16 * MIB
    chunks: int = 256
    chunk_bytes: int = 100
    at_once: int = 16
    queue: int = 1024

    @property
    def request_bytes(self) -> int:
        """What a connection may send for one request in all, with the framing of chunks; also of
        a body that is no longer wanted."""
        return self.head_bytes + 2 * self.body_bytes
