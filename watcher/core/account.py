"""An account: one credential for one registry, and the repositories that it watches.

Plain frozen values, made by `config` and read by everything above. A Credential's repr hides
the secret, so that no log line or traceback can show it (SPEC 3.1).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, Protocol

from watcher.core.reference import Registry


@dataclass(frozen=True, slots=True)
class Credential:
    """What is sent to the registry: a user with a password, or docker's identity token."""

    username: str | None = None
    password: str | None = field(default=None, repr=False)
    identity_token: str | None = field(default=None, repr=False)

    @property
    def is_anonymous(self) -> bool:
        return self.password is None and self.identity_token is None


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialSource:
    """Where the credential comes from; at most one of the password sources is set (SPEC 3.1)."""

    username: str | None = None
    password: str | None = field(default=None, repr=False)
    password_file: Path | None = None
    password_env: str | None = None
    password_command: str | tuple[str, ...] | None = None
    password_ttl: timedelta = timedelta(hours=1)
    password_timeout: timedelta = timedelta(seconds=30)
    docker_config: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """Discovery by the registry's `_catalog`; `include` is an RE2 pattern, full match."""

    include: str | None = None
    skip: tuple[str, ...] = ()
    refresh: timedelta = timedelta(minutes=10)
    file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PollSchedule:
    """When repositories are polled: every so often, or by a cron expression in a time zone."""

    every: timedelta | None = timedelta(seconds=60)
    cron: str | None = None
    timezone: str = "UTC"
    jitter: timedelta | None = None


class DigestTracking(StrEnum):
    """Which tags' digests are looked up on each poll (SPEC 3.1 `track_digests`)."""

    AUTO = "auto"
    ALL = "all"
    OFF = "off"


class DialectName(StrEnum):
    """Kinds of registries that differ in what they answer (registry/quirks.py)."""

    DOCKER_HUB = "docker-hub"
    GCR = "gcr"
    ARTIFACT_REGISTRY = "artifact-registry"
    ECR = "ecr"
    ECR_PUBLIC = "ecr-public"
    QUAY = "quay"
    GHCR = "ghcr"
    ACR = "acr"
    HARBOR = "harbor"
    GITLAB = "gitlab"
    ARTIFACTORY = "artifactory"
    NEXUS = "nexus"
    DISTRIBUTION = "distribution"


class Strategy(StrEnum):
    """How a repository is looked at: by v2 alone, by the registry's own API, or as is cheapest."""

    AUTO = "auto"
    V2 = "v2"
    NATIVE = "native"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """TLS settings; they hold for the token server too."""

    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    insecure_skip_verify: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """`total` bounds one repository's whole poll; the others one connect or one read."""

    connect: timedelta = timedelta(seconds=10)
    read: timedelta = timedelta(seconds=30)
    total: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How hard an account may press its registry. `scopes_per_token` None: as its kind allows."""

    concurrency: int = 8
    requests_per_second: float | None = None
    page_size: int = 1000
    max_pages: int = 1000
    scopes_per_token: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One credential for one registry (SPEC 3.1). `dialect` and `http2` None: found out. `audit`:
    the longest time until a tag that looks like a fixed version is looked at again."""

    name: str
    registry: Registry
    credential: CredentialSource = CredentialSource()
    repositories: tuple[str, ...] = ()
    catalog: Catalog | None = None
    poll: PollSchedule = PollSchedule()
    track_digests: DigestTracking = DigestTracking.AUTO
    audit: timedelta = timedelta(hours=6)
    dialect: DialectName | None = None
    strategy: Strategy = Strategy.AUTO
    http2: bool | None = None
    tls: Tls = Tls()
    proxy: str | None = field(default=None, repr=False)
    timeouts: Timeouts = Timeouts()
    limits: Limits = Limits()
    hold_above: int = 50
    stale_after: timedelta | None = None
    include_artifacts: bool = False
    webhooks: bool = True


class CredentialStanding(NamedTuple):
    """How an account's credential fares. `since`: when this process first had it (epoch seconds),
    None when it is anonymous. `is_refused`: the registry did not take it when it was tried last;
    `is_unavailable`: its source gave none."""

    since: float | None
    is_refused: bool
    is_unavailable: bool


class CredentialProvider(Protocol):
    """The one door to an account's credential; made by `credentials`, used by `registry`."""

    async def get(self) -> Credential:
        """The credential to send now; raises CredentialError."""
        ...

    async def renew(self, refused: Credential) -> Credential:
        """What to send after a 400, 401 or 403 on `refused`: the source is read or run again, at
        most once a minute. May be the same credential; raises CredentialError."""
        ...
