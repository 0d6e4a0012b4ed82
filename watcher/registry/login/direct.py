"""What may go with the first request, before any challenge: a password that a registry is known
to take as it is. Saves the refused request and the token (registries.md sections 0.2 and 2.1).

An account speaks plain http only when it says so, so the password goes out in the clear only
there; to another host it never goes (wire.py). Only auth.py imports this.
"""

from __future__ import annotations

from base64 import b64encode

from watcher.core.account import Credential
from watcher.registry.login.token_server import basic
from watcher.registry.login.tokens import BEARER
from watcher.registry.quirks import Login

ACR_TOKEN_USER = "00000000-0000-0000-0000-000000000000"  # noqa: S105 - a name, known to all
"""Whose password is an ACR refresh token: its token server takes it, its API does not."""

GITHUB_TOKEN_PREFIXES = ("ghp_", "ghs_")
"""Classic personal tokens, and those of Actions. GHCR takes them in base64 in place of a token of
its own; fine-grained ones (`github_pat_`) it does not take at all."""


def direct_header(login: Login, credential: Credential) -> str | None:
    """The Authorization that needs no challenge; None where one has to be waited for."""
    password = credential.password
    if password is None:
        return None
    if login is Login.BASIC and credential.username != ACR_TOKEN_USER:
        return basic(credential)
    if login is Login.GITHUB_TOKEN and password.startswith(GITHUB_TOKEN_PREFIXES):
        return BEARER + b64encode(password.encode()).decode("ascii")
    return None
