"""The programs that the watcher is measured beside: Diun, and loops of crane and skopeo.

Diun's config is that of its documentation (docs/config, docs/providers/file.md of v4): no schedule,
so `serve` is one check. `DIUN=` names the binary; crane and skopeo are taken from PATH.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring import Command, Cost, cost, environment
from benchmarks.servers import PASSWORD, USER, Counts, Server
from tests.servers import free_port

WORKERS = 10  # Diun's default


@dataclass(frozen=True, slots=True, kw_only=True)
class Diun:
    """One Diun with its database. `watches`: all tags of each repository, or the first one."""

    command: Command
    given: Mapping[str, str]
    server: Server
    images: int

    def check(self) -> tuple[Cost, Counts]:
        """One check of all images. Raises RuntimeError when it did not look at each of them: Diun
        itself ends well even then."""
        before = self.server.counts()
        taken = cost([self.command], self.given)
        gained = self.server.counts().since(before)
        if gained.manifests < self.images:
            raise RuntimeError(
                f"Diun asked for {gained.manifests} manifests of {self.images} images; "
                f"run {' '.join(self.command)} by hand"
            )
        return taken, gained


def diun_program() -> str | None:
    """The binary that DIUN= names."""
    return os.environ.get("DIUN") or None


def diun(
    program: str, directory: Path, server: Server, names: Sequence[str], *, whole: bool = False
) -> Diun:
    """Write Diun's configs into `directory`; the first check will fill its database.

    whole: watch every tag of each repository.
    """
    directory.mkdir()
    tags = server.wanted.tag_names
    images = [{"name": f"{server.address}/{name}:{tags[0]}", "watch_repo": whole} for name in names]
    listed = directory / "images.yml"
    listed.write_text(json.dumps(images))
    registry: dict[str, object] = {"name": server.address, "selector": "image"}
    if server.wanted.login:
        registry |= {"username": USER, "password": PASSWORD}
    if server.ca_file is None:
        registry["insecureTLS"] = True
    config = {
        "db": {"path": str(directory / "diun.db")},
        "watch": {"workers": WORKERS},
        "regopts": [registry],
        "providers": {"file": {"filename": str(listed)}},
    }
    path = directory / "diun.yml"
    path.write_text(json.dumps(config))
    command = [
        program, "serve", "--config", str(path), "--log-level", "error",
        "--grpc-authority", f"127.0.0.1:{free_port()}",
    ]  # fmt: skip
    given = environment()
    if server.ca_file is not None:
        given["SSL_CERT_FILE"] = str(server.ca_file)
    count = len(names) * (len(tags) if whole else 1)
    return Diun(command=command, given=given, server=server, images=count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """One program called for each repository, as a cron job has it."""

    name: str
    commands: Sequence[Command]
    given: Mapping[str, str]

    def run(self) -> Cost:
        return cost(self.commands, self.given)


def loops(directory: Path, server: Server, names: Sequence[str]) -> list[Loop]:
    """Of the programs that are installed."""
    makers = {"skopeo": skopeo, "crane": crane}
    return [make(directory, server, names) for name, make in makers.items() if shutil.which(name)]


def skopeo(directory: Path, server: Server, names: Sequence[str]) -> Loop:
    """Calls of `skopeo list-tags`."""
    flags = ["--tls-verify=false"]
    if server.ca_file is not None:
        certificates = directory / "certificates"
        certificates.mkdir(exist_ok=True)
        shutil.copy(server.ca_file, certificates / "ca.crt")
        flags = ["--cert-dir", str(certificates)]
    if server.wanted.login:
        flags += ["--creds", f"{USER}:{PASSWORD}"]
    commands = [
        ["skopeo", "list-tags", *flags, f"docker://{server.address}/{name}"] for name in names
    ]
    return Loop(name="skopeo list-tags", commands=commands, given=environment())


def crane(directory: Path, server: Server, names: Sequence[str]) -> Loop:
    """Calls of `crane ls`, which takes its login from docker's config."""
    place = directory / "docker"
    place.mkdir(exist_ok=True)
    secret = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    logins = {server.address: {"auth": secret}} if server.wanted.login else {}
    (place / "config.json").write_text(json.dumps({"auths": logins}))
    given = environment(DOCKER_CONFIG=str(place))
    flags = ["--insecure"]
    if server.ca_file is not None:
        given["SSL_CERT_FILE"] = str(server.ca_file)
        flags = []
    commands = [["crane", "ls", *flags, f"{server.address}/{name}"] for name in names]
    return Loop(name="crane ls", commands=commands, given=given)
