"""`/hooks/SENDER` over a real server: who may deliver, and what is answered."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from tests.web.hooks import payloads
from tests.web.hooks.payloads import EPOCH, encoded
from tests.web.hooks.test_reception import Counting, Desk
from tests.web.serving import Answer, FakeHealth, Served, parse, serving
from watcher.core.delivery import DeliveryOutcome
from watcher.core.serving import HttpSettings
from watcher.telemetry.log import Log
from watcher.web.app import Parts
from watcher.web.auth import MOST_WRONG, hook_token
from watcher.web.hooks.reception import Reception
from watcher.web.hooks.replay import Replays, SenderPace
from watcher.web.hooks.routes import hook_routes
from watcher.web.limits import Limits

TOKEN = "a-hook-token-of-nobody"


@dataclass
class Hooks:
    """A server with webhooks, what it handed on, and what its door logged."""

    served: Served
    meter: Counting
    desk: Desk
    log: StringIO
    token_file: Path

    async def post(self, path: str, payload: Any, method: str = "POST", **headers: str) -> Answer:
        body = payload if isinstance(payload, bytes) else encoded(payload)
        names = {
            "host": f"{self.served.host}:{self.served.port}",
            "connection": "close",
            "content-type": "application/json",
            "content-length": str(len(body)),
        }
        names |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in names.items() if v)]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        return parse(await self.served.send(head + body))

    @property
    def everything_written(self) -> str:
        return self.log.getvalue() + self.served.log.getvalue() + str(self.desk.deliveries)


@asynccontextmanager
async def listening(tmp_path: Path, *, token: str | None = TOKEN) -> AsyncIterator[Hooks]:
    path, log, desk = tmp_path / "hook-token", StringIO(), Desk()
    if token is not None:
        path.write_text(f"{token}\n")
    settings = HttpSettings(hook_token_file=path if token is not None else None)
    meter = Counting()
    pace = SenderPace(lambda: EPOCH)
    reception = Reception(
        desk, Replays(lambda: EPOCH), pace, noting=pace, clock=lambda: EPOCH, meter=meter
    )
    door_log = Log("info", "json", log)
    routes = hook_routes(reception, hook_token(settings, door_log), log=door_log, clock=lambda: 0.0)
    async with serving(Parts(health=FakeHealth(), hooks=routes)) as served:
        yield Hooks(served, meter, desk, log, path)


@pytest.fixture
async def hooks(tmp_path: Path) -> AsyncIterator[Hooks]:
    async with listening(tmp_path) as running:
        yield running


def signature(body: bytes, token: str = TOKEN) -> str:
    return "sha256=" + hmac.new(token.encode(), body, hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        pytest.param(f"?token={TOKEN}", {}, id="in the URL"),
        pytest.param("", {"authorization": f"Bearer {TOKEN}"}, id="Bearer"),
        pytest.param("", {"authorization": TOKEN}, id="a header as it is"),
        pytest.param("", {"x_gitlab_token": TOKEN}, id="GitLab's header"),
    ],
)
async def test_who_knows_the_token_may_deliver(
    hooks: Hooks, path: str, headers: dict[str, str]
) -> None:
    answer = await hooks.post(f"/hooks/harbor{path}", payloads.HARBOR, **headers)
    assert (answer.status, answer.json) == (202, {"outcome": "polled"})
    assert [hint.repository for hint in hooks.desk.hints] == ["acme/web"]


async def test_who_does_not_know_it_is_only_counted(hooks: Hooks) -> None:
    for path in ("/hooks/harbor", "/hooks/harbor?token=wrong", "/hooks/msr?token="):
        assert (await hooks.post(path, payloads.HARBOR)).status == 401
    assert hooks.desk.hints == []
    assert hooks.desk.deliveries == []
    assert hooks.meter.counts["harbor", DeliveryOutcome.FORGED] == 2


async def test_guessing_ends_in_429_and_the_right_token_goes_on(hooks: Hooks) -> None:
    for _ in range(MOST_WRONG):
        assert (await hooks.post("/hooks/quay?token=guess", payloads.QUAY)).status == 401
    assert (await hooks.post("/hooks/quay?token=guess", payloads.QUAY)).status == 429
    assert (await hooks.post(f"/hooks/quay?token={TOKEN}", payloads.QUAY)).status == 202


async def test_a_url_of_many_tokens_does_not_guess_them_all_at_once(hooks: Hooks) -> None:
    answer = await hooks.post(f"/hooks/quay?token=guess&token={TOKEN}", payloads.QUAY)
    assert answer.status == 401
    assert hooks.desk.hints == []


async def test_github_proves_itself_by_its_signature(hooks: Hooks) -> None:
    body = encoded(payloads.GITHUB)
    headers = {"x_github_event": "registry_package", "x_github_delivery": "7"}
    right = await hooks.post("/hooks/github", body, x_hub_signature_256=signature(body), **headers)
    assert right.status == 202
    again = await hooks.post(
        "/hooks/github",
        body,
        x_hub_signature_256=signature(body),
        **{**headers, "x_github_delivery": "8"},
    )
    assert again.status == 409
    forged = await hooks.post(
        "/hooks/github", body, x_hub_signature_256=signature(body, "other"), **headers
    )
    assert forged.status == 401
    assert len(hooks.desk.hints) == 1


async def test_a_signature_that_is_wrong_is_refused_beside_the_right_token(hooks: Hooks) -> None:
    answer = await hooks.post(
        f"/hooks/generic?token={TOKEN}",
        payloads.GENERIC,
        x_watcher_signature_256=signature(b"something else"),
    )
    assert answer.status == 401
    assert hooks.desk.hints == []


@pytest.mark.parametrize(("stamp", "status"), [(int(EPOCH), 202), (int(EPOCH) - 301, 401)])
async def test_a_signed_timestamp_has_to_be_of_now(hooks: Hooks, stamp: int, status: int) -> None:
    body = encoded(payloads.GENERIC)
    answer = await hooks.post(
        "/hooks/generic",
        body,
        x_watcher_signature_256=signature(f"{stamp}.".encode() + body),
        x_watcher_timestamp=str(stamp),
    )
    assert answer.status == status


async def test_a_token_that_changed_in_its_file_holds_at_once(hooks: Hooks) -> None:
    hooks.token_file.write_text("another-token-of-nobody\n")
    assert (await hooks.post(f"/hooks/quay?token={TOKEN}", payloads.QUAY)).status == 401
    path = "/hooks/quay?token=another-token-of-nobody"
    assert (await hooks.post(path, payloads.QUAY)).status == 202


async def test_without_a_token_only_this_machine_may_deliver(tmp_path: Path) -> None:
    async with listening(tmp_path, token=None) as hooks:
        assert (await hooks.post("/hooks/quay", payloads.QUAY)).status == 202
        rebound = await hooks.post("/hooks/quay", payloads.QUAY, host="evil.test")
        assert rebound.status == 403
        other_site = await hooks.post("/hooks/quay", payloads.QUAY, origin="https://evil.test")
        assert other_site.status == 403


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        pytest.param("POST", "/hooks/nobody", b"{}", {}, 404, id="no such sender"),
        pytest.param("GET", "/hooks/quay", b"", {}, 405, id="GET"),
        pytest.param("PUT", "/hooks/quay", b"{}", {}, 405, id="PUT"),
        pytest.param("OPTIONS", "/hooks/quay", b"", {}, 405, id="OPTIONS without a handshake"),
        pytest.param("POST", "/hooks/quay", b"{", {}, 400, id="malformed"),
        pytest.param("POST", "/hooks/quay", b"", {}, 400, id="empty"),
        pytest.param(
            "POST",
            "/hooks/github",
            b"payload=%7B%7D",
            {"content_type": "application/x-www-form-urlencoded"},
            415,
            id="a form",
        ),
        pytest.param(
            "POST",
            "/hooks/quay",
            b"",
            {"content_length": str(Limits().body_bytes + 1)},
            413,
            id="announced too large",
        ),
    ],
)
async def test_what_is_wrong_gets_4xx_and_changes_nothing(
    hooks: Hooks, method: str, path: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    answer = await hooks.post(f"{path}?token={TOKEN}", body, method, **headers)
    assert answer.status == status
    assert ("allow" in answer.headers) == (status == 405)
    assert hooks.desk.hints == []


@pytest.mark.parametrize(
    "content_type",
    [
        "application/vnd.docker.distribution.events.v1+json",
        "application/vnd.docker.distribution.events.v2+json",
        "application/cloudevents+json; charset=UTF-8",
        "application/json; charset=utf-8",
        "",
    ],
)
async def test_every_kind_of_json_is_read(hooks: Hooks, content_type: str) -> None:
    answer = await hooks.post(
        f"/hooks/distribution?token={TOKEN}", payloads.DISTRIBUTION, content_type=content_type
    )
    assert answer.status == 202


async def test_event_grid_is_let_in_by_its_handshake(hooks: Hooks) -> None:
    path = f"/hooks/acr?token={TOKEN}"
    origin = "eventgrid.azure.net"
    answer = await hooks.post(path, b"", "OPTIONS", webhook_request_origin=origin)
    assert (answer.status, answer.headers["webhook-allowed-origin"]) == (200, origin)
    other = await hooks.post(path, b"", "OPTIONS", webhook_request_origin="evil.test")
    assert other.status == 403
    stranger = await hooks.post("/hooks/acr", b"", "OPTIONS", webhook_request_origin=origin)
    assert stranger.status == 401
    code = await hooks.post(path, payloads.VALIDATION)
    assert code.json == {"validationResponse": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6"}


async def test_the_account_may_be_named_in_the_url(hooks: Hooks) -> None:
    await hooks.post(f"/hooks/generic?token={TOKEN}&account=main", payloads.GENERIC)
    assert hooks.desk.accounts == ["main"]


async def test_no_token_gets_into_a_log_a_delivery_or_an_answer(hooks: Hooks) -> None:
    wrong = "a-wrong-token"
    for token in (TOKEN, wrong):
        for payload in (payloads.QUAY, b"{"):
            answer = await hooks.post(
                f"/hooks/quay?token={token}", payload, authorization=f"Bearer {token}"
            )
            assert token.encode() not in answer.body
    assert TOKEN not in hooks.everything_written
    assert wrong not in hooks.everything_written


async def test_a_slash_too_many_leads_nowhere(hooks: Hooks) -> None:
    answer = await hooks.post(f"/hooks/quay/?token={TOKEN}", payloads.QUAY, host="evil.test")
    assert answer.status == 404
    assert "location" not in answer.headers


async def test_many_at_once_are_all_answered(hooks: Hooks) -> None:
    path = f"/hooks/generic?token={TOKEN}"
    deliveries = [{**payloads.GENERIC, "id": f"build-{number}"} for number in range(60)]
    answers = await asyncio.gather(*(hooks.post(path, delivery) for delivery in deliveries))
    assert {answer.status for answer in answers} == {202}
    assert len(hooks.desk.hints) == 60
