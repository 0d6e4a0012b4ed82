"""What is particular about each kind of registry, as data: one Dialect per kind.

A registry of the world is known by its host; one of the house is recognised by asking
(recognition.py) or named by the account's `dialect`. What a registry does not say of itself is
here, and nowhere else a host's name decides anything. field facts: registries.md section 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import NamedTuple

from watcher.core.account import DialectName

MINUTE = 60.0


class Login(StrEnum):
    """What is sent before anything was asked for."""

    CHALLENGED = "challenged"
    BASIC = "basic"
    GITHUB_TOKEN = "github_token"  # noqa: S105 - the name of a way, not a secret


class NativeApi(StrEnum):
    """A registry's own API that tells more in one request than v2 does."""

    DOCKER_HUB = "docker-hub"
    QUAY = "quay"
    GITLAB = "gitlab"
    ACR = "acr"
    HARBOR = "harbor"


class HourlyQuota(NamedTuple):
    """How many requests an hour a registry allows, and whose words these are."""

    requests: float
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """The facts of one kind of registry; the defaults are those of the specification.

    name: None for a registry that is not recognised.
    hosts: patterns of the names that images are written with.
    extra_actions: what a listing's token needs beside `pull`.
    has_catalog_scope: whether `registry:catalog:*` may be asked for.
    scopes_per_token: for how many repositories one token may be asked at once.
    largest_page: the largest `n`; None: the account's own.
    tells_manifests: `tags/list` carries a map of all manifests with their tags.
    appends: `tags/list` is in the order of the first push, new tags come last.
    native_url: where the native API is when not on the registry's own origin.
    requests_per_second: the pace of a host over HTTP/1.1, over HTTP/2, and of its native API.
    token_seconds: how long tokens usually last.
    token_host: the token server's host, `""` for the registry's own; None: any.
    get_is_pull: a GET of a manifest counts against a quota of pulls, a HEAD does not.
    """

    name: DialectName | None = None
    hosts: tuple[str, ...] = ()
    login: Login = Login.CHALLENGED
    extra_actions: tuple[str, ...] = ()
    has_catalog_scope: bool = True
    scopes_per_token: int = 1
    largest_page: int | None = None
    tells_manifests: bool = False
    appends: bool = False
    native: NativeApi | None = None
    native_url: str | None = None
    http2: bool = False
    requests_per_second: float | None = None
    http2_requests_per_second: float | None = None
    native_requests_per_second: float | None = None
    quota: HourlyQuota | None = None
    token_seconds: float = 300.0
    token_host: str | None = None
    get_is_pull: bool = False


PLAIN = Dialect()
"""A registry that nothing particular is known of."""

_GOOGLE_QUOTA = HourlyQuota(60_000 * MINUTE, "60000 requests a minute, region and project")

QUIRKS: tuple[Dialect, ...] = (
    Dialect(
        name=DialectName.DOCKER_HUB,
        hosts=("index.docker.io",),
        scopes_per_token=20,
        native=NativeApi.DOCKER_HUB,
        native_url="https://hub.docker.com",
        requests_per_second=10,
        native_requests_per_second=2,  # 180 a minute
        quota=HourlyQuota(
            60_000, "abuse limit, some 1000 a minute; listings and HEAD are no pulls"
        ),
        token_host="auth.docker.io",  # noqa: S106
        get_is_pull=True,
    ),
    Dialect(
        name=DialectName.GCR,
        hosts=("gcr.io", "*.gcr.io"),
        tells_manifests=True,
        quota=_GOOGLE_QUOTA,
        token_seconds=3600,
        token_host="",
    ),
    Dialect(
        name=DialectName.ARTIFACT_REGISTRY,
        hosts=("*-docker.pkg.dev",),
        tells_manifests=True,
        quota=_GOOGLE_QUOTA,
        token_seconds=3600,
        token_host="",
    ),
    Dialect(
        name=DialectName.ECR,
        hosts=(
            "*.dkr.ecr.*.amazonaws.com",
            "*.dkr.ecr.*.amazonaws.com.cn",
            "*.dkr.ecr-fips.*.amazonaws.com",
            "*.dkr-ecr.*.on.aws",
            "*.dkr-ecr-fips.*.on.aws",
        ),
        login=Login.BASIC,
        largest_page=1000,
    ),
    Dialect(
        name=DialectName.ECR_PUBLIC,
        hosts=("public.ecr.aws",),
        largest_page=1000,
        token_host="",
    ),
    Dialect(
        name=DialectName.QUAY,
        hosts=("quay.io",),
        has_catalog_scope=False,
        largest_page=100,
        native=NativeApi.QUAY,
        http2=True,
        requests_per_second=4,  # 5 listings a second and address
        http2_requests_per_second=40,  # 50 a second and connection
        quota=HourlyQuota(50 * 3600.0, "50 listings a second over HTTP/2, 5 without it"),
        token_seconds=3600,
        token_host="",
    ),
    Dialect(
        name=DialectName.GHCR,
        hosts=("ghcr.io",),
        login=Login.GITHUB_TOKEN,
        largest_page=1000,
        appends=True,
        quota=HourlyQuota(44_000 * MINUTE, "44000 reads a minute"),
        token_host="",
    ),
    Dialect(
        name=DialectName.ACR,
        hosts=("*.azurecr.io", "*.azurecr.cn", "*.azurecr.us"),
        login=Login.BASIC,
        extra_actions=("metadata_read",),
        largest_page=1000,
        native=NativeApi.ACR,
        quota=HourlyQuota(1000 * MINUTE, "1000 reads a minute (Basic)"),
        token_seconds=4500,
        token_host="",
    ),
    Dialect(
        name=DialectName.HARBOR,
        login=Login.BASIC,
        native=NativeApi.HARBOR,
        token_seconds=1800,
    ),
    Dialect(
        name=DialectName.GITLAB,
        hosts=("registry.gitlab.com",),
        largest_page=1000,
        native=NativeApi.GITLAB,
        token_seconds=300,
        token_host="gitlab.com",  # noqa: S106
    ),
    Dialect(name=DialectName.ARTIFACTORY, login=Login.BASIC),
    Dialect(name=DialectName.NEXUS, login=Login.BASIC),
    Dialect(name=DialectName.DISTRIBUTION),
)


def by_host(registry: str) -> Dialect | None:
    """The dialect of a registry that is known by its name (`quay.io`); None for all others."""
    for dialect in QUIRKS:
        if any(fnmatchcase(registry, pattern) for pattern in dialect.hosts):
            return dialect
    return None


def named(name: DialectName) -> Dialect:
    return next(dialect for dialect in QUIRKS if dialect.name is name)


@lru_cache(maxsize=1024)
def dialect_of(registry: str, said: DialectName | None, recognised: DialectName | None) -> Dialect:
    """What the account says, else what the host's name says, else what was recognised."""
    if said is not None:
        return named(said)
    known = by_host(registry)
    if known is not None:
        return known
    return named(recognised) if recognised is not None else PLAIN
