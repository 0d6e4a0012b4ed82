PRAGMA application_id = 1920426356;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE activity (
        id INTEGER PRIMARY KEY,
        time REAL NOT NULL,
        repository INTEGER NOT NULL REFERENCES repository (id),
        change TEXT NOT NULL CHECK (change IN ('baseline', 'new', 'moved', 'deleted')),
        tag TEXT,
        digest TEXT,
        change_number INTEGER
    ) STRICT
    ;
INSERT INTO "activity" VALUES(1,1.77236640012345600132e+09,1,'baseline',NULL,NULL,NULL);
INSERT INTO "activity" VALUES(2,1.77236640012345600132e+09,1,'new','1.1','sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',1);
INSERT INTO "activity" VALUES(3,1.77236640012345600132e+09,1,'new','1.2','sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',1);
INSERT INTO "activity" VALUES(4,1.77236640012345600132e+09,1,'new','1.3','sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',1);
CREATE TABLE approval (
        execution TEXT NOT NULL REFERENCES execution (id),
        position INTEGER NOT NULL,
        approved INTEGER NOT NULL CHECK (approved IN (0, 1)),
        person TEXT NOT NULL,
        time REAL NOT NULL,
        PRIMARY KEY (execution, position)
    ) STRICT, WITHOUT ROWID
    ;
CREATE TABLE blocked (
        name TEXT PRIMARY KEY,
        until REAL NOT NULL
    ) STRICT, WITHOUT ROWID
    ;
CREATE TABLE catalog (
        account TEXT PRIMARY KEY,
        fingerprint TEXT NOT NULL
    ) STRICT, WITHOUT ROWID
    ;
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
    ;
INSERT INTO "decision" VALUES(1,2,'t','fired','as the test says',NULL,'51902822e84167b7',0);
INSERT INTO "decision" VALUES(2,3,'t','fired','as the test says',NULL,'84a19b60f9c5f7de',0);
INSERT INTO "decision" VALUES(3,4,'t','held','as the test says','b3',NULL,0);
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
    ;
INSERT INTO "execution" VALUES(1,'51902822e84167b7','t|dockerhub|acme/demoapp|1.1|sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa|1','t','deploy','{"name":"deploy","stages":[{"name":"note-0","type":"note","options":{"place":0},"condition":null,"timeout":600.0,"attempts":1,"backoff":10.0,"on_failure":"stop"}],"concurrency":{"max":1,"policy":"queue"},"timeout":3600.0}','RUNNING','dockerhub','acme/demoapp','1.1','sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','new',1.77236640012345600132e+09,1.77236640012345600132e+09,NULL,0.0,NULL,NULL,0,NULL,NULL,'{"replicas":2}','{"name":"t","tag":"1.1"}');
INSERT INTO "execution" VALUES(2,'84a19b60f9c5f7de','t|dockerhub|acme/demoapp|1.2|sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa|1','t','deploy','{"name":"deploy","stages":[{"name":"note-0","type":"note","options":{"place":0},"condition":null,"timeout":600.0,"attempts":1,"backoff":10.0,"on_failure":"stop"}],"concurrency":{"max":1,"policy":"queue"},"timeout":3600.0}','QUEUED','dockerhub','acme/demoapp','1.2','sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','new',1.77236640012345600132e+09,NULL,NULL,0.0,NULL,NULL,0,NULL,NULL,'{"replicas":2}','{"name":"t","tag":"1.2"}');
CREATE TABLE held (
        decision INTEGER PRIMARY KEY REFERENCES decision (id),
        execution TEXT NOT NULL
    ) STRICT
    ;
INSERT INTO "held" VALUES(3,'{"key":"t|dockerhub|acme/demoapp|1.3|sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa|1","trigger":"t","pipeline":{"name":"deploy","stages":[{"name":"note-0","type":"note","options":{"place":0},"condition":null,"timeout":600.0,"attempts":1,"backoff":10.0,"on_failure":"stop"}],"concurrency":{"max":1,"policy":"queue"},"timeout":3600.0},"account":"dockerhub","repository":"acme/demoapp","tag":"1.3","digest":"sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","change":"new","created":1772366400.123456,"parameters":{"replicas":2},"source":{"name":"t","tag":"1.3"}}');
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
    ;
INSERT INTO "repository" VALUES(1,'dockerhub','acme/demoapp',1.77236640012345600132e+09,3,NULL,NULL,NULL,X'6E657874',4,1.77236640012345600132e+09,1.77236640012345600132e+09,NULL,NULL,0);
CREATE TABLE request (
        id INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,
        payload TEXT NOT NULL,
        created REAL NOT NULL,
        finished REAL,
        result TEXT
    ) STRICT
    ;
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
    ;
INSERT INTO "stage_run" VALUES('51902822e84167b7',0,'note-0','note','RUNNING',1,1,1.77236640012345600132e+09,NULL,NULL,NULL,1.77236700012345600131e+09,NULL,NULL,NULL,NULL,'half way
');
INSERT INTO "stage_run" VALUES('84a19b60f9c5f7de',0,'note-0','note','PENDING',0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'');
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
    ;
INSERT INTO "tag" VALUES(1,'1.0',NULL,1.77236640012345600132e+09,1,0,1);
INSERT INTO "tag" VALUES(1,'1.1','sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',1.77236640012345600132e+09,2,1,1);
INSERT INTO "tag" VALUES(1,'1.2','sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',1.77236640012345600132e+09,3,1,1);
INSERT INTO "tag" VALUES(1,'1.3','sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',1.77236640012345600132e+09,4,1,1);
CREATE TABLE trigger_state (
        repository INTEGER NOT NULL REFERENCES repository (id),
        trigger_name TEXT NOT NULL,
        highest TEXT,
        PRIMARY KEY (repository, trigger_name)
    ) STRICT, WITHOUT ROWID
    ;
CREATE TABLE trigger_switch (
        trigger_name TEXT PRIMARY KEY,
        enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
        changed REAL NOT NULL
    ) STRICT, WITHOUT ROWID
    ;
INSERT INTO "trigger_switch" VALUES('t',0,1.77236640012345600132e+09);
CREATE INDEX execution_unfinished ON execution (status, pipeline, number)
        WHERE finished IS NULL
    ;
CREATE INDEX execution_child ON execution (parent) WHERE parent IS NOT NULL;
CREATE INDEX activity_repository ON activity (repository, id);
CREATE INDEX decision_outcome ON decision (outcome, id);
CREATE INDEX request_pending ON request (id) WHERE finished IS NULL;
COMMIT;
