"""Messages by Apprise, by its own `json://` to a real server: nothing of a URL is ever said."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from tests.notifiers.conftest import a_message
from tests.receiving import Receiver, Reply
from watcher.core.message import Message
from watcher.core.notifier import Notifier, SecretUrl
from watcher.errors import NotifierError, RequestError
from watcher.http_client import Connections, HttpSettings
from watcher.notifiers import Sender, sender_of
from watcher.notifiers.by_apprise import AppriseSender, without_parts
from watcher.telemetry.log import Log

# Apprise loads a module of Python that newer ones no longer have, where it is there.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
PATH = "zufall-im-pfad"
PASSWORD = "wort-von-niemand"


def sender(
    url: str | None,
    *,
    variable: str | None = None,
    file: Path | None = None,
    environment: dict[str, str] | None = None,
) -> Sender:
    source = SecretUrl(url=url, variable=variable, file=file)
    http = Connections(HttpSettings()).client
    return sender_of(Notifier(name="ops", apprise=source), environment or {}, http)


def url_of(receiver: Receiver) -> str:
    address = receiver.url.removeprefix("http://")
    return f"json://user:{PASSWORD}@{address}/{PATH}?+X-Key={PASSWORD}"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything that libraries log at DEBUG, as the daemon writes it."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    Log("debug", "json", stream).capture_libraries()
    yield stream
    root.handlers[:] = before
    root.setLevel(level)


async def test_title_text_and_severity_arrive(receiver: Receiver) -> None:
    await sender(url_of(receiver)).send(a_message("a", "b", count=3))
    sent = receiver.requests[0].json
    assert (sent["title"], sent["type"]) == ("3 executions FAILED", "failure")
    assert sent["message"] == "- a\n- b\nand 1 more"


@pytest.mark.parametrize(
    ("kind", "type_"),
    [
        ("FAILED", "failure"),
        ("begun", "failure"),
        ("over", "success"),
        ("SUCCEEDED", "success"),
        ("WAITING", "warning"),
        ("CANCELED", "info"),
        ("test", "info"),
    ],
)
async def test_the_severity_follows_from_what_happened(
    kind: str, type_: str, receiver: Receiver
) -> None:
    await sender(url_of(receiver)).send(a_message(kind=kind))
    assert receiver.requests[0].json["type"] == type_


async def test_the_url_comes_from_the_environment_or_a_file(
    receiver: Receiver, tmp_path: Path, message: Message
) -> None:
    file = tmp_path / "url"
    file.write_text(url_of(receiver) + "\n")
    await sender(None, variable="OPS", environment={"OPS": url_of(receiver)}).send(message)
    await sender(None, file=file).send(message)
    assert len(receiver.requests) == 2
    with pytest.raises(RequestError, match="OPS is not set"):
        await sender(None, variable="OPS").send(message)


@pytest.mark.parametrize(
    "reply", [Reply(200), Reply(500), Reply(403), Reply(closes=True)], ids=["200", "500", "403", ""]
)
async def test_no_log_line_and_no_error_holds_a_part_of_the_url(
    reply: Reply, receiver: Receiver, message: Message, log: io.StringIO
) -> None:
    receiver.replies = [reply]
    said = ""
    if reply == Reply(200):
        await sender(url_of(receiver)).send(message)
    else:
        with pytest.raises(NotifierError) as raised:
            await sender(url_of(receiver)).send(message)
        assert raised.value.temporary
        said = str(raised.value)
    logging.getLogger("anybody").debug("written, so the log is looked at")
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [line["library"] for line in lines if line["library"] != "asyncio"] == ["anybody"]
    for secret in (PATH, PASSWORD):
        assert secret not in log.getvalue() + said


async def test_why_it_was_not_taken_is_said(receiver: Receiver, message: Message) -> None:
    receiver.replies = [Reply(500)]
    with pytest.raises(NotifierError, match="error=500"):
        await sender(url_of(receiver)).send(message)


async def test_what_libraries_of_apprise_warn_of_is_not_written_either(
    message: Message, log: io.StringIO
) -> None:
    """urllib3 logs the whole URL where the header of an answer is broken."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nno header\r\nX: y\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        await sender(f"json://user:{PASSWORD}@127.0.0.1:{port}/{PATH}").send(message)
    assert PATH not in log.getvalue()


async def test_addresses_that_hang_hold_up_no_other(receiver: Receiver, message: Message) -> None:
    go = Event()
    receiver.replies = [*[Reply(holds=go)] * 40, Reply()]
    hanging = [AppriseSender(SecretUrl(url=url_of(receiver)), {}, within=1) for _ in range(40)]
    try:
        await asyncio.gather(*(each.send(message) for each in hanging), return_exceptions=True)
        async with asyncio.timeout(20):
            while len(receiver.requests) < len(hanging):
                await asyncio.sleep(0.02)
        await AppriseSender(SecretUrl(url=url_of(receiver)), {}, within=20).send(message)
    finally:
        go.set()


@pytest.mark.parametrize("url", ["slack://a/b", "nonsense://x", "json://"], ids=str)
async def test_a_url_that_apprise_does_not_understand_is_said(url: str, message: Message) -> None:
    with pytest.raises(NotifierError, match="does not understand the URL"):
        await sender(url).send(message)


async def test_an_attempt_that_hangs_is_left_and_not_doubled(
    receiver: Receiver, message: Message
) -> None:
    go = Event()
    receiver.replies = [Reply(holds=go)]
    slow = AppriseSender(SecretUrl(url=url_of(receiver)), {}, within=0.3)
    try:
        for reason in ("did not end within 0.3 s", "still hangs in an earlier attempt"):
            with pytest.raises(NotifierError, match=reason) as raised:
                await slow.send(message)
            assert raised.value.temporary
        async with asyncio.timeout(10):
            while not receiver.requests:
                await asyncio.sleep(0.02)
        assert len(receiver.requests) == 1
    finally:
        go.set()


def test_parts_of_a_url_are_cut_out_as_written_and_decoded() -> None:
    url = "https://user:p%40ss%20word@host.example/T0000/zzz?key=abcd"
    text = "no route to host.example for p@ss word at /T0000/zzz with abcd"
    cut = without_parts(text, url)
    for part in ("host.example", "T0000", "abcd", "word"):
        assert part not in cut
