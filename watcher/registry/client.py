"""The registry client: complete tag listings, digests, manifests, labels, the catalog.

One per account, for any number of polls at once; connections, tokens and what was learned about
the host are kept between them. Errors are those of watcher/errors.py. OCI distribution 1.1.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Collection, Mapping

from watcher.core.account import Account, CredentialProvider
from watcher.core.oci import ACCEPT, Manifest, digest_of, is_content_of, parse_object, strings
from watcher.core.reference import is_digest, is_repository_name, is_tag
from watcher.errors import ProtocolError
from watcher.http_client import Connections, HttpSettings
from watcher.registry.answer import Answer
from watcher.registry.auth import RegistryAuth, Step
from watcher.registry.bodies import CONFIG_CAP, GOOGLE_PAGE_CAP, MANIFEST_CAP, PAGE_CAP
from watcher.registry.catalog import chosen, read_catalog_file
from watcher.registry.limits import HostLimits, Priority
from watcher.registry.listing import (
    Bounds,
    Listing,
    Recent,
    Seen,
    Unchanged,
    list_repositories,
    list_tags,
)
from watcher.registry.logins import Logins
from watcher.registry.realms import Guard, Resolve, resolve_by_system
from watcher.registry.session import Session
from watcher.registry.token_server import CATALOG_SCOPE, TokenServer
from watcher.registry.wire import Ask, Wire

__all__ = ["Listing", "RegistryClient", "Unchanged"]

SMALL_PAGE = 100
MAXIMUM_PAGE = 100_000
MAXIMUM_INDEX_DEPTH = 4
_MANIFEST_ACCEPT = ACCEPT.encode("ascii")
_OTHER_PAGE_SIZE = frozenset({400, 405})
_NO_HEAD_HERE = frozenset({400, 405, 501})


class RegistryClient:
    """Reads one registry with one account."""

    def __init__(
        self,
        account: Account,
        credentials: CredentialProvider,
        *,
        hosts: HostLimits,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        resolve: Resolve = resolve_by_system,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        registry = account.registry
        self._account = account
        self._registry = registry
        self._host = registry.name
        self._base = f"{registry.base_url}/v2/"
        lane = self._lane = hosts.lane(account)
        self._connections = Connections(
            HttpSettings.of(account),
            environment=environment,
            http2=lambda: lane.dialect.http2,
        )
        self._facts = lane.facts
        guard = Guard(
            registry,
            resolve=resolve,
            pin=self._connections.pin,
            is_proxied=lambda origin: self._connections.proxy_for(origin) is not None,
        )
        wire = Wire(account, self._connections, lane, guard, sleep)
        logins = Logins(registry, credentials, server=TokenServer(wire), guard=guard, clock=clock)
        self._auth = RegistryAuth(account, logins, lane)
        self._session = Session(registry.base_url, wire, self._auth)

    def expect(self, names: Collection[str]) -> None:
        """The repositories that will be looked at: the account's, whenever these change. Where a
        registry takes it so, they share tokens."""
        usable = (name for name in names if is_repository_name(name))
        self._auth.expect(frozenset(self._repository(name)[1] for name in usable))

    async def look(
        self, repository: str, seen: Seen, priority: Priority = Priority.SCHEDULED
    ) -> Listing | Unchanged | Recent:
        """What became of a repository since it was seen, by the strategy that is cheapest.

        Raises the RegistryError tree; never gives a part of what it promises.
        """
        return await self.list_tags(repository, fingerprint=seen.fingerprint)

    async def list_tags(
        self, repository: str, *, fingerprint: bytes | None = None
    ) -> Listing | Unchanged:
        """All tags, or Unchanged when the pages' bytes have the fingerprint of an earlier Listing.

        Raises the RegistryError tree; never gives a part of the tags.
        """
        what = f"repository {repository}"
        path, scope = self._repository(repository)

        async def fetch(url: str) -> Answer:
            return await self._page(url, what, scope)

        bounds = Bounds(host=self._host, what=what, maximum_pages=self._account.limits.max_pages)
        return await list_tags(fetch, f"{path}/tags/list", bounds, fingerprint)

    async def head(self, repository: str, tag: str, priority: Priority = Priority.SCHEDULED) -> str:
        """The digest that a tag has now, by HEAD; by GET where a host has no HEAD, unless a GET
        counts as a pull there."""
        if self._facts.refuses_head:
            return (await self.manifest(repository, tag)).digest
        ask = self._manifest_ask(repository, tag, "HEAD")._replace(priority=priority)
        answer, sent = await self._session.ask(ask)
        digest = answer.headers.get("docker-content-digest")
        if answer.status == 200 and digest:
            return self._checked(digest, ask)
        if answer.status != 200 and answer.status not in _NO_HEAD_HERE:
            raise self._session.error(ask, answer, sent)
        if self._lane.dialect.get_is_pull:
            raise ProtocolError(f"{self._host} told no digest of {ask.what}", host=self._host)
        manifest = await self.manifest(repository, tag)
        self._facts.refuses_head = True
        return manifest.digest

    async def manifest(self, repository: str, reference: str) -> Manifest:
        """A manifest or index by tag or digest, its bytes verified against the digest."""
        ask = self._manifest_ask(repository, reference, "GET")
        answer = await self._session.get(ask)
        told = answer.headers.get("docker-content-digest")
        if is_digest(reference):
            digest = reference
        else:
            digest = self._checked(told, ask) if told else digest_of(answer.body)
        try:
            return Manifest.parse(answer.body, answer.headers.get("content-type", ""), digest)
        except ValueError as error:
            raise ProtocolError(
                f"{self._host} sent no manifest for {ask.what}: {error}", host=self._host
            ) from error

    async def labels(self, repository: str, digest: str) -> dict[str, str]:
        """The labels of an image; of an index, those of its linux/amd64 image or its first."""
        manifest = await self.manifest(repository, digest)
        for _ in range(MAXIMUM_INDEX_DEPTH):
            if not manifest.is_index:
                break
            manifest = await self.manifest(repository, self._image_of(manifest, repository))
        if manifest.is_index or manifest.config is None:
            return {}
        document = await self._config(repository, manifest.config.digest)
        config = document.get("config")
        return strings(config.get("Labels")) if isinstance(config, dict) else {}

    async def catalog(self) -> tuple[str, ...]:
        """The repositories that the account's `catalog` discovers: the registry's own list (all
        pages or an error) or the file's, after include and skip."""
        catalog = self._account.catalog
        if catalog is None:
            return ()
        if catalog.file is not None:
            return chosen(catalog, read_catalog_file(catalog.file))
        # Quay answers an empty catalog to who has not logged in; so log in first where we can.
        await self._session.learn_login()

        async def fetch(url: str) -> Answer:
            return await self._page(url, "the catalog", CATALOG_SCOPE)

        bounds = Bounds(
            host=self._host, what="the catalog", maximum_pages=self._account.limits.max_pages
        )
        return chosen(catalog, await list_repositories(fetch, f"{self._base}_catalog", bounds))

    async def aclose(self) -> None:
        """Close the idle connections; to be called after the last poll ended."""
        await self._connections.aclose()

    async def _page(self, url: str, what: str, scope: str) -> Answer:
        """One page; the first (without a query) in the largest size that the host takes."""
        sizes = (0,) if "?" in url else self._page_sizes()
        steps: set[Step] = set()
        cap = GOOGLE_PAGE_CAP if self._lane.dialect.tells_manifests else PAGE_CAP
        for size in sizes:
            ask = Ask(
                url=f"{url}?n={size}" if size else url,
                what=what,
                cap=cap,
                scope=scope,
                compressed=True,
            )
            answer, sent = await self._session.ask(ask, steps)
            if answer.status == 200:
                if size != sizes[0]:
                    self._facts.page_size = size
                return answer
            if answer.status not in _OTHER_PAGE_SIZE:
                break
        raise self._session.error(ask, answer, sent)

    def _page_sizes(self) -> tuple[int, ...]:
        """What to ask for, in turn: the account's size, a small one, the host's own (0)."""
        largest = self._lane.dialect.largest_page
        wanted = min(self._account.limits.page_size, largest or MAXIMUM_PAGE)
        learned = self._facts.page_size
        sizes = dict.fromkeys((wanted, min(wanted, SMALL_PAGE), 0))
        return tuple(size for size in sizes if learned is None or size <= learned)

    def _repository(self, name: str) -> tuple[str, str]:
        """URL (up to the name) and pull scope of a repository that is safe to put into both."""
        if not is_repository_name(name):
            raise ProtocolError(f"{name!r} is not a repository name", host=self._host)
        canonical = self._registry.canonical_repository(name)
        return f"{self._base}{canonical}", f"repository:{canonical}:pull"

    def _manifest_ask(self, repository: str, reference: str, method: str) -> Ask:
        path, scope = self._repository(repository)
        if not is_tag(reference) and not is_digest(reference):
            raise ProtocolError(f"{reference!r} is no tag and no digest", host=self._host)
        separator = "@" if is_digest(reference) else ":"
        return Ask(
            url=f"{path}/manifests/{reference}",
            what=f"{repository}{separator}{reference}",
            cap=MANIFEST_CAP,
            scope=scope,
            method=method,
            accept=_MANIFEST_ACCEPT,
        )

    async def _config(self, repository: str, digest: str) -> dict[str, object]:
        path, scope = self._repository(repository)
        what = f"{repository}@{digest}"
        ask = Ask(
            url=f"{path}/blobs/{digest}", what=what, cap=CONFIG_CAP, scope=scope, accept=b"*/*"
        )
        body = (await self._session.get(ask)).body
        if not is_content_of(body, digest):
            raise ProtocolError(f"{self._host} sent other content for {what}", host=self._host)
        try:
            return parse_object(body)
        except ValueError as error:
            raise ProtocolError(
                f"{self._host} sent no image configuration for {what}: {error}", host=self._host
            ) from error

    def _image_of(self, index: Manifest, repository: str) -> str:
        images = [c for c in index.children if str(c.platform or "") != "unknown/unknown"]
        if not images:
            raise ProtocolError(
                f"the index {repository}@{index.digest} names no image", host=self._host
            )
        usual = (c for c in images if str(c.platform or "").startswith("linux/amd64"))
        return next(usual, images[0]).digest

    def _checked(self, digest: str, ask: Ask) -> str:
        if not is_digest(digest):
            raise ProtocolError(
                f"{self._host} told a digest of {ask.what} that is none", host=self._host
            )
        return digest
