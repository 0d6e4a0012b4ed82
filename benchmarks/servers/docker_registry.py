"""Debian's docker-registry with repositories that were really pushed: the server of `once`.

It has no part in the choice of the other benchmarks: it is slower than what they measure.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.servers import PASSWORD, USER, Counts, Wanted
from tests.servers import RealRegistry, docker_registry

PROGRAMS = ("docker-registry", "skopeo", "htpasswd")


@dataclass(frozen=True, kw_only=True)
class DockerRegistry:
    """A running one. It does not tell how many connections it had."""

    words: str
    wanted: Wanted
    registry: RealRegistry

    @property
    def address(self) -> str:
        return self.registry.address

    @property
    def ca_file(self) -> Path | None:
        return self.registry.ca_file

    def counts(self) -> Counts:
        lines = self.registry.access_log()
        listings = sum("/tags/list" in line for line in lines)
        manifests = sum("/manifests/" in line for line in lines)
        return Counts(
            listings=listings,
            manifests=manifests,
            other=len(lines) - listings - manifests,
            refused=sum('" 401 ' in line for line in lines),
        )

    def push(self, repository: str, tag: str) -> None:
        self.registry.push(repository, tag)


def lacking() -> list[str]:
    """The programs that are not installed."""
    return [program for program in PROGRAMS if shutil.which(program) is None]


@contextmanager
def run(directory: Path, wanted: Wanted) -> Iterator[DockerRegistry]:
    """Run it until the block ends: one repository is pushed as a user would, the others are copies
    of it in the registry's own storage."""
    users = {USER: PASSWORD} if wanted.login else None
    with docker_registry(directory, users=users, tls=wanted.tls, access_log=True) as registry:
        first, *others = wanted.names
        for tag in wanted.tag_names:
            registry.push(first, tag)
        stored = directory / "data/docker/registry/v2/repositories"
        for name in others:
            shutil.copytree(stored / first, stored / name)
        transport = "TLS" if wanted.tls else "plain HTTP"
        words = f"docker-registry, {transport}, {'Basic' if wanted.login else 'no login'}"
        yield DockerRegistry(words=words, wanted=wanted, registry=registry)
