"""JSON Schemas of what the API answers: the shapes of `views`, for the OpenAPI description.

Every key is always there; what is not known is null.
"""

from __future__ import annotations

from typing import Any

from watcher.core.change import ChangeKind
from watcher.core.delivery import DeliveryOutcome
from watcher.core.message import MessageStatus
from watcher.core.pipeline import ExecutionStatus, StageStatus
from watcher.core.poll import RepositoryState
from watcher.core.verdict import Verdict

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
MAYBE: Schema = {"type": ["string", "null"]}
WHOLE: Schema = {"type": "integer"}
NUMBER: Schema = {"type": ["number", "null"]}
FLAG: Schema = {"type": "boolean"}
TIME: Schema = {"type": "string", "format": "date-time"}
MAYBE_TIME: Schema = {"type": ["string", "null"], "format": "date-time"}
ANYTHING: Schema = {}
ANY_OBJECT: Schema = {"type": "object"}


def words(*allowed: str) -> Schema:
    return {"type": "string", "enum": list(allowed)}


def items(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def record(**keys: Schema) -> Schema:
    return {
        "type": "object",
        "properties": keys,
        "required": list(keys),
        "additionalProperties": False,
    }


_STAGE = {
    "name": TEXT,
    "type": TEXT,
    "status": words(*(status.value for status in StageStatus)),
    "attempts": WHOLE,
    "started": MAYBE_TIME,
    "finished": MAYBE_TIME,
    "error": MAYBE,
    "outputs": ANYTHING,
    "waiting_for": MAYBE,
}

_EXECUTION = {
    "id": TEXT,
    "pipeline": TEXT,
    "trigger": MAYBE,
    "status": words(*(status.value for status in ExecutionStatus)),
    "account": MAYBE,
    "repository": MAYBE,
    "tag": MAYBE,
    "digest": MAYBE,
    "change": MAYBE,
    "created": TIME,
    "started": MAYBE_TIME,
    "finished": MAYBE_TIME,
    "reason": MAYBE,
    "parent": MAYBE,
    "parameters": ANY_OBJECT,
    "source": ANY_OBJECT,
}

_VERDICT = words(*(verdict.value for verdict in Verdict))

COMPONENTS: dict[str, Schema] = {
    "Error": record(error=TEXT, hint=MAYBE),
    "Repository": record(
        account=TEXT,
        repository=TEXT,
        state=words(*(state.value for state in RepositoryState)),
        tags=WHOLE,
        last_check=MAYBE_TIME,
        last_success=MAYBE_TIME,
        last_error=MAYBE,
        next_check=MAYBE_TIME,
        parked_until=MAYBE_TIME,
        parked_by={"enum": ["host", "account", None]},
    ),
    "Host": record(
        host=TEXT,
        dialect=MAYBE,
        version=MAYBE,
        recognised=MAYBE_TIME,
        accounts=items(TEXT),
        parked=items(record(account=MAYBE, counts=TEXT, until=TIME)),
        quotas=items(
            record(
                account=MAYBE,
                counts=TEXT,
                allowed=NUMBER,
                remaining=NUMBER,
                resets=TIME,
                seen=TIME,
            )
        ),
    ),
    "Activity": record(
        time=TIME,
        account=TEXT,
        repository=TEXT,
        tag=MAYBE,
        digest=MAYBE,
        change=words("baseline", *(kind.value for kind in ChangeKind)),
        triggers=items(record(name=TEXT, outcome=_VERDICT, reason=MAYBE, execution=MAYBE)),
    ),
    "Delivery": record(
        time=TIME,
        sender=TEXT,
        account=MAYBE,
        repository=MAYBE,
        tag=MAYBE,
        digest=MAYBE,
        outcome=words(*(outcome.value for outcome in DeliveryOutcome)),
        reason=TEXT,
    ),
    "Execution": record(**_EXECUTION, stages=items(record(**_STAGE))),
    "ExecutionWithLogs": record(**_EXECUTION, stages=items(record(**_STAGE, log=TEXT))),
    "Event": record(
        id=WHOLE,
        time=TIME,
        account=TEXT,
        repository=TEXT,
        tag=MAYBE,
        digest=MAYBE,
        change=TEXT,
        trigger=TEXT,
        outcome=_VERDICT,
        reason=MAYBE,
        batch=MAYBE,
        execution=MAYBE,
    ),
    "Rejection": record(
        number=WHOLE,
        time=TIME,
        pipeline=TEXT,
        account=MAYBE,
        repository=MAYBE,
        tag=MAYBE,
        digest=MAYBE,
        execution=TEXT,
        reason=TEXT,
    ),
    "Message": record(
        id=WHOLE,
        key=TEXT,
        notifier=TEXT,
        status=words(*(status.value for status in MessageStatus)),
        event=TEXT,
        kind=TEXT,
        title=TEXT,
        text=TEXT,
        count=WHOLE,
        created=TIME,
        attempts=WHOLE,
        tried=MAYBE_TIME,
        error=MAYBE,
    ),
    "Trigger": record(
        name=TEXT,
        account=TEXT,
        repositories=items(TEXT),
        repository_pattern=MAYBE,
        pipeline=TEXT,
        changes=items(words(*(kind.value for kind in ChangeKind))),
        fire=TEXT,
        enabled=FLAG,
        configured=FLAG,
    ),
}
