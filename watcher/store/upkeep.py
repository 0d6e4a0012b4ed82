"""The part of `sqlite.Store` that keeps the state file small: rounds of retention, and the space
that they free. What goes is decided in `retention`, which is loaded only when a round is due.
"""

from __future__ import annotations

from datetime import timedelta

from watcher.core.retention import Retention, reckoned, remembered
from watcher.store.connection import pragma
from watcher.store.state_file import StateFile

BATCH = 100
"""Rows that go in one transaction: polls wait for no more of them."""

STEP = 200
"""Pages that are given back to the system in one transaction."""

_SPARE_PAGES = 2000
_INCREMENTAL = 2  # what `PRAGMA auto_vacuum` says of a file that can give back single pages


class Upkeep(StateFile):
    """Each method is one transaction."""

    def is_retention_due(self, now: float, pause: timedelta) -> bool:
        """Whether the last round was so long ago, or is in the future of a clock set back."""
        with self._reading() as db:
            row = db.execute("SELECT looked FROM retention").fetchone()
        return row is None or not 0 <= now - row[0] < pause.total_seconds()

    def begin_retention(self, now: float) -> float:
        """Begin a round; the moment that ages are counted from, in seconds since the epoch."""
        with self._writing("retention", durable=False) as db:
            row = db.execute("SELECT reckoned FROM retention").fetchone()
            last = row[0] if row else None
            moment = reckoned(now, last)
            db.execute(
                "INSERT OR REPLACE INTO retention VALUES (1, ?, ?)", (now, remembered(moment, last))
            )
            return moment

    def prune(self, retention: Retention, moment: float, most: int = BATCH) -> dict[str, int]:
        """Let go of about so many rows that are over; how many went, by kind: nothing when all
        that is left stays."""
        from watcher.store.retention import prune

        with self._writing("prune", durable=False) as db:
            return prune(db, retention, moment, most)

    def give_back(self, most: int = STEP) -> int:
        """Give so many free pages back to the system; the bytes. It keeps some, for what comes
        next, and a file of before schema 4 keeps all until `watcher state vacuum`."""
        with self._writing("space", durable=False) as db:
            spare = max(_SPARE_PAGES, pragma(db, "page_count") // 4)
            pages = min(most, pragma(db, "freelist_count") - spare)
            if pages <= 0 or pragma(db, "auto_vacuum") != _INCREMENTAL:
                return 0
            before = pragma(db, "page_count")
            db.execute(f"PRAGMA incremental_vacuum({pages})").fetchall()
            return (before - pragma(db, "page_count")) * pragma(db, "page_size")
