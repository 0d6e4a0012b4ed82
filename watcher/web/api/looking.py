"""The operations that only look; each answers what the command line prints with `--json`."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from watcher.core.message import MessageStatus
from watcher.core.pipeline import ExecutionStatus
from watcher.core.poll import RepositoryState
from watcher.core.verdict import Verdict
from watcher.web.api.declaring import Given, Operation, Parameter
from watcher.web.api.kinds import Choice, Text, Whole
from watcher.web.api.shapes import items, ref
from watcher.web.port import Desk

MOST = 1000
EXECUTION_ID = Parameter(
    name="id",
    kind=Text(most=16, matches="[0-9a-f]{16}", rule="16 hexadecimal digits"),
    doc="The id of an execution.",
    required=True,
)

_ACCOUNT = Parameter(name="account", kind=Text(), doc="Only of this account.")
_REPOSITORY = Parameter(
    name="repository",
    kind=Text(),
    doc="Only this repository.",
)
_PIPELINE = Parameter(name="pipeline", kind=Text(), doc="Only of this pipeline.")


def _limit(most: int = MOST, default: int = 50) -> Parameter:
    return Parameter(name="limit", kind=Whole(most=most), doc="At most so many.", default=default)


async def _status(desk: Desk, given: Given) -> Any:
    states = (given["state"],) if given["state"] else ()
    return await desk.status(given["limit"], given["account"], given["repository"], states)


async def _hosts(desk: Desk, given: Given) -> Any:
    return await desk.hosts(given["account"])


async def _activity(desk: Desk, given: Given) -> Any:
    return await desk.activity(given["limit"], given["account"], given["repository"])


async def _deliveries(desk: Desk, given: Given) -> Any:
    return await desk.deliveries(given["limit"], given["account"], given["repository"])


async def _executions(desk: Desk, given: Given) -> Any:
    return await desk.executions(given["limit"], given["status"], given["pipeline"])


async def _execution(desk: Desk, given: Given) -> Any:
    return await desk.execution(given["id"])


async def _events(desk: Desk, given: Given) -> Any:
    return await desk.events(given["limit"], given["outcome"])


async def _rejections(desk: Desk, given: Given) -> Any:
    return await desk.rejections(given["pipeline"])


async def _messages(desk: Desk, given: Given) -> Any:
    return await desk.messages(given["limit"], given["status"])


async def _triggers(desk: Desk, _: Given) -> Any:
    return await desk.triggers()


LOOKING = (
    Operation(
        name="status",
        path="/status",
        doc="Watched repositories and how they fare.",
        act=_status,
        answer=items(ref("Repository")),
        query=(
            _ACCOUNT,
            _REPOSITORY,
            Parameter(
                name="state",
                kind=Choice(words=[state.value for state in RepositoryState]),
                doc="Only those that fare so.",
            ),
            _limit(most=100_000, default=1000),
        ),
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Operation(
        name="hosts",
        path="/hosts",
        doc="Registries: what they are, until when they are parked, what they still allow.",
        act=_hosts,
        answer=items(ref("Host")),
        query=(_ACCOUNT,),
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Operation(
        name="activity",
        path="/activity",
        doc="What was seen and what each trigger made of it, newest first.",
        act=_activity,
        answer=items(ref("Activity")),
        query=(_ACCOUNT, _REPOSITORY, _limit()),
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Operation(
        name="deliveries",
        path="/deliveries",
        doc="Webhooks that came and what became of them, newest first.",
        act=_deliveries,
        answer=items(ref("Delivery")),
        query=(_ACCOUNT, _REPOSITORY, _limit()),
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Operation(
        name="executions",
        path="/executions",
        doc="Runs, newest first, without the logs of their stages.",
        act=_executions,
        answer=items(ref("Execution")),
        query=(
            Parameter(
                name="status",
                kind=Choice(words=[status.value for status in ExecutionStatus]),
                doc="Only those that stand so.",
            ),
            _PIPELINE,
            _limit(),
        ),
    ),
    Operation(
        name="execution",
        path="/executions/{id}",
        doc="One run with its stages, their logs, and the source that expressions see.",
        act=_execution,
        answer=ref("ExecutionWithLogs"),
        parts=(EXECUTION_ID,),
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Operation(
        name="events",
        path="/events",
        doc="Changes that matched a trigger, newest first.",
        act=_events,
        answer=items(ref("Event")),
        query=(
            Parameter(
                name="outcome",
                kind=Choice(words=[verdict.value for verdict in Verdict]),
                doc="Only those of which this became.",
            ),
            _limit(),
        ),
    ),
    Operation(
        name="rejections",
        path="/rejections",
        doc="Images that rollbacks took out of a pipeline, oldest first.",
        act=_rejections,
        answer=items(ref("Rejection")),
        query=(_PIPELINE,),
    ),
    Operation(
        name="messages",
        path="/messages",
        doc="Messages to notifiers: those that wait, were given up, or were sent within a week, "
        "newest first.",
        act=_messages,
        answer=items(ref("Message")),
        query=(
            Parameter(
                name="status",
                kind=Choice(words=[status.value for status in MessageStatus]),
                doc="Only those that stand so.",
            ),
            _limit(),
        ),
    ),
    Operation(
        name="triggers",
        path="/triggers",
        doc="Triggers, what they watch, and whether they are switched on.",
        act=_triggers,
        answer=items(ref("Trigger")),
    ),
)
