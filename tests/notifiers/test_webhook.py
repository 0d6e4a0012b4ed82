"""Messages by webhook: what is sent, signed and keyed, and what each answer means."""

from __future__ import annotations

import hashlib
import hmac
from datetime import timedelta
from pathlib import Path

import pytest

from tests.notifiers.conftest import a_message
from tests.receiving import Receiver, Reply
from watcher import __version__
from watcher.core.message import Message
from watcher.core.notifier import Notifier, SecretUrl, Webhook
from watcher.errors import NotifierError, RequestError, TransportError, WatcherError
from watcher.http_client import Connections, HttpSettings
from watcher.notifiers import Sender, sender_of


def sender(
    url: str | None,
    *,
    file: Path | None = None,
    secret_file: Path | None = None,
    headers: dict[str, str] | None = None,
) -> Sender:
    webhook = Webhook(
        url=SecretUrl(url=url, file=file), secret_file=secret_file, headers=headers or {}
    )
    http = Connections(HttpSettings()).client
    return sender_of(Notifier(name="ops", webhook=webhook), {}, http)


async def test_a_message_of_one_is_sent_as_docs_describe_it(
    receiver: Receiver, message: Message
) -> None:
    await sender(f"{receiver.url}/hook?token=t").send(message)
    (request,) = receiver.requests
    assert (request.method, request.path) == ("POST", "/hook?token=t")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["idempotency-key"] == "the-key"
    assert request.json == {
        "event": "execution",
        "kind": "FAILED",
        "severity": "failure",
        "title": "deploy FAILED",
        "text": "why deploy FAILED",
        "count": 1,
        "items": [
            {
                "subject": "0123",
                "account": "hub",
                "text": "deploy FAILED",
                "detail": "why deploy FAILED",
                "time": "2026-03-01T12:00:00.500Z",
            }
        ],
        "time": "2026-03-01T12:00:00.500Z",
        "watcher": {"version": __version__},
    }


async def test_a_message_of_many_lists_them_and_says_how_many_more(receiver: Receiver) -> None:
    await sender(receiver.url).send(a_message("a", "b", count=5))
    body = receiver.requests[0].json
    assert (body["title"], body["count"]) == ("5 executions FAILED", 5)
    assert body["text"] == "- a\n- b\nand 3 more"


async def test_the_body_is_signed_and_headers_are_the_users(
    receiver: Receiver, tmp_path: Path, message: Message
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    await sender(receiver.url, secret_file=secret, headers={"x-team": "web"}).send(message)
    (request,) = receiver.requests
    expected = hmac.new(b"s3cret", request.body, hashlib.sha256).hexdigest()
    assert request.headers["x-watcher-signature-256"] == f"sha256={expected}"
    assert request.headers["x-team"] == "web"


async def test_a_file_with_the_url_is_read_for_each_message(
    receiver: Receiver, tmp_path: Path, message: Message
) -> None:
    file = tmp_path / "url"
    to = sender(None, file=file)
    for path in ("/first", "/second"):
        file.write_text(f"{receiver.url}{path}\n")
        await to.send(message)
    assert [request.path for request in receiver.requests] == ["/first", "/second"]


@pytest.mark.parametrize(
    ("reply", "temporary", "after"),
    [
        (Reply(500), True, None),
        (Reply(503, headers={"Retry-After": "120"}), True, timedelta(minutes=2)),
        (Reply(429), True, None),
        (Reply(400), False, None),
        (Reply(404), False, None),
        (Reply(302, headers={"Location": "/elsewhere"}), False, None),
    ],
    ids=["500", "Retry-After", "429", "400", "404", "a redirect"],
)
async def test_whatever_is_no_success_is_an_error_without_the_url(
    reply: Reply, temporary: bool, after: timedelta | None, receiver: Receiver, message: Message
) -> None:
    receiver.replies = [reply]
    with pytest.raises(NotifierError) as raised:
        await sender(f"{receiver.url}/s3cret").send(message)
    assert (raised.value.temporary, raised.value.retry_after) == (temporary, after)
    assert "s3cret" not in str(raised.value)


async def test_a_lost_connection_may_pass(receiver: Receiver, message: Message) -> None:
    receiver.replies = [Reply(closes=True)]
    with pytest.raises(TransportError) as raised:
        await sender(f"{receiver.url}/s3cret").send(message)
    assert raised.value.temporary
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda url, folder: sender(None, file=folder / "missing"),
        lambda url, folder: sender(url, secret_file=folder / "missing"),
        lambda url, folder: sender(url, headers={"X-A": "a\nb"}),
        lambda url, folder: sender("s3cret-without-scheme"),
    ],
    ids=["no file", "no secret", "a header that ends", "no URL"],
)
async def test_without_what_it_needs_nothing_is_sent(
    make: object, receiver: Receiver, tmp_path: Path, message: Message
) -> None:
    assert callable(make)
    with pytest.raises(RequestError) as raised:
        await make(receiver.url, tmp_path).send(message)
    error: WatcherError = raised.value
    assert not error.temporary
    assert "s3cret" not in str(error)
    assert receiver.requests == []
