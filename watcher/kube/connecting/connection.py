"""From the settings of a cluster to its connection pool: the only importer of `kubernetes`.

The official client loads addresses, authorities, proxies and in-cluster settings and makes the
pool. Never its global default, never its anonymous fallback. Imported when a stage needs a cluster.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from watcher import __version__
from watcher.core.cluster import Cluster
from watcher.kube.connecting.answers import Answer
from watcher.kube.connecting.certificates import MemoryFile, not_after
from watcher.kube.connecting.credentials import (
    FILE_SECONDS,
    Credentials,
    FromFiles,
    Held,
    KeyPair,
    token_from,
)
from watcher.kube.connecting.exec_plugin import SECONDS
from watcher.kube.connecting.kubeconfig import Access, kubeconfig_files, misconfigured, read_access
from watcher.kube.connecting.requests import Request
from watcher.kube.connecting.transport import Timeouts, send
from watcher.kube.connecting.users import decoded, user_credentials

if TYPE_CHECKING:
    import urllib3

WORKERS = 4
"""Requests at once per cluster, and connections kept; more made nothing faster."""

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What connecting depends on beside the config."""

    environment: Mapping[str, str] = field(repr=False)
    home: Path
    service_account: Path = SERVICE_ACCOUNT
    plugin_seconds: float = SECONDS
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class _Pool:
    """A pool made for one credential, with the files that its connections read."""

    pair: KeyPair | None
    manager: urllib3.PoolManager
    files: tuple[MemoryFile, ...]


class Connection:
    """A cluster's connections. Its methods block; threads may share it."""

    def __init__(
        self,
        *,
        server: str,
        namespace: str | None,
        credentials: Credentials,
        configuration: Callable[[], Any],
        files: tuple[MemoryFile, ...],
        now: Callable[[], datetime],
    ) -> None:
        self.server = server
        self.namespace = namespace
        self._credentials = credentials
        self._configuration = configuration
        self._files = files
        self._now = now
        self._lock = Lock()
        self._pool: _Pool | None = None

    @property
    def credential_seconds(self) -> float:
        """How long getting the credential may take, beside the request."""
        return self._credentials.seconds

    def prepare(self) -> None:
        """Get the credential, so that what is wrong with it shows before any request."""
        self._ready(self._credentials.current())

    def send(self, request: Request, timeouts: Timeouts) -> tuple[Answer, Held]:
        """The answer, whatever its status, and the credential that it answers. Raises
        ClusterError as `transport.send` and the credential do."""
        held = self._credentials.current()
        pool = self._ready(held)
        headers = {"user-agent": f"registry-watcher/{__version__}", **held.headers}
        answer = send(pool.manager, self.server, request, headers=headers, timeouts=timeouts)
        return answer, held

    def renew(self, refused: Held) -> bool:
        """After a 401 to `refused`: whether it is worth asking again. Raises ClusterError
        (CONFIGURATION), also where the client certificate has ended."""
        another = self._credentials.renew(refused)
        self._check_end(self._credentials.current())
        return another

    def close(self) -> None:
        with self._lock:
            if self._pool is not None:
                self._pool.manager.clear()
                self._pool = None

    def _ready(self, held: Held) -> _Pool:
        """The pool for the credential; another certificate means other connections."""
        with self._lock:
            pool = self._pool
            if pool is None or pool.pair != held.pair:
                self._check_end(held)
                if pool is not None:
                    pool.manager.clear()
                self._pool = pool = self._make(held)
            return pool

    def _make(self, held: Held) -> _Pool:
        from kubernetes.client.rest import RESTClientObject

        configuration = self._configuration()
        files: tuple[MemoryFile, ...] = ()
        if held.pair is not None:
            files = (MemoryFile(held.pair.certificate), MemoryFile(held.pair.key))
            configuration.cert_file, configuration.key_file = (str(file.path) for file in files)
        try:
            manager = RESTClientObject(configuration).pool_manager
        except (ImportError, ValueError):
            raise misconfigured(
                "the proxy before the cluster can't be used",
                "`proxy-url` of the kubeconfig, or else HTTPS_PROXY, is http://HOST:PORT",
            ) from None  # the error may hold the proxy's password
        return _Pool(held.pair, manager, files)

    def _check_end(self, held: Held) -> None:
        ends = not_after(held.pair.certificate) if held.pair else None
        if ends is not None and ends <= self._now():
            raise misconfigured(
                f"the client certificate for {urlsplit(self.server).netloc} expired on "
                f"{ends:%Y-%m-%d %H:%M} UTC",
                "renew it, or the kubeconfig that holds it",
            )


def open_connection(cluster: Cluster, surroundings: Surroundings) -> Connection:
    """Find out how to reach the cluster; sends nothing. Raises ClusterError (CONFIGURATION).

    In this order: what the config says, the pod's own account, `$KUBECONFIG`, `~/.kube/config`
    (SPEC 7.1).
    """
    environment, home = surroundings.environment, surroundings.home
    named = environment.get("KUBECONFIG", "")
    if cluster.kubeconfig is not None:
        return _from_kubeconfig((cluster.kubeconfig,), cluster.context, surroundings)
    if cluster.context is None and _in_cluster(surroundings):
        return _from_pod(surroundings)
    if named:
        return _from_kubeconfig(kubeconfig_files(named, home), cluster.context, surroundings)
    return _from_kubeconfig((home / ".kube" / "config",), cluster.context, surroundings)


def _in_cluster(surroundings: Surroundings) -> bool:
    host = surroundings.environment.get("KUBERNETES_SERVICE_HOST")
    return bool(host) and (surroundings.service_account / "token").is_file()


def _from_pod(surroundings: Surroundings) -> Connection:
    directory = surroundings.service_account
    loaded = _pod_configuration(surroundings)
    return Connection(
        server=loaded.host,
        namespace=_pod_namespace(directory),
        credentials=FromFiles(
            lambda: Held(headers=token_from(directory / "token")),
            clock=surroundings.clock,
            lifetime=FILE_SECONDS,
        ),
        configuration=lambda: _pod_configuration(surroundings),
        files=(),
        now=surroundings.now,
    )


def _pod_configuration(surroundings: Surroundings) -> Any:
    from kubernetes.client import Configuration
    from kubernetes.config import ConfigException
    from kubernetes.config.incluster_config import InClusterConfigLoader

    directory = surroundings.service_account
    configuration = Configuration()
    loader = InClusterConfigLoader(  # type: ignore[no-untyped-call]
        token_filename=str(directory / "token"),
        cert_filename=str(directory / "ca.crt"),
        try_refresh_token=False,
        environ=surroundings.environment,
    )
    try:
        loader.load_and_set(configuration)  # type: ignore[no-untyped-call]
    except (ConfigException, OSError) as error:
        raise misconfigured(f"the pod's service account can't be used: {error}") from None
    configuration.proxy = None
    return _tuned(configuration)


def _pod_namespace(directory: Path) -> str | None:
    try:
        return (directory / "namespace").read_text().strip() or None
    except OSError:
        return None


def _from_kubeconfig(
    files: tuple[Path, ...], context: str | None, surroundings: Surroundings
) -> Connection:
    load = partial(read_access, files, context)
    access = load()
    credentials = user_credentials(
        load,
        environment=surroundings.environment,
        plugin_seconds=surroundings.plugin_seconds,
        clock=surroundings.clock,
        now=surroundings.now,
    )
    authority = _authority(access)
    return Connection(
        server=access.server,
        namespace=access.namespace,
        credentials=credentials,
        configuration=lambda: _configuration(access, authority),
        files=(authority,) if authority else (),
        now=surroundings.now,
    )


def _configuration(access: Access, authority: MemoryFile | None) -> Any:
    """What the official loader makes of the context; the credential is kept from it."""
    from kubernetes.client import Configuration
    from kubernetes.config import ConfigException, load_kube_config_from_dict

    cluster = {k: v for k, v in access.cluster.items() if k != "certificate-authority-data"}
    if authority is not None:
        cluster["certificate-authority"] = str(authority.path)
    configuration = Configuration()
    try:
        load_kube_config_from_dict(  # type: ignore[no-untyped-call]
            {
                "clusters": [{"name": "cluster", "cluster": cluster}],
                "users": [{"name": "user", "user": {}}],
                "contexts": [
                    {"name": "context", "context": {"cluster": "cluster", "user": "user"}}
                ],
            },
            context="context",
            client_configuration=configuration,
            persist_config=False,
        )
    except ConfigException as error:
        raise misconfigured(f"the context {access.context!r} can't be used: {error}") from None
    return _tuned(configuration)


def _tuned(configuration: Any) -> Any:
    configuration.retries = False
    configuration.keep_alive = True
    configuration.connection_pool_maxsize = WORKERS
    return configuration


def _authority(access: Access) -> MemoryFile | None:
    data = access.cluster.get("certificate-authority-data")
    return MemoryFile(decoded(data, "certificate-authority-data")) if data else None
