"""Listings of strangers: v2's, Google's with its map, the tail of GHCR's, and Quay's, Docker Hub's,
GitLab's, Azure's and Harbor's own.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.answers import HOST, LIST, ORIGIN, SECRET, Pages, answer
from tests.fuzz.mutations import json_bodies, long_texts, texts
from tests.fuzz.running import busy_at_most, finished, fuzzed, is_clean, outcome_of
from tests.fuzz.test_headers import LINK_WORDS, LINKS
from watcher.core.reference import is_digest, is_repository_name, is_tag
from watcher.errors import RegistryError
from watcher.registry.listing.tags import Listing, Recent, Unchanged, list_repositories, list_tags
from watcher.registry.listing.tail import TailMark, look_at_tail, mark_of
from watcher.registry.native import acr, docker_hub, gitlab, harbor, quay
from watcher.registry.native.newest import Mark, Reading, fingerprint_of, judge
from watcher.registry.urls import origin_of

DIGEST = "sha256:" + "0123456789abcdef" * 4
OTHER = "sha256:" + "f" * 64
TIME = "2026-01-31T09:30:00.123456789Z"
LISTINGS: tuple[Any, ...] = (
    {"name": "acme/web", "tags": ["1.0", "1.1", "latest", "sha-0123abc"]},
    {"name": "acme/web", "tags": None},
    {"tags": [None, "a", "a", 1, "", DIGEST, "-ot-beta", "v1\n"]},
    {
        "child": ["x"],
        "name": "p/web",
        "tags": ["1.0", "latest"],
        "manifest": {
            DIGEST: {"tag": ["1.0"], "imageSizeBytes": "123", "timeUploadedMs": "1700000000000"},
            OTHER: {"tag": ["latest", "old"]},
        },
    },
)
CATALOG = ({"repositories": ["acme/web", "a/b-c", "../x", "A/B", "%2e"]},)
QUAY = {
    "tags": [
        {
            "name": "latest",
            "manifest_digest": DIGEST,
            "start_ts": 1_770_000_000,
            "reversion": False,
        },
        {
            "name": "1.0",
            "manifest_digest": OTHER,
            "start_ts": 1_760_000_000,
            "is_manifest_list": True,
        },
    ],
    "page": 1,
    "has_additional": True,
}
HUB = {
    "count": 2,
    "next": "https://registry.example.com/v2/namespaces/acme/repositories/web/tags?page=2",
    "previous": None,
    "results": [
        {"name": "latest", "digest": DIGEST, "last_updated": TIME, "images": [{"size": 3}]},
        {"name": "1.0", "digest": None, "last_updated": "2026-01-30T09:30:00Z"},
    ],
}
GITLAB = [
    {"name": "latest", "digest": DIGEST, "published_at": TIME, "size_bytes": 3},
    {"name": "1.0", "digest": OTHER, "published_at": "2026-01-30T09:30:00.000Z"},
]
ACR = {
    "registry": "a.azurecr.io",
    "tags": [
        {"name": "latest", "digest": DIGEST, "lastUpdateTime": TIME},
        {"name": "1.0", "digest": OTHER, "lastUpdateTime": "2026-01-30T09:30:00.0000000Z"},
    ],
}
HARBOR = [
    {"name": "acme/web", "update_time": TIME, "pull_count": 3},
    {"name": "acme/db", "update_time": "2026-01-30T09:30:00.000Z"},
]
NEWEST = ((quay.API, QUAY), (docker_hub.API, HUB), (gitlab.API, GITLAB), (acr.API, ACR))

links = st.lists(st.one_of(st.just(""), texts(LINKS, LINK_WORDS, most=3)), max_size=4)
"""What stands in `Link` of the first pages."""


def walk(pages: Pages, fingerprint: bytes | None, *, reads_digests: bool) -> Any:
    """A walk's answer, or None for a refusal that is one of ours, in clean words."""

    def go() -> Any:
        first = pages.next(LIST)
        walking = list_tags(first, pages.source(), fingerprint, reads_digests=reads_digests)
        return finished(walking)

    return outcome_of(go, RegistryError)


@fuzzed(bodies=st.lists(json_bodies(LISTINGS), min_size=1, max_size=3), links=links,
        reads_digests=st.booleans())  # fmt: skip
def test_a_listing_holds_nothing_but_tags_each_once(
    bodies: list[bytes], links: list[str], reads_digests: bool
) -> None:
    pages = Pages(bodies, links)
    walked = walk(pages, None, reads_digests=reads_digests)
    assert {origin_of(url) for url in pages.urls} == {ORIGIN}
    if walked is None:
        return
    listing = walked.answer
    assert isinstance(listing, Listing)
    assert all(is_tag(tag) for tag in listing.tags)
    assert len(set(listing.tags)) == len(listing.tags)
    assert listing.pages == len(pages.urls)
    assert not listing.digests or listing.digests.keys() == set(listing.tags)
    assert all(is_digest(digest) for digest in listing.digests.values())
    again = walk(Pages(bodies, links), listing.fingerprint, reads_digests=reads_digests)
    assert isinstance(again.answer, Unchanged)
    assert again.answer.tells_digests == bool(listing.digests)


@fuzzed(bodies=st.lists(json_bodies(CATALOG), min_size=1, max_size=2), links=links)
def test_a_catalog_holds_nothing_but_names(bodies: list[bytes], links: list[str]) -> None:
    pages = Pages(bodies, links)
    names = outcome_of(
        lambda: finished(list_repositories(pages.next(LIST), pages.source())), RegistryError
    )
    assert all(is_repository_name(name) for name in names or ())


@fuzzed(bodies=st.lists(json_bodies(LISTINGS), min_size=1, max_size=3), links=links,
        target=texts(["/v2/acme/web/tags/list?last=1.0&n=100"], LINK_WORDS, most=2))  # fmt: skip
def test_the_tail_of_a_listing_holds_nothing_but_tags(
    bodies: list[bytes], links: list[str], target: str
) -> None:
    written = f"tail:{'0' * 32} 1.0 {target}"
    mark = TailMark.read(written, LIST)
    if mark is None:
        return
    assert TailMark.read(mark.written(), LIST) == mark
    pages = Pages(bodies, links)
    found = outcome_of(lambda: finished(look_at_tail(mark, pages.source(), ORIGIN)), RegistryError)
    assert {origin_of(url) for url in pages.urls} == {ORIGIN}
    if isinstance(found, Recent):
        assert all(is_tag(tag) for tag in found.digests)
        assert TailMark.read(found.mark, LIST) is not None


@fuzzed(body=json_bodies(LISTINGS), query=st.sampled_from(["", "?last=a", "?n=2&last=%2F"]))
def test_a_mark_of_a_page_can_be_read_again(body: bytes, query: str) -> None:
    page = answer(body, url=LIST + query)
    mark = outcome_of(lambda: mark_of(page, Pages([], []).source()), RegistryError)
    assert mark is None or TailMark.read(mark, LIST) is not None


def checked(api: Any, pages: Pages, since: Mark | None) -> None:
    """Read the pages as the watcher does, and check all that comes of it."""
    reading = Reading(since.since if since else None)
    url: str | None = api.first(ORIGIN, "acme/web")
    while url is not None:
        assert origin_of(url) == ORIGIN
        page = pages.next(url)
        url = reading.add(api.read(page, url), fingerprint_of(page.body))
    for tag, entry in reading.entries.items():
        assert is_tag(tag)
        assert entry.digest is None or is_digest(entry.digest)
        assert entry.at >= 0
    mark = reading.mark()
    assert Mark.read(mark.written(api), api) == mark
    meaning = judge(api, since, reading) if since is not None else None
    if meaning is not None:
        assert Mark.read(meaning.mark, api) is not None
        assert isinstance(meaning, Unchanged) or all(is_tag(tag) for tag in meaning.digests)


@fuzzed(examples=60,
        pair=st.sampled_from(NEWEST).flatmap(lambda one: st.tuples(st.just(one[0]), st.lists(
            json_bodies([one[1]], most=3), min_size=1, max_size=3))), links=links,
        since=st.none() | st.builds(Mark, st.integers(0, 2_000_000_000)))  # fmt: skip
def test_an_own_api_tells_tags_and_digests_or_is_refused_in_clean_words(
    pair: tuple[Any, list[bytes]], links: list[str], since: Mark | None
) -> None:
    api, bodies = pair
    outcome_of(lambda: checked(api, Pages(bodies, links), since), ValueError)


@fuzzed(body=json_bodies([HARBOR], most=3), link=texts(LINKS, LINK_WORDS, most=3),
        total=st.one_of(st.text(max_size=12), st.integers(-5, 10**12).map(str)))  # fmt: skip
def test_harbors_changes_are_repositories_or_refused_in_clean_words(
    body: bytes, link: str, total: str
) -> None:
    url = harbor.first(ORIGIN)
    page = outcome_of(
        lambda: harbor.read(
            answer(body, url=url, headers={"link": link, "x-total-count": total}), url
        ),
        ValueError,
    )
    if page is None:
        return
    assert all(is_repository_name(entry.repository) for entry in page.entries)
    assert page.total >= 0
    assert page.following is None or origin_of(page.following) == ORIGIN


@fuzzed(
    text=texts(["quay:1770000000 " + "0" * 32 + " - 12", "hub:1 - - -"], [":", " ", "-", "quay"])
)
def test_a_mark_is_read_as_it_was_written_or_not_at_all(text: str) -> None:
    for api, _ in NEWEST:
        mark = Mark.read(text, api)
        assert mark is None or Mark.read(mark.written(api), api) == mark


@fuzzed(version=texts(["v2.15.2-ab1c2d3e", "2.9.0", "v10.0.0"], [".", "v", "9" * 9, "-", "\n"]))
def test_a_version_of_harbor_is_compared_or_unknown(version: str) -> None:
    assert harbor.tells_changes(version) in (True, False)
    body = json.dumps({"harbor_version": version}).encode()
    told = harbor.read_version(answer(body))
    assert told is None or is_clean(told)


@fuzzed(examples=8, text=long_texts(['{"tags":[', '"a",', "[", "{", '"1":', "]", "}", "0", "\\"]))
def test_a_long_listing_costs_little(text: str) -> None:
    with busy_at_most():
        walked = walk(Pages([text.encode()], []), None, reads_digests=True)
    assert walked is None or walked.answer.pages == 1


@fuzzed(body=json_bodies([*LISTINGS, {"secret": SECRET}], most=2))
def test_an_error_about_a_listing_is_short_and_holds_no_secret(body: bytes) -> None:
    pages = Pages([body], [])
    try:
        finished(list_tags(pages.next(LIST), pages.source(), None))
    except RegistryError as error:
        said = error.message
    else:
        return
    assert HOST in said
    assert len(said) < 500
    assert SECRET not in said
