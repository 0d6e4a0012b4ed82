"""The kinds of registry that the whole line is tried with: how each is configured, and its profile.

A table, so that one suite serves them all. Users and passwords are nobody's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SECRET = "not-a-real-secret"
JSON_KEY = '{\n  "type": "service_account",\n  "private_key": "not\\na: real# key"\n}\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One kind. `pages`: how many six tags take, two on a page; `expires`: what ends in the middle
    of a walk, its tokens or the password itself."""

    profile: str
    dialect: str
    username: str = "acme-bot"
    password: str = SECRET
    repository: str = "acme/web"
    settings: dict[str, Any] = field(default_factory=dict)
    pages: int = 3
    expires: str = "token"


CASES = (
    Case(profile="distribution-2.8", dialect="distribution", pages=1, expires="password"),
    Case(profile="distribution-3", dialect="distribution"),
    Case(profile="docker-hub", dialect="docker-hub"),
    Case(profile="gcr", dialect="gcr", username="_json_key", password=JSON_KEY),
    Case(
        profile="artifact-registry",
        dialect="artifact-registry",
        username="_json_key",
        password=JSON_KEY,
        repository="acme-prod/images/web",
    ),
    Case(profile="ecr", dialect="ecr", username="AWS", expires="password"),
    Case(profile="ecr-public", dialect="ecr-public", username="AWS"),
    Case(profile="quay", dialect="quay", username="acme+robot"),
    Case(profile="ghcr", dialect="ghcr", password="ghp_notARealTokenOfAnybody0123456789"),
    Case(profile="acr", dialect="acr"),
    Case(profile="harbor", dialect="harbor", username="robot$acme+watcher"),
    Case(profile="gitlab", dialect="gitlab", repository="acme/group/web"),
    # Each digest stands among the tags, in two forms.
    Case(profile="artifactory", dialect="artifactory", repository="docker/acme/web", pages=9),
    Case(profile="nexus", dialect="nexus"),
)
STRATEGIES = ("auto", "v2", "native")


def account(case: Case, address: str, password_file: Path, strategy: str) -> dict[str, Any]:
    """The account's part of a config."""
    return {
        "name": "main",
        "address": address,
        "plain_http": True,
        "username": case.username,
        "password_file": str(password_file),
        "repositories": [case.repository],
        "dialect": case.dialect,
        "strategy": strategy,
        "limits": {"page_size": 2},
        **case.settings,
    }
