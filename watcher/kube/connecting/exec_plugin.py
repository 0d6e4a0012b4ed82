"""Exec plug-ins of a kubeconfig: a program that prints a credential.

https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
Run here because the official client waits for ever for one that hangs, gives it the terminal, and
goes on without a credential when it fails. Only `credentials` imports this.
"""

from __future__ import annotations

import base64
import json
import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from watcher.errors import ClusterError, ClusterFault
from watcher.kube.connecting.kubeconfig import Access, Entry, content_of, misconfigured
from watcher.kube.redaction import GAP, redacted
from watcher.telemetry import systemd

SECONDS = 30.0
"""How long a plug-in may take."""

API_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
_OUTPUT = 1 << 20
_PIECE = 1 << 16
_STDERR_SHOWN = 300
_WORD = re.compile(r"[-\w.~+/=]{8,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """What a plug-in printed: a token, a certificate with its key (PEM), or both."""

    token: str | None = field(repr=False)
    certificate: bytes | None = field(repr=False)
    key: bytes | None = field(repr=False)
    expires: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecPlugin:
    """A plug-in as configured. `environment` is what it inherits."""

    name: str
    command: tuple[str, ...] = field(repr=False)
    api_version: str
    environment: Mapping[str, str] = field(repr=False)
    install_hint: str | None = None
    seconds: float = SECONDS

    def run(self) -> Granted:
        """Run it and wait. Raises ClusterError (CONFIGURATION) that names it and, redacted, what
        it said on stderr."""
        code, stdout, stderr = self._run()
        if code != 0:
            how = f"failed with exit code {code}" if code > 0 else f"was ended by signal {-code}"
            raise self._failed(how, stdout, stderr, temporary=True)
        try:
            return _granted(json.loads(stdout), self.api_version)
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            why = str(error) if isinstance(error, _Unusable) else "it is no ExecCredential"
            raise self._failed(f"printed what can't be used: {why}", stdout, stderr) from None

    def _run(self) -> tuple[int, bytes, bytes]:
        try:
            process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(self.environment),
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            words = error.strerror if isinstance(error, OSError) and error.strerror else "not valid"
            raise misconfigured(
                f"the exec plug-in {self.name!r} can't be started: {words}", self.install_hint
            ) from error
        with process:
            try:
                stdout, stderr = _outputs(process, self.seconds)
            except subprocess.TimeoutExpired:
                _end_group(process)
                how = f"did not end within {self.seconds:g} s"
                raise self._failed(how, b"", b"", temporary=True) from None
            except _Unusable as error:
                _end_group(process)
                raise self._failed(str(error), b"", b"") from None
        return process.returncode, stdout, stderr

    def _failed(
        self, how: str, stdout: bytes, stderr: bytes, *, temporary: bool = False
    ) -> ClusterError:
        said = _fit_to_show(stderr.decode(errors="replace"), stdout.decode(errors="replace"))
        return ClusterError(
            f"the exec plug-in {self.name!r} {how}" + (f": {said}" if said else ""),
            fault=ClusterFault.CONFIGURATION,
            hint="run it by hand as this user; nothing is sent without a credential",
            temporary=temporary,
        )


def _fit_to_show(stderr: str, stdout: str) -> str:
    """What came on stderr, without any word that also came on stdout, where the credential is."""
    for word in set(_WORD.findall(stdout)):
        stderr = stderr.replace(word, GAP)
    return redacted(stderr, limit=_STDERR_SHOWN)


def exec_plugin(
    access: Access, environment: Mapping[str, str], *, seconds: float = SECONDS
) -> ExecPlugin:
    """The plug-in of the kubeconfig's user. Raises ClusterError (CONFIGURATION)."""
    entry = access.user["exec"]
    name = entry.get("command") if isinstance(entry, dict) else None
    if not isinstance(name, str) or not name:
        raise misconfigured(f"the exec plug-in of the user {access.user_name!r} has no command")
    version = entry.get("apiVersion")
    if version not in API_VERSIONS:
        raise misconfigured(
            f"the exec plug-in {name!r} speaks {version}", f"known are {' and '.join(API_VERSIONS)}"
        )
    if entry.get("interactiveMode") == "Always":
        raise misconfigured(f"the exec plug-in {name!r} wants a terminal, and there is none")
    hint = entry.get("installHint")
    return ExecPlugin(
        name=name,
        command=(_program(name, access.user_directory), *_arguments(entry, name)),
        api_version=version,
        environment={
            **{key: value for key, value in environment.items() if key not in systemd.OURS},
            **_variables(entry, name),
            "KUBERNETES_EXEC_INFO": json.dumps(_exec_info(entry, version, access.cluster)),
        },
        install_hint=redacted(hint, limit=500) if isinstance(hint, str) else None,
        seconds=seconds,
    )


def _arguments(entry: Entry, name: str) -> list[str]:
    given = entry.get("args") or []
    if not isinstance(given, list):
        raise misconfigured(f"`args` of the exec plug-in {name!r} is no list")
    return [str(argument) for argument in given]


def _variables(entry: Entry, name: str) -> dict[str, str]:
    given = entry.get("env") or []
    if not isinstance(given, list) or not all(
        isinstance(item, dict) and {"name", "value"} <= item.keys() for item in given
    ):
        raise misconfigured(f"`env` of the exec plug-in {name!r} is no list of name and value")
    return {str(item["name"]): str(item["value"]) for item in given}


def _program(name: str, directory: Path) -> str:
    """A relative path counts from the kubeconfig; a bare name is looked for on PATH."""
    return str(directory / name) if "/" in name else name


def _exec_info(entry: Entry, version: str, cluster: Entry) -> dict[str, Any]:
    spec: dict[str, Any] = {"interactive": False}
    if entry.get("provideClusterInfo"):
        spec["cluster"] = _cluster_info(cluster)
    return {"kind": "ExecCredential", "apiVersion": version, "spec": spec}


def _cluster_info(cluster: Entry) -> dict[str, Any]:
    keys = (
        "server",
        "tls-server-name",
        "insecure-skip-tls-verify",
        "certificate-authority-data",
        "proxy-url",
    )
    info = {key: cluster[key] for key in keys if cluster.get(key)}
    authority = cluster.get("certificate-authority")
    if authority and "certificate-authority-data" not in info:
        content = content_of(Path(authority))
        info["certificate-authority-data"] = base64.b64encode(content).decode()
    extensions = cluster.get("extensions")
    for each in extensions if isinstance(extensions, list) else ():
        if isinstance(each, dict) and each.get("name") == "client.authentication.k8s.io/exec":
            info["config"] = each.get("extension")
    return info


class _Unusable(ValueError):
    """What is wrong with a plug-in's answer, in words that hold none of it."""


def _granted(credential: Any, api_version: str) -> Granted:
    if not isinstance(credential, dict) or credential.get("kind") != "ExecCredential":
        raise _Unusable("it is no ExecCredential")
    if credential.get("apiVersion") != api_version:
        raise _Unusable(f"it is not of {api_version}")
    status = credential.get("status") or {}
    token, certificate = status.get("token"), status.get("clientCertificateData")
    key = status.get("clientKeyData")
    if not all(isinstance(each, str | None) for each in (token, certificate, key)):
        raise _Unusable("what it holds is no text")
    if bool(certificate) != bool(key):
        raise _Unusable("it has a certificate without a key, or a key without a certificate")
    if not token and not certificate:
        raise _Unusable("it has neither a token nor a certificate")
    return Granted(
        token=token or None,
        certificate=certificate.encode() if certificate else None,
        key=key.encode() if key else None,
        expires=_expiry(status.get("expirationTimestamp")),
    )


def _expiry(value: object) -> datetime | None:
    if not isinstance(value, str) or not value:
        return None
    try:
        expires = datetime.fromisoformat(value)
    except ValueError:
        raise _Unusable("its expirationTimestamp is no time") from None
    return expires if expires.tzinfo else expires.replace(tzinfo=UTC)


def _outputs(process: subprocess.Popen[bytes], seconds: float) -> tuple[bytes, bytes]:
    """All of stdout and the end of stderr, once both are closed and it has ended. Raises
    TimeoutExpired, and _Unusable when it prints without end."""
    ends = time.monotonic() + seconds
    kept = {"stdout": bytearray(), "stderr": bytearray()}
    with selectors.DefaultSelector() as selector:
        for name in kept:
            selector.register(getattr(process, name), selectors.EVENT_READ, name)
        while selector.get_map():
            for ready, _ in _waited(selector, process, ends):
                piece, output = os.read(ready.fd, _PIECE), kept[ready.data]
                output += piece
                if not piece:
                    selector.unregister(ready.fileobj)
                elif ready.data == "stderr":
                    del output[:-_PIECE]
                elif len(output) > _OUTPUT:
                    raise _Unusable(f"printed more than {_OUTPUT >> 20} MiB")
    process.wait(max(ends - time.monotonic(), 0.0))
    return bytes(kept["stdout"]), bytes(kept["stderr"])


def _waited(
    selector: selectors.BaseSelector, process: subprocess.Popen[bytes], ends: float
) -> list[tuple[selectors.SelectorKey, int]]:
    left = ends - time.monotonic()
    if left <= 0:
        raise subprocess.TimeoutExpired(process.args, left)
    return selector.select(left)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill it with its children, which may hold its pipes open."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        process.kill()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
