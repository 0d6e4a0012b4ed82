"""A fake registry that plays a kind of registry, and a plain HTTP client for it."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from watcher.testing.profiles import PROFILES
from watcher.testing.registry import FakeRegistry

USERS = {"acme": "secret"}
WEB = "acme/web"
TAGS = f"/v2/{WEB}/tags/list"
MANIFEST = f"/v2/{WEB}/manifests/1.0"
SCOPE = f"repository:{WEB}:pull"
METADATA_SCOPE = f"repository:{WEB}:metadata_read"
CATALOG_SCOPE = "registry:catalog:*"


class Clock:
    """A clock that a test moves."""

    def __init__(self, now: float = 1_700_000_000.25) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def played(
    name: str, *tags: str, **settings: Any
) -> AsyncIterator[tuple[FakeRegistry, httpx.AsyncClient]]:
    """The registry of that profile with some tags of WEB, and a client for it."""
    async with (
        FakeRegistry(profile=PROFILES[name], **settings) as registry,
        httpx.AsyncClient(base_url=registry.url, trust_env=False) as client,
    ):
        for tag in tags or ("1.0",):
            registry.push(WEB, tag)
        yield registry, client


async def challenge(client: httpx.AsyncClient, path: str = TAGS, **sent: Any) -> str:
    """The challenge that a request gets."""
    answer = await client.get(path, **sent)
    assert answer.status_code == 401, answer.text
    return answer.headers["WWW-Authenticate"]


async def asked(
    client: httpx.AsyncClient,
    *scopes: str,
    user: tuple[str, str] | None = ("acme", "secret"),
) -> httpx.Response:
    """The answer of the token server that the challenge names."""
    realm = httpx.URL((await challenge(client, "/v2/")).partition('realm="')[2].partition('"')[0])
    auth = httpx.BasicAuth(*user) if user else None
    return await client.get(realm, params=[("scope", scope) for scope in scopes], auth=auth)


async def token(client: httpx.AsyncClient, *scopes: str, **how: Any) -> dict[str, str]:
    """The headers of a request with a token for these scopes."""
    answer = await asked(client, *scopes, **how)
    assert answer.status_code == 200, answer.text
    document = answer.json()
    return bearer(document.get("token") or document["access_token"])


def bearer(value: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {value}"}


def encoded(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


async def status(client: httpx.AsyncClient, path: str = TAGS, **sent: Any) -> int:
    return (await client.get(path, **sent)).status_code


async def raw(registry: FakeRegistry, target: str, **sent: Any) -> httpx.Response:
    """A request whose target goes out byte for byte; absolute ones lose their origin."""
    path = target.removeprefix(registry.url)
    async with httpx.AsyncClient(trust_env=False) as client:
        url = httpx.URL(registry.url).copy_with(raw_path=path.encode())
        return await client.get(url, **sent)


def following(answer: httpx.Response) -> str:
    """The target of the Link to the next page; empty where there is none."""
    links = answer.headers.get("Link", "").split(", ")
    found = next((link for link in links if 'rel="next"' in link), "")
    return found.removeprefix("<").partition(">")[0]
