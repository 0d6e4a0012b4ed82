"""What stages applied to clusters: the last good bundle of each, and those of runs under way.

Functions on a connection. `executions.save` settles them in the transaction that ends a run.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from datetime import datetime

from watcher.core.deployment import Bundle
from watcher.core.pipeline import Execution, StageStatus
from watcher.core.undoing import was_touched_by_undo


def last_good(db: sqlite3.Connection, pipeline: str, stage: str) -> Bundle | None:
    row = db.execute(
        "SELECT bundle FROM deployment WHERE pipeline = ? AND stage = ? AND good = 1",
        (pipeline, stage),
    ).fetchone()
    return None if row is None else _bundle(row[0])


def propose(db: sqlite3.Connection, pipeline: str, stage: str, bundle: Bundle) -> None:
    """Keep what a run applies, in the place of what it proposed before. The newest proposal has
    the highest number: it is a new row each time."""
    db.execute(
        "INSERT OR REPLACE INTO deployment (pipeline, stage, execution, bundle) "
        "VALUES (?, ?, ?, ?)",
        (pipeline, stage, bundle.execution, _blob(bundle)),
    )


def settle(db: sqlite3.Connection, execution: Execution) -> None:
    """At a run's end: what its stages applied well, and was not taken back, not even in part, is
    the last good, unless a run beside it applied something later that went well."""
    db.execute("UPDATE deployment SET good = 0 WHERE execution = ?", (execution.id,))
    for stage in execution.stages:
        row = db.execute(
            "UPDATE deployment SET good = 1 WHERE pipeline = ?1 AND stage = ?2 AND execution = ?3 "
            "AND ?4 AND NOT EXISTS (SELECT 1 FROM deployment later WHERE later.pipeline = ?1 "
            "AND later.stage = ?2 AND later.good = 1 AND later.rowid > deployment.rowid) "
            "RETURNING 1",
            (
                execution.pipeline.name,
                stage.name,
                execution.id,
                stage.status is StageStatus.SUCCEEDED and not was_touched_by_undo(stage),
            ),
        ).fetchone()
        if row is not None:
            db.execute(
                "DELETE FROM deployment WHERE pipeline = ? AND stage = ? AND good = 1 "
                "AND execution <> ?",
                (execution.pipeline.name, stage.name, execution.id),
            )
    db.execute("DELETE FROM deployment WHERE execution = ? AND good = 0", (execution.id,))


def _blob(bundle: Bundle) -> bytes:
    data = {
        "objects": bundle.objects,
        "cluster": bundle.cluster,
        "namespace": bundle.namespace,
        "execution": bundle.execution,
        "event_time": bundle.event_time.isoformat(),
        "tag": bundle.tag,
        "digest": bundle.digest,
    }
    return zlib.compress(json.dumps(data, separators=(",", ":")).encode())


def _bundle(blob: bytes) -> Bundle:
    data = json.loads(zlib.decompress(blob))
    return Bundle(
        objects=tuple(data.pop("objects")),
        event_time=datetime.fromisoformat(data.pop("event_time")),
        **data,
    )
