"""Listings: each odd answer that registries were seen to give, and the right behaviour.

The rows are those of the field notes' table of edge cases, 31 to 52. Rows 47 and 53 to 55 concern
detection and schedule, not the client.
"""

from __future__ import annotations

import asyncio
import json
import time
import tracemalloc
from collections.abc import Callable

import pytest

from tests.registry.clients import connect
from watcher.core.account import Limits
from watcher.core.reference import Registry
from watcher.errors import (
    IncompleteListing,
    NotFound,
    ProtocolError,
    RegistryError,
    TransportError,
)
from watcher.registry.client import Listing, RegistryClient, Unchanged
from watcher.testing.faults import Chunked, Cut, Fault, Match, Raw, Respond, Transform
from watcher.testing.paging import LinkStyle, Paging
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry
from watcher.testing.wire import Request, Response

NAME = "acme/web"
PATH = f"/v2/{NAME}/tags/list"
JSON = (("Content-Type", "application/json"),)
SHA256_TAG = f"sha256:{'0' * 64}"


async def listing(client: RegistryClient, repository: str = NAME) -> Listing:
    found = await client.list_tags(repository)
    assert isinstance(found, Listing)
    return found


def page(*tags: object, link: str | None = None) -> Respond:
    """One page with these tags and this value of Link."""
    headers = JSON if link is None else (*JSON, ("Link", link))
    return Respond(200, headers, json.dumps({"name": NAME, "tags": tags}).encode())


def serve(registry: FakeRegistry, *pages: Respond) -> None:
    """The first request for tags gets the first page, the next one the next page ..."""
    for action in pages:
        registry.fault(Fault(action=action, match=Match(kind=Kind.TAGS), times=1))


def queries(registry: FakeRegistry) -> list[str]:
    return [entry.query for entry in registry.requests_of(Kind.TAGS)]


@pytest.mark.parametrize(
    ("body", "tags", "ignored"),
    [
        pytest.param(b'{"name":"acme/web","tags":null}', (), 0, id="row-31-tags-null"),
        pytest.param(b'{"name":"acme/web","tags":[]}', (), 0, id="row-31-tags-empty"),
        pytest.param(b'{"tags":[null,"a","a",1,""]}', ("a",), 3, id="row-32-null-and-others"),
        pytest.param(
            json.dumps({"tags": ["v1", SHA256_TAG, "sha256__" + "0" * 64]}).encode(),
            ("v1", "sha256__" + "0" * 64),
            1,
            id="row-33-digests-as-tags",
        ),
        pytest.param(
            b'{"tags":["-ot-beta-jmx","7"]}', ("7",), 1, id="row-33-tag-with-leading-dash"
        ),
        pytest.param(
            b'{"child":["x"],"manifest":{"sha256:1":{"tag":["v9"]}},"name":"b","tags":["v1"]}',
            ("v1",),
            0,
            id="row-34-extra-keys-and-other-name",
        ),
        pytest.param(b'{"tags":["Latest","latest"]}', ("Latest", "latest"), 0, id="row-51-case"),
    ],
)
async def test_a_page_is_read_for_its_tags_and_nothing_else(
    registry: FakeRegistry,
    client: RegistryClient,
    body: bytes,
    tags: tuple[str, ...],
    ignored: int,
) -> None:
    serve(registry, Respond(200, JSON, body))
    found = await listing(client)
    assert (found.tags, found.ignored, found.pages) == (tags, ignored, 1)


@pytest.mark.parametrize(
    "content_type",
    [
        pytest.param("text/plain; charset=utf-8", id="row-35-text-plain-of-ecr"),
        pytest.param("application/octet-stream", id="row-35-octet-stream"),
    ],
)
async def test_json_under_another_content_type_is_accepted(
    registry: FakeRegistry, client: RegistryClient, content_type: str
) -> None:
    serve(registry, Respond(200, (("Content-Type", content_type),), b'{"tags":["1"]}'))
    assert (await listing(client)).tags == ("1",)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"<html>Please log in</html>", id="row-35-login-page"),
        pytest.param(b'{"tags":["1"]}', id="row-35-json-said-to-be-html"),
    ],
)
async def test_a_web_page_is_no_listing(
    registry: FakeRegistry, client: RegistryClient, body: bytes
) -> None:
    serve(registry, Respond(200, (("Content-Type", "text/html; charset=utf-8"),), body))
    with pytest.raises(ProtocolError, match="web page"):
        await client.list_tags(NAME)


@pytest.mark.parametrize(
    "style",
    [
        pytest.param(LinkStyle.RELATIVE, id="row-36-link-relative"),
        pytest.param(LinkStyle.ABSOLUTE, id="row-36-link-absolute"),
    ],
)
async def test_links_on_the_same_host_are_followed_to_the_end(
    registry: FakeRegistry, client: RegistryClient, style: LinkStyle
) -> None:
    registry.paging = Paging(cap=2, link=style)
    for tag in ("1", "2", "3", "4", "5"):
        registry.push(NAME, tag)
    found = await listing(client)
    assert (found.tags, found.pages) == (("1", "2", "3", "4", "5"), 3)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda own, other: f"//{other}{PATH}?last=1", id="row-36-link-without-scheme"),
        pytest.param(
            lambda own, other: f"http://localhost:{other.split(':')[1]}{PATH}?last=1",
            id="row-36-link-to-other-host",
        ),
        pytest.param(
            lambda own, other: f"https://{own}{PATH}?last=1", id="row-36-link-to-other-scheme"
        ),
        pytest.param(
            lambda own, other: f"http://{other}{PATH}?last=1", id="row-36-link-to-other-port"
        ),
        pytest.param(
            lambda own, other: f"http://{own}@{other}{PATH}?last=1", id="row-36-link-with-user"
        ),
    ],
)
async def test_a_link_to_elsewhere_is_refused_before_any_request(
    registry: FakeRegistry, client: RegistryClient, make: Callable[[str, str], str]
) -> None:
    async with FakeRegistry() as other:
        other.push(NAME, "stolen")
        link = f'<{make(registry.address, other.address)}>; rel="next"'
        serve(registry, page("1", link=link))
        with pytest.raises(IncompleteListing):
            await client.list_tags(NAME)
        assert other.counters.connections == 0
    assert registry.count(Kind.TAGS) == 1


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(
            (f'<{PATH}?last=0>; rel="previous", <{PATH}?last=1>; rel="next"',),
            id="row-37-previous-before-next",
        ),
        pytest.param((f"<{PATH}?last=1>; rel=next",), id="row-37-rel-unquoted"),
        pytest.param((f'<{PATH}?last=1>;REL="NEXT"',), id="row-37-rel-in-capitals"),
        pytest.param(
            (f'<{PATH}?last=0>; rel="first"', f'<{PATH}?last=1>; rel="next"'),
            id="row-37-several-headers",
        ),
        pytest.param(
            (f'<{PATH}?last=1>; title="a, b; <c>"; rel="last next"',),
            id="row-37-several-relations-and-quoted-commas",
        ),
        pytest.param((f"<{PATH}?last=1>",), id="row-38-sole-link-without-rel"),
    ],
)
async def test_the_next_page_is_found_among_links(
    registry: FakeRegistry, client: RegistryClient, headers: tuple[str, ...]
) -> None:
    links = tuple(("Link", value) for value in headers)
    serve(registry, Respond(200, JSON + links, b'{"tags":["1"]}'), page("2"))
    assert (await listing(client)).tags == ("1", "2")
    assert queries(registry)[1] == "last=1"


@pytest.mark.parametrize(
    "link",
    [
        pytest.param(f'<{PATH}?last=0>; rel="previous"', id="row-37-only-previous"),
        pytest.param(f"<{PATH}?last=0>, <{PATH}?last=1>", id="row-38-two-links-without-rel"),
        pytest.param("", id="row-38-empty-link"),
    ],
)
async def test_a_link_that_is_not_next_ends_the_listing(
    registry: FakeRegistry, client: RegistryClient, link: str
) -> None:
    serve(registry, page("1", link=link))
    assert (await listing(client)).tags == ("1",)
    assert registry.count(Kind.TAGS) == 1


@pytest.mark.parametrize(
    "target",
    [
        pytest.param(
            "/v2/web/tags/list?last=1&n=1", id="row-39-without-repository-prefix-artifactory"
        ),
        pytest.param(
            "/repository/docker/v2/acme/web/tags/list?n=1&last=1", id="row-39-wrong-prefix-nexus"
        ),
    ],
)
async def test_a_link_with_another_path_gives_its_cursor_to_our_path(
    registry: FakeRegistry, client: RegistryClient, target: str
) -> None:
    serve(registry, page("1", link=f'<{target}>; rel="next"'), page("2"))
    assert (await listing(client)).tags == ("1", "2")
    second = registry.requests_of(Kind.TAGS)[1]
    assert (second.path, second.query) == (PATH, target.partition("?")[2])


async def test_a_link_with_another_path_and_no_cursor_is_incomplete(
    registry: FakeRegistry, client: RegistryClient
) -> None:
    """row-39-impossible"""
    serve(registry, page("1", link='</v2/other/tags/list?page=2>; rel="next"'))
    with pytest.raises(IncompleteListing):
        await client.list_tags(NAME)


def same_tags_under_new_cursors(request: Request, _: Response) -> Response:
    cursor = int(request.parameter("last") or "0") + 1
    link = ("Link", f'<{PATH}?last={cursor}>; rel="next"')
    return Response(200, (*JSON, link), b'{"tags":["1","2"]}')


def to_the_same_page(request: Request, _: Response) -> Response:
    link = ("Link", f'<{request.target}>; rel="next"')
    return Response(200, (*JSON, link), b'{"tags":["1"]}')


def back_and_forth(request: Request, _: Response) -> Response:
    other = "b" if request.parameter("last") == "a" else "a"
    link = ("Link", f'<{PATH}?last={other}>; rel="next"')
    return Response(200, (*JSON, link), json.dumps({"tags": [other]}).encode())


def empty_without_end(request: Request, _: Response) -> Response:
    cursor = int(request.parameter("last") or "0") + 1
    link = ("Link", f'<{PATH}?last={cursor}>; rel="next"')
    return Response(200, (*JSON, link), b'{"tags":[]}')


def ever_more(request: Request, _: Response) -> Response:
    cursor = int(request.parameter("last") or "0") + 1
    link = ("Link", f'<{PATH}?last={cursor}>; rel="next"')
    return Response(200, (*JSON, link), json.dumps({"tags": [f"t{cursor}"]}).encode())


@pytest.mark.parametrize(
    ("function", "most"),
    [
        pytest.param(to_the_same_page, 2, id="row-40-link-to-the-same-page"),
        pytest.param(back_and_forth, 4, id="row-40-cycle-of-two"),
        pytest.param(same_tags_under_new_cursors, 4, id="row-40-new-cursor-same-tags"),
        pytest.param(empty_without_end, 10, id="row-41-empty-pages-up-to-the-page-cap"),
        pytest.param(ever_more, 10, id="row-41-more-pages-than-the-cap"),
    ],
)
async def test_a_listing_that_leads_nowhere_is_incomplete_after_few_requests(
    registry: FakeRegistry, function: Callable[[Request, Response], Response], most: int
) -> None:
    registry.fault(Fault(action=Transform(function=function)))
    async with connect(registry, limits=Limits(max_pages=10)) as client:
        with pytest.raises(IncompleteListing):
            await client.list_tags(NAME)
    assert registry.count(Kind.TAGS) <= most


async def test_empty_and_short_pages_with_a_link_are_not_the_end(
    registry: FakeRegistry, client: RegistryClient
) -> None:
    """row-41"""
    links = [f'<{PATH}?last={number}>; rel="next"' for number in range(4)]
    pages = [page(link=links[0]), page(link=links[1]), page("1", link=links[2]), page("2")]
    serve(registry, *pages)
    assert (await listing(client)).tags == ("1", "2")


@pytest.mark.parametrize(
    "status", [pytest.param(400, id="row-42-status-400"), pytest.param(405, id="row-42-status-405")]
)
async def test_a_refused_page_size_is_lowered_and_the_lower_one_remembered(
    registry: FakeRegistry, client: RegistryClient, status: int
) -> None:
    registry.paging = Paging(maximum_n=100, refusal_status=status)
    registry.push(NAME, "1")
    assert (await listing(client)).tags == ("1",)
    assert queries(registry) == ["n=1000", "n=100"]
    assert (await listing(client)).tags == ("1",)
    assert queries(registry)[2:] == ["n=100"]


async def test_an_opaque_cursor_goes_back_byte_by_byte(
    registry: FakeRegistry, client: RegistryClient
) -> None:
    """row-43: this registry understands its `%2F+==` in no other spelling."""
    registry.paging = Paging(cap=1, opaque=True, refusal_status=405)
    for tag in ("1", "2", "3"):
        registry.push(NAME, tag)
    assert (await listing(client)).tags == ("1", "2", "3")
    assert all("%2F+==" in query for query in queries(registry)[1:])


@pytest.mark.parametrize(
    "cursor",
    ["a%2fb", "a+b=", "%41", "x~y", "a:b,c;d", "a%25b", "a%zz", 'a"b', "a<b", "[1]", "a|b"],
)
async def test_no_character_of_a_cursor_is_encoded_anew(
    registry: FakeRegistry, client: RegistryClient, cursor: str
) -> None:
    """row-43"""
    serve(registry, page("1", link=f'<{PATH}?last={cursor}&n=5>; rel="next"'), page("2"))
    await client.list_tags(NAME)
    assert queries(registry)[1] == f"last={cursor}&n=5"


async def test_a_registry_that_ignores_paging_is_asked_once(
    registry: FakeRegistry, client: RegistryClient
) -> None:
    """row-44: distribution 2.8, unsorted and all at once."""
    registry.paging = Paging(ignores_n=True, sorted=False)
    for number in reversed(range(1500)):
        registry.push(NAME, str(number), content="same")
    assert len((await listing(client)).tags) == 1500
    assert registry.count(Kind.TAGS) == 1


async def test_a_tag_that_is_gone_when_its_digest_is_asked_for_is_not_found(
    registry: FakeRegistry, client: RegistryClient
) -> None:
    """row-45"""
    registry.push(NAME, "1")
    registry.push(NAME, "2")
    assert (await listing(client)).tags == ("1", "2")
    registry.delete_tag(NAME, "2")
    with pytest.raises(NotFound):
        await client.head(NAME, "2")


async def test_a_repository_that_is_gone_is_not_found_rather_than_empty(
    registry: FakeRegistry, client: RegistryClient
) -> None:
    """row-46"""
    registry.push(NAME, "1")
    await listing(client)
    registry.delete_repository(NAME)
    with pytest.raises(NotFound) as caught:
        await client.list_tags(NAME)
    assert caught.value.status == 404


@pytest.mark.parametrize(
    "action",
    [
        pytest.param(Respond(500), id="row-48-status-500"),
        pytest.param(Respond(404), id="row-48-status-404"),
        pytest.param(Respond(200, JSON, b'{"repositories":'), id="row-48-half-a-page"),
        pytest.param(Cut(), id="row-48-cut"),
        pytest.param(Cut(body_bytes=20), id="row-48-cut-in-the-body"),
    ],
)
async def test_a_catalog_that_fails_half_way_gives_nothing(
    registry: FakeRegistry, client: RegistryClient, action: Respond
) -> None:
    registry.paging = Paging(cap=2)
    registry.seed([f"app-{number}" for number in range(6)], ["1"])
    assert len(await client.catalog()) == 6
    registry.fault(Fault(action=action, match=Match(kind=Kind.CATALOG, query="app-3")))
    with pytest.raises(RegistryError):
        await client.catalog()


@pytest.mark.parametrize(
    "action",
    [
        pytest.param(Respond(500), id="page-2-status-500"),
        pytest.param(Respond(403), id="page-2-status-403"),
        pytest.param(Respond(404), id="page-2-status-404"),
        pytest.param(Respond(200, JSON, b"{}"), id="page-2-without-tags"),
    ],
)
async def test_tags_whose_second_page_fails_give_nothing(
    registry: FakeRegistry, client: RegistryClient, action: Respond
) -> None:
    registry.paging = Paging(cap=2)
    registry.seed([NAME], ["1", "2", "3"])
    registry.fault(Fault(action=action, match=Match(kind=Kind.TAGS, query="last=2")))
    with pytest.raises((IncompleteListing, ProtocolError)):
        await client.list_tags(NAME)


@pytest.mark.parametrize(
    "action",
    [
        pytest.param(Chunked(size=16, complete=False), id="row-49-chunked-cut"),
        pytest.param(Cut(body_bytes=30), id="row-49-shorter-than-content-length"),
        pytest.param(Cut(body_bytes=0), id="row-49-head-only"),
        pytest.param(Cut(body_bytes=30, reset=True), id="row-49-reset-in-the-body"),
        pytest.param(
            Raw(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{"tags":["1","2"'),
            id="row-49-without-any-length",
        ),
    ],
)
async def test_a_truncated_body_is_an_error_even_where_it_would_parse(
    registry: FakeRegistry, client: RegistryClient, action: Cut
) -> None:
    registry.seed([NAME], [f"1.{number}" for number in range(20)])
    registry.fault(Fault(action=action))
    with pytest.raises((TransportError, ProtocolError)):
        await client.list_tags(NAME)


def test_fifty_thousand_tags_in_one_body_are_read_fast_and_in_bounded_memory() -> None:
    """row-50: the CPU of this thread counts, the registry works in another."""
    tags = [f"1.{number}.0-build-{number:06}" for number in range(50_000)]
    with FakeRegistry.in_thread(paging=Paging(ignores_n=True)) as registry:
        registry.seed([NAME], tags)
        seconds = min(read_all(registry, len(tags)) for _ in range(3))
    assert seconds < 0.1


def read_all(registry: FakeRegistry, expected: int) -> float:
    async def read() -> float:
        async with connect(registry) as client:
            before = time.thread_time()
            found = await listing(client)
            assert len(found.tags) == expected
            return time.thread_time() - before

    return asyncio.run(read())


@pytest.mark.parametrize(
    ("known", "times"),
    [
        pytest.param(False, 16, id="row-50-memory-when-changed"),
        pytest.param(True, 6, id="row-50-memory-when-unchanged"),
    ],
)
async def test_a_large_page_takes_a_few_times_its_size(
    registry: FakeRegistry, client: RegistryClient, known: bool, times: int
) -> None:
    body = json.dumps({"tags": [f"1.{number}.0-build-{number:06}" for number in range(50_000)]})
    registry.fault(Fault(action=Respond(200, JSON, body.encode())))
    fingerprint = (await listing(client)).fingerprint if known else None
    tracemalloc.start()
    try:
        found = await client.list_tags(NAME, fingerprint=fingerprint)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(found, Unchanged) is known
    assert peak < times * len(body)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("a/b/c/d/e", id="row-52-five-levels"),
        pytest.param("library/my_app__x/sub-path.v2", id="row-52-separators"),
    ],
)
async def test_a_deep_repository_name_is_asked_for_as_it_is(
    registry: FakeRegistry, client: RegistryClient, name: str
) -> None:
    registry.push(name, "1")
    assert (await listing(client, name)).tags == ("1",)
    assert registry.requests[0].path == f"/v2/{name}/tags/list"


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("Acme/web", id="row-52-capital-owner"),
        pytest.param("acme/../secret", id="row-52-dots"),
        pytest.param("acme/web?n=1", id="row-52-query"),
        pytest.param("acme/web#x", id="row-52-fragment"),
        pytest.param("acme%2fweb", id="row-52-escape"),
        pytest.param("acme//web", id="row-52-empty-segment"),
        pytest.param("/acme", id="row-52-leading-slash"),
        pytest.param("acme/web\n", id="row-52-newline"),
        pytest.param("a" * 256, id="row-52-too-long"),
        pytest.param("", id="row-52-empty"),
    ],
)
async def test_an_impossible_repository_name_is_refused_without_a_request(
    registry: FakeRegistry, client: RegistryClient, name: str
) -> None:
    with pytest.raises(RegistryError, match="not a repository name"):
        await client.list_tags(name)
    assert registry.requests == []


@pytest.mark.parametrize(
    ("address", "name"),
    [
        pytest.param("localhost:5000", "localhost:5000", id="row-52-host-and-port"),
        pytest.param("Registry.Example/v2/", "registry.example", id="row-52-host-with-path-v2"),
    ],
)
def test_an_address_is_normalised(address: str, name: str) -> None:
    assert Registry.parse(address).name == name


async def test_an_unchanged_listing_of_several_pages_is_known_by_its_fingerprint(
    registry: FakeRegistry, client: RegistryClient
) -> None:
    registry.paging = Paging(cap=2)
    registry.seed([NAME], ["1", "2", "3"])
    first = await listing(client)
    again = await client.list_tags(NAME, fingerprint=first.fingerprint)
    assert again == Unchanged(first.fingerprint, 2)
    registry.push(NAME, "4")
    changed = await client.list_tags(NAME, fingerprint=first.fingerprint)
    assert isinstance(changed, Listing)
    assert changed.tags == ("1", "2", "3", "4")
