"""Debian's nginx, tinyproxy and stunnel on free loopback ports, and what they wrote down.

Used by the tests of this directory only. Each server runs in the foreground, from a config file
in a directory of its own, and ends with its block by its own process handle.
"""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers import RealRegistry, free_port, need, stop, wait_until_open
from tests.system.watching import wait_until

_NGINX = """\
daemon off;
master_process off;
pid nginx.pid;
events {{ worker_connections 256; }}
http {{
    client_body_temp_path body;
    proxy_temp_path proxied;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    log_format tests '$server_port $connection $server_protocol $request_method $request_uri'
                     ' $status $http_host $ssl_server_name';
    access_log access.log tests;
    server {{ listen 127.0.0.1:{fence}; return 204; }}
{servers}
}}
"""


class Tail:
    """The lines of a log that are written from now on."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._start = log.stat().st_size if log.exists() else 0

    def lines(self) -> list[str]:
        with self._log.open("rb") as log:
            log.seek(self._start)
            return log.read().decode().splitlines()

    def wait_for(self, count: int) -> list[str]:
        """The lines once there are so many; a server may log after it has answered."""
        return wait_until(
            lambda: found if len(found := self.lines()) >= count else [], f"{count} lines logged"
        )


@dataclass(frozen=True)
class Request:
    """One line of nginx's access log."""

    port: int
    connection: int
    protocol: str
    method: str
    path: str
    status: int
    host: str
    server_name: str

    @staticmethod
    def of(line: str) -> Request:
        port, connection, protocol, method, path, status, host, name = line.split(" ")
        return Request(int(port), int(connection), protocol, method, path, int(status), host, name)


@dataclass(frozen=True)
class Nginx:
    """A running nginx; at `fence` it answers nothing, but writes that down."""

    fence: int
    log: Path

    def tail(self) -> Tail:
        """What it logs of requests from now on; it logs a request after it has answered."""
        with socket.create_connection(("127.0.0.1", self.fence), timeout=5) as asking:
            mark = f"/{asking.getsockname()[1]}/{time.monotonic_ns()}"
            asking.sendall(f"HEAD {mark} HTTP/1.0\r\n\r\n".encode())
            asking.recv(1024)
        wait_until(lambda: f" {mark} " in self.log.read_text(), "nginx logs what it answered")
        return Tail(self.log)


def handshakes(registry: RealRegistry) -> Tail:
    """What a docker-registry logs from now on of handshakes that fail: a line for each."""
    with socket.create_connection(("127.0.0.1", int(registry.address.rpartition(":")[2]))) as it:
        mark = f":{it.getsockname()[1]}: "
    wait_until(lambda: mark in registry.errors(), "the registry logs a failed handshake")
    return Tail(registry.directory / "registry.log")


@dataclass(frozen=True)
class Server:
    """A running proxy."""

    port: int
    log: Path

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def tail(self) -> Tail:
        return Tail(self.log)


@contextmanager
def nginx(directory: Path, servers: Sequence[str]) -> Iterator[Nginx]:
    """Run nginx with these server blocks."""
    need("nginx")
    directory.mkdir()
    fence = free_port()
    config = directory / "nginx.conf"
    config.write_text(_NGINX.format(servers="\n".join(servers), fence=fence))
    command = ["nginx", "-p", str(directory), "-c", str(config), "-e", "error.log"]
    with _running(command, directory, fence):
        yield Nginx(fence, directory / "access.log")


@contextmanager
def tinyproxy(
    directory: Path, *, login: str | None = None, connect_port: int | None = None
) -> Iterator[Server]:
    """Run tinyproxy. login: `user password`. connect_port: the only one CONNECT may name."""
    need("tinyproxy")
    directory.mkdir()
    port = free_port()
    log = directory / "requests.log"
    lines = [f"Port {port}", "Listen 127.0.0.1", "Timeout 60", "MaxClients 50"]
    lines += [f'LogFile "{log}"', "LogLevel Connect"]
    lines += [f"BasicAuth {login}"] if login else []
    lines += [f"ConnectPort {connect_port}"] if connect_port else []
    config = directory / "tinyproxy.conf"
    config.write_text("\n".join(lines) + "\n")
    with _running(["tinyproxy", "-d", "-c", str(config)], directory, port):
        yield Server(port, log)


@contextmanager
def stunnel(directory: Path, certificate: Path, behind: Server) -> Iterator[Server]:
    """Run stunnel, so that `behind` can be reached over TLS as well."""
    need("stunnel4")
    directory.mkdir()
    port = free_port()
    config = directory / "stunnel.conf"
    config.write_text(
        f"foreground = yes\npid =\nsyslog = no\n[tests]\naccept = 127.0.0.1:{port}\n"
        f"connect = {behind.address}\ncert = {certificate}\nkey = {certificate}\n"
    )
    with _running(["stunnel4", str(config)], directory, port):
        yield Server(port, behind.log)


@contextmanager
def _running(command: Sequence[str], directory: Path, port: int) -> Iterator[None]:
    output = directory / "output.log"
    with output.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_until_open(process, port, output)
        yield
    finally:
        stop(process)


def asked(tail: Tail) -> list[str]:
    """What tinyproxy was asked for since: `CONNECT host:port`, or method and URL."""
    marker = "Request (file descriptor"
    requests = (line.partition("): ")[2] for line in tail.lines() if marker in line)
    return [request.rpartition(" ")[0] for request in requests]
