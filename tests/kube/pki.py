"""Certificates, keys, tokens and kubeconfig files of a test cluster; all die with its directory."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.registry.certificates import Authority

LOOPBACK = "127.0.0.1"
ADMINISTRATORS = "system:masters"
_CONTROLLERS = "system:kube-controller-manager"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identities:
    """Who may speak to the API server, and how it shows who it is. Paths are PEM files, with key
    and certificate in one; `tokens` is the server's own list of users with a fixed token."""

    authority: Authority
    server: Path
    signing_key: Path
    tokens: Path
    admin_token: str
    controllers_token: str


def make_identities(directory: Path) -> Identities:
    """New ones, in a directory that exists."""
    authority = Authority(directory, now=datetime.now(UTC), name="Cluster authority")
    admin, controllers = secrets.token_hex(16), secrets.token_hex(16)
    tokens = directory / "tokens.csv"
    tokens.write_text(
        f'{admin},admin-by-token,1,"{ADMINISTRATORS}"\n{controllers},{_CONTROLLERS},2\n'
    )
    return Identities(
        authority=authority,
        server=authority.issue(LOOPBACK),
        signing_key=_signing_key(directory / "service-accounts.key"),
        tokens=tokens,
        admin_token=admin,
        controllers_token=controllers,
    )


def _signing_key(path: Path) -> Path:
    path.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,  # the only form old servers read
            serialization.NoEncryption(),
        )
    )
    return path


def client_certificate(pem: Path) -> dict[str, Any]:
    """A kubeconfig's user with a client certificate, inline."""
    data = base64.b64encode(pem.read_bytes()).decode()
    return {"client-certificate-data": data, "client-key-data": data}


def write_kubeconfig(
    path: Path, *, url: str, ca_file: Path, user: Mapping[str, Any], namespace: str = "default"
) -> Path:
    """A kubeconfig with one context, `test`."""
    authority = base64.b64encode(ca_file.read_bytes()).decode()
    cluster = {"server": url, "certificate-authority-data": authority}
    context = {"cluster": "test", "user": "test", "namespace": namespace}
    path.touch(mode=0o600)
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "test", "user": dict(user)}],
        "contexts": [{"name": "test", "context": context}],
        "current-context": "test",
    }
    path.write_text(json.dumps(content))
    return path
