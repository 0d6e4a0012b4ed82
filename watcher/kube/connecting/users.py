"""The credential of a kubeconfig's user, and where it must not be sent.

What can't be honoured is refused: to leave out `as:` would act with other rights than asked for,
to leave out a failing part would act as nobody. Only `connection` imports this.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from watcher.kube.connecting.credentials import (
    FILE_SECONDS,
    Credentials,
    FromFiles,
    FromPlugin,
    Held,
    KeyPair,
    basic,
    bearer,
    token_from,
)
from watcher.kube.connecting.exec_plugin import exec_plugin
from watcher.kube.connecting.kubeconfig import Access, Entry, content_of, misconfigured

_IMPERSONATION = ("as", "as-groups", "as-uid", "as-user-extra")


def user_credentials(
    load: Callable[[], Access],
    *,
    environment: Mapping[str, str],
    plugin_seconds: float,
    clock: Callable[[], float],
    now: Callable[[], datetime],
) -> Credentials:
    """As kubectl chooses: a token's file before the token beside it, both before a plug-in.

    `load` reads the kubeconfig: once now, and again whenever the credential is read anew, because
    somebody may have renewed it there. Raises ClusterError (CONFIGURATION).
    """
    access = load()
    _check_honoured(access)
    _check_secrecy(access)
    user = access.user
    if user.get("exec") and not user.get("token") and not user.get("tokenFile"):
        return FromPlugin(exec_plugin(access, environment, seconds=plugin_seconds), now=now)
    lifetime = FILE_SECONDS if user.get("tokenFile") else None
    return FromFiles(partial(_read, load, access.server), clock=clock, lifetime=lifetime)


def decoded(data: object, key: str) -> bytes:
    """The value of a `...-data` key. Raises ClusterError (CONFIGURATION)."""
    try:
        return base64.b64decode("".join(str(data).split()), validate=True)
    except (binascii.Error, ValueError):
        raise misconfigured(f"{key} of the kubeconfig is not base64") from None


def _read(load: Callable[[], Access], server: str) -> Held:
    access = load()
    _check_honoured(access)
    _check_secrecy(access)
    if access.server != server:
        raise misconfigured(
            f"the context {access.context!r} of the kubeconfig leads to another server now",
            "restart this program, so that it connects there",
        )
    held = Held(headers=_headers(access), pair=_pair(access.user))
    if not held.headers and held.pair is None:
        raise misconfigured(
            f"{_shown(access)} holds no credential",
            "it needs a token, a certificate with its key, or an exec plug-in",
        )
    return held


def _headers(access: Access) -> Mapping[str, str]:
    user = access.user
    if user.get("tokenFile"):
        return token_from(Path(user["tokenFile"]))
    if user.get("token"):
        return bearer(str(user["token"]), _shown(access))
    if user.get("username") and user.get("password"):
        return basic(str(user["username"]), str(user["password"]))
    return {}


def _pair(user: Entry) -> KeyPair | None:
    certificate, key = (_pem(user, name) for name in ("client-certificate", "client-key"))
    return KeyPair(certificate=certificate, key=key) if certificate and key else None


def _pem(user: Entry, name: str) -> bytes | None:
    """Data in the kubeconfig, before a file that it names."""
    if user.get(f"{name}-data"):
        return decoded(user[f"{name}-data"], f"{name}-data")
    return content_of(Path(user[name])) if user.get(name) else None


def _check_honoured(access: Access) -> None:
    if "auth-provider" in access.user:
        raise misconfigured(
            f"{_shown(access)} has an auth-provider, which Kubernetes dropped in 1.26",
            "use an exec plug-in",
        )
    if any(access.user.get(key) for key in _IMPERSONATION):
        raise misconfigured(
            f"{_shown(access)} impersonates another (`as`), which is not supported",
            "give it a credential of its own",
        )


def _check_secrecy(access: Access) -> None:
    """Refuse to send what anybody on the way could read and use."""
    if not any(access.user.get(key) for key in ("token", "tokenFile", "exec", "password")):
        return
    if access.cluster.get("insecure-skip-tls-verify"):
        raise misconfigured(
            f"the context {access.context!r} skips the verification of TLS, and would send its "
            "credential to whoever answers",
            "write the cluster's certificate-authority-data instead of insecure-skip-tls-verify",
        )
    address = urlsplit(access.server)
    if address.scheme == "http" and not _is_loopback(address.hostname or ""):
        raise misconfigured(
            f"the context {access.context!r} would send its credential unencrypted", "use https://"
        )


def _shown(access: Access) -> str:
    return f"the user {access.user_name!r} of the kubeconfig"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
