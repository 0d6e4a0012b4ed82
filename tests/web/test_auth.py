"""Who may use what strangers may not: a small application behind the gate."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.web.serving import TOKEN, FakeHealth, Served, serving
from watcher.core.serving import HttpSettings
from watcher.telemetry.log import Log
from watcher.web.app import Parts
from watcher.web.auth import MOST_WRONG, Gate, TokenFile, api_token, hook_token

RIGHT = f"Bearer {TOKEN}"


@asynccontextmanager
async def guarded(token_file: Path | None, host: str = "127.0.0.1") -> AsyncIterator[Served]:
    """A server with one path that only the gate's friends may see."""
    gates: list[Gate] = []

    async def private(request: Request) -> Response:
        gates[0].check(request)
        return Response(b"welcome")

    parts = Parts(health=FakeHealth(), hooks=[Route("/private", private)])
    async with serving(parts, host=host) as served:
        log = Log("info", "json", served.log)
        token = None if token_file is None else TokenFile(token_file, log=log)
        gates.append(Gate(token, log=log, clock=time.monotonic))
        yield served


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        pytest.param(RIGHT, 200, id="right"),
        pytest.param(f"bearer {TOKEN}", 200, id="scheme in small letters"),
        pytest.param("", 401, id="none"),
        pytest.param(f"Bearer {TOKEN}x", 401, id="longer"),
        pytest.param(f"Bearer {TOKEN[:-1]}", 401, id="shorter"),
        pytest.param("Bearer t\xf6ken", 401, id="not ASCII"),
        pytest.param(f"Basic {TOKEN}", 401, id="another scheme"),
        pytest.param(TOKEN, 401, id="no scheme"),
        pytest.param("Bearer", 401, id="no token"),
    ],
)
async def test_only_the_token_lets_in(token_file: Path, authorization: str, status: int) -> None:
    async with guarded(token_file) as served:
        answer = await served.get("/hooks/private", authorization=authorization)
        assert answer.status == status
        if status == 401:
            assert answer.headers["www-authenticate"] == "bearer"
            assert answer.json["error"] == "unauthorized"


async def test_a_token_may_end_in_any_letter(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("voil\xe0\n", encoding="utf-8")
    async with guarded(path) as served:
        given = "Bearer voil\xe0".encode().decode("latin-1")
        assert (await served.get("/hooks/private", authorization=given)).status == 200


async def test_a_token_is_changed_without_a_restart(token_file: Path) -> None:
    async with guarded(token_file) as served:
        assert (await served.get("/hooks/private", authorization=RIGHT)).status == 200
        draft = token_file.with_suffix(".new")
        draft.write_text("another\n")
        os.replace(draft, token_file)
        assert (await served.get("/hooks/private", authorization=RIGHT)).status == 401
        assert (await served.get("/hooks/private", authorization="Bearer another")).status == 200


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(None, id="missing"),
        pytest.param("", id="empty"),
        pytest.param(" \n", id="blank"),
        pytest.param("x" * 5000, id="too large"),
        pytest.param("x\nanother\n", id="of two lines"),
    ],
)
async def test_a_file_that_can_not_be_used_lets_nobody_in_and_is_said_once(
    tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_text(content)
    async with guarded(path) as served:
        for given in ("Bearer x", "Bearer " + "x" * 5000):
            answer = await served.get("/hooks/private", authorization=given)
            assert (answer.status, answer.json["error"]) == (503, "not available")
        assert (await served.get("/hooks/private")).status == 401
        assert [line["file"] for line in served.lines("token_unusable")] == [str(path)]
        path.write_text(TOKEN)
        assert (await served.get("/hooks/private", authorization=RIGHT)).status == 200


async def test_many_wrong_tokens_are_slowed_down_and_the_right_one_is_not(token_file: Path) -> None:
    async with guarded(token_file) as served:
        statuses = [
            (await served.get("/hooks/private", authorization=f"Bearer {number}")).status
            for number in range(MOST_WRONG + 1)
        ]
        assert statuses == [*[401] * MOST_WRONG, 429]
        assert (await served.get("/hooks/private", authorization=RIGHT)).status == 200
        said = served.lines("token_refused")
        assert [(line["client"], line["path"]) for line in said] == [
            ("127.0.0.1", "/hooks/private")
        ]


async def test_a_wrong_token_with_a_broken_host_is_only_refused(token_file: Path) -> None:
    async with guarded(token_file) as served:
        answer = await served.get("/hooks/private", host="[::1", authorization="Bearer wrong")
        assert answer.status == 401


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        pytest.param("127.0.0.1:8484", "", 200, id="by address"),
        pytest.param("localhost", "", 200, id="by name"),
        pytest.param("LOCALHOST:1", "", 200, id="by name in capitals"),
        pytest.param("[::1]:8484", "", 200, id="IPv6"),
        pytest.param("127.0.0.1:8484", "http://127.0.0.1:8484", 200, id="its own page"),
        pytest.param("rebound.example:8484", "", 403, id="another name"),
        pytest.param("localhost.rebound.example", "", 403, id="a name that begins so"),
        pytest.param("192.0.2.1", "", 403, id="another address"),
        pytest.param("[::1", "", 403, id="no address"),
        pytest.param("127.0.0.1:8484", "https://evil.example", 403, id="another site"),
        pytest.param("127.0.0.1:8484", "http://127.0.0.1:3000", 403, id="another port's page"),
        pytest.param("127.0.0.1:8484", "null", 403, id="a page without origin"),
        pytest.param("127.0.0.1:8484", "http://[", 403, id="no origin at all"),
    ],
)
async def test_without_a_token_browsers_of_this_machine_are_no_way_in(
    host: str, origin: str, status: int
) -> None:
    async with guarded(None) as served:
        answer = await served.get("/hooks/private", host=host, origin=origin)
        assert answer.status == status


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("x_forwarded_for", id="Apache, Caddy, Traefik"),
        pytest.param("x_real_ip", id="nginx, as it is usually told"),
        pytest.param("forwarded", id="RFC 7239"),
        pytest.param("via", id="RFC 9110"),
    ],
)
async def test_without_a_token_a_proxy_on_this_machine_is_no_way_in(header: str) -> None:
    async with guarded(None) as served:
        answer = await served.get("/hooks/private", **{header: "203.0.113.9"})
        assert answer.status == 403


def test_senders_of_webhooks_may_have_a_token_of_their_own(tmp_path: Path) -> None:
    log = Log("error")
    api, hook = tmp_path / "api", tmp_path / "hook"
    api.write_text("a")
    hook.write_text("h")
    apart = HttpSettings(token_file=api, hook_token_file=hook)
    shared = HttpSettings(token_file=api)
    assert api_token(HttpSettings(), log) is None
    assert hook_token(HttpSettings(), log) is None
    for settings, right in ((apart, b"h"), (shared, b"a")):
        token = hook_token(settings, log)
        assert token is not None
        assert token.is_held_by(right)
        assert not token.is_held_by(b"x")
    token = api_token(apart, log)
    assert token is not None
    assert not token.is_held_by(b"h")
