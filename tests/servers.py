"""Real servers for tests: Debian's docker-registry on a free loopback port, and skopeo as a user.

A test takes the fixture `start_registry` (from tests/registry/conftest.py or its own import) and
calls it with what it needs: nothing, users for htpasswd, TLS. Deleting is always enabled. Where
the programs are missing the test is skipped, and says what to install.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.registry.certificates import Authority
from watcher.testing.images import Image, single

PACKAGES = {
    "docker-registry": "docker-registry",
    "htpasswd": "apache2-utils",
    "skopeo": "skopeo",
    "docker-credential-pass": "golang-docker-credential-helpers",
    "pass": "pass",
    "gpg": "gnupg",
    "gpgconf": "gnupg",
    "nginx": "nginx-light",
    "tinyproxy": "tinyproxy-bin",
    "stunnel4": "stunnel4",
    "promtool": "prometheus",
}
STARTS_WITHIN = 20.0
STOPS_WITHIN = 10.0


def need(*programs: str) -> None:
    """Skip the test, with the reason, where one of these programs is not installed; where
    TESTS_REQUIRE_REGISTRY is set, as .ci/run does, that is a failure."""
    for program in programs:
        if shutil.which(program) is None:
            reason = f"{program} is not installed (apt-get install {PACKAGES[program]})"
            if os.environ.get("TESTS_REQUIRE_REGISTRY"):
                pytest.fail(reason)
            pytest.skip(reason)


@dataclass(frozen=True, kw_only=True)
class RealRegistry:
    """A running docker-registry. `address` is host:port; `ca_file` is set where it speaks TLS with
    a certificate that was made for it."""

    address: str
    directory: Path
    process: subprocess.Popen[bytes]
    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca_file: Path | None = None
    is_tls: bool = False

    @property
    def url(self) -> str:
        return f"{'https' if self.is_tls else 'http'}://{self.address}"

    def push(self, repository: str, tag: str, image: Image | None = None) -> str:
        """Push an image as a user would, with skopeo; gives its digest. Without one, a tiny image
        that depends on repository and tag."""
        image = image or single(f"{repository}:{tag}".encode())
        layout = self.directory / "layouts" / image.top.digest.partition(":")[2][:16]
        write_layout(layout, image)
        self._skopeo(
            "copy", "--all", "--quiet", "--preserve-digests", *self._flags("dest-"),
            f"oci:{layout}:image", self._name(repository, tag),
        )  # fmt: skip
        return image.top.digest

    def retag(self, repository: str, tag: str, other: str) -> None:
        """Give the image of a tag another tag, too."""
        self._skopeo(
            "copy", "--all", "--quiet", "--preserve-digests",
            *self._flags("src-"), *self._flags("dest-"),
            self._name(repository, tag), self._name(repository, other),
        )  # fmt: skip

    def access_log(self) -> list[str]:
        """One line per request so far, where `access_log` was asked for."""
        return (self.directory / "access.log").read_text().splitlines()

    def errors(self) -> str:
        """What it wrote to its log so far; failed TLS handshakes are among that."""
        return (self.directory / "registry.log").read_text()

    def delete(self, repository: str, tag: str) -> None:
        """Delete the manifest that a tag names (and with it every tag of the manifest)."""
        self._skopeo("delete", *self._flags(""), self._name(repository, tag))

    def _name(self, repository: str, tag: str) -> str:
        return f"docker://{self.address}/{repository}:{tag}"

    def _flags(self, side: str) -> list[str]:
        flags = [f"--{side}tls-verify=false"]
        for user, password in self.users.items():
            flags += [f"--{side}creds", f"{user}:{password}"]
            break
        return flags

    def _skopeo(self, *arguments: str) -> None:
        need("skopeo")
        command = ["skopeo", "--insecure-policy", "--tmpdir", str(self.directory), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr


def write_layout(directory: Path, image: Image) -> None:
    """Write an image as an OCI layout, whose one entry is called `image`."""
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    contents = [image.top.body, *(child.body for child in image.children), *image.blobs.values()]
    digests = [image.top.digest, *(child.digest for child in image.children), *image.blobs]
    for digest, content in zip(digests, contents, strict=True):
        (blobs / digest.partition(":")[2]).write_bytes(content)
    entry = {
        "mediaType": image.top.media_type,
        "size": len(image.top.body),
        "digest": image.top.digest,
        "annotations": {"org.opencontainers.image.ref.name": "image"},
    }
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))


@contextmanager
def docker_registry(
    directory: Path,
    *,
    users: Mapping[str, str] | None = None,
    tls: bool = False,
    notify: str | None = None,
    access_log: bool = False,
    certificates: Mapping[str, Any] | None = None,
    data: Path | None = None,
) -> Iterator[RealRegistry]:
    """Run docker-registry with its data in `directory`, until the block ends.

    users: names and passwords for htpasswd. tls: with a certificate for 127.0.0.1. notify: a URL
    that gets its notifications. access_log: keep a line per request. certificates: its own
    section `http.tls`, in place of `tls`. data: the images of another registry.
    """
    need("docker-registry")
    directory.mkdir(parents=True, exist_ok=True)
    port = free_port()
    authority = Authority(directory, now=datetime.now(UTC)) if tls else None
    config = directory / "config.yml"
    document = _config(directory, port, users, authority, notify, access_log)
    if certificates is not None:
        document["http"]["tls"] = dict(certificates)
    if data is not None:
        document["storage"]["filesystem"]["rootdirectory"] = str(data)
    config.write_text(json.dumps(document))
    with (
        (directory / "registry.log").open("wb") as log,
        (directory / "access.log").open("wb") as requests,
    ):
        process = subprocess.Popen(
            ["docker-registry", "serve", str(config)], stdout=requests, stderr=log
        )
    try:
        wait_until_open(process, port, directory / "registry.log")
        yield RealRegistry(
            address=f"127.0.0.1:{port}",
            directory=directory,
            process=process,
            users=users or {},
            ca_file=authority.certificate if authority else None,
            is_tls=tls or certificates is not None,
        )
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a server that the test started, and wait for it."""
    process.terminate()
    try:
        process.wait(STOPS_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


StartRegistry = Callable[..., RealRegistry]


@pytest.fixture
def start_registry(tmp_path: Path) -> Iterator[StartRegistry]:
    """Starts real registries as `docker_registry` does; they end with the test."""
    with ExitStack() as running:

        def start(**settings: Any) -> RealRegistry:
            directory = tmp_path / f"registry-{free_port()}"
            return running.enter_context(docker_registry(directory, **settings))

        yield start


def _config(
    directory: Path,
    port: int,
    users: Mapping[str, str] | None,
    authority: Authority | None,
    notify: str | None,
    access_log: bool,
) -> dict[str, Any]:
    http: dict[str, Any] = {"addr": f"127.0.0.1:{port}", "secret": "for-tests-only"}
    config: dict[str, Any] = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": not access_log}},
        "storage": {
            "filesystem": {"rootdirectory": str(directory / "data")},
            "delete": {"enabled": True},
        },
        "http": http,
    }
    if authority is not None:
        certificate = str(authority.issue("127.0.0.1"))
        http["tls"] = {"certificate": certificate, "key": certificate}
    if users:
        path = _htpasswd(directory, users)
        config["auth"] = {"htpasswd": {"realm": "Test registry", "path": str(path)}}
    if notify is not None:
        endpoint = {"name": "test", "url": notify, "timeout": "1s", "threshold": 5, "backoff": "1s"}
        config["notifications"] = {"endpoints": [endpoint]}
    return config


def _htpasswd(directory: Path, users: Mapping[str, str]) -> Path:
    need("htpasswd")
    lines = []
    for user, password in users.items():
        command = ["htpasswd", "-Bbn", user, password]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
        lines.append(done.stdout.strip())
    path = directory / "htpasswd"
    path.write_text("\n".join(lines) + "\n")
    return path


def wait_until_open(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait until a server that was started listens; what it logged is told when it never does."""
    deadline = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < deadline:
        assert process.poll() is None, f"{process.args!r} ended: {log.read_text()}"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError(f"{process.args!r} did not start: {log.read_text()}")
