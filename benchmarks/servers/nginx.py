"""nginx over generated files: one per listing, and one image that every tag names.

For whoever has no fakereg. It lacks Bearer tokens (Basic instead, so a pass has no token requests),
added latency, moved tags (all have the same digest) and paging (`n` is not looked at). Requests
and connections are counted in its access log.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.servers import PASSWORD, USER, Counts, Kind, Server, Wanted
from tests.registry.certificates import Authority
from tests.servers import free_port

_STARTS_WITHIN = 20.0
_LOGS_WITHIN = 5.0
_MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_IMAGE_CONFIG = {
    "architecture": "amd64",
    "os": "linux",
    "created": "2026-01-01T00:00:00Z",
    "rootfs": {"type": "layers", "diff_ids": []},
}
_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")

# One process as the user who started it: workers of another user could not read the files.
_CONFIG = """
daemon off; master_process off; pid {place}/nginx.pid; error_log {place}/error.log;
worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
  {temporary}
  log_format counted '$connection $status $uri';
  access_log {place}/access.log counted;
  keepalive_requests 100000000; keepalive_timeout 1h; open_file_cache max=50000;
  open_file_cache_valid 1s; tcp_nodelay on; default_type application/json;
  server {{
    listen {address}{tls}; root {place}/files;
    {certificate}
    {login}
    add_header Docker-Distribution-Api-Version registry/2.0 always;
    location = /v2/ {{ try_files /ping.json =404; }}
    location ~ ^/v2/.+/manifests/ {{
      default_type {manifest_type}; add_header Docker-Content-Digest {digest};
      try_files /manifest.json =404;
    }}
    location ~ ^/v2/.+/blobs/ {{ try_files /config.json =404; }}
  }}
  server {{ listen unix:{place}/marks.sock; return 204; }}
}}
"""


@dataclass(slots=True)
class AccessLog:
    """Counts what the log has gained at each look. An answer may arrive before its line is written:
    a request to `marks`, which is not counted, has its line after all of those before."""

    path: Path
    marks: Path
    read: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    connections: set[bytes] = field(default_factory=set)

    looks: int = 0

    def look(self) -> Counts:
        self.looks += 1
        mark = f"/mark-{self.looks}"
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.marks))
            connection.sendall(f"GET {mark} HTTP/1.0\r\n\r\n".encode())
            while connection.recv(4096):
                pass
        for line in self._lines_until(f" {mark}\n".encode()):
            connection_number, status, path = line.split(b" ", 2)
            self.connections.add(connection_number)
            self.kinds[_kind(path)] += 1
            self.kinds["refused"] += status == b"401"
        return Counts(
            listings=self.kinds["listing"],
            manifests=self.kinds["manifest"],
            other=self.kinds["other"],
            connections=len(self.connections),
            refused=self.kinds["refused"],
        )

    def _lines_until(self, end: bytes) -> list[bytes]:
        deadline = time.monotonic() + _LOGS_WITHIN
        data = b""
        with self.path.open("rb") as log:
            log.seek(self.read)
            while not data.endswith(end):
                if time.monotonic() > deadline:
                    raise RuntimeError(f"nginx writes nothing to {self.path}")
                data += log.read()
        self.read += len(data)
        return data.splitlines()[:-1]


def _kind(path: bytes) -> str:
    if path.endswith(b"/tags/list"):
        return "listing"
    return "manifest" if b"/manifests/" in path else "other"


@dataclass(frozen=True, kw_only=True)
class Nginx:
    """A running one."""

    words: str
    address: str
    ca_file: Path | None
    wanted: Wanted
    files: Path
    log: AccessLog

    def counts(self) -> Counts:
        return self.log.look()

    def push(self, repository: str, tag: str) -> None:
        place = self.files / "v2" / repository / "tags" / "list"
        tags = json.loads(place.read_bytes())["tags"]
        if tag not in tags:
            draft = place.with_name("draft")
            draft.write_bytes(_listing(repository, [*tags, tag]))
            draft.replace(place)


@contextmanager
def run(program: str, directory: Path, wanted: Wanted) -> Iterator[Server]:
    """Write the files and run it on a free port until the block ends."""
    address = f"127.0.0.1:{free_port()}"
    files = directory / "files"
    digest = _write_files(files, wanted)
    authority = Authority(directory, now=datetime.now(UTC)) if wanted.tls else None
    config = directory / "nginx.conf"
    config.write_text(_config(directory, address, digest, authority, wanted))
    (directory / "access.log").touch()
    command = [program, "-c", str(config), "-e", str(directory / "error.log")]
    with subprocess.Popen(command) as process:
        try:
            _wait_until_open(process, address, directory / "error.log")
            login = "Basic" if wanted.login else "no login"
            words = f"nginx, {'TLS' if wanted.tls else 'plain HTTP'}, {login}, no latency"
            yield Nginx(
                words=words,
                address=address,
                ca_file=authority.certificate if authority else None,
                wanted=wanted,
                files=files,
                log=AccessLog(directory / "access.log", directory / "marks.sock"),
            )
        finally:
            process.terminate()


def _config(
    directory: Path, address: str, digest: str, authority: Authority | None, wanted: Wanted
) -> str:
    certificate = login = ""
    if authority is not None:
        pem = authority.issue("127.0.0.1")
        certificate = f"ssl_certificate {pem}; ssl_certificate_key {pem};"
    if wanted.login:
        users = directory / "users"
        users.write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n")  # a hash would be what is measured
        login = f'auth_basic "bench"; auth_basic_user_file {users};'
    return _CONFIG.format(
        place=directory,
        address=address,
        tls=" ssl http2" if wanted.tls else "",
        certificate=certificate,
        login=login,
        digest=digest,
        manifest_type=_MANIFEST_TYPE,
        temporary=" ".join(f"{name}_temp_path {directory}/{name};" for name in _TEMPORARY),
    )


def _write_files(files: Path, wanted: Wanted) -> str:
    """The digest of the one image."""
    for name in wanted.names:
        place = files / "v2" / name / "tags"
        place.mkdir(parents=True)
        (place / "list").write_bytes(_listing(name, sorted(wanted.tag_names)))
    config = json.dumps(_IMAGE_CONFIG).encode()
    described = {"mediaType": _CONFIG_TYPE, "digest": _digest(config), "size": len(config)}
    manifest = {"schemaVersion": 2, "mediaType": _MANIFEST_TYPE, "config": described, "layers": []}
    body = json.dumps(manifest).encode()
    (files / "ping.json").write_bytes(b"{}")
    (files / "config.json").write_bytes(config)
    (files / "manifest.json").write_bytes(body)
    return _digest(body)


def _listing(name: str, tags: list[str]) -> bytes:
    return json.dumps({"name": name, "tags": tags}, separators=(",", ":")).encode()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _wait_until_open(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    host, _, port = address.partition(":")
    deadline = time.monotonic() + _STARTS_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex((host, int(port))) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError(f"nginx did not start: {log.read_text() if log.exists() else ''}")


def _find() -> str | None:
    return shutil.which("nginx") or shutil.which("/usr/sbin/nginx")


KIND = Kind("nginx", _find, run, has_latency=False, has_moves=False)
