"""fakereg: a synthetic registry in one Go file, which answers from memory and is not what limits.

TLS, Bearer tokens, latency, pushes and moves; counts requests by kind. HTTP/1.1 and HTTP/2.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.servers import PASSWORD, USER, Counts, Kind, Server, Wanted
from benchmarks.servers.admin import Admin
from tests.servers import free_port

_STARTS_WITHIN = 20.0
_OTHER = ("ping", "catalog", "blob")


@dataclass(frozen=True, kw_only=True)
class Fakereg:
    """A running one."""

    words: str
    address: str
    ca_file: Path | None
    wanted: Wanted
    admin: Admin

    def counts(self) -> Counts:
        told = self.admin.ask("stats")
        return Counts(
            listings=told["tags"],
            manifests=told["manifest_head"] + told["manifest_get"],
            tokens=told["token"],
            other=sum(told[kind] for kind in _OTHER),
            connections=told["connections"] - self.admin.connections,
            refused=told["unauthorized"],
        )

    def push(self, repository: str, tag: str) -> None:
        self.admin.ask("push", "POST", repo=repository, tag=tag)


@contextmanager
def run(program: str, directory: Path, wanted: Wanted) -> Iterator[Server]:
    """Run it on a free port until the block ends."""
    address = f"127.0.0.1:{free_port()}"
    certificate = directory / "ca.pem"
    command = [
        program, "-repos", str(wanted.repositories), "-tags", str(wanted.tags),
        "-latency", f"{wanted.latency:g}", "-cert-out", str(certificate),
        "-addr", "" if wanted.tls else address, "-tls-addr", address if wanted.tls else "",
    ]  # fmt: skip
    if wanted.login:
        command += ["-auth", "-user", f"{USER}:{PASSWORD}"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            if wanted.tls:
                _wait_for(certificate, process)
            ca_file = certificate if wanted.tls else None
            admin = Admin(address, ca_file)
            admin.wait()
            words = ", ".join(_words(wanted))
            yield Fakereg(words=words, address=address, ca_file=ca_file, wanted=wanted, admin=admin)
            admin.close()
        finally:
            process.terminate()


def _words(wanted: Wanted) -> Iterator[str]:
    yield "fakereg"
    yield "TLS" if wanted.tls else "plain HTTP"
    yield "Bearer tokens for 300 s" if wanted.login else "no login"
    yield f"{wanted.latency:g} ms latency"


def _wait_for(certificate: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _STARTS_WITHIN
    while not (certificate.exists() and certificate.stat().st_size):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("fakereg did not start")
        time.sleep(0.02)


def _find() -> str | None:
    return os.environ.get("FAKEREG") or shutil.which("fakereg")


KIND = Kind("fakereg", _find, run)
