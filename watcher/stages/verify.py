"""`verify: {url, expect, for}`: the address must go on answering as expected for that long.

A wrong answer, or none, starts the time over; the stage's `timeout` is what ends a hopeless case.
"""

from __future__ import annotations

from watcher.config import durations
from watcher.config.fields import Duration, Field, Kind, Pattern, Section, Text
from watcher.core.pipeline import Done, Json, StageOutcome
from watcher.errors import TransportError
from watcher.http_client.calls import ask, host_of
from watcher.stages.base import StageContext
from watcher.stages.expected import EXPECT_FIELD, is_expected

LONGEST_ANSWER = 30.0
"""Seconds for one answer."""


class VerifyStage:
    type = "verify"
    has_dry_run = False
    options: Kind = Section(
        {
            "url": Field(
                Text(template=True),
                required=True,
                doc="The address, http or https. Redirects are not followed.",
                example="https://web.example.com/health",
            ),
            "expect": EXPECT_FIELD,
            "body": Field(
                Pattern(), doc="A regular expression that the body must contain.", example='"ok"'
            ),
            "for": Field(
                Duration(),
                default="0s",
                doc="How long the answers must stay good without a break; 0s: the first good one.",
                example="2m",
            ),
            "interval": Field(
                Duration(minimum="1s"),
                default="5s",
                doc="The time between two looks.",
                example="5s",
            ),
        },
        doc="Waits until an address answers as expected, and goes on doing so.",
    )

    async def run(self, options: Json, context: StageContext) -> StageOutcome:
        wanted = {**options, "url": str(await context.rendered(options["url"]))}
        lasting = durations.parse(wanted["for"]).total_seconds()
        interval = durations.parse(wanted["interval"]).total_seconds()
        good_since: float | None = None
        looks, last_fault = 0, ""
        while True:
            looks += 1
            fault = await _fault(wanted, context)
            if fault and fault != last_fault:
                context.log.line(fault)
            last_fault = fault
            moment = context.monotonic()
            good_since = None if fault else moment if good_since is None else good_since
            left = interval if good_since is None else good_since + lasting - moment
            if left <= 0:
                return Done({"looks": looks})
            await context.sleep(min(left, interval))


async def _fault(wanted: Json, context: StageContext) -> str:
    """What is wrong now, in a sentence; empty when all is well."""
    try:
        answer = await ask(context.http, "GET", wanted["url"], headers={}, within=LONGEST_ANSWER)
    except TransportError as error:
        return error.message
    if not is_expected(answer.status, wanted["expect"]):
        return f"{host_of(wanted['url'])} answered {answer.status}"
    if "body" in wanted and not _contains(wanted["body"], answer.text):
        return f"the body from {host_of(wanted['url'])} does not match {wanted['body']!r}"
    return ""


def _contains(pattern: str, text: str) -> bool:
    from watcher.core.patterns import compiled

    return compiled(pattern).search(text) is not None
