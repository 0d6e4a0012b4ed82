"""`/api/v1` of a daemon at work: what it shows is what the command line shows, and what it is asked
for is done."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.receiving import Receiver, Reply
from tests.receiving import receiver as receiver
from tests.web.daemon import REPOSITORY, Working, working
from tests.web.serving import PATIENCE, TOKEN
from watcher.cli.app import cli
from watcher.testing.registry import FakeRegistry
from watcher.web.api.acting import ACTING
from watcher.web.api.declaring import Operation
from watcher.web.api.routes import written


@pytest.fixture
async def daemon(tmp_path: Path, registry: FakeRegistry) -> AsyncIterator[Working]:
    registry.push(REPOSITORY, "v1")
    async with working(tmp_path, registry) as found:
        await found.baselined()
        yield found


async def seen(daemon: Working, path: str, number: int = 1) -> list[dict[str, Any]]:
    """The list at this path, once it is so long."""
    async with asyncio.timeout(PATIENCE):
        while len(found := await daemon.get(path)) < number:
            await asyncio.sleep(0.05)
    assert isinstance(found, list)
    return found


async def ended(daemon: Working, identifier: str) -> dict[str, Any]:
    """The run, once it is over."""
    async with asyncio.timeout(PATIENCE):
        while True:
            run: dict[str, Any] = await daemon.get(f"/executions/{identifier}")
            if run["finished"]:
                return run
            await asyncio.sleep(0.05)


async def run_of(daemon: Working, registry: FakeRegistry, tag: str = "v2") -> dict[str, Any]:
    """A run that went well, of a tag that is pushed now."""
    registry.push(REPOSITORY, tag)
    return await ended(daemon, (await seen(daemon, "/executions"))[0]["id"])


def cli_json(directory: Path, *words: str) -> Any:
    done = CliRunner().invoke(cli, [*words, "--json", "-c", str(directory / "config.yaml")])
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        pytest.param("/activity", ("activity",), id="activity"),
        pytest.param("/deliveries", ("activity", "--deliveries"), id="deliveries"),
        pytest.param("/executions", ("executions",), id="executions"),
        pytest.param("/events", ("events", "ls"), id="events"),
        pytest.param("/rejections", ("events", "rejected"), id="rejections"),
        pytest.param("/hosts", ("status", "--hosts"), id="hosts"),
        pytest.param("/messages", ("notify", "ls"), id="messages"),
    ],
)
async def test_lists_are_those_of_the_command_line(
    daemon: Working,
    registry: FakeRegistry,
    tmp_path: Path,
    path: str,
    words: tuple[str, ...],
) -> None:
    await run_of(daemon, registry)
    await daemon.app.flush()
    assert await daemon.get(path) == await asyncio.to_thread(cli_json, tmp_path, *words)


async def test_one_run_is_that_of_the_command_line_with_its_logs(
    daemon: Working, registry: FakeRegistry, tmp_path: Path
) -> None:
    run = await run_of(daemon, registry)
    assert [run] == await asyncio.to_thread(cli_json, tmp_path, "executions", run["id"])
    assert "log" in run["stages"][0]


async def test_status_is_newer_than_the_file(daemon: Working, tmp_path: Path) -> None:
    (row,) = await daemon.get("/status")
    assert (row["repository"], row["state"], row["tags"]) == (REPOSITORY, "ok", 1)
    (stored,) = await asyncio.to_thread(cli_json, tmp_path, "status")
    assert row.keys() == stored.keys()


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("/status?account=main", 1),
        ("/status?account=main&repository=acme%2Fweb", 1),
        ("/status?repository=other", 0),
        ("/status?state=ok", 1),
        ("/status?state=failing", 0),
        ("/activity?limit=1", 1),
        ("/activity?repository=other", 0),
        ("/deliveries?account=main&limit=1", 0),
        ("/executions?status=SUCCEEDED", 1),
        ("/executions?status=FAILED", 0),
        ("/executions?pipeline=deploy", 1),
        ("/executions?pipeline=other", 0),
        ("/events?outcome=fired", 1),
        ("/events?outcome=held", 0),
        ("/hosts?account=main", 1),
    ],
)
async def test_lists_are_narrowed(
    daemon: Working, registry: FakeRegistry, path: str, number: int
) -> None:
    await run_of(daemon, registry)
    assert len(await daemon.get(path)) == number


async def test_a_poll_now_finds_what_is_new(tmp_path: Path, registry: FakeRegistry) -> None:
    registry.push(REPOSITORY, "v1")
    async with working(tmp_path, registry) as daemon:
        await daemon.baselined()
        registry.push(REPOSITORY, "v2")
        for body in (None, {}, {"account": "main"}, {"repository": REPOSITORY}):
            answer = await daemon.post("/poll", body)
            assert (answer.status, answer.json) == (202, {"queued": 1})
        (run,) = await seen(daemon, "/executions")
        assert run["tag"] == "v2"


async def test_a_trigger_is_switched_and_that_holds_at_once(
    daemon: Working, registry: FakeRegistry
) -> None:
    answer = await daemon.post("/triggers/t/disable")
    assert (answer.status, answer.json) == (200, {"trigger": "t", "enabled": False})
    shown = {each["name"]: each for each in await daemon.get("/triggers")}
    assert (shown["t"]["enabled"], shown["t"]["configured"]) == (False, True)
    registry.push(REPOSITORY, "v2")
    await seen(daemon, "/activity", 2)
    assert await daemon.get("/executions") == []
    assert (await daemon.post("/triggers/t/enable")).json == {"trigger": "t", "enabled": True}
    assert {each["name"]: each["enabled"] for each in await daemon.get("/triggers")}["t"]


async def test_a_trigger_is_fired_by_hand(daemon: Working) -> None:
    body = {"tag": "v1", "parameters": {"size": "large"}, "force": True, "person": "ann"}
    answer = await daemon.post("/triggers/t/fire", body)
    assert (answer.status, answer.json["warnings"]) == (202, [])
    run = await ended(daemon, answer.json["execution"]["id"])
    assert (run["status"], run["tag"], run["change"]) == ("SUCCEEDED", "v1", "manual")
    assert (run["parameters"], run["source"]["user"]) == ({"size": "large"}, "ann")


async def test_the_log_says_who_asked_for_what_and_no_values(daemon: Working) -> None:
    body = {"tag": "v1", "parameters": {"size": "hunter2"}, "person": "ann", "force": True}
    await daemon.post("/triggers/t/fire", body)
    await daemon.post("/triggers/nothing/enable")
    fired = daemon.lines("request_served")[-1]
    assert (fired["kind"], fired["path"]) == ("fireTrigger", "/api/v1/triggers/t/fire")
    assert (fired["client"], fired["tag"], fired["person"]) == ("127.0.0.1", "v1", "ann")
    assert "hunter2" not in daemon.log.getvalue()


async def test_a_failed_run_is_retried_and_a_waiting_one_canceled(daemon: Working) -> None:
    answer = await daemon.post("/triggers/broken/fire", {"tag": "v1", "force": True})
    run = await ended(daemon, answer.json["execution"]["id"])
    assert run["status"] == "FAILED"
    again = await daemon.post(f"/executions/{run['id']}/retry")
    assert (again.status, again.json["status"]) == (202, "QUEUED")
    assert (await ended(daemon, run["id"]))["status"] == "FAILED"
    over = await daemon.post(f"/executions/{run['id']}/cancel")
    assert (over.status, over.json["error"]) == (409, f"execution {run['id']} is over: FAILED")


async def test_held_events_are_released_dropped_and_replayed(
    daemon: Working, registry: FakeRegistry
) -> None:
    for tag in ("v2", "v3", "v4"):
        registry.push(REPOSITORY, tag)
    held = await seen(daemon, "/events?outcome=held", 3)
    first, second, third = sorted(event["id"] for event in held)
    released = await daemon.post(f"/events/{first}/release")
    assert (released.status, released.json["status"]) == (202, "QUEUED")
    assert (await ended(daemon, released.json["id"]))["status"] == "SUCCEEDED"
    assert (await daemon.post(f"/events/{second}/drop")).json == {"dropped": [second]}
    replayed = await daemon.post(f"/events/{second}/replay")
    assert (await ended(daemon, replayed.json["id"]))["status"] == "SUCCEEDED"
    for path in (f"/events/{first}/release", f"/events/{third}/replay", f"/events/{first}/drop"):
        assert (await daemon.post(path)).status == 409


async def test_messages_that_nobody_took_are_sent_again_and_dropped(
    tmp_path: Path, registry: FakeRegistry, receiver: Receiver
) -> None:
    registry.push(REPOSITORY, "v1")
    receiver.replies = [Reply(400)]
    notifier = {"name": "ops", "webhook": {"url": receiver.url}, "group": "0s"}
    async with working(tmp_path, registry, [notifier]) as daemon:
        await daemon.baselined()
        for _ in range(2):
            await daemon.post("/triggers/broken/fire", {"tag": "v1", "force": True})
        second, first = await seen(daemon, "/messages?status=waiting", 2)
        assert [each["id"] for each in await daemon.get("/messages?limit=1")] == [second["id"]]
        async with asyncio.timeout(PATIENCE):
            while (await daemon.get("/messages"))[1]["error"] is None:
                await asyncio.sleep(0.05)
        shown = await asyncio.to_thread(cli_json, tmp_path, "notify", "ls")
        assert [each["id"] for each in shown] == [second["id"], first["id"]]
        assert (await daemon.post(f"/messages/{second['id']}/drop")).json == {
            "dropped": [second["id"]]
        }
        receiver.replies = [Reply(200)]
        again = await daemon.post(f"/messages/{first['id']}/retry")
        assert (again.status, again.json) == (202, {"retried": [first["id"]]})
        (sent,) = await seen(daemon, "/messages?status=sent")
        assert (sent["id"], sent["created"]) == (first["id"], first["created"])
        for action in ("retry", "drop"):
            over = await daemon.post(f"/messages/{first['id']}/{action}")
            assert (over.status, over.json["error"]) == (
                409,
                f"message {first['id']} was sent already",
            )


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "error"),
    [
        pytest.param("GET", "/status?account=x", None, 404, "no account", id="account"),
        pytest.param("GET", "/executions/0123456789abcdef", None, 404, "no execution", id="run"),
        pytest.param("GET", "/executions/..", None, 404, "not found", id="no id"),
        pytest.param("POST", "/executions/x/cancel", None, 404, "not found", id="no id to end"),
        pytest.param("POST", "/triggers/x/enable", None, 404, "no trigger", id="trigger"),
        pytest.param("POST", "/events/99/replay", None, 404, "no event", id="event"),
        pytest.param("POST", "/events/0/replay", None, 404, "not found", id="no number"),
        pytest.param("POST", "/rejections/9/clear", None, 404, "no rejection", id="rejection"),
        pytest.param("POST", "/messages/9/retry", None, 404, "no message", id="message"),
        pytest.param("GET", "/nowhere", None, 404, "not found", id="path"),
        pytest.param("POST", "/poll", {"account": "x"}, 404, "no account", id="poll account"),
        pytest.param("POST", "/poll", {"repository": "x"}, 404, "not watched", id="poll nothing"),
        pytest.param("POST", "/status", {}, 405, "not allowed", id="method"),
        pytest.param("GET", "/poll", None, 405, "not allowed", id="looking at an action"),
        pytest.param("POST", "/events/99/release", None, 409, "no held event", id="not held"),
        pytest.param("POST", "/triggers/t/fire", {"tag": "a b"}, 409, "not a tag", id="tag"),
        pytest.param("POST", "/triggers/broken/fire", {"tag": "v1"}, 409, "refuses", id="off"),
        pytest.param(
            "POST",
            "/triggers/t/fire",
            {"tag": "v2", "parameters": {"x": "y"}},
            409,
            "takes no parameter",
            id="parameter",
        ),
        pytest.param("GET", "/status?limit=0", None, 422, "whole number", id="limit"),
        pytest.param("GET", "/status?limit=1&limit=2", None, 422, "twice", id="twice"),
        pytest.param("GET", "/status?limti=1", None, 422, "not known", id="unknown"),
        pytest.param("GET", "/executions?status=x", None, 422, "one of", id="word"),
        pytest.param("POST", "/poll", [], 422, "not a JSON object", id="list"),
        pytest.param("POST", "/poll", {"x": 1}, 422, "not known", id="key"),
        pytest.param("POST", "/poll", {"account": 1}, 422, "string", id="type"),
        pytest.param("POST", "/poll", {"account": "a\nb"}, 422, "control", id="control"),
        pytest.param("POST", "/poll", {"account": "\ud800"}, 422, "whole", id="half a character"),
        pytest.param("POST", "/triggers/t/fire", {}, 422, "missing", id="no tag"),
        pytest.param("POST", "/triggers/t/fire", None, 422, "body is needed", id="no body"),
        pytest.param("POST", "/triggers/t/enable", {"x": 1}, 422, "not known", id="no keys"),
        pytest.param("POST", "/triggers/t/enable", [], 422, "not a JSON object", id="no object"),
        pytest.param("GET", "/status", {}, 422, "no body", id="a body"),
    ],
)
async def test_what_is_wrong_is_said_with_its_status(
    daemon: Working, method: str, path: str, body: Any, status: int, error: str
) -> None:
    answer = await daemon.ask(method, f"/api/v1{path}", body)
    assert (answer.status, error in answer.json["error"]) == (status, True), answer


ALL_VOLUNTARY = [each for each in ACTING if not each.needs_body]


@pytest.mark.parametrize("operation", ALL_VOLUNTARY, ids=[each.name for each in ALL_VOLUNTARY])
@pytest.mark.parametrize(
    ("body", "headers"),
    [
        pytest.param(None, {}, id="none"),
        pytest.param(None, {"content-length": "0"}, id="of no length"),
        pytest.param(None, {"content-type": "application/json"}, id="no JSON"),
        pytest.param({}, {}, id="empty object"),
    ],
)
async def test_whoever_has_nothing_to_say_may_say_so_in_any_way(
    daemon: Working, operation: Operation, body: Any, headers: dict[str, str]
) -> None:
    path = operation.path.format(name="t", id="0123456789abcdef", event=9, number=9, message=9)
    answer = await daemon.ask("POST", f"/api/v1{path}", body, headers)
    assert answer.status in (operation.status, *operation.refusals), answer
    assert "body" not in str(answer.json.get("error"))


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        pytest.param(b"{", "application/json", 400, id="half"),
        pytest.param(b"\xff", "application/json", 400, id="no UTF-8"),
        pytest.param(b'{"account": NaN}', "application/json", 400, id="NaN"),
        pytest.param(b"[" * 60_000, "application/json", 400, id="deep"),
        pytest.param(b"account=main", "application/x-www-form-urlencoded", 415, id="form"),
        pytest.param(b"{}", "text/plain", 415, id="text"),
        pytest.param(b"{}", "application/json; charset=utf-8", 202, id="with a charset"),
        pytest.param(b" " * 70_000, "application/json", 413, id="large"),
    ],
)
async def test_bodies_are_small_json(
    daemon: Working, body: bytes, content_type: str, status: int
) -> None:
    answer = await daemon.ask("POST", "/api/v1/poll", body, {"content-type": content_type})
    assert answer.status == status, answer


async def test_strangers_learn_nothing(
    tmp_path: Path, registry: FakeRegistry, token_file: Path
) -> None:
    async with working(tmp_path, registry, token_file=str(token_file)) as daemon:
        for method, path in (
            ("GET", "/api/v1/status"),
            ("GET", "/api/v1/openapi.json"),
            ("GET", "/api/v1/nowhere"),
            ("DELETE", "/api/v1/status"),
            ("POST", "/api/v1/triggers/t/disable"),
        ):
            answer = await daemon.ask(method, path)
            assert (answer.status, answer.json["error"]) == (401, "unauthorized")
        right = {"authorization": f"Bearer {TOKEN}"}
        shown = await daemon.ask("GET", "/api/v1/triggers", headers=right)
        assert [each["enabled"] for each in shown.json] == [True, False]


async def test_pages_of_other_sites_can_not_act(daemon: Working) -> None:
    for headers in (
        {"origin": "https://evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"host": "rebound.example"},
    ):
        answer = await daemon.ask("POST", "/api/v1/triggers/t/disable", headers=headers)
        assert answer.status == 403
    assert (await daemon.get("/triggers"))[0]["enabled"]


async def test_a_long_list_is_written_while_the_event_loop_has_its_turns() -> None:
    rows = [{"account": "main", "repository": f"acme/r{number}"} for number in range(200_000)]
    writing = asyncio.create_task(asyncio.to_thread(written, rows))
    began = last = time.monotonic()
    longest = 0.0
    while not writing.done():
        await asyncio.sleep(0)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    assert longest < (last - began) / 2
    assert json.loads(await writing) == rows
