"""The fake registry of the tests in a process of its own: when nothing faster is there, and for
registries in trouble, which the fast ones can't be.

It is Python as well and takes about as much CPU as what is measured, so wall times with it are
those of both. `python -m benchmarks.servers.fake` runs it; the address is its first line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.servers import PASSWORD, USER, Counts, Kind, Wanted
from benchmarks.servers.admin import Admin
from tests.registry.certificates import Authority
from watcher.testing.access import BearerAuth, NoAuth
from watcher.testing.faults import Action, Fault, Hold, Match, Respond, Transform
from watcher.testing.records import Kind as RequestKind
from watcher.testing.records import Route
from watcher.testing.registry import FakeRegistry
from watcher.testing.wire import Request, Response

TROUBLED = "trouble/"
"""What the names of repositories in trouble begin with."""
TROUBLES = ("hanging", "storm", "huge")
_HUGE_TAGS = 50_000
_FOR_EVER = 3600.0


@dataclass(frozen=True, kw_only=True)
class Fake:
    """A running one."""

    words: str
    address: str
    ca_file: Path | None
    wanted: Wanted
    admin: Admin

    def counts(self) -> Counts:
        told = self.admin.ask("stats")
        requests = dict(told["requests"])
        return Counts(
            listings=requests.pop("tags", 0),
            manifests=requests.pop("manifest", 0),
            tokens=requests.pop("token", 0),
            other=sum(requests.values()),
            connections=told["connections"] - self.admin.connections,
            refused=told["statuses"].get("401", 0),
        )

    def push(self, repository: str, tag: str) -> None:
        self.admin.ask("push", "POST", repository=repository, tag=tag)


@contextmanager
def run(
    program: str, directory: Path, wanted: Wanted, *, trouble: str = "", troubled: int = 0
) -> Iterator[Fake]:
    """Run it on a free port until the block ends, with so many repositories in trouble beside the
    healthy ones."""
    authority = Authority(directory, now=datetime.now(UTC)) if wanted.tls else None
    command = [
        program, "-m", "benchmarks.servers.fake", "--repositories", str(wanted.repositories),
        "--tags", str(wanted.tags), "--latency", str(wanted.latency),
        "--troubled", str(troubled), "--trouble", trouble,
    ]  # fmt: skip
    if authority is not None:
        command += ["--certificate", str(authority.issue("127.0.0.1"))]
    if wanted.login:
        command += ["--user", f"{USER}:{PASSWORD}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            ca_file = authority.certificate if authority else None
            admin = Admin(address, ca_file)
            yield Fake(
                words=", ".join(_words(wanted)),
                address=address,
                ca_file=ca_file,
                wanted=wanted,
                admin=admin,
            )
            admin.close()
        finally:
            process.terminate()


def troubled_names(count: int) -> tuple[str, ...]:
    return tuple(f"{TROUBLED}app-{number:05}" for number in range(count))


def _words(wanted: Wanted) -> Iterator[str]:
    yield "the fake registry of the tests (Python)"
    yield "TLS" if wanted.tls else "plain HTTP"
    yield "Bearer tokens" if wanted.login else "no login"
    yield f"{wanted.latency:g} ms latency"


@dataclass(frozen=True, slots=True, kw_only=True)
class InTrouble(Match):
    """Requests for the tags of repositories in trouble."""

    def meets(self, request: Request, where: Route) -> bool:
        return where.kind is RequestKind.TAGS and where.repository.startswith(TROUBLED)


class Healthy(InTrouble):
    """All other requests."""

    def meets(self, request: Request, where: Route) -> bool:
        return not InTrouble.meets(self, request, where)


class Huge:
    """A new listing of many tags in each answer, so that each has to be read and compared."""

    def __init__(self) -> None:
        tags = [f"build-{number:06}-{'x' * 80}" for number in range(_HUGE_TAGS)]
        self._bodies = [
            json.dumps({"name": "huge", "tags": part}).encode() for part in (tags, tags[:-1])
        ]

    def __call__(self, request: Request, true: Response) -> Response:
        if true.status != 200:
            return true  # a challenge
        self._bodies.reverse()
        return Response(200, (("Content-Type", "application/json"),), self._bodies[0])


def _action(trouble: str) -> Action:
    match trouble:
        case "hanging":
            return Hold(until=_FOR_EVER)
        case "storm":
            return Respond(429, (("Retry-After", "1"),))
        case _:
            return Transform(function=Huge())


async def _serve(arguments: argparse.Namespace) -> None:
    tls = None
    if arguments.certificate:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(arguments.certificate)
    name, _, password = arguments.user.partition(":")
    auth = BearerAuth(users={name: password}) if name else NoAuth()
    wanted = Wanted(repositories=arguments.repositories, tags=arguments.tags)
    async with FakeRegistry(auth=auth, tls=tls, keeps=0) as registry:
        registry.seed([*wanted.names, *troubled_names(arguments.troubled)], wanted.tag_names)
        if arguments.trouble:
            registry.fault(Fault(match=InTrouble(), action=_action(arguments.trouble)))
        if arguments.latency:
            registry.fault(Fault(match=Healthy(), action=Hold(until=arguments.latency / 1000)))
        sys.stdout.write(f"{registry.address}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.servers.fake")
    parser.add_argument("--repositories", type=int, default=0)
    parser.add_argument("--tags", type=int, default=100)
    parser.add_argument("--latency", type=float, default=0.0, help="ms")
    parser.add_argument("--user", default="", help="NAME:PASSWORD; asks for Bearer tokens")
    parser.add_argument("--certificate", help="PEM file with key and certificate")
    parser.add_argument("--troubled", type=int, default=0)
    parser.add_argument("--trouble", choices=("", *TROUBLES), default="")
    return parser


KIND = Kind("fake", lambda: sys.executable, run)

if __name__ == "__main__":
    asyncio.run(_serve(_parser().parse_args()))
