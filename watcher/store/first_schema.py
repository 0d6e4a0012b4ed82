"""The tables of the first release: what was seen and decided, runs, requests to a daemon.

The first migration of `schema`, which has the order and what later ones changed of these tables.
Released, so never edited. Only `schema` imports it.
"""

from __future__ import annotations

FIRST: tuple[str, ...] = (
    # What a repository is known to hold, and the bookkeeping of its polls. `generation` counts
    # the recorded polls: a result computed from an older one is refused.
    """
    CREATE TABLE repository (
        id INTEGER PRIMARY KEY,
        account TEXT NOT NULL,
        name TEXT NOT NULL,
        baselined REAL,
        generation INTEGER NOT NULL DEFAULT 0,
        quarantine_since REAL,
        quarantine_fingerprint TEXT,
        quarantine_listed INTEGER,
        fingerprint BLOB,
        tags INTEGER NOT NULL DEFAULT 0,
        last_check REAL,
        last_success REAL,
        last_error TEXT,
        next_check REAL,
        failures INTEGER NOT NULL DEFAULT 0,
        UNIQUE (account, name)
    ) STRICT
    """,
    # A deleted tag keeps its row, for its change number.
    """
    CREATE TABLE tag (
        repository INTEGER NOT NULL REFERENCES repository (id),
        name TEXT NOT NULL,
        digest TEXT,
        first_seen REAL NOT NULL,
        sequence INTEGER NOT NULL,
        change_number INTEGER NOT NULL,
        present INTEGER NOT NULL CHECK (present IN (0, 1)),
        PRIMARY KEY (repository, name)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE trigger_state (
        repository INTEGER NOT NULL REFERENCES repository (id),
        trigger_name TEXT NOT NULL,
        highest TEXT,
        PRIMARY KEY (repository, trigger_name)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE trigger_switch (
        trigger_name TEXT PRIMARY KEY,
        enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
        changed REAL NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    # One run of a pipeline; `snapshot` is the pipeline it started with. `wake` and `waiting_for`
    # repeat those of the stage that waits, so that a look for due runs reads one index.
    """
    CREATE TABLE execution (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        key TEXT NOT NULL UNIQUE,
        trigger_name TEXT,
        pipeline TEXT NOT NULL,
        snapshot TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN (
            'QUEUED', 'RUNNING', 'WAITING', 'SUCCEEDED', 'FAILED', 'CANCELED', 'SKIPPED')),
        account TEXT,
        repository TEXT,
        tag TEXT,
        digest TEXT,
        change TEXT,
        created REAL NOT NULL,
        started REAL,
        finished REAL,
        paused REAL NOT NULL DEFAULT 0,
        wake REAL,
        waiting_for TEXT,
        cancel_requested INTEGER NOT NULL DEFAULT 0 CHECK (cancel_requested IN (0, 1)),
        reason TEXT,
        parent TEXT REFERENCES execution (id),
        parameters TEXT NOT NULL,
        source TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE INDEX execution_unfinished ON execution (status, pipeline, number)
        WHERE finished IS NULL
    """,
    "CREATE INDEX execution_child ON execution (parent) WHERE parent IS NOT NULL",
    # `starts` counts starts since the last outcome; `log` stands last, so that lists of runs
    # never read its pages.
    """
    CREATE TABLE stage_run (
        execution TEXT NOT NULL REFERENCES execution (id),
        position INTEGER NOT NULL,
        name TEXT NOT NULL,
        type TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN (
            'PENDING', 'RUNNING', 'WAITING', 'SUCCEEDED', 'FAILED', 'CANCELED', 'SKIPPED')),
        attempts INTEGER NOT NULL DEFAULT 0,
        starts INTEGER NOT NULL DEFAULT 0,
        started REAL,
        finished REAL,
        suspended REAL,
        wake REAL,
        deadline REAL,
        waiting_for TEXT,
        resumed TEXT,
        error TEXT,
        outputs TEXT,
        log TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (execution, position)
    ) STRICT
    """,
    # What a person decided about a stage; the first one stands.
    """
    CREATE TABLE approval (
        execution TEXT NOT NULL REFERENCES execution (id),
        position INTEGER NOT NULL,
        approved INTEGER NOT NULL CHECK (approved IN (0, 1)),
        person TEXT NOT NULL,
        time REAL NOT NULL,
        PRIMARY KEY (execution, position)
    ) STRICT, WITHOUT ROWID
    """,
    # What was seen, and per trigger what became of it. A baseline has no tag and no decisions.
    """
    CREATE TABLE activity (
        id INTEGER PRIMARY KEY,
        time REAL NOT NULL,
        repository INTEGER NOT NULL REFERENCES repository (id),
        change TEXT NOT NULL CHECK (change IN ('baseline', 'new', 'moved', 'deleted')),
        tag TEXT,
        digest TEXT,
        change_number INTEGER
    ) STRICT
    """,
    "CREATE INDEX activity_repository ON activity (repository, id)",
    """
    CREATE TABLE decision (
        id INTEGER PRIMARY KEY,
        activity INTEGER NOT NULL REFERENCES activity (id),
        trigger_name TEXT NOT NULL,
        outcome TEXT NOT NULL,
        reason TEXT NOT NULL,
        batch TEXT,
        execution TEXT REFERENCES execution (id),
        replays INTEGER NOT NULL DEFAULT 0,
        UNIQUE (activity, trigger_name)
    ) STRICT
    """,
    "CREATE INDEX decision_outcome ON decision (outcome, id)",
    # What a held event will queue when it is released; a dropped one keeps it for a replay.
    """
    CREATE TABLE held (
        decision INTEGER PRIMARY KEY REFERENCES decision (id),
        execution TEXT NOT NULL
    ) STRICT
    """,
    # Until when a host or account may not be asked, across restarts.
    """
    CREATE TABLE blocked (
        name TEXT PRIMARY KEY,
        until REAL NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    # What of an account's known repositories its last catalog named.
    """
    CREATE TABLE catalog (
        account TEXT PRIMARY KEY,
        fingerprint TEXT NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    # How the command line talks to a running daemon that has no port.
    """
    CREATE TABLE request (
        id INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,
        payload TEXT NOT NULL,
        created REAL NOT NULL,
        finished REAL,
        result TEXT
    ) STRICT
    """,
    "CREATE INDEX request_pending ON request (id) WHERE finished IS NULL",
)
