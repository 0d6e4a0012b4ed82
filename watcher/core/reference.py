"""Registry, repository and reference names: parse, print back, Docker Hub's many spellings.

Grammar of the OCI distribution specification 1.1 ("Pulling manifests"). Everyone may import it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

DOCKER_HUB_API_HOST = "registry-1.docker.io"
DOCKER_HUB_NAME = "index.docker.io"
_DOCKER_HUB_SPELLINGS = frozenset({"docker.io", DOCKER_HUB_NAME, DOCKER_HUB_API_HOST})

_REPOSITORY = re.compile(
    r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"({_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:.]+\])(?::([0-9]{{1,5}}))?")
_FOUR_NUMBERS = re.compile(r"[0-9]+(?:\.[0-9]+){3}")
_LONGEST_HOST = 253
_LAST_PORT = 65535
MAXIMUM_REPOSITORY_LENGTH = 255


def is_repository_name(name: str) -> bool:
    return len(name) <= MAXIMUM_REPOSITORY_LENGTH and _REPOSITORY.fullmatch(name) is not None


def is_tag(tag: str) -> bool:
    return _TAG.fullmatch(tag) is not None


def is_digest(digest: str) -> bool:
    return _DIGEST.fullmatch(digest) is not None


def _is_host(text: str) -> bool:
    """Whether it is a host, with or without a port, that can be connected to."""
    found = _HOST.fullmatch(text)
    if found is None or len(found[1]) > _LONGEST_HOST:
        return False
    if found[2] is not None and not 0 < int(found[2]) <= _LAST_PORT:
        return False
    if found[1].startswith("["):
        return _is_ip_address(found[1][1:-1], version=6)
    return _FOUR_NUMBERS.fullmatch(found[1]) is None or _is_ip_address(found[1], version=4)


def _is_ip_address(text: str, *, version: int) -> bool:
    from ipaddress import ip_address

    try:
        return ip_address(text).version == version
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Registry:
    """A host that speaks the v2 API.

    `name` is how images are written (`index.docker.io`, `eu.gcr.io`, `localhost:5000`);
    `base_url` is where requests go, without a trailing slash (`https://registry-1.docker.io`).
    """

    name: str
    base_url: str

    @property
    def is_docker_hub(self) -> bool:
        return self.name == DOCKER_HUB_NAME

    @staticmethod
    def parse(address: str, *, plain_http: bool = False) -> Registry:
        """Read `host`, `host:port` or a URL (a trailing `/` or `/v2` is cut).

        Raises ValueError with a sentence for the user when the address can't be one.
        """
        text = address.strip()
        if "@" in text:
            raise ValueError(
                "a registry's address holds no user and no password; give them by `username` and "
                "a password source"
            )
        scheme, separator, rest = text.partition("://")
        if not separator:
            scheme, rest = "https", text
        if scheme not in ("http", "https"):
            said = repr(scheme)[1:-1]  # a control character must not get into a message as such
            raise ValueError(f"{address!r} starts with {said}://, not with http:// or https://")
        if scheme == "http" and not plain_http:
            raise ValueError(f"{address!r} is plain http; say so with `plain_http: true`")
        rest = rest.rstrip("/").removesuffix("/v2").rstrip("/")
        if not _is_host(rest):
            raise ValueError(f"{address!r} is not a registry host, host:port or URL")
        host = rest.lower()
        if host in _DOCKER_HUB_SPELLINGS:
            return Registry(DOCKER_HUB_NAME, f"https://{DOCKER_HUB_API_HOST}")
        return Registry(host, f"{'http' if plain_http else 'https'}://{host}")

    def canonical_repository(self, name: str) -> str:
        """The name inside this registry: Docker Hub's official images live under `library/`."""
        if self.is_docker_hub and "/" not in name:
            return f"library/{name}"
        return name


@dataclass(frozen=True, slots=True)
class Reference:
    """An image by name: `registry/repository`, with a tag, a digest, or both."""

    registry: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    @property
    def name(self) -> str:
        return f"{self.registry}/{self.repository}"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.name}{tag}{digest}"

    @staticmethod
    def parse(text: str) -> Reference:
        """Read an image as people write it; `nginx` is `index.docker.io/library/nginx`.

        Raises ValueError with a sentence for the user.
        """
        rest, at, digest = text.strip().partition("@")
        if at and not is_digest(digest):
            raise ValueError(f"{text!r}: {digest!r} is not a digest")
        head, slash, tail = rest.rpartition("/")
        last, colon, tag = tail.partition(":")
        path = f"{head}{slash}{last}"
        if colon and not is_tag(tag):
            raise ValueError(f"{text!r}: {tag!r} is not a tag")
        first, slash, remainder = path.partition("/")
        if slash and ("." in first or ":" in first or first == "localhost"):
            registry = Registry.parse(first)
            name = registry.canonical_repository(remainder)
        else:
            registry = Registry.parse(DOCKER_HUB_NAME)
            name = registry.canonical_repository(path)
        if not is_repository_name(name):
            raise ValueError(f"{text!r}: {name!r} is not a repository name")
        return Reference(registry.name, name, tag or None, digest or None)
