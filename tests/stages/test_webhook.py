"""`webhook`: one signed request, and what its answer means."""

from __future__ import annotations

import hashlib
import hmac
import socket
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from tests.stages.conftest import ContextMaker, Receiver, Reply, Request
from watcher.core.pipeline import Done, Failed, Json, Retry, StageOutcome
from watcher.errors import RequestError, TransportError
from watcher.stages.base import StageContext
from watcher.stages.webhook import WebhookStage

DEFAULTS: Mapping[str, Json] = {"method": "POST", "expect": ["200-299"]}


async def send(context: StageContext, url: str, **options: Json) -> StageOutcome:
    return await WebhookStage().run({**DEFAULTS, "url": url, **options}, context)


async def received(receiver: Receiver, context: StageContext, **options: Json) -> Request:
    assert isinstance(await send(context, receiver.url, **options), Done)
    return receiver.requests[-1]


async def test_the_event_is_sent_when_no_body_is_given(
    receiver: Receiver, make_context: ContextMaker
) -> None:
    request = await received(receiver, make_context(attempt=2))
    assert (request.method, request.headers["content-type"]) == ("POST", "application/json")
    assert request.json["trigger"]["tag"] == "1.10"
    assert request.json["image"]["reference"] == "index.docker.io/acme/demoapp:1.10"
    assert request.json["parameters"] == {"replicas": "3"}
    assert request.json["execution"] == {
        "id": "0123456789abcdef",
        "pipeline": "deploy-web",
        "started": "2026-03-01T12:00:00Z",
        "stage": "step",
        "attempt": 2,
    }


async def test_every_attempt_carries_the_same_key(
    receiver: Receiver, make_context: ContextMaker
) -> None:
    for attempt in (1, 2):
        request = await received(receiver, make_context(attempt=attempt))
        assert request.headers["idempotency-key"] == "0123456789abcdef/step"


@pytest.mark.parametrize(
    ("body", "sent", "kind"),
    [
        ({"n": "${parameters.replicas | int}"}, b'{"n": 3}', "application/json"),
        (["${trigger.tag}"], b'["1.10"]', "application/json"),
        ("tag=${trigger.tag} \u00fc", b"tag=1.10 \xc3\xbc", "text/plain; charset=utf-8"),
    ],
    ids=["object", "list", "text"],
)
async def test_the_body_is_rendered(
    body: Json, sent: bytes, kind: str, receiver: Receiver, make_context: ContextMaker
) -> None:
    request = await received(receiver, make_context(), body=body)
    assert (request.body, request.headers["content-type"]) == (sent, kind)


async def test_method_path_and_headers_are_the_users(
    receiver: Receiver, make_context: ContextMaker
) -> None:
    outcome = await send(
        make_context(),
        receiver.url + "/t/${trigger.tag}?a=b",
        method="PUT",
        headers={"x-tag": "v${trigger.tag}", "content-type": "text/x-mine"},
        body="x",
    )
    assert isinstance(outcome, Done)
    request = receiver.requests[0]
    assert (request.method, request.path) == ("PUT", "/t/1.10?a=b")
    assert request.headers["x-tag"] == "v1.10"
    assert request.headers["content-type"] == "text/x-mine"


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_a_method_without_a_body_sends_none(
    method: str, receiver: Receiver, make_context: ContextMaker
) -> None:
    request = await received(receiver, make_context(), method=method)
    assert request.body == b""
    assert "content-type" not in request.headers


async def test_the_body_is_signed(
    receiver: Receiver, tmp_path: Path, make_context: ContextMaker
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    request = await received(receiver, make_context(), secret_file=str(secret))
    expected = hmac.new(b"s3cret", request.body, hashlib.sha256).hexdigest()
    assert request.headers["x-watcher-signature-256"] == f"sha256={expected}"


@pytest.mark.parametrize("content", [None, b"", b"\n"], ids=["missing", "empty", "newline only"])
async def test_without_its_secret_nothing_is_sent(
    content: bytes | None, receiver: Receiver, tmp_path: Path, make_context: ContextMaker
) -> None:
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    with pytest.raises(RequestError, match="secret_file"):
        await send(make_context(), receiver.url, secret_file=str(tmp_path / "secret"))
    assert receiver.requests == []


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        pytest.param(Reply(204), Done({"status": 204, "body": ""}), id="expected"),
        pytest.param(
            Reply(200, b'{"id": 7}', {"Content-Type": "application/json"}),
            Done({"status": 200, "body": {"id": 7}}),
            id="json",
        ),
        pytest.param(
            Reply(200, b"{no", {"Content-Type": "application/json"}),
            Done({"status": 200, "body": "{no"}),
            id="no json",
        ),
        pytest.param(
            Reply(200, b"x" * 100_000), Done({"status": 200, "body": "x" * 4096}), id="long"
        ),
    ],
)
async def test_a_good_answer_is_the_output(
    reply: Reply, outcome: Done, receiver: Receiver, make_context: ContextMaker
) -> None:
    receiver.replies = [reply]
    assert await send(make_context(), receiver.url) == outcome


@pytest.mark.parametrize(
    ("status", "expect", "good"),
    [
        (404, [404], True),
        (404, ["200-299", "404-410"], True),
        (201, [200], False),
        (500, ["200-299", 500], True),
        (302, ["200-399"], True),
    ],
)
async def test_expect_says_what_is_good(
    status: int, expect: list[Json], good: bool, receiver: Receiver, make_context: ContextMaker
) -> None:
    receiver.replies = [Reply(status)]
    outcome = await send(make_context(), receiver.url, expect=expect)
    assert isinstance(outcome, Done) is good


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_what_may_pass_is_tried_again(
    status: int, receiver: Receiver, make_context: ContextMaker
) -> None:
    receiver.replies = [Reply(status)]
    assert isinstance(await send(make_context(), receiver.url), Retry)


@pytest.mark.parametrize(
    ("value", "after"),
    [
        ("120", timedelta(minutes=2)),
        ("Sun, 01 Mar 2026 12:05:00 GMT", timedelta(minutes=5)),
        ("Sun, 01 Mar 2026 11:00:00 GMT", timedelta()),
        ("999999999999", timedelta(hours=24)),
        ("soon", None),
        ("-5", None),
        ("Sun, 01 Mar 2026 12:05:00 +99999999999999999", None),
    ],
)
async def test_the_wish_for_patience_is_handed_on(
    value: str, after: timedelta | None, receiver: Receiver, make_context: ContextMaker
) -> None:
    receiver.replies = [Reply(429, headers={"Retry-After": value})]
    outcome = await send(make_context(), receiver.url)
    assert isinstance(outcome, Retry)
    assert outcome.after == after


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
async def test_any_other_answer_is_final(
    status: int, receiver: Receiver, make_context: ContextMaker
) -> None:
    receiver.replies = [Reply(status)]
    outcome = await send(make_context(), receiver.url)
    assert outcome == Failed(f"{receiver.url.removeprefix('http://')} answered {status}")


async def test_a_redirect_is_not_followed(receiver: Receiver, make_context: ContextMaker) -> None:
    receiver.replies = [Reply(302, headers={"Location": receiver.url + "/elsewhere"}), Reply(200)]
    outcome = await send(make_context(), receiver.url)
    assert isinstance(outcome, Failed)
    assert "redirects are not followed" in outcome.reason
    assert len(receiver.requests) == 1


async def test_a_broken_connection_may_pass(receiver: Receiver, make_context: ContextMaker) -> None:
    receiver.replies = [Reply(closes=True)]
    with pytest.raises(TransportError) as raised:
        await send(make_context(), receiver.url)
    assert raised.value.temporary


async def test_a_port_without_a_server_may_pass(make_context: ContextMaker) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(TransportError) as raised:
        await send(make_context(), f"http://127.0.0.1:{port}/secret-path")
    assert raised.value.temporary
    assert "secret-path" not in raised.value.message


@pytest.mark.parametrize(
    "url", ["ftp://example.com/secret", "secret", "http://", "http://[secret", "${trigger.digest}"]
)
async def test_a_url_that_is_none_is_final_and_not_repeated(
    url: str, make_context: ContextMaker
) -> None:
    with pytest.raises(RequestError) as raised:
        await send(make_context(), url.replace("trigger.digest", "trigger.user"))
    assert not raised.value.temporary
    assert "secret" not in raised.value.message


async def test_a_value_can_not_add_a_header(receiver: Receiver, make_context: ContextMaker) -> None:
    headers = {"X-A": "${'a\\r\\nX-B: b'}"}
    with pytest.raises(RequestError, match="the header X-A"):
        await send(make_context(), receiver.url, headers=headers)
    assert receiver.requests == []


async def test_the_log_shows_the_host_but_not_the_url(
    receiver: Receiver, make_context: ContextMaker
) -> None:
    receiver.replies = [Reply(200, b"thanks")]
    context = make_context()
    await send(context, receiver.url + "/hooks/secret-token")
    assert "answered 200\nthanks" in context.log.text
    assert "secret-token" not in context.log.text
