"""The other end of sd_notify: a socket as systemd has one, and what came in when.

Used by the tests of this directory only.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.system.watching import wait_until


@dataclass(frozen=True, slots=True)
class Message:
    """One datagram; `at` is monotonic."""

    at: float
    fields: dict[str, str]


class ServiceManagerSocket:
    """Collects messages until it is closed. `address` is what $NOTIFY_SOCKET has to say. A deaf one
    reads none of them."""

    def __init__(self, address: str, *, is_deaf: bool = False) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self._messages: list[Message] = []
        self._thread = threading.Thread(target=self._listen)
        if not is_deaf:
            self._thread.start()

    def messages(self, *names: str) -> list[Message]:
        """All so far, or those that have one of these fields."""
        seen = list(self._messages)
        return [m for m in seen if not names or m.fields.keys() & set(names)]

    def wait_for(self, field: str, *, times: int = 1, within: float = 30.0) -> list[Message]:
        """Wait until a field such as `READY` or `STATUS` came so often."""

        def look() -> list[Message]:
            found = self.messages(field)
            return found if len(found) >= times else []

        return wait_until(look, f"{times} x {field} in {self.messages()}", within=within)

    def statuses(self) -> list[str]:
        return [message.fields["STATUS"] for message in self.messages("STATUS")]

    def wait_for_status(self, part: str, *, within: float = 30.0) -> str:
        """The first status that has this in it."""
        return wait_until(
            lambda: next((text for text in self.statuses() if part in text), ""),
            f"{part!r} in {self.statuses()}",
            within=within,
        )

    def environment(self, **more: str) -> dict[str, str]:
        return {"NOTIFY_SOCKET": self.address, **more}

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        if self._thread.is_alive():
            self._thread.join()
        self._socket.close()

    def _listen(self) -> None:
        while data := self._socket.recv(8192):
            lines = [line.partition("=") for line in data.decode().split("\n")]
            self._messages.append(
                Message(time.monotonic(), {name: value for name, _, value in lines})
            )


@contextmanager
def listening(
    directory: Path, *, is_abstract: bool = False, is_deaf: bool = False
) -> Iterator[ServiceManagerSocket]:
    """A socket below `directory`, or one with an abstract name."""
    name = f"@watcher-test-{os.getpid()}-{time.monotonic_ns()}"
    address = name if is_abstract else str(directory / "notify")
    manager = ServiceManagerSocket(address, is_deaf=is_deaf)
    try:
        yield manager
    finally:
        manager.close()
