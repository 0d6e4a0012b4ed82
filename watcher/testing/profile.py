"""What a kind of registry does differently, as one record: a Profile of the fake registry.

The fourteen that exist stand in `watcher.testing.profiles`. Imported by the fake registry; a
test may change one with `dataclasses.replace`.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from watcher.testing.access import Auth, BasicAuth, BearerAuth, NoAuth
from watcher.testing.limits import RateLimit
from watcher.testing.native.call import NativeApi
from watcher.testing.paging import Paging
from watcher.testing.records import Kind, Route
from watcher.testing.wire import Headers


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One kind of registry.

    auth: without users and what is public: those are an instance's own.
    catalog: how the catalog is paged; None: there is none (404).
    quiet_catalog: it is empty for those who did not log in (Quay).
    headers: on every answer; `{version}` is filled in.
    version: what it says of itself where it does; an instance may have another.
    list_type: the Content-Type of tag lists (ECR: text/plain).
    manifest_etag: manifests have an ETag and If-None-Match is honoured.
    list_etag: so do tag lists (none of the known ones).
    tells_manifests: tag lists have Google's `manifest` and `child`.
    odd_tags: entries that stand at the end of each tag list and are no tags.
    lists_digests: each manifest's digest stands among the tags, in two forms (Artifactory).
    missing_head_status: the answer to HEAD of an unknown manifest (Artifactory: 403).
    native: its own API, at the same origin.
    limits: its own limits as they were seen; none is in force unless a test asks for one.
    closes: it closes the connection after these (Quay, HTTP/1.1).
    """

    name: str = "plain"
    auth: Auth = field(default_factory=NoAuth)
    paging: Paging = field(default_factory=Paging)
    catalog: Paging | None = field(default_factory=Paging)
    quiet_catalog: bool = False
    headers: Headers = ()
    version: str = ""
    list_type: str = "application/json"
    manifest_etag: bool = True
    list_etag: bool = False
    tells_manifests: bool = False
    odd_tags: tuple[str | None, ...] = ()
    lists_digests: bool = False
    missing_head_status: int = 404
    native: NativeApi | None = None
    limits: tuple[RateLimit, ...] = ()
    closes: frozenset[Kind] = frozenset()

    def route_native(self, path: str) -> Route | None:
        """What a path is for in its own API; None: it is none of that API's."""
        return None if self.native is None else self.native.route(path)

    def limit_like(self, limit: RateLimit) -> RateLimit:
        """A test's limit, completed by the own one that concerns the same kinds of request."""
        own = next((one for one in self.limits if _meet(one.kinds, limit.kinds)), None)
        return limit.completed(own)


def auth_of(
    profile: Profile,
    users: Mapping[str, str],
    public: AbstractSet[str],
    admins: AbstractSet[str] | None,
) -> Auth:
    """The profile's settings for these users. Without any user everyone reads everything.

    public: what may be read without a user. admins: who may list all; None keeps the profile's.
    """
    auth = profile.auth
    if isinstance(auth, BasicAuth):
        return replace(auth, users=users) if users else NoAuth()
    if not isinstance(auth, BearerAuth):
        return auth
    if not users:
        return replace(auth, basic_realm=None)  # nobody could answer that challenge
    changed = replace(auth, users=users, public=frozenset(public))
    return changed if admins is None else replace(changed, admins=frozenset(admins))


def _meet(own: AbstractSet[Kind] | None, wanted: AbstractSet[Kind] | None) -> bool:
    return own is None or wanted is None or bool(own & wanted)
