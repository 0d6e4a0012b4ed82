"""The tables of the state file, as numbered migrations that are never edited once released.

`PRAGMA user_version` holds the number of the last one applied, `application_id` says that the
file is ours. Times are seconds since the epoch (REAL), JSON is text. No secret has a column.
Only `connection`, `state_file` and `maintenance` import it.
"""

from __future__ import annotations

from watcher.store.first_schema import FIRST

Migration = tuple[str, ...]

APPLICATION_ID = 0x72776174  # "rwat"

_ROLLBACK: Migration = (
    # What taking a stage's work back needs, and how that went.
    "ALTER TABLE stage_run ADD COLUMN undo TEXT",
    "ALTER TABLE stage_run ADD COLUMN undo_starts INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE stage_run ADD COLUMN undone REAL",
    "ALTER TABLE stage_run ADD COLUMN undo_error TEXT",
    "ALTER TABLE stage_run ADD COLUMN undo_skipped TEXT",
    # How often a person had the run taken up again.
    "ALTER TABLE execution ADD COLUMN retries INTEGER NOT NULL DEFAULT 0",
    # What a stage of a run applied to a cluster, compressed JSON without the values of Secrets.
    # Of each stage the last good one is kept, and those of runs that have not ended.
    """
    CREATE TABLE deployment (
        pipeline TEXT NOT NULL,
        stage TEXT NOT NULL,
        execution TEXT NOT NULL REFERENCES execution (id),
        good INTEGER NOT NULL DEFAULT 0 CHECK (good IN (0, 1)),
        bundle BLOB NOT NULL,
        PRIMARY KEY (pipeline, stage, execution)
    ) STRICT
    """,
    # Images that a rollback took out of a pipeline; `image` is the digest, or where none is known
    # account, repository and tag. A number is never given twice: people copy it into a command.
    """
    CREATE TABLE rejection (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        pipeline TEXT NOT NULL,
        image TEXT NOT NULL,
        account TEXT,
        repository TEXT,
        tag TEXT,
        digest TEXT,
        execution TEXT NOT NULL,
        reason TEXT NOT NULL,
        time REAL NOT NULL,
        UNIQUE (pipeline, image)
    ) STRICT
    """,
)

_DIALECTS: Migration = (
    # Where the registry's own API was read to, and when all tags were listed the last time.
    "ALTER TABLE repository ADD COLUMN mark TEXT",
    "ALTER TABLE repository ADD COLUMN walked REAL",
    # What a host was found to be. A dialect of NULL: it was asked, and is none that is known.
    """
    CREATE TABLE host (
        name TEXT PRIMARY KEY,
        dialect TEXT,
        version TEXT,
        recognised REAL NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    # How much a host or account still allows, as it said itself, and what it counts.
    """
    CREATE TABLE quota (
        name TEXT NOT NULL,
        counted TEXT NOT NULL,
        allowed REAL,
        remaining REAL NOT NULL,
        resets REAL NOT NULL,
        seen REAL NOT NULL,
        PRIMARY KEY (name, counted)
    ) STRICT, WITHOUT ROWID
    """,
)

_SERVICE: Migration = (
    # What is over is let go: activity by its age, ended runs by their number in their pipeline,
    # what stages said (`trimmed`) by the age of the run's end.
    "CREATE INDEX activity_time ON activity (time)",
    "CREATE INDEX execution_ended ON execution (pipeline, number) WHERE finished IS NOT NULL",
    "ALTER TABLE execution ADD COLUMN trimmed INTEGER NOT NULL DEFAULT 0 CHECK (trimmed IN (0, 1))",
    """
    CREATE INDEX execution_untrimmed ON execution (finished)
        WHERE finished IS NOT NULL AND trimmed = 0
    """,
    # SQLite asks for each run that goes whether a decision still refers to it.
    "CREATE INDEX decision_execution ON decision (execution) WHERE execution IS NOT NULL",
    # When the last round of that took place, and the moment from which it counted ages.
    """
    CREATE TABLE retention (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        looked REAL NOT NULL,
        reckoned REAL NOT NULL
    ) STRICT
    """,
    # Repositories that the catalog of their account names no more.
    "ALTER TABLE repository ADD COLUMN dropped INTEGER NOT NULL DEFAULT 0",
    # What happened and is to be told, written with what it tells of; it goes on into `message`.
    """
    CREATE TABLE notice (
        id INTEGER PRIMARY KEY,
        event TEXT NOT NULL,
        kind TEXT NOT NULL,
        subject TEXT NOT NULL,
        account TEXT,
        text TEXT NOT NULL,
        detail TEXT NOT NULL,
        time REAL NOT NULL,
        facts TEXT NOT NULL
    ) STRICT
    """,
    # What is wrong and lasts: told once, and once when it is over. `looked`: when it was last
    # seen whom to remind of it.
    """
    CREATE TABLE trouble (
        event TEXT NOT NULL,
        subject TEXT NOT NULL,
        account TEXT,
        since REAL NOT NULL,
        text TEXT NOT NULL,
        detail TEXT NOT NULL,
        looked REAL NOT NULL,
        PRIMARY KEY (event, subject)
    ) STRICT, WITHOUT ROWID
    """,
    # Of what earlier releases held nobody was told: who is told of held events is reminded of it.
    """
    INSERT INTO trouble (event, subject, account, since, text, detail, looked)
    SELECT 'events_held', place, account, since, place || ': events are still held',
        '`watcher events ls` lists them; `watcher events release ' || place ||
        '` fires them, `watcher events drop ' || place || '` not', since
    FROM (
        SELECT r.account || '/' || r.name AS place, r.account AS account, min(a.time) AS since
        FROM decision d JOIN activity a ON a.id = d.activity
        JOIN repository r ON r.id = a.repository WHERE d.outcome = 'held' GROUP BY r.id
    )
    """,
    # The outbox: one row for each message to one notifier. A number is never given twice. `asked`:
    # when a person last asked to send it again.
    """
    CREATE TABLE message (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        key TEXT NOT NULL UNIQUE,
        notifier TEXT NOT NULL,
        event TEXT NOT NULL,
        kind TEXT NOT NULL,
        items TEXT NOT NULL,
        count INTEGER NOT NULL,
        created REAL NOT NULL,
        asked REAL,
        due REAL NOT NULL,
        status TEXT NOT NULL DEFAULT 'waiting' CHECK (status IN ('waiting', 'sent', 'dead')),
        attempts INTEGER NOT NULL DEFAULT 0,
        tried REAL,
        finished REAL,
        error TEXT
    ) STRICT
    """,
    "CREATE INDEX message_waiting ON message (notifier, due) WHERE status = 'waiting'",
    # Deliveries of webhooks, the newest ones. `key` tells a repeated delivery from a new one.
    """
    CREATE TABLE delivery (
        id INTEGER PRIMARY KEY,
        time REAL NOT NULL,
        sender TEXT NOT NULL,
        outcome TEXT NOT NULL,
        reason TEXT NOT NULL,
        account TEXT,
        repository TEXT,
        tag TEXT,
        digest TEXT,
        key TEXT
    ) STRICT
    """,
    # Accounts whose webhooks were switched at run time.
    """
    CREATE TABLE webhook_switch (
        account TEXT PRIMARY KEY,
        enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
        changed REAL NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
)

MIGRATIONS: tuple[Migration, ...] = (FIRST, _ROLLBACK, _DIALECTS, _SERVICE)
