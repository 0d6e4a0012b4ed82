"""`webhook`: one HTTP request to somebody's URL, signed when there is a secret (SPEC 7.3)."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from watcher.config.fields import Anything, Choice, Field, Kind, MapOf, PathValue, Section, Text
from watcher.core.pipeline import Done, Failed, Json, Retry, StageOutcome
from watcher.http_client.calls import (
    KEY_HEADER,
    SIGNATURE_HEADER,
    Answer,
    ask,
    checked_headers,
    host_of,
    read_secret,
    signature,
)
from watcher.stages.base import StageContext
from watcher.stages.expected import EXPECT_FIELD, is_expected

OUTPUT_LIMIT = 4096
_WITHOUT_BODY = frozenset({"GET", "DELETE"})


class WebhookStage:
    """The same Idempotency-Key goes with each attempt, so that a receiver can tell a repetition
    (SPEC 6.2). 5xx, 429 and a lost connection may be tried again, other answers may not."""

    type = "webhook"
    has_dry_run = False
    options: Kind = Section(
        {
            "url": Field(
                Text(template=True),
                required=True,
                doc="Where to send, http or https. Redirects are not followed.",
                example="https://hooks.example.com/deploy",
            ),
            "method": Field(
                Choice("POST", "PUT", "PATCH", "GET", "DELETE"), default="POST", doc="The method."
            ),
            "headers": Field(
                MapOf(Text(template=True), keys="[A-Za-z0-9-]+"),
                doc="Further headers.",
                example={"X-Team": "web"},
            ),
            "body": Field(
                Anything(),
                doc="Text is sent as it is, anything else as JSON; left out: the event as JSON.",
                example={"text": "${trigger.repository} ${trigger.tag}"},
            ),
            "expect": EXPECT_FIELD,
            "secret_file": Field(
                PathValue(),
                doc="A file with the secret for the header X-Watcher-Signature-256: "
                "sha256= and the HMAC-SHA256 of the body in hexadecimal.",
                example="/run/secrets/hook",
            ),
        },
        doc="Sends one HTTP request.",
    )

    async def run(self, options: Json, context: StageContext) -> StageOutcome:
        templates = {key: options[key] for key in ("url", "headers", "body") if key in options}
        wanted = {**options, **await context.rendered(templates)}
        wanted["url"] = str(wanted["url"])
        content, headers = _content(wanted, context), _headers(wanted, context)
        if content is not None:
            headers = {"Content-Type": _content_type(wanted), **headers}
        if "secret_file" in wanted:
            file = Path(wanted["secret_file"])
            secret = await asyncio.to_thread(read_secret, file, "secret_file")
            headers[SIGNATURE_HEADER] = signature(secret, content or b"")
        context.log.line(f"{wanted['method']} to {host_of(wanted['url'])}")
        answer = await ask(
            context.http, wanted["method"], wanted["url"], headers=headers, content=content
        )
        context.log.line(f"answered {answer.status}")
        context.log.write(answer.text[:OUTPUT_LIMIT])
        return _outcome(answer, wanted, context)


def _outcome(answer: Answer, wanted: Json, context: StageContext) -> StageOutcome:
    if is_expected(answer.status, wanted["expect"]):
        return Done({"status": answer.status, "body": _body_of(answer)})
    reason = f"{host_of(wanted['url'])} answered {answer.status}"
    if answer.is_temporary:
        return Retry(reason, answer.retry_after(context.now()))
    if 300 <= answer.status < 400:
        return Failed(f"{reason}; redirects are not followed, give the address itself")
    return Failed(reason)


def _body_of(answer: Answer) -> Json:
    """JSON as data while it is short, else the beginning of the text."""
    if "json" in answer.headers.get("content-type", "") and len(answer.body) <= OUTPUT_LIMIT:
        try:
            return json.loads(answer.body)
        except (ValueError, RecursionError):
            return answer.text
    return answer.text[:OUTPUT_LIMIT]


def _content(wanted: Json, context: StageContext) -> bytes | None:
    if "body" not in wanted and wanted["method"] in _WITHOUT_BODY:
        return None
    body = wanted["body"] if "body" in wanted else _event(context)
    return (body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)).encode()


def _event(context: StageContext) -> Json:
    from watcher.stages.event import event

    return event(context)


def _content_type(wanted: Json) -> str:
    is_text = isinstance(wanted.get("body"), str)
    return "text/plain; charset=utf-8" if is_text else "application/json"


def _headers(wanted: Json, context: StageContext) -> dict[str, str]:
    """The user's headers and ours."""
    given = {name: str(value) for name, value in wanted.get("headers", {}).items()}
    return {**checked_headers(given), KEY_HEADER: context.idempotency_key}
