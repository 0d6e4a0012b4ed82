"""The registry client: complete tag listings, digests, manifests, labels, the catalog.

One per account, for any number of polls at once; connections, tokens and what was learned about
the host are kept between them. Errors are those of watcher/errors.py. OCI distribution 1.1.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Collection, Mapping

from watcher.core.account import Account, CredentialProvider, CredentialStanding, DialectName
from watcher.core.host import Counts, Recognition
from watcher.core.oci import ACCEPT, Manifest, digest_of, is_content_of, parse_object, strings
from watcher.core.reference import is_digest, is_repository_name, is_tag
from watcher.errors import ProtocolError
from watcher.http_client import Connections, HttpSettings
from watcher.registry.bodies import CONFIG_CAP, MANIFEST_CAP
from watcher.registry.budgets.limits import HostLimits, Priority
from watcher.registry.listing.catalog import chosen, read_catalog_file
from watcher.registry.listing.lists import Lists, Repository
from watcher.registry.listing.tags import Listing, Recent, Seen, Unchanged
from watcher.registry.login.auth import RegistryAuth
from watcher.registry.login.logins import Logins
from watcher.registry.login.token_server import CATALOG_SCOPE, TokenServer
from watcher.registry.looking import Looker
from watcher.registry.native.asking import NativeClient
from watcher.registry.quirks import by_host
from watcher.registry.realms import Guard, Resolve, resolve_by_system
from watcher.registry.recognition import Recogniser
from watcher.registry.session import Session
from watcher.registry.wire import Ask, Wire
from watcher.telemetry.meter import UNMEASURED, Meter

__all__ = ["Listing", "RegistryClient", "Unchanged"]

MAXIMUM_INDEX_DEPTH = 4
_MANIFEST_ACCEPT = ACCEPT.encode("ascii")
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
        meter: Meter = UNMEASURED,
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
        wire = Wire(account, self._connections, lane, guard, sleep, meter)
        logins = self._logins = Logins(
            registry, credentials, server=TokenServer(wire), guard=guard, clock=clock
        )
        self._auth = RegistryAuth(account, logins, lane)
        self._session = Session(registry.base_url, wire, self._auth)
        self._lists = Lists(account, self._session, lane)
        self._native = NativeClient(account, wire, self._session, logins, lane)
        self._looker = Looker(account, self._lists, self._native, lane)
        self._recogniser = Recogniser(wire)

    @property
    def parked_until(self) -> float | None:
        """Until when (epoch seconds) nothing can be asked, since the registry or its token server
        asked for patience; None when something can."""
        return self._lane.parked_until

    @property
    def credential_standing(self) -> CredentialStanding:
        """How the account's credential fares, as of its last use."""
        return self._logins.standing

    @property
    def kind(self) -> DialectName | None:
        """What kind of registry it is, as far as is known now."""
        return self._lane.dialect.name

    def expect(self, names: Collection[str]) -> None:
        """The repositories that will be looked at: the account's, whenever these change. Where a
        registry takes it so, they share tokens, or one list of what changed."""
        usable = [self._repository(name) for name in names if is_repository_name(name)]
        self._auth.expect(frozenset(repository.scope for repository in usable))
        self._looker.expect(frozenset(repository.name for repository in usable))

    async def look(
        self, repository: str, seen: Seen, priority: Priority = Priority.SCHEDULED
    ) -> Listing | Unchanged | Recent:
        """What became of a repository since it was seen, by the strategy that is cheapest.

        Raises the RegistryError tree; never gives a part of what it promises.
        """
        return await self._looker.look(self._repository(repository, priority), seen)

    def strategy_of(self, repository: str, seen: Seen) -> str:
        """How a look would be taken, without asking anything: `v2`, `tail`, `native (Quay)` ..."""
        return self._looker.strategy_of(seen)

    def take_notes(self) -> tuple[str, ...]:
        """Sentences on why v2 is asked where another way was chosen; each is said once."""
        return self._native.standing.take_notes()

    @property
    def needs_recognition(self) -> bool:
        """Whether it is time to find out what kind of registry this is: nobody said, its name does
        not tell, and within a day it was not found out."""
        if self._account.dialect is not None or by_host(self._host) is not None:
            return False
        return self._recogniser.is_needed(self._facts.recognition)

    async def recognise(self) -> Recognition | None:
        """Ask the host what kind of registry it is, without any credential; None when it gave no
        good answer. What is found holds from now on, for all accounts of the host."""
        found = await self._recogniser.recognise()
        last = self._facts.recognition
        self._facts.recognition = found or self._recogniser.postponed(last)
        return found

    async def list_tags(
        self, repository: str, *, fingerprint: bytes | None = None
    ) -> Listing | Unchanged:
        """All tags, or Unchanged when the pages' bytes have the fingerprint of an earlier Listing.

        Raises the RegistryError tree; never gives a part of the tags.
        """
        return (await self._lists.tags(self._repository(repository), fingerprint)).answer

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
        answer, sent = await self._session.get(ask)
        told = answer.headers.get("docker-content-digest")
        if is_digest(reference):
            digest = reference
        else:
            digest = self._checked(told, ask) if told else digest_of(answer.body)
        try:
            manifest = Manifest.parse(answer.body, answer.headers.get("content-type", ""), digest)
            if told is None and not is_digest(reference) and not manifest.says_that_it_is_one:
                raise ValueError("it does not say that it is one")
        except ValueError as error:
            what = f"no manifest for {ask.what}: {error}"
            raise self._session.unusable(answer, sent, what) from error
        return manifest

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
        names = await self._lists.repositories(f"{self._base}_catalog", CATALOG_SCOPE)
        return chosen(catalog, names)

    async def aclose(self) -> None:
        """Close the idle connections; to be called after the last poll ended."""
        await self._connections.aclose()

    def _repository(self, name: str, priority: Priority = Priority.SCHEDULED) -> Repository:
        """A repository by names that are safe to put into URLs and scopes."""
        if not is_repository_name(name):
            raise ProtocolError(f"{name!r} is not a repository name", host=self._host)
        canonical = self._registry.canonical_repository(name)
        return Repository(
            name=canonical,
            what=f"repository {name}",
            url=f"{self._base}{canonical}",
            scope=f"repository:{canonical}:pull",
            priority=priority,
        )

    def _manifest_ask(self, repository: str, reference: str, method: str) -> Ask:
        place = self._repository(repository)
        if not is_tag(reference) and not is_digest(reference):
            raise ProtocolError(f"{reference!r} is no tag and no digest", host=self._host)
        separator = "@" if is_digest(reference) else ":"
        return Ask(
            url=f"{place.url}/manifests/{reference}",
            what=f"{repository}{separator}{reference}",
            cap=MANIFEST_CAP,
            scope=place.scope,
            method=method,
            accept=_MANIFEST_ACCEPT,
            counts=Counts.PULLS if method == "GET" else Counts.REQUESTS,
        )

    async def _config(self, repository: str, digest: str) -> dict[str, object]:
        place = self._repository(repository)
        what = f"{repository}@{digest}"
        url = f"{place.url}/blobs/{digest}"
        ask = Ask(url=url, what=what, cap=CONFIG_CAP, scope=place.scope, accept=b"*/*")
        answer, sent = await self._session.get(ask)
        if not is_content_of(answer.body, digest):
            raise self._session.unusable(answer, sent, f"other content for {what}")
        try:
            return parse_object(answer.body)
        except ValueError as error:
            what = f"no image configuration for {what}: {error}"
            raise self._session.unusable(answer, sent, what) from error

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
