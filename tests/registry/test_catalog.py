"""Discovery: which repositories `catalog` watches, from the registry or from a file (SPEC 3.1)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.registry.accounts import account_for, client_of
from watcher.core.account import Catalog
from watcher.errors import ConfigError, IncompleteListing, ProtocolError
from watcher.registry.listing.catalog import chosen
from watcher.testing.faults import Fault, Match, Respond
from watcher.testing.paging import Paging
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry

NAMES = ("acme-prod/api", "acme-prod/scratch", "acme-test/api", "tools")


async def catalog_of(registry: FakeRegistry, catalog: Catalog) -> tuple[str, ...]:
    async with client_of(account_for(registry.address, catalog=catalog)) as client:
        return await client.catalog()


@pytest.mark.parametrize(
    ("catalog", "expected"),
    [
        pytest.param(Catalog(), NAMES, id="all"),
        pytest.param(
            Catalog(include="acme-prod/.*", skip=("acme-prod/scratch",)),
            ("acme-prod/api",),
            id="include and skip",
        ),
        pytest.param(Catalog(include="acme-prod"), (), id="include is a full match"),
        pytest.param(Catalog(include=" tools "), ("tools",), id="include is trimmed"),
        pytest.param(Catalog(skip=("tools", "none")), NAMES[:3], id="skip alone"),
        pytest.param(Catalog(skip=(".*",)), NAMES, id="skip is a list of names"),
    ],
)
def test_include_and_skip_choose(catalog: Catalog, expected: tuple[str, ...]) -> None:
    assert chosen(catalog, NAMES) == expected


async def test_all_pages_of_the_catalog_are_read() -> None:
    async with FakeRegistry(paging=Paging(cap=2)) as registry:
        for name in NAMES:
            registry.push(name, "1")
        assert await catalog_of(registry, Catalog()) == NAMES


async def test_a_catalog_that_breaks_off_is_an_error() -> None:
    async with FakeRegistry(paging=Paging(cap=2)) as registry:
        for name in NAMES:
            registry.push(name, "1")
        second = Fault(action=Respond(404), match=Match(kind=Kind.CATALOG), skip=1)
        registry.fault(second)
        with pytest.raises(IncompleteListing, match="the catalog"):
            await catalog_of(registry, Catalog())


async def test_names_that_could_lead_elsewhere_are_left_out() -> None:
    body = b'{"repositories":["ok","../_catalog","a?n=1","a#b","a%2e%2e/b","A","",null,7,"ok"]}'
    async with FakeRegistry() as registry:
        registry.fault(Fault(action=Respond(200, (), body)))
        assert await catalog_of(registry, Catalog()) == ("ok",)


async def test_a_repository_with_such_a_name_is_never_asked_for() -> None:
    async with FakeRegistry() as registry, client_of(account_for(registry.address)) as client:
        with pytest.raises(ProtocolError, match="not a repository name"):
            await client.list_tags("../_catalog")
        assert registry.requests == []


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"repositories": ["acme/web", "acme/api"]}', id="as a registry sends it"),
        pytest.param('["acme/web", "acme/api"]', id="a JSON list"),
        pytest.param("acme/web  # the site\n\n# others\nacme/api\n", id="one name a line"),
    ],
)
async def test_a_file_may_hold_the_catalog(tmp_path: Path, text: str) -> None:
    file = tmp_path / "catalog"
    file.write_text(text)
    async with FakeRegistry() as registry:
        found = await catalog_of(registry, Catalog(file=file, skip=("acme/api",)))
        assert (found, registry.requests) == (("acme/web",), [])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(None, "can't be read: No such file", id="missing"),
        pytest.param(b"\xff\xfe", "not UTF-8", id="not UTF-8"),
        pytest.param(b"acme/web\n../etc\n", "'../etc' is not a repository name", id="a wrong name"),
        pytest.param(b'{"repositories": [7]}', "7 is not a repository name", id="a number"),
        pytest.param(b'{"repositories": ', "is not a repository name", id="broken JSON"),
        pytest.param(b'{"names": ["a"]}', "None is not a repository name", id="another key"),
    ],
)
async def test_a_file_that_is_no_catalog_is_an_error_of_the_config(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    file = tmp_path / "catalog"
    if content is not None:
        file.write_bytes(content)
    async with FakeRegistry() as registry:
        with pytest.raises(ConfigError) as caught:
            await catalog_of(registry, Catalog(file=file))
    assert reason in str(caught.value)
    assert str(file) in str(caught.value)
