"""Every error that this program raises on purpose, sorted by what the caller can do.

    WatcherError                 message, hint, temporary, retry_after
    ├── ConfigError              all problems of a config, with file, line and key path (exit 2)
    ├── UsageError               a command or request asks for what may not be (exit 2)
    │   └── UnknownName          it names what does not exist
    ├── ListenError              the HTTP side can't have its address (exit 2)
    ├── StateError               the state file can't be used; it is never replaced by a new one
    │   ├── StateLocked          another process holds it (exit 3)
    │   ├── StateCorrupt         SQLite says that it is damaged
    │   ├── StateTooNew          a newer version of this program wrote it
    │   ├── StateUnwritable      read-only or full disk, missing directory, no permission
    │   └── StateChanged         another process recorded the repository meanwhile (temporary)
    ├── CredentialError          a password source failed; the account is at fault, not a repository
    ├── RegistryError            host, status; what a registry answered or failed to answer
    │   ├── AuthenticationFailed the credential was refused (the account)
    │   ├── AccessDenied         this repository is refused or does not exist for this account
    │   ├── NotFound             the repository or the manifest does not exist
    │   ├── RateLimited          429, or 503 with Retry-After; retry_after is capped at 24 h
    │   ├── ProtocolError        an answer that can't be believed (login page, wrong JSON or digest)
    │   ├── IncompleteListing    some page failed, looped, or went over a cap: nothing is known
    │   └── TransportError       no answer: DNS, refused, reset, time-out (temporary)
    │       ├── TlsError         certificate unknown, expired, or for another name
    │       └── ProxyError       the proxy refused (407) or can't be reached
    ├── ClusterError             a Kubernetes API server refused or failed; `fault` says how
    ├── RequestError             a call of somebody's URL can't be made: its URL, header or secret
    ├── NotifierError            a notifier refused a message, or can't be used
    ├── RenderError              an expression or a manifest could not be rendered; where and which
    └── StageError               a stage failed for good; a temporary one may be tried again

Imports nothing of this package. Messages never hold a secret: whoever raises redacts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class WatcherError(Exception):
    """What failed, in what, and what to do about it."""

    temporary = False

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        temporary: bool | None = None,
        retry_after: timedelta | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.retry_after = retry_after
        if temporary is not None:
            self.temporary = temporary

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong with the config: where it stands, and the nearest right thing."""

    file: str
    line: int
    path: str
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        where = f"{self.path}: " if self.path else ""
        advice = f" ({self.hint})" if self.hint else ""
        return f"{place}: {where}{self.message}{advice}"


class ConfigError(WatcherError):
    """The config can't be used; `problems` lists everything that is wrong with it."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class UsageError(WatcherError):
    """The command line, or a request of the API, asks for something that may not be."""


class UnknownName(UsageError):
    """It names an account, repository, trigger, run, event or message that does not exist."""


class ListenError(WatcherError):
    """The HTTP side can't have the address that the config gives it."""


class StateError(WatcherError):
    """The state file can't be used as it is."""


class StateLocked(StateError):
    """Another process holds the state file; the message names it."""


class StateCorrupt(StateError):
    """SQLite reports damage; the file is left as it is."""


class StateTooNew(StateError):
    """A newer version of this program wrote the state file."""


class StateUnwritable(StateError):
    """The state file can't be written: read-only, full disk, or no permission."""


class StateChanged(StateError):
    """What was to be recorded was computed from a state that is no longer there; look again."""

    temporary = True


class CredentialError(WatcherError):
    """A source of passwords failed: file, environment, command or docker config."""


_LONGEST_MESSAGE = 1000


class RegistryError(WatcherError):
    """A registry refused, or answered what can't be used. Messages may name what it named (hosts,
    schemes), so they are cut: it must not fill the log."""

    def __init__(
        self,
        message: str,
        *,
        host: str = "",
        status: int | None = None,
        hint: str | None = None,
        temporary: bool | None = None,
        retry_after: timedelta | None = None,
    ) -> None:
        if len(message) > _LONGEST_MESSAGE:
            message = f"{message[:_LONGEST_MESSAGE]}…"
        super().__init__(message, hint=hint, temporary=temporary, retry_after=retry_after)
        self.host = host
        self.status = status


class AuthenticationFailed(RegistryError):
    """The account's credential was refused, by the registry or by its token server."""


class AccessDenied(RegistryError):
    """This repository is refused, or does not exist for this account."""


class NotFound(RegistryError):
    """The repository or the manifest does not exist."""


class RateLimited(RegistryError):
    """The registry asks for patience; `retry_after` says how much (at most 24 h)."""

    temporary = True


class ProtocolError(RegistryError):
    """An answer that can't be believed: a login page, wrong JSON, a wrong digest."""


class IncompleteListing(RegistryError):
    """A listing whose pages failed, looped or went over a cap: nothing is known."""


class TransportError(RegistryError):
    """No answer: name not found, refused, reset, or too slow."""

    temporary = True


class TlsError(TransportError):
    """The certificate is unknown, expired, or for another name."""

    temporary = False


class ProxyError(TransportError):
    """The proxy refused the request or can't be reached."""


class ClusterFault(StrEnum):
    """What kind of no a Kubernetes API server gave; the caller acts on these, never on texts."""

    INVALID = "invalid"
    IMMUTABLE = "immutable"
    POLICY = "policy"
    UNAUTHORIZED = "unauthorized"
    ANONYMOUS = "anonymous"
    FORBIDDEN = "forbidden"
    QUOTA = "quota"
    NAMESPACE_TERMINATING = "namespace_terminating"
    NAMESPACE_MISSING = "namespace_missing"
    KIND_UNKNOWN = "kind_unknown"
    NOT_FOUND = "not_found"
    FIELD_CONFLICT = "field_conflict"
    VERSION_CONFLICT = "version_conflict"
    EXISTS = "exists"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    NOT_KUBERNETES = "not_kubernetes"
    CONFIGURATION = "configuration"


@dataclass(frozen=True, slots=True)
class FieldConflict:
    """A field that another manager owns with another value."""

    field: str
    manager: str


class ClusterError(WatcherError):
    """A Kubernetes API server refused a request, failed, or could not be reached.

    `about` names the object (`deployment.apps/web in namespace web`), or is empty. `temporary`
    says that the same request may pass later.
    """

    def __init__(
        self,
        message: str,
        *,
        fault: ClusterFault,
        about: str = "",
        status: int | None = None,
        conflicts: tuple[FieldConflict, ...] = (),
        hint: str | None = None,
        temporary: bool | None = None,
        retry_after: timedelta | None = None,
    ) -> None:
        super().__init__(message, hint=hint, temporary=temporary, retry_after=retry_after)
        self.fault = fault
        self.about = about
        self.status = status
        self.conflicts = conflicts

    def __str__(self) -> str:
        return f"{self.about}: {self.message}" if self.about else self.message


class RequestError(WatcherError):
    """A call of somebody's URL can't be made as it is; never says more of the URL than its host."""


class NotifierError(WatcherError):
    """A notifier refused a message or can't be used; a temporary one may take it later."""


class RenderError(WatcherError):
    """An expression or manifest could not be rendered; says file, document, path and expression."""


class StageError(WatcherError):
    """A stage failed; when `temporary`, its retries may try again."""
