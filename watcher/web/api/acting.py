"""The operations that change something: done, or durably queued, when they are answered."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from watcher.config.items import LOOSE_NAME, LOOSE_NAME_RULE
from watcher.config.pipelines import PARAMETER_NAME
from watcher.web.api.declaring import Given, Operation, Parameter
from watcher.web.api.kinds import Flag, Pairs, Text, Whole
from watcher.web.api.looking import EXECUTION_ID
from watcher.web.api.shapes import FLAG, TEXT, WHOLE, items, record, ref
from watcher.web.port import Desk

_TRIGGER = Parameter(
    name="name",
    kind=Text(matches=LOOSE_NAME, rule=LOOSE_NAME_RULE),
    doc="The name of a trigger.",
    required=True,
)
_EVENT = Parameter(
    name="event", kind=Whole(most=2**53), doc="The number of an event.", required=True
)
_REJECTION = Parameter(
    name="number", kind=Whole(most=2**53), doc="The number of a rejection.", required=True
)
_MESSAGE = Parameter(
    name="message", kind=Whole(most=2**53), doc="The id of a message.", required=True
)
_PERSON = Parameter(
    name="person", kind=Text(most=100), doc="Who asks, for the record.", default="api"
)
_REFUSALS = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)
_SWITCHED = record(trigger=TEXT, enabled=FLAG)


async def _poll(desk: Desk, given: Given) -> Any:
    return await desk.poll(given["account"], given["repository"])


async def _enable(desk: Desk, given: Given) -> Any:
    return await desk.switch(given["name"], enabled=True)


async def _disable(desk: Desk, given: Given) -> Any:
    return await desk.switch(given["name"], enabled=False)


async def _fire(desk: Desk, given: Given) -> Any:
    return await desk.fire(
        given["name"],
        tag=given["tag"],
        repository=given["repository"],
        parameters=given["parameters"],
        force=given["force"],
        person=given["person"],
    )


async def _cancel(desk: Desk, given: Given) -> Any:
    return await desk.cancel(given["id"])


async def _retry(desk: Desk, given: Given) -> Any:
    return await desk.retry(given["id"])


async def _approve(desk: Desk, given: Given) -> Any:
    return await desk.decide(given["id"], approved=True, person=given["person"])


async def _reject(desk: Desk, given: Given) -> Any:
    return await desk.decide(given["id"], approved=False, person=given["person"])


async def _release(desk: Desk, given: Given) -> Any:
    return await desk.release(given["event"])


async def _drop(desk: Desk, given: Given) -> Any:
    return await desk.drop(given["event"])


async def _replay(desk: Desk, given: Given) -> Any:
    return await desk.replay(given["event"])


async def _clear(desk: Desk, given: Given) -> Any:
    return await desk.clear(given["number"])


async def _retry_message(desk: Desk, given: Given) -> Any:
    return await desk.retry_message(given["message"])


async def _drop_message(desk: Desk, given: Given) -> Any:
    return await desk.drop_message(given["message"])


ACTING = (
    Operation(
        name="poll",
        path="/poll",
        method="POST",
        doc="Poll now: everything, an account, or one of its repositories; how many are queued.",
        act=_poll,
        status=HTTPStatus.ACCEPTED,
        answer=record(queued=WHOLE),
        body=(
            Parameter(name="account", kind=Text(), doc="Only this account."),
            Parameter(
                name="repository",
                kind=Text(),
                doc="Only this repository.",
            ),
        ),
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Operation(
        name="enableTrigger",
        path="/triggers/{name}/enable",
        method="POST",
        doc="Switch a trigger on; what came meanwhile does not fire.",
        act=_enable,
        answer=_SWITCHED,
        parts=(_TRIGGER,),
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Operation(
        name="disableTrigger",
        path="/triggers/{name}/disable",
        method="POST",
        doc="Switch a trigger off; its repositories are still polled.",
        act=_disable,
        answer=_SWITCHED,
        parts=(_TRIGGER,),
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Operation(
        name="fireTrigger",
        path="/triggers/{name}/fire",
        method="POST",
        doc="Queue a run of a trigger for a tag, as if it had just appeared.",
        act=_fire,
        status=HTTPStatus.ACCEPTED,
        answer=record(execution=ref("Execution"), warnings=items(TEXT)),
        parts=(_TRIGGER,),
        body=(
            Parameter(name="tag", kind=Text(most=128), doc="The tag to fire for.", required=True),
            Parameter(
                name="repository", kind=Text(), doc="Needed where the trigger watches several."
            ),
            Parameter(
                name="parameters",
                kind=Pairs(keys=PARAMETER_NAME),
                doc="Parameters of the pipeline.",
                default={},
            ),
            Parameter(
                name="force",
                kind=Flag(),
                doc="Whatever the trigger's own rules say.",
                default=False,
            ),
            _PERSON,
        ),
        refusals=_REFUSALS,
    ),
    Operation(
        name="cancelExecution",
        path="/executions/{id}/cancel",
        method="POST",
        doc="End a run; a stage under way is stopped a moment later.",
        act=_cancel,
        status=HTTPStatus.ACCEPTED,
        answer=ref("Execution"),
        parts=(EXECUTION_ID,),
        refusals=_REFUSALS,
    ),
    Operation(
        name="retryExecution",
        path="/executions/{id}/retry",
        method="POST",
        doc="Queue a failed or canceled run again from the stage where it ended.",
        act=_retry,
        status=HTTPStatus.ACCEPTED,
        answer=ref("Execution"),
        parts=(EXECUTION_ID,),
        refusals=_REFUSALS,
    ),
    Operation(
        name="approveExecution",
        path="/executions/{id}/approve",
        method="POST",
        doc="Let the stage that waits for a person go on.",
        act=_approve,
        answer=ref("Execution"),
        parts=(EXECUTION_ID,),
        body=(_PERSON,),
        refusals=_REFUSALS,
    ),
    Operation(
        name="rejectExecution",
        path="/executions/{id}/reject",
        method="POST",
        doc="Let the stage that waits for a person fail.",
        act=_reject,
        answer=ref("Execution"),
        parts=(EXECUTION_ID,),
        body=(_PERSON,),
        refusals=_REFUSALS,
    ),
    Operation(
        name="releaseEvent",
        path="/events/{event}/release",
        method="POST",
        doc="Queue the run of a held event.",
        act=_release,
        status=HTTPStatus.ACCEPTED,
        answer=ref("Execution"),
        parts=(_EVENT,),
        refusals=_REFUSALS,
    ),
    Operation(
        name="dropEvent",
        path="/events/{event}/drop",
        method="POST",
        doc="Let a held event go without a run; it can still be replayed.",
        act=_drop,
        answer=record(dropped=items(WHOLE)),
        parts=(_EVENT,),
        refusals=_REFUSALS,
    ),
    Operation(
        name="replayEvent",
        path="/events/{event}/replay",
        method="POST",
        doc="Queue the run of an old event once more, as it was planned then.",
        act=_replay,
        status=HTTPStatus.ACCEPTED,
        answer=ref("Execution"),
        parts=(_EVENT,),
        refusals=_REFUSALS,
    ),
    Operation(
        name="clearRejection",
        path="/rejections/{number}/clear",
        method="POST",
        doc="Let an image go again that a rollback rejected; its next event fires.",
        act=_clear,
        answer=record(cleared=items(WHOLE)),
        parts=(_REJECTION,),
        refusals=_REFUSALS,
    ),
    Operation(
        name="retryMessage",
        path="/messages/{message}/retry",
        method="POST",
        doc="Send a message again that was given up, or one that waits at once.",
        act=_retry_message,
        status=HTTPStatus.ACCEPTED,
        answer=record(retried=items(WHOLE)),
        parts=(_MESSAGE,),
        refusals=_REFUSALS,
    ),
    Operation(
        name="dropMessage",
        path="/messages/{message}/drop",
        method="POST",
        doc="Forget a message that waits or was given up.",
        act=_drop_message,
        answer=record(dropped=items(WHOLE)),
        parts=(_MESSAGE,),
        refusals=_REFUSALS,
    ),
)
