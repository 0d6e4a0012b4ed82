"""What a real docker-registry answered once, replayed where none is installed.

Each scenario runs twice: on its cassette (tests/cassettes, always) and on a real docker-registry
(where there is one), so that the cassettes can't drift from the truth unseen. With
`RECORD_CASSETTES=1` the second run writes the cassettes anew, without passwords and ports. vcrpy
hooks into aiohttp's session, so the client under test is nearly the whole client.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import vcr

from tests.registry.accounts import ACME, ANONYMOUS, Passwords, account_for, client_of
from tests.servers import RealRegistry, StartRegistry, need
from watcher.core.account import Catalog, Credential, Limits
from watcher.errors import AuthenticationFailed, NotFound
from watcher.registry.client import Listing, RegistryClient, Unchanged
from watcher.testing.images import multi_platform, single

CASSETTES = Path(__file__).parent.parent / "cassettes"
ADDRESS = "registry.test:5000"
USERS = {"acme": "s3cret-of-acme"}
IMAGE = single(b"image", labels={"commit": "4f2a"})
INDEX = multi_platform(b"index", ["linux/amd64", "linux/arm64"])

Check = Callable[[RegistryClient], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What is in the registry, who asks, and what the answers must be."""

    check: Check
    pushes: tuple[tuple[str, str], ...] = (("acme/web", "v1"), ("acme/web", "v2"))
    users: dict[str, str] | None = None
    credential: Credential = ANONYMOUS
    page_size: int = 1000


async def lists(client: RegistryClient) -> None:
    listing = await client.list_tags("acme/web")
    assert isinstance(listing, Listing)
    assert set(listing.tags) == {"v1", "v2"}
    again = await client.list_tags("acme/web", fingerprint=listing.fingerprint)
    assert isinstance(again, Unchanged)
    with pytest.raises(NotFound, match="404 NAME_UNKNOWN"):
        await client.list_tags("acme/none")


async def logs_in(client: RegistryClient) -> None:
    listing = await client.list_tags("acme/web")
    assert isinstance(listing, Listing)
    assert await client.head("acme/web", "v1")


async def is_kept_out(client: RegistryClient) -> None:
    with pytest.raises(AuthenticationFailed, match="refused the account's password"):
        await client.list_tags("acme/web")


async def is_asked_to_log_in(client: RegistryClient) -> None:
    with pytest.raises(AuthenticationFailed, match="wants a user name and a password"):
        await client.list_tags("acme/web")


async def knows_digests(client: RegistryClient) -> None:
    assert await client.head("acme/web", "image") == IMAGE.top.digest
    assert await client.head("acme/web", "index") == INDEX.top.digest
    index = await client.manifest("acme/web", "index")
    assert index.digest == INDEX.top.digest
    assert [str(child.platform) for child in index.children] == ["linux/amd64", "linux/arm64"]
    assert await client.labels("acme/web", IMAGE.top.digest) == {"commit": "4f2a"}
    with pytest.raises(NotFound, match="answered 404"):
        await client.head("acme/web", "none")
    with pytest.raises(NotFound, match="404 MANIFEST_UNKNOWN"):
        await client.manifest("acme/web", f"sha256:{'0' * 64}")


async def reads_the_catalog(client: RegistryClient) -> None:
    assert await client.catalog() == ("acme/api", "acme/web", "tools")


SOME = (("acme/api", "v1"), ("acme/web", "v1"), ("tools", "v1"))
SCENARIOS = {
    "listing": Scenario(check=lists),
    "login": Scenario(check=logs_in, users=USERS, credential=ACME),
    "wrong-password": Scenario(
        check=is_kept_out, users=USERS, credential=Credential("acme", "wrong")
    ),
    "no-password": Scenario(check=is_asked_to_log_in, users=USERS),
    "digests": Scenario(check=knows_digests, pushes=(("acme/web", "image"), ("acme/web", "index"))),
    "catalog-pages": Scenario(check=reads_the_catalog, pushes=SOME, page_size=2),
    "page-size-refused": Scenario(check=reads_the_catalog, pushes=SOME, page_size=100_000),
}
each_scenario = pytest.mark.parametrize("name", SCENARIOS)


@each_scenario
async def test_the_client_understands_what_was_recorded(name: str) -> None:
    recorder = vcr.VCR(record_mode=vcr.mode.NONE, match_on=("method", "uri"))
    with recorder.use_cassette(str(CASSETTES / f"{name}.yaml")) as cassette:
        await check(SCENARIOS[name], ADDRESS)
        assert cassette.all_played


@each_scenario
async def test_a_real_registry_still_says_what_was_recorded(
    name: str, start_registry: StartRegistry
) -> None:
    need("docker-registry", "skopeo", "htpasswd")
    scenario = SCENARIOS[name]
    registry = start_registry(users=scenario.users)
    for repository, tag in scenario.pushes:
        registry.push(repository, tag, {"image": IMAGE, "index": INDEX}.get(tag))
    with recording(name, registry):
        await check(scenario, registry.address)


@pytest.mark.parametrize("path", sorted(CASSETTES.glob("*.yaml")), ids=lambda path: path.stem)
def test_no_password_is_recorded(path: Path) -> None:
    text = path.read_text()
    assert "Basic YWN" not in text
    assert USERS["acme"] not in text


async def check(scenario: Scenario, address: str) -> None:
    account = account_for(address, catalog=Catalog(), limits=Limits(page_size=scenario.page_size))
    async with client_of(account, Passwords(scenario.credential)) as client:
        await scenario.check(client)


def recording(name: str, registry: RealRegistry) -> AbstractContextManager[Any]:
    """Write the cassette anew, if that is asked for."""
    if not os.environ.get("RECORD_CASSETTES"):
        return nullcontext()
    path = CASSETTES / f"{name}.yaml"
    path.unlink(missing_ok=True)

    def without_port(request: Any) -> Any:
        request.uri = request.uri.replace(registry.address, ADDRESS)
        request.headers["host"] = ADDRESS
        return request

    recorder = vcr.VCR(
        record_mode=vcr.mode.ALL,
        before_record_request=without_port,
        filter_headers=[("authorization", "***")],
    )
    recorded: AbstractContextManager[Any] = recorder.use_cassette(str(path))
    return recorded
