"""What to look at when a registry refuses a listing: the most common reasons, by kind of registry.

For the outcomes of polls, `validate --online` and `try`. Field facts: registries.md sections 1.5
and 2.1.
"""

from __future__ import annotations

from collections.abc import Mapping

from watcher.core.account import Account, DialectName
from watcher.errors import (
    AccessDenied,
    AuthenticationFailed,
    CredentialError,
    NotFound,
    RateLimited,
    RegistryError,
    TransportError,
    WatcherError,
)

HINTS: Mapping[DialectName, str] = {
    DialectName.DOCKER_HUB: (
        "Docker Hub answers 401 for a repository that does not exist, too; the password is best "
        "an access token"
    ),
    DialectName.GCR: (
        "the account needs the role artifactregistry.reader (roles/artifactregistry.reader) in "
        "the project; with a JSON key the user is _json_key"
    ),
    DialectName.ARTIFACT_REGISTRY: (
        "the account needs the role artifactregistry.reader (roles/artifactregistry.reader) on "
        "the repository; with a JSON key the user is _json_key"
    ),
    DialectName.ECR: (
        "the user is AWS, and `password_command` runs `aws ecr get-login-password --region "
        "REGION` with the region in the registry's name; the identity, or the repository's policy "
        "for another AWS account, has to allow ecr:ListImages and ecr:BatchGetImage"
    ),
    DialectName.ECR_PUBLIC: (
        "anonymous works for public repositories; else `password_command` runs `aws ecr-public "
        "get-login-password --region us-east-1`"
    ),
    DialectName.QUAY: (
        "a robot (organisation+name) needs the permission read on the repository; a user's "
        "password has to be the encrypted one"
    ),
    DialectName.GHCR: (
        "GHCR takes a classic personal access token with read:packages, or a GITHUB_TOKEN of "
        "Actions; fine-grained ones it refuses; the owner is in lower case"
    ),
    DialectName.ACR: (
        "it takes the admin user, a token whose scope map has content/read and metadata/read "
        "(metadata_read), or a service principal with AcrPull"
    ),
    DialectName.HARBOR: (
        "quote the `$` of a robot's name (single quotes, in the shell as in YAML: 'robot$name'); "
        "the robot has to list and to pull artifacts of the project"
    ),
    DialectName.GITLAB: (
        "the personal, project or deploy token needs the scope read_registry, and its user the "
        "role Reporter"
    ),
    DialectName.ARTIFACTORY: (
        "the path begins with the key of the Docker repository (KEY/image); official images of a "
        "remote one may be KEY/library/image; the user needs Read there"
    ),
    DialectName.NEXUS: (
        "each Docker repository has a port or a path of its own; the user needs "
        "nx-repository-view-docker-*-read and -browse, anonymous ones the Docker Bearer Token Realm"
    ),
}
"""A distribution registry has no reasons of its own."""


def hint_for(account: Account, error: WatcherError, kind: DialectName | None) -> str | None:
    """What to look at after this error of a poll. What is wrong with the password itself is known
    better by where it comes from."""
    if isinstance(error, CredentialError):
        return error.hint
    return listing_hint(account, error, kind) or error.hint


def catalog_hint(account: Account, error: WatcherError) -> str | None:
    """What to look at when no catalog could be read. Without an answer it is not the catalog that
    is missing."""
    if isinstance(error, TransportError | RateLimited) or not isinstance(error, RegistryError):
        return error.hint
    if "gcr.io" in account.registry.name:
        return "enable the Cloud Resource Manager API for the project, or list `repositories`"
    return "does this registry have a catalog? if not, list `repositories`"


def listing_hint(account: Account, error: WatcherError, kind: DialectName | None) -> str | None:
    """What to look at after this error of a listing."""
    source = account.credential
    own = HINTS.get(kind) if kind is not None else None
    if isinstance(error, AuthenticationFailed) and source.password is not None:
        return _joined(error.hint or "are there blanks or a newline around the password?", own)
    if isinstance(error, AuthenticationFailed | AccessDenied | NotFound):
        user = source.username or "the anonymous user"
        question = f"can {user} access this repository? Is its name complete (library/nginx)?"
        return _joined(question, own)
    return error.hint


def _joined(first: str, second: str | None) -> str:
    return first if second is None else f"{first} {second[0].upper()}{second[1:]}"
