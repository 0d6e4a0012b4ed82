"""What goes with a request to be let in, and what its refusal may lead to.

The words that auth.py and session.py share; client.py counts the steps of one question.
"""

from __future__ import annotations

from enum import Enum, StrEnum, auto
from typing import NamedTuple

from watcher.core.account import Credential
from watcher.registry.login.token_server import Realm
from watcher.registry.login.tokens import BEARER


class Step(StrEnum):
    """Why a refused request is sent again; each at most once per request."""

    CHALLENGED = "challenged"
    INDIRECT = "indirect"
    STALE = "stale"
    WIDENED = "widened"
    ALONE = "alone"
    RENEWED = "renewed"
    BASIC = "basic"


class Verdict(Enum):
    """What a refusal means: send it again, leave it, or see whether the password is at fault."""

    AGAIN = auto()
    LEAVE = auto()
    PASSWORD = auto()


class Authorization(NamedTuple):
    """What went with a request: a password (`credential`) or a token of `realm` for `scopes`.

    `is_direct`: without having been asked for. `is_fresh`: the token was made for this very
    request. `is_shared`: it is a group's. `until`: when (epoch seconds) it is asked for anew.
    """

    header: str
    credential: Credential | None = None
    is_direct: bool = False
    realm: Realm | None = None
    scopes: tuple[str, ...] = ()
    is_fresh: bool = False
    is_shared: bool = False
    until: float = 0.0

    @property
    def token(self) -> str:
        """The token alone; empty where the password itself went."""
        return self.header[len(BEARER) :] if self.header.startswith(BEARER) else ""

    def __repr__(self) -> str:
        return f"Authorization(scopes={self.scopes})"
