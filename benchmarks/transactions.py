"""Counts the transactions that other processes commit to a state file, by reading its WAL.

SQLite has no counter for them, and `PRAGMA data_version` only says that there was one. Each commit
ends with a marked frame; a look every few milliseconds misses none unless the whole WAL is written
twice over in between. Each counted transaction is at least one fsync, for the state file is FULL.
"""

from __future__ import annotations

import sqlite3
import struct
import threading
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

_HEADER, _FRAME = struct.Struct(">8I"), struct.Struct(">6I")
_LOOK_SECONDS = 0.01


class Transactions:
    """`with Transactions(state) as seen: ...; seen.count`. The state file has to exist."""

    def __init__(self, state: Path) -> None:
        self.count = 0
        self._state = state
        self._wal = state.with_name(f"{state.name}-wal")
        self._generation = (0, 0)
        self._frames = 0
        self._ended = threading.Event()
        self._busy = threading.Lock()
        self._thread = threading.Thread(target=self._look_on, name="transactions")

    def __enter__(self) -> Self:
        # An open connection keeps the last writer from removing the WAL when it ends.
        self._keeper = sqlite3.connect(
            f"{self._state.as_uri()}?mode=ro", uri=True, check_same_thread=False
        )
        self._keeper.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        self.look()
        self.count = 0
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._keeper.close()

    def _look_on(self) -> None:
        while not self._ended.wait(_LOOK_SECONDS):
            self.look()
        self.look()

    def look(self) -> None:
        """Count what was committed since the last look; a thread does it all the time."""
        with self._busy:
            self._look()

    def _look(self) -> None:
        try:
            wal = self._wal.open("rb")
        except FileNotFoundError:
            return
        with wal:
            header = wal.read(_HEADER.size)
            if len(header) < _HEADER.size:
                return
            _, _, page, _, first, second, _, _ = _HEADER.unpack(header)
            self._follow(wal, page)
            if (first, second) != self._generation:
                self._generation, self._frames = (first, second), 0
                self._follow(wal, page)

    def _follow(self, wal: BinaryIO, page: int) -> None:
        """Count the commits behind the last one seen, as far as the frames are of its writing."""
        size, number = _FRAME.size + page, self._frames
        while True:
            wal.seek(_HEADER.size + number * size)
            frame = wal.read(_FRAME.size)
            if len(frame) < _FRAME.size:
                return
            _, pages_after_commit, first, second, _, _ = _FRAME.unpack(frame)
            if (first, second) != self._generation:
                return
            number += 1
            if pages_after_commit:
                self.count += 1
                self._frames = number
