"""The odd user names and passwords of each kind of registry, from the text of a config file to a
listing: what YAML, shells and headers could spoil on the way."""

from __future__ import annotations

import base64
import json
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.system.watching import Watcher
from watcher.testing.profiles import ACR_TOKEN_USER, PROFILES
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry

JSON_KEY = """\
{
  "type": "service_account",
  "private_key": "-----BEGIN PRIVATE KEY-----\\nnot: a # key\\n-----END PRIVATE KEY-----\\n",
  "client_email": "watcher@acme.example"
}
"""
JSON_KEY_BASE64 = base64.b64encode(JSON_KEY.encode()).decode()
PAT = "ghp_notARealTokenOfAnybody0123456789"
SECRET = "not-a-$real-${secret}"


@dataclass(frozen=True)
class Case:
    """`login` is the account's part of the config, as a person writes it. `requests`: by which
    requests the first listing comes."""

    profile: str
    user: str
    password: str
    login: str
    requests: tuple[Kind, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


DIRECT = (Kind.TAGS,)
BY_TOKEN = (Kind.TAGS, Kind.TOKEN, Kind.TAGS)

CASES = {
    "GCR, a key as a block": Case(
        "gcr",
        "_json_key",
        JSON_KEY,
        "username: _json_key\npassword: |\n" + textwrap.indent(JSON_KEY, "  "),
        BY_TOKEN,
    ),
    "GCR, a key in a file": Case(
        "gcr",
        "_json_key",
        JSON_KEY.removesuffix("\n"),
        "username: _json_key\npassword_file: key.json",
        BY_TOKEN,
    ),
    "GCR, a key in base64": Case(
        "gcr",
        "_json_key_base64",
        JSON_KEY_BASE64,
        f"username: _json_key_base64\npassword: {JSON_KEY_BASE64}",
        BY_TOKEN,
    ),
    "GCR, an access token by a command": Case(
        "gcr",
        "oauth2accesstoken",
        "ya29.not-a-token",
        "username: oauth2accesstoken\npassword_command: [echo, ya29.not-a-token]",
        BY_TOKEN,
    ),
    "Artifact Registry, a key in the environment": Case(
        "artifact-registry",
        "_json_key",
        JSON_KEY,
        "username: _json_key\npassword_env: GOOGLE_KEY",
        BY_TOKEN,
        {"GOOGLE_KEY": JSON_KEY},
    ),
    "ECR": Case("ecr", "AWS", SECRET, f"username: AWS\npassword: {SECRET}", DIRECT),
    "ECR Public": Case("ecr-public", "AWS", SECRET, f"username: AWS\npassword: {SECRET}", BY_TOKEN),
    "Quay, a robot": Case(
        "quay", "acme+robot", SECRET, f"username: acme+robot\npassword: {SECRET}", BY_TOKEN
    ),
    "Quay, an OAuth token": Case(
        "quay", "$oauthtoken", SECRET, f"username: $oauthtoken\npassword: {SECRET}", BY_TOKEN
    ),
    "Quay, an app's token in quotes": Case(
        "quay", "$app", SECRET, f"username: '$app'\npassword: \"{SECRET}\"", BY_TOKEN
    ),
    "GHCR, a classic token": Case("ghcr", "acme", PAT, f"username: acme\npassword: {PAT}", DIRECT),
    "GHCR, another password": Case(
        "ghcr", "acme", SECRET, f"username: acme\npassword: {SECRET}", BY_TOKEN
    ),
    "ACR, a service principal": Case(
        "acr",
        "0f9e8d7c-0000-4000-8000-123456789abc",
        "~not8Q~a.real_secret",
        "username: 0f9e8d7c-0000-4000-8000-123456789abc\npassword: '~not8Q~a.real_secret'",
        DIRECT,
    ),
    "ACR, a refresh token": Case(
        "acr",
        ACR_TOKEN_USER,
        "refresh-token",
        f"username: {ACR_TOKEN_USER}\npassword: refresh-token",
        BY_TOKEN,
    ),
    "ACR, as `az acr login` leaves it": Case(
        "acr", ACR_TOKEN_USER, "refresh-token", "docker_config: config.json", BY_TOKEN
    ),
    "Harbor, a robot": Case(
        "harbor", "robot$ci", SECRET, f"username: robot$ci\npassword: {SECRET}", DIRECT
    ),
    "Harbor, a robot of a project in quotes": Case(
        "harbor",
        "robot$acme+ci",
        SECRET,
        f"username: 'robot$acme+ci'\npassword: '{SECRET}'",
        DIRECT,
    ),
    "Harbor, where the robots are called otherwise": Case(
        "harbor",
        "${HOME}+ci",
        SECRET,
        f'username: "${{HOME}}+ci"\npassword: {SECRET}',
        DIRECT,
    ),
    "GitLab, a deploy token": Case(
        "gitlab",
        "gitlab+deploy-token-1",
        SECRET,
        f"username: gitlab+deploy-token-1\npassword: {SECRET}",
        BY_TOKEN,
    ),
    "Docker Hub": Case(
        "docker-hub", "acme", SECRET, f"username: acme\npassword: {SECRET}", BY_TOKEN
    ),
    "Artifactory": Case(
        "artifactory",
        "acme@x.example",
        "a:b:c",
        "username: acme@x.example\npassword: a:b:c",
        DIRECT,
    ),
    "Nexus, a password beyond ASCII": Case(
        "nexus", "acme", "Pässwörd€ ", 'username: acme\npassword: "Pässwörd€ "', DIRECT
    ),
}


def write_files(directory: Path, case: Case, address: str) -> None:
    (directory / "key.json").write_text(JSON_KEY)
    left = {"username": case.user, "identitytoken": case.password}
    (directory / "config.json").write_text(json.dumps({"auths": {address: left}}))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_what_stands_in_the_config_reaches_the_registry_as_it_is(
    tmp_path: Path, case: Case
) -> None:
    users = {case.user: case.password}
    with FakeRegistry.in_thread(profile=PROFILES[case.profile], users=users) as registry:
        registry.push("acme/web", "1.0")
        write_files(tmp_path, case, registry.address)
        watcher = Watcher(tmp_path, {})
        watcher.config.write_text(
            "accounts:\n- name: main\n"
            f"  address: {registry.address}\n  plain_http: true\n"
            f"  dialect: {case.profile}\n  strategy: v2\n"
            "  repositories: [acme/web]\n" + textwrap.indent(case.login, "  ") + "\n"
        )
        done = watcher.run("validate", "--online", env=case.environment)
        assert done.returncode == 0, done
        assert tuple(entry.kind for entry in registry.requests) == case.requests
        assert case.password not in f"{done.stdout}{done.stderr}"
