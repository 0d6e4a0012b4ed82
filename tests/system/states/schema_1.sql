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
INSERT INTO "activity" VALUES(1,1.7952826732506420612e+09,1,'baseline',NULL,NULL,NULL);
INSERT INTO "activity" VALUES(2,1.79528267324934697152e+09,2,'baseline',NULL,NULL,NULL);
INSERT INTO "activity" VALUES(3,1.79528267330011510848e+09,3,'baseline',NULL,NULL,NULL);
INSERT INTO "activity" VALUES(4,1.79528267330033707623e+09,4,'baseline',NULL,NULL,NULL);
INSERT INTO "activity" VALUES(5,1.79528267330306696893e+09,5,'baseline',NULL,NULL,NULL);
INSERT INTO "activity" VALUES(6,1.79528267370678496364e+09,5,'new','1.3',NULL,1);
INSERT INTO "activity" VALUES(7,1.79528267370514702794e+09,2,'new','1.3','sha256:c08c43781ecb00dd3fe8e94d5d138bf6736be9c9f65ce3d84222949419f1407b',1);
INSERT INTO "activity" VALUES(8,1.79528267405270910267e+09,2,'new','1.4','sha256:dcef7dd519a5ace943daeb1ea02a421f0a96033904d93f24ec573c941bae458e',1);
INSERT INTO "activity" VALUES(9,1.79528267440074205396e+09,2,'moved','1.1','sha256:a2740d043ac7078c8bdbcc3da3bbf3a5a28335259c89ef3d4b9cf351a835c0b3',1);
INSERT INTO "activity" VALUES(10,1.79528267440074205396e+09,2,'deleted','1.0','sha256:4d2e2d915b85e5d8b7ab25631a0585ca68d6e945c7babfb594e229828e43110a',1);
INSERT INTO "activity" VALUES(11,1.7952826747531681061e+09,1,'new','2.0',NULL,1);
INSERT INTO "activity" VALUES(12,1.7952826747531681061e+09,1,'new','2.1',NULL,1);
INSERT INTO "activity" VALUES(13,1.7952826747531681061e+09,1,'new','2.2',NULL,1);
INSERT INTO "activity" VALUES(14,1795282675.61777,2,'new','1.5','sha256:a7d1ed43b490af5184f95885d84ca7800b740b0fda0bcba8c9217b365a1c9ccc',1);
INSERT INTO "activity" VALUES(15,1.79528267562075090411e+09,3,'new','1.3','sha256:92fea09773db40265662e21a2c5873fcca1e45916e7a3c1e780bb1107bb0fd0c',1);
INSERT INTO "activity" VALUES(16,1.79528267562147808081e+09,4,'new','1.3','sha256:201bdfe667f98e1ec657dd39c92d1ee0dfa7d4fa531fa39db160843e0f44d7b5',1);
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
INSERT INTO "decision" VALUES(1,6,'off','disabled','switched off; the new tag matches ''.*''',NULL,NULL,0);
INSERT INTO "decision" VALUES(2,7,'web','fired','the new tag matches ''.*''',NULL,'5ee6e3eb3e87c62b',0);
INSERT INTO "decision" VALUES(3,8,'web','fired','the new tag matches ''.*''',NULL,'1fb0c43a43228454',0);
INSERT INTO "decision" VALUES(4,10,'web','fired','the deleted tag matches ''.*''',NULL,'5cdf6c673f773394',0);
INSERT INTO "decision" VALUES(5,9,'web','fired','the moved tag matches ''.*''',NULL,'2a32da2c1632bc28',0);
INSERT INTO "decision" VALUES(6,11,'api','held','held: 3 events in one poll are more than hold_above (2); the new tag matches ''.*''','b6',NULL,0);
INSERT INTO "decision" VALUES(7,12,'api','held','held: 3 events in one poll are more than hold_above (2); the new tag matches ''.*''','b6',NULL,0);
INSERT INTO "decision" VALUES(8,13,'api','held','held: 3 events in one poll are more than hold_above (2); the new tag matches ''.*''','b6',NULL,0);
INSERT INTO "decision" VALUES(9,14,'web','fired','the new tag matches ''.*''',NULL,'152bc993fb1dc3e9',0);
INSERT INTO "decision" VALUES(10,15,'slow','fired','the new tag matches ''.*''',NULL,'2a1e51978e979bfa',0);
INSERT INTO "decision" VALUES(11,16,'patient','fired','the new tag matches ''.*''',NULL,'2e059da6bf091049',0);
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
INSERT INTO "execution" VALUES(1,'5ee6e3eb3e87c62b','web|main|acme/web|1.3|sha256:c08c43781ecb00dd3fe8e94d5d138bf6736be9c9f65ce3d84222949419f1407b|1','web','deploy','{"name":"deploy","stages":[{"name":"go","type":"command","options":["sh","-c","echo \"$0 said $(date +%s)\"; echo $0 >> ''@DIRECTORY@/marks''; ","deploy"],"condition":null,"timeout":600.0,"attempts":1,"backoff":10.0,"on_failure":"stop"},{"name":"look","type":"command","options":["test","!","-e","@DIRECTORY@/fails"],"condition":null,"timeout":600.0,"attempts":1,"backoff":10.0,"on_failure":"stop"}],"concurrency":{"max":1,"policy":"queue"},"timeout":3600.0}','SUCCEEDED','main','acme/web','1.3','sha256:c08c43781ecb00dd3fe8e94d5d138bf6736be9c9f65ce3d84222949419f1407b','new',1.79528267370514702794e+09,1.79528267375916600226e+09,1.79528267378528308875e+09,0.0,NULL,NULL,0,NULL,NULL,'{}','{"name":"web","type":"docker","account":"main","registry":"127.0.0.1:38483","repository":"acme/web","namespace":"acme","tag":"1.3","digest":"sha256:c08c43781ecb00dd3fe8e94d5d138bf6736be9c9f65ce3d84222949419f1407b","previous_digest":null,"change":"new","time":"2026-11-21T17:37:53Z","artifacts":[{"type":"docker/image","name":"127.0.0.1:38483/acme/web","version":"1.3","reference":"127.0.0.1:38483/acme/web:1.3"}],"parameters":{},"user":"registry-watcher"}');
INSERT INTO "execution" VALUES(2,'1fb0c43a43228454','web|main|acme/web|1.4|sha256:dcef7dd519a5ace943daeb1ea02a421f0a96033904d93f24ec573c941bae458e|1','web','deploy','{"name":"deploy","stages":[{"name":"go","type":"command","options":["sh","-c","echo \"$0 said $(date +%s)\"; echo $0 >> ''@DIRECTORY@/marks''; ","deploy"],"condition":null,"timeout":600.0,"attempts":1,"backoff":10.0,"on_failure":"stop"},{"name":"look","type":"command","options":["test","!","-e","@DIRECTORY@/fails"],"condition":null,"timeout":600.0,"attempts":1,"backoff":10.0,"on_failure":"stop"}],"concurrency":{"max":1,"policy":"queue"},"timeout":3600.0}','FAILED','main','acme/web','1.4','sha256:dcef7dd519a5ace943daeb1ea02a421f0a96033904d93f24ec573c941bae458e','new',1.79528267405270910267e+09,1.79528267410665798189e+09,1.79528267413244700429e+09,0.0,NULL,NULL,0,'stage look: the command ended with exit code 1',NULL,'{}','{"name":"web","type":"docker","account":"main","registry":"127.0.0.1:38483","repository":"acme/web","namespace":"acme","tag":"1.4","digest":"sha256:dcef7dd519a5ace943daeb1ea02a421f0a96033904d93f24ec573c941bae458e","previous_digest":null,"change":"new","time":"2026-11-21T17:37:54Z","artifacts":[{"type":"docker/image","name":"127.0.0.1:38483/acme/web","version":"1.4","reference":"127.0.0.1:38483/acme/web:1.4"}],"parameters":{},"user":"registry-watcher"}');
INSERT INTO "execution" VALUES(3,'5cdf6c673f773394','web|main|acme/web|1.0|-|1','web','deploy','{"name":"deploy","stages":[{"name":"go","type":"command","options":["sh","-c","echo \"$0 said $(date +%s)\"; echo $0 >> ''@DIRECTORY@/marks''; ","deploy"],"condition":null,"timeout":600.0,"attempts":1,"backoff":10.0,"on_failure":"stop"},{"name":"look","type":"command","options":["test","!","-e","@DIRECTORY@/fails"],"condition":null,"timeout":600.0,"attempts":1,"backoff":10.0,"on_failure":"stop"}],"concurrency":{"max":1,"policy":"queue"},"timeout":3600.0}','SUCCEEDED','main','acme/web','1.0',NULL,'deleted',1.79528267440074205396e+09,1.79528267445431494717e+09,1.79528267448010897628e+09,0.0,NULL,NULL,0,NULL,NULL,'{}','{"name":"web","type":"docker","account":"main","registry":"127.0.0.1:38483","repository":"acme/web","namespace":"acme","tag":"1.0","digest":null,"previous_digest":"sha256:4d2e2d915b85e5d8b7ab25631a0585ca68d6e945c7babfb594e229828e43110a","change":"deleted","time":"2026-11-21T17:37:54Z","artifacts":[{"type":"docker/image","name":"127.0.0.1:38483/acme/web","version":"1.0","reference":"127.0.0.1:38483/acme/web:1.0"}],"parameters":{},"user":"registry-watcher"}');
INSERT INTO "execution" VALUES(4,'2a32da2c1632bc28','web|main|acme/web|1.1|sha256:a2740d043ac7078c8bdbcc3da3bbf3a5a28335259c89ef3d4b9cf351a835c0b3|1','web','deploy','{"name":"deploy","stages":[{"name":"go","type":"command","options":["sh","-c","echo \"$0 said $(date +%s)\"; echo $0 >> ''@DIRECTORY@/marks''; ","deploy"],"condition":null,"timeout":600.0,"attempts":1,"backoff":10.0,"on_failure":"stop"},{"name":"look","type":"command","options":["test","!","-e","@DIRECTORY@/fails"],"condition":null,"timeout":600.0,"attempts":1,"backoff":10.0,"on_failure":"stop"}],"concurrency":{"max":1,"policy":"queue"},"timeout":3600.0}','SUCCEEDED','main','acme/web','1.1','sha256:a2740d043ac7078c8bdbcc3da3bbf3a5a28335259c89ef3d4b9cf351a835c0b3','moved',1.79528267440074205396e+09,1.79528267448095393181e+09,1.79528267448570489879e+09,0.0,NULL,NULL,0,NULL,NULL,'{}','{"name":"web","type":"docker","account":"main","registry":"127.0.0.1:38483","repository":"acme/web","namespace":"acme","tag":"1.1","digest":"sha256:a2740d043ac7078c8bdbcc3da3bbf3a5a28335259c89ef3d4b9cf351a835c0b3","previous_digest":"sha256:70a48ed9c08637e10a8771b9331c72a52b3f8076469e5b2f1fa7c7b8bb84b473","change":"moved","time":"2026-11-21T17:37:54Z","artifacts":[{"type":"docker/image","name":"127.0.0.1:38483/acme/web","version":"1.1","reference":"127.0.0.1:38483/acme/web:1.1"}],"parameters":{},"user":"registry-watcher"}');
INSERT INTO "execution" VALUES(5,'152bc993fb1dc3e9','web|main|acme/web|1.5|sha256:a7d1ed43b490af5184f95885d84ca7800b740b0fda0bcba8c9217b365a1c9ccc|1','web','deploy','{"name":"deploy","stages":[{"name":"go","type":"command","options":["sh","-c","echo \"$0 said $(date +%s)\"; echo $0 >> ''@DIRECTORY@/marks''; ","deploy"],"condition":null,"timeout":600.0,"attempts":1,"backoff":10.0,"on_failure":"stop"},{"name":"look","type":"command","options":["test","!","-e","@DIRECTORY@/fails"],"condition":null,"timeout":600.0,"attempts":1,"backoff":10.0,"on_failure":"stop"}],"concurrency":{"max":1,"policy":"queue"},"timeout":3600.0}','SUCCEEDED','main','acme/web','1.5','sha256:a7d1ed43b490af5184f95885d84ca7800b740b0fda0bcba8c9217b365a1c9ccc','new',1795282675.61777,1.79528267562508893014e+09,1.79528267563478899004e+09,0.0,NULL,NULL,0,NULL,NULL,'{}','{"name":"web","type":"docker","account":"main","registry":"127.0.0.1:38483","repository":"acme/web","namespace":"acme","tag":"1.5","digest":"sha256:a7d1ed43b490af5184f95885d84ca7800b740b0fda0bcba8c9217b365a1c9ccc","previous_digest":null,"change":"new","time":"2026-11-21T17:37:55Z","artifacts":[{"type":"docker/image","name":"127.0.0.1:38483/acme/web","version":"1.5","reference":"127.0.0.1:38483/acme/web:1.5"}],"parameters":{},"user":"registry-watcher"}');
INSERT INTO "execution" VALUES(6,'2a1e51978e979bfa','slow|main|acme/slow|1.3|sha256:92fea09773db40265662e21a2c5873fcca1e45916e7a3c1e780bb1107bb0fd0c|1','slow','slow','{"name":"slow","stages":[{"name":"go","type":"command","options":["sh","-c","until [ -e ''@DIRECTORY@/gate'' ]; do sleep 0.05; done; echo \"$0 said $(date +%s)\"; echo $0 >> ''@DIRECTORY@/marks''; ","slow"],"condition":null,"timeout":600.0,"attempts":1,"backoff":10.0,"on_failure":"stop"}],"concurrency":{"max":1,"policy":"queue"},"timeout":3600.0}','RUNNING','main','acme/slow','1.3','sha256:92fea09773db40265662e21a2c5873fcca1e45916e7a3c1e780bb1107bb0fd0c','new',1.79528267562075090411e+09,1.79528267562508893014e+09,NULL,0.0,NULL,NULL,0,NULL,NULL,'{}','{"name":"slow","type":"docker","account":"main","registry":"127.0.0.1:38483","repository":"acme/slow","namespace":"acme","tag":"1.3","digest":"sha256:92fea09773db40265662e21a2c5873fcca1e45916e7a3c1e780bb1107bb0fd0c","previous_digest":null,"change":"new","time":"2026-11-21T17:37:55Z","artifacts":[{"type":"docker/image","name":"127.0.0.1:38483/acme/slow","version":"1.3","reference":"127.0.0.1:38483/acme/slow:1.3"}],"parameters":{},"user":"registry-watcher"}');
INSERT INTO "execution" VALUES(7,'2e059da6bf091049','patient|main|acme/patient|1.3|sha256:201bdfe667f98e1ec657dd39c92d1ee0dfa7d4fa531fa39db160843e0f44d7b5|1','patient','patient','{"name":"patient","stages":[{"name":"rest","type":"wait","options":"10s","condition":null,"timeout":600.0,"attempts":1,"backoff":10.0,"on_failure":"stop"},{"name":"go","type":"command","options":["sh","-c","echo \"$0 said $(date +%s)\"; echo $0 >> ''@DIRECTORY@/marks''; ","patient"],"condition":null,"timeout":600.0,"attempts":1,"backoff":10.0,"on_failure":"stop"}],"concurrency":{"max":1,"policy":"queue"},"timeout":3600.0}','WAITING','main','acme/patient','1.3','sha256:201bdfe667f98e1ec657dd39c92d1ee0dfa7d4fa531fa39db160843e0f44d7b5','new',1.79528267562147808081e+09,1.79528267562508893014e+09,NULL,0.0,1.7952826856307039261e+09,'the time 2026-11-21T17:38:05.630704+00:00',0,NULL,NULL,'{}','{"name":"patient","type":"docker","account":"main","registry":"127.0.0.1:38483","repository":"acme/patient","namespace":"acme","tag":"1.3","digest":"sha256:201bdfe667f98e1ec657dd39c92d1ee0dfa7d4fa531fa39db160843e0f44d7b5","previous_digest":null,"change":"new","time":"2026-11-21T17:37:55Z","artifacts":[{"type":"docker/image","name":"127.0.0.1:38483/acme/patient","version":"1.3","reference":"127.0.0.1:38483/acme/patient:1.3"}],"parameters":{},"user":"registry-watcher"}');
INSERT INTO "execution" VALUES(8,'9c125c283a9a8755','slow|main|acme/slow|1.2|-|manual-5847e87da4221b5a','slow','slow','{"name":"slow","stages":[{"name":"go","type":"command","options":["sh","-c","until [ -e ''@DIRECTORY@/gate'' ]; do sleep 0.05; done; echo \"$0 said $(date +%s)\"; echo $0 >> ''@DIRECTORY@/marks''; ","slow"],"condition":null,"timeout":600.0,"attempts":1,"backoff":10.0,"on_failure":"stop"}],"concurrency":{"max":1,"policy":"queue"},"timeout":3600.0}','QUEUED','main','acme/slow','1.2',NULL,'manual',1.79528267640211606028e+09,NULL,NULL,0.0,NULL,NULL,0,NULL,NULL,'{}','{"name":"slow","type":"docker","account":"main","registry":"127.0.0.1:38483","repository":"acme/slow","namespace":"acme","tag":"1.2","digest":null,"previous_digest":null,"change":"manual","time":"2026-11-21T17:37:56Z","artifacts":[{"type":"docker/image","name":"127.0.0.1:38483/acme/slow","version":"1.2","reference":"127.0.0.1:38483/acme/slow:1.2"}],"parameters":{},"user":"root"}');
CREATE TABLE held (
        decision INTEGER PRIMARY KEY REFERENCES decision (id),
        execution TEXT NOT NULL
    ) STRICT
    ;
INSERT INTO "held" VALUES(6,'{"key":"api|main|acme/api|2.0|-|1","trigger":"api","pipeline":{"name":"deploy","stages":[{"name":"go","type":"command","options":["sh","-c","echo \"$0 said $(date +%s)\"; echo $0 >> ''@DIRECTORY@/marks''; ","deploy"],"condition":null,"timeout":600.0,"attempts":1,"backoff":10.0,"on_failure":"stop"},{"name":"look","type":"command","options":["test","!","-e","@DIRECTORY@/fails"],"condition":null,"timeout":600.0,"attempts":1,"backoff":10.0,"on_failure":"stop"}],"concurrency":{"max":1,"policy":"queue"},"timeout":3600.0},"account":"main","repository":"acme/api","tag":"2.0","digest":null,"change":"new","created":1795282674.753168,"parameters":{},"source":{"name":"api","type":"docker","account":"main","registry":"127.0.0.1:38483","repository":"acme/api","namespace":"acme","tag":"2.0","digest":null,"previous_digest":null,"change":"new","time":"2026-11-21T17:37:54Z","artifacts":[{"type":"docker/image","name":"127.0.0.1:38483/acme/api","version":"2.0","reference":"127.0.0.1:38483/acme/api:2.0"}],"parameters":{},"user":"registry-watcher"}}');
INSERT INTO "held" VALUES(7,'{"key":"api|main|acme/api|2.1|-|1","trigger":"api","pipeline":{"name":"deploy","stages":[{"name":"go","type":"command","options":["sh","-c","echo \"$0 said $(date +%s)\"; echo $0 >> ''@DIRECTORY@/marks''; ","deploy"],"condition":null,"timeout":600.0,"attempts":1,"backoff":10.0,"on_failure":"stop"},{"name":"look","type":"command","options":["test","!","-e","@DIRECTORY@/fails"],"condition":null,"timeout":600.0,"attempts":1,"backoff":10.0,"on_failure":"stop"}],"concurrency":{"max":1,"policy":"queue"},"timeout":3600.0},"account":"main","repository":"acme/api","tag":"2.1","digest":null,"change":"new","created":1795282674.753168,"parameters":{},"source":{"name":"api","type":"docker","account":"main","registry":"127.0.0.1:38483","repository":"acme/api","namespace":"acme","tag":"2.1","digest":null,"previous_digest":null,"change":"new","time":"2026-11-21T17:37:54Z","artifacts":[{"type":"docker/image","name":"127.0.0.1:38483/acme/api","version":"2.1","reference":"127.0.0.1:38483/acme/api:2.1"}],"parameters":{},"user":"registry-watcher"}}');
INSERT INTO "held" VALUES(8,'{"key":"api|main|acme/api|2.2|-|1","trigger":"api","pipeline":{"name":"deploy","stages":[{"name":"go","type":"command","options":["sh","-c","echo \"$0 said $(date +%s)\"; echo $0 >> ''@DIRECTORY@/marks''; ","deploy"],"condition":null,"timeout":600.0,"attempts":1,"backoff":10.0,"on_failure":"stop"},{"name":"look","type":"command","options":["test","!","-e","@DIRECTORY@/fails"],"condition":null,"timeout":600.0,"attempts":1,"backoff":10.0,"on_failure":"stop"}],"concurrency":{"max":1,"policy":"queue"},"timeout":3600.0},"account":"main","repository":"acme/api","tag":"2.2","digest":null,"change":"new","created":1795282674.753168,"parameters":{},"source":{"name":"api","type":"docker","account":"main","registry":"127.0.0.1:38483","repository":"acme/api","namespace":"acme","tag":"2.2","digest":null,"previous_digest":null,"change":"new","time":"2026-11-21T17:37:54Z","artifacts":[{"type":"docker/image","name":"127.0.0.1:38483/acme/api","version":"2.2","reference":"127.0.0.1:38483/acme/api:2.2"}],"parameters":{},"user":"registry-watcher"}}');
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
INSERT INTO "repository" VALUES(1,'main','acme/api',1.7952826732506420612e+09,2,NULL,NULL,NULL,X'8676B69A8C90B7B075E341081D41F34207FA2B03',6,1.79528267479999589922e+09,1.79528267479999589922e+09,NULL,NULL,0);
INSERT INTO "repository" VALUES(2,'main','acme/web',1.79528267324934697152e+09,5,NULL,NULL,NULL,X'B66427EF7931BA49183C9D69B46154D08608BAAE',5,1795282675.61777,1795282675.61777,NULL,NULL,0);
INSERT INTO "repository" VALUES(3,'main','acme/slow',1.79528267330011510848e+09,2,NULL,NULL,NULL,X'95738169BAF57F84F168825234C5B05C9171A5A6',4,1.79528267562075090411e+09,1.79528267562075090411e+09,NULL,NULL,0);
INSERT INTO "repository" VALUES(4,'main','acme/patient',1.79528267330033707623e+09,2,NULL,NULL,NULL,X'78D3BBC883019C86131D5387A2D1198FBCFB9375',4,1.79528267562147808081e+09,1.79528267562147808081e+09,NULL,NULL,0);
INSERT INTO "repository" VALUES(5,'main','acme/off',1.79528267330306696893e+09,2,NULL,NULL,NULL,X'EAACF4C05DB95773E3556EEC0DEC5EC1CD2CCA0B',4,1.79528267480113935469e+09,1.79528267480113935469e+09,NULL,NULL,0);
CREATE TABLE request (
        id INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,
        payload TEXT NOT NULL,
        created REAL NOT NULL,
        finished REAL,
        result TEXT
    ) STRICT
    ;
INSERT INTO "request" VALUES(1,'poll','{"account":null,"repository":null}',1.79528267552440309526e+09,1.79528267607007789609e+09,'{"polls":[{"account":"main","repository":"acme/api","result":"unchanged","tags":6,"changes":0,"executions":[],"error":null},{"account":"main","repository":"acme/off","result":"unchanged","tags":4,"changes":0,"executions":[],"error":null},{"account":"main","repository":"acme/web","result":"changed","tags":5,"changes":1,"executions":["152bc993fb1dc3e9"],"error":null},{"account":"main","repository":"acme/slow","result":"changed","tags":4,"changes":1,"executions":["2a1e51978e979bfa"],"error":null},{"account":"main","repository":"acme/patient","result":"changed","tags":4,"changes":1,"executions":["2e059da6bf091049"],"error":null}]}');
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
INSERT INTO "stage_run" VALUES('5ee6e3eb3e87c62b',0,'go','command','SUCCEEDED',1,0,1.79528267375994896883e+09,1.7952826737824549675e+09,NULL,NULL,NULL,NULL,NULL,NULL,'{"exit_code":0,"stdout":"deploy said 1795282673"}','deploy said 1795282673
');
INSERT INTO "stage_run" VALUES('5ee6e3eb3e87c62b',1,'look','command','SUCCEEDED',1,0,1.79528267378325104711e+09,1.7952826737852358818e+09,NULL,NULL,NULL,NULL,NULL,NULL,'{"exit_code":0,"stdout":""}','');
INSERT INTO "stage_run" VALUES('1fb0c43a43228454',0,'go','command','SUCCEEDED',1,0,1.79528267410746598248e+09,1.79528267412956094744e+09,NULL,NULL,NULL,NULL,NULL,NULL,'{"exit_code":0,"stdout":"deploy said 1795282674"}','deploy said 1795282674
');
INSERT INTO "stage_run" VALUES('1fb0c43a43228454',1,'look','command','FAILED',1,0,1.79528267413034200669e+09,1.79528267413240098957e+09,NULL,NULL,NULL,NULL,NULL,'the command ended with exit code 1',NULL,'');
INSERT INTO "stage_run" VALUES('5cdf6c673f773394',0,'go','command','SUCCEEDED',1,0,1.79528267445513510709e+09,1795282674.47733,NULL,NULL,NULL,NULL,NULL,NULL,'{"exit_code":0,"stdout":"deploy said 1795282674"}','deploy said 1795282674
');
INSERT INTO "stage_run" VALUES('5cdf6c673f773394',1,'look','command','SUCCEEDED',1,0,1.79528267447810411456e+09,1.79528267448006391524e+09,NULL,NULL,NULL,NULL,NULL,NULL,'{"exit_code":0,"stdout":""}','');
INSERT INTO "stage_run" VALUES('2a32da2c1632bc28',0,'go','command','SUCCEEDED',1,0,1.7952826744813659191e+09,1.79528267448365402218e+09,NULL,NULL,NULL,NULL,NULL,NULL,'{"exit_code":0,"stdout":"deploy said 1795282674"}','deploy said 1795282674
');
INSERT INTO "stage_run" VALUES('2a32da2c1632bc28',1,'look','command','SUCCEEDED',1,0,1.79528267448425388336e+09,1.79528267448565697671e+09,NULL,NULL,NULL,NULL,NULL,NULL,'{"exit_code":0,"stdout":""}','');
INSERT INTO "stage_run" VALUES('152bc993fb1dc3e9',0,'go','command','SUCCEEDED',1,0,1.7952826756262929439e+09,1.7952826756317510605e+09,NULL,NULL,NULL,NULL,NULL,NULL,'{"exit_code":0,"stdout":"deploy said 1795282675"}','deploy said 1795282675
');
INSERT INTO "stage_run" VALUES('152bc993fb1dc3e9',1,'look','command','SUCCEEDED',1,0,1.79528267563266396523e+09,1.79528267563474106787e+09,NULL,NULL,NULL,NULL,NULL,NULL,'{"exit_code":0,"stdout":""}','');
INSERT INTO "stage_run" VALUES('2a1e51978e979bfa',0,'go','command','RUNNING',1,1,1.79528267562635111811e+09,NULL,NULL,NULL,1.7952832756263511181e+09,NULL,NULL,NULL,NULL,'');
INSERT INTO "stage_run" VALUES('2e059da6bf091049',0,'rest','wait','WAITING',1,0,1.79528267562638306617e+09,NULL,1.79528267563101291658e+09,1.7952826856307039261e+09,1.79528327562638306616e+09,'the time 2026-11-21T17:38:05.630704+00:00','{"until":"2026-11-21T17:38:05.630704+00:00"}',NULL,NULL,'');
INSERT INTO "stage_run" VALUES('2e059da6bf091049',1,'go','command','PENDING',0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'');
INSERT INTO "stage_run" VALUES('9c125c283a9a8755',0,'go','command','PENDING',0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'');
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
INSERT INTO "tag" VALUES(1,'1.0',NULL,1.7952826732506420612e+09,1,0,1);
INSERT INTO "tag" VALUES(1,'1.1',NULL,1.7952826732506420612e+09,2,0,1);
INSERT INTO "tag" VALUES(1,'1.2',NULL,1.7952826732506420612e+09,3,0,1);
INSERT INTO "tag" VALUES(1,'2.0',NULL,1.7952826747531681061e+09,4,1,1);
INSERT INTO "tag" VALUES(1,'2.1',NULL,1.7952826747531681061e+09,5,1,1);
INSERT INTO "tag" VALUES(1,'2.2',NULL,1.7952826747531681061e+09,6,1,1);
INSERT INTO "tag" VALUES(2,'1.0',NULL,1.79528267324934697152e+09,1,1,0);
INSERT INTO "tag" VALUES(2,'1.1','sha256:a2740d043ac7078c8bdbcc3da3bbf3a5a28335259c89ef3d4b9cf351a835c0b3',1.79528267324934697152e+09,2,1,1);
INSERT INTO "tag" VALUES(2,'1.2','sha256:e95d67a5dcfad44eb9e677026d839b2ab6f97c66e830fb8ffab7fc4787d62c26',1.79528267324934697152e+09,3,0,1);
INSERT INTO "tag" VALUES(2,'1.3','sha256:c08c43781ecb00dd3fe8e94d5d138bf6736be9c9f65ce3d84222949419f1407b',1.79528267370514702794e+09,4,1,1);
INSERT INTO "tag" VALUES(2,'1.4','sha256:dcef7dd519a5ace943daeb1ea02a421f0a96033904d93f24ec573c941bae458e',1.79528267405270910267e+09,5,1,1);
INSERT INTO "tag" VALUES(2,'1.5','sha256:a7d1ed43b490af5184f95885d84ca7800b740b0fda0bcba8c9217b365a1c9ccc',1795282675.61777,6,1,1);
INSERT INTO "tag" VALUES(3,'1.0',NULL,1.79528267330011510848e+09,1,0,1);
INSERT INTO "tag" VALUES(3,'1.1',NULL,1.79528267330011510848e+09,2,0,1);
INSERT INTO "tag" VALUES(3,'1.2',NULL,1.79528267330011510848e+09,3,0,1);
INSERT INTO "tag" VALUES(3,'1.3',NULL,1.79528267562075090411e+09,4,1,1);
INSERT INTO "tag" VALUES(4,'1.0',NULL,1.79528267330033707623e+09,1,0,1);
INSERT INTO "tag" VALUES(4,'1.1',NULL,1.79528267330033707623e+09,2,0,1);
INSERT INTO "tag" VALUES(4,'1.2',NULL,1.79528267330033707623e+09,3,0,1);
INSERT INTO "tag" VALUES(4,'1.3',NULL,1.79528267562147808081e+09,4,1,1);
INSERT INTO "tag" VALUES(5,'1.0',NULL,1.79528267330306696893e+09,1,0,1);
INSERT INTO "tag" VALUES(5,'1.1',NULL,1.79528267330306696893e+09,2,0,1);
INSERT INTO "tag" VALUES(5,'1.2',NULL,1.79528267330306696893e+09,3,0,1);
INSERT INTO "tag" VALUES(5,'1.3',NULL,1.79528267370678496364e+09,4,1,1);
CREATE TABLE trigger_state (
        repository INTEGER NOT NULL REFERENCES repository (id),
        trigger_name TEXT NOT NULL,
        highest TEXT,
        PRIMARY KEY (repository, trigger_name)
    ) STRICT, WITHOUT ROWID
    ;
INSERT INTO "trigger_state" VALUES(1,'api',NULL);
INSERT INTO "trigger_state" VALUES(2,'web',NULL);
INSERT INTO "trigger_state" VALUES(3,'slow',NULL);
INSERT INTO "trigger_state" VALUES(4,'patient',NULL);
INSERT INTO "trigger_state" VALUES(5,'off',NULL);
CREATE TABLE trigger_switch (
        trigger_name TEXT PRIMARY KEY,
        enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
        changed REAL NOT NULL
    ) STRICT, WITHOUT ROWID
    ;
INSERT INTO "trigger_switch" VALUES('off',0,1.79528267344728088383e+09);
CREATE INDEX execution_unfinished ON execution (status, pipeline, number)
        WHERE finished IS NULL
    ;
CREATE INDEX execution_child ON execution (parent) WHERE parent IS NOT NULL;
CREATE INDEX activity_repository ON activity (repository, id);
CREATE INDEX decision_outcome ON decision (outcome, id);
CREATE INDEX request_pending ON request (id) WHERE finished IS NULL;
COMMIT;
