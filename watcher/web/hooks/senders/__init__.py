"""The senders of webhooks: what each one's payload says, one module each, in one table.

Every module has `read(body, headers)`, pure: a Message, or Malformed. Header names are lower case.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from watcher.core.account import DialectName
from watcher.core.hint import Sender
from watcher.web.hooks.message import Message
from watcher.web.hooks.senders import (
    acr,
    distribution,
    docker_hub,
    dtr,
    ecr,
    gcr,
    generic,
    github,
    gitlab,
    harbor,
    quay,
)

Headers = Mapping[str, str]
_DISTRIBUTIONS = frozenset(
    {
        DialectName.DISTRIBUTION,
        DialectName.HARBOR,
        DialectName.GITLAB,
        DialectName.NEXUS,
        DialectName.ARTIFACTORY,
    }
)

_TAG_SECONDS = 0.1
"""docker-registry calls when it has the manifest, and only then writes the tag."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A sender with its reader. `signature`: the header in which it signs the body with HMAC;
    None where it does not."""

    sender: Sender
    read: Callable[[bytes, Headers], Message]
    signature: str | None = None


def _kinds(*kinds: Kind) -> Mapping[str, Kind]:
    return {kind.sender.name: kind for kind in kinds}


KINDS: Mapping[str, Kind] = _kinds(
    Kind(
        sender=Sender(name="dockerhub", kinds=frozenset({DialectName.DOCKER_HUB})),
        read=docker_hub.read,
    ),
    Kind(
        sender=Sender(name="quay", kinds=frozenset({DialectName.QUAY}), has_aliases=True),
        read=quay.read,
    ),
    Kind(
        sender=Sender(name="harbor", kinds=frozenset({DialectName.HARBOR}), has_aliases=True),
        read=harbor.read,
    ),
    Kind(
        sender=Sender(
            name="distribution",
            kinds=_DISTRIBUTIONS,
            has_aliases=True,
            repeats=True,
            settles=_TAG_SECONDS,
        ),
        read=distribution.read,
    ),
    Kind(
        sender=Sender(name="github", kinds=frozenset({DialectName.GHCR})),
        read=github.read,
        signature="x-hub-signature-256",
    ),
    Kind(
        sender=Sender(
            name="gitlab",
            kinds=frozenset({DialectName.GITLAB, DialectName.DISTRIBUTION}),
            has_aliases=True,
            repeats=True,
            settles=_TAG_SECONDS,
        ),
        read=gitlab.read,
    ),
    Kind(
        sender=Sender(
            name="acr", kinds=frozenset({DialectName.ACR}), has_aliases=True, repeats=True
        ),
        read=acr.read,
    ),
    Kind(
        sender=Sender(
            name="gcr",
            kinds=frozenset({DialectName.GCR, DialectName.ARTIFACT_REGISTRY}),
            repeats=True,
        ),
        read=gcr.read,
    ),
    Kind(
        sender=Sender(
            name="ecr", kinds=frozenset({DialectName.ECR}), has_aliases=True, repeats=True
        ),
        read=ecr.read,
    ),
    Kind(
        sender=Sender(name="dtr", kinds=frozenset({DialectName.DISTRIBUTION}), has_aliases=True),
        read=dtr.read,
    ),
    Kind(
        sender=Sender(name="generic"),
        read=generic.read,
        signature="x-watcher-signature-256",
    ),
)

ALIASES: Mapping[str, str] = {"msr": "dtr"}
"""Other names of a sender in the URL: Docker Trusted Registry is Mirantis Secure Registry now."""


def kind_named(name: str) -> Kind | None:
    return KINDS.get(ALIASES.get(name, name))


_USUAL: Mapping[DialectName | None, str] = {
    DialectName.DOCKER_HUB: "dockerhub",
    DialectName.QUAY: "quay",
    DialectName.HARBOR: "harbor",
    DialectName.GHCR: "github",
    DialectName.GITLAB: "gitlab",
    DialectName.ACR: "acr",
    DialectName.GCR: "gcr",
    DialectName.ARTIFACT_REGISTRY: "gcr",
    DialectName.ECR: "ecr",
    DialectName.DISTRIBUTION: "distribution",
    None: "distribution",
}


def usual_sender(kind: DialectName | None) -> str:
    """Who sends for a registry of a kind; `generic` where the registry has no webhooks that are
    known here, so that something else has to call."""
    return _USUAL.get(kind, "generic")
