"""docker's config.json and containers' auth.json, with real helper programs."""

from __future__ import annotations

import base64
import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from watcher.core.account import Credential, CredentialProvider, CredentialSource
from watcher.core.reference import Registry
from watcher.credentials import provider
from watcher.errors import CredentialError


def auth(text: str) -> dict[str, str]:
    return {"auth": base64.b64encode(text.encode()).decode()}


def provider_of(folder: Path, config: object, address: str = "quay.io") -> CredentialProvider:
    path = folder / "config.json"
    path.write_text(config if isinstance(config, str) else json.dumps(config))
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    source = CredentialSource(docker_config=path, password_timeout=timedelta(seconds=20))
    registry = Registry.parse(address)
    return provider(source, registry, clock=lambda: 0.0, environment=environment)


def write_helper(folder: Path, name: str, script: str) -> None:
    path = folder / f"docker-credential-{name}"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("address", "key"),
    [
        pytest.param("quay.io", "quay.io", id="host"),
        pytest.param("quay.io", "https://quay.io", id="https url"),
        pytest.param("quay.io", "http://quay.io/v2/", id="http url with v2"),
        pytest.param("quay.io", "https://quay.io/v1/", id="url with v1"),
        pytest.param("QUAY.io", "Quay.IO", id="case does not count"),
        pytest.param("quay.io:443", "quay.io", id="the default port"),
        pytest.param("localhost:5000", "localhost:5000", id="host and port"),
        pytest.param("docker.io", "https://index.docker.io/v1/", id="hub as docker writes it"),
        pytest.param("index.docker.io", "docker.io", id="hub as podman writes it"),
        pytest.param("registry-1.docker.io", "index.docker.io", id="hub by its name"),
        pytest.param("quay.io", "quay.io/acme/web", id="the only entry for a part of the host"),
    ],
)
async def test_keys_of_auths_are_known_in_every_spelling(
    tmp_path: Path, address: str, key: str
) -> None:
    made = provider_of(tmp_path, {"auths": {key: auth("bot:hunter2")}}, address)
    assert await made.get() == Credential("bot", "hunter2")


@pytest.mark.parametrize(
    ("entry", "credential"),
    [
        pytest.param(auth("bot:a:b"), Credential("bot", "a:b"), id="colons in the password"),
        pytest.param(auth("bot:hunter2\0\0"), Credential("bot", "hunter2"), id="NULs at the end"),
        pytest.param(
            {"username": "bot", "password": "hunter2"},
            Credential("bot", "hunter2"),
            id="user name and password",
        ),
        pytest.param(
            {**auth("bot:"), "identitytoken": "ey.token"},
            Credential("bot", identity_token="ey.token"),
            id="identity token",
        ),
        pytest.param({}, Credential(), id="an empty entry"),
    ],
)
async def test_an_entry_of_auths_is_read(
    tmp_path: Path, entry: dict[str, str], credential: Credential
) -> None:
    assert await provider_of(tmp_path, {"auths": {"quay.io": entry}}).get() == credential


async def test_the_host_goes_before_parts_of_it(tmp_path: Path) -> None:
    auths = {"quay.io/acme": auth("part:a"), "quay.io": auth("host:b")}
    assert await provider_of(tmp_path, {"auths": auths}).get() == Credential("host", "b")


@pytest.mark.parametrize(
    "config",
    [
        pytest.param({}, id="empty"),
        pytest.param({"auths": None}, id="null"),
        pytest.param({"auths": {"ghcr.io": auth("bot:hunter2")}}, id="another host"),
        pytest.param({"auths": {"not a host!": auth("bot:hunter2")}}, id="a key that is no host"),
        pytest.param({"auths": {"quay.io.evil.com": auth("bot:hunter2")}}, id="a longer host"),
    ],
)
async def test_without_an_entry_the_credential_is_anonymous(tmp_path: Path, config: object) -> None:
    assert (await provider_of(tmp_path, config).get()).is_anonymous


@pytest.mark.parametrize(
    ("config", "message"),
    [
        pytest.param('{"auths": "hunter2"', "that is not JSON", id="not JSON"),
        pytest.param("[]", "that is not a JSON object", id="not an object"),
        pytest.param({"auths": ["hunter2"]}, "'auths' is not an object", id="auths a list"),
        pytest.param(
            {"auths": {"quay.io": "hunter2"}},
            "an entry of `auths` is not an object",
            id="entry a text",
        ),
        pytest.param(
            {"auths": {"quay.io": {"auth": "hunter2"}}},
            "is not user:password in base64",
            id="auth not base64",
        ),
        pytest.param(
            {"auths": {"quay.io": auth("hunter2")}},
            "is not user:password in base64",
            id="auth without colon",
        ),
        pytest.param(
            {"auths": {"quay.io": {"auth": 2}}}, "has a value that is not text", id="auth a number"
        ),
        pytest.param(
            {"auths": {"quay.io": {"registrytoken": "hunter2"}}},
            "`registrytoken` is not supported",
            id="registry token",
        ),
        pytest.param(
            {"auths": {"quay.io/a": auth("a:hunter2"), "quay.io/b": auth("b:hunter2")}},
            "several entries for parts of quay.io",
            id="ambiguous parts",
        ),
        pytest.param(
            {"credsStore": "../hunter2"},
            "a credential helper's name may have",
            id="a helper with a path",
        ),
    ],
)
async def test_a_broken_file_is_named_without_its_content(
    tmp_path: Path, config: object, message: str
) -> None:
    with pytest.raises(CredentialError) as caught:
        await provider_of(tmp_path, config).get()
    assert f"docker_config {tmp_path}/config.json: " in str(caught.value)
    assert message in str(caught.value)
    assert "hunter2" not in str(caught.value)


async def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    made = provider_of(tmp_path, {})
    (tmp_path / "config.json").unlink()
    with pytest.raises(CredentialError, match=r"config\.json can't be read: No such file"):
        await made.get()


async def test_a_directory_means_the_config_json_in_it(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"quay.io": auth("bot:hunter2")}}))
    source = CredentialSource(docker_config=tmp_path)
    made = provider(source, Registry.parse("quay.io"), clock=lambda: 0.0, environment={})
    assert await made.get() == Credential("bot", "hunter2")


async def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    made = provider_of(tmp_path, {"auths": {"quay.io": auth("bot:hunter2")}})
    refused = await made.get()
    changed = {"auths": {"quay.io": auth("bot:a-new-one")}}
    (tmp_path / "config.json").write_text(json.dumps(changed))
    assert await made.renew(refused) == Credential("bot", "a-new-one")
    assert await made.get() == Credential("bot", "a-new-one")


ANSWERS = 'read server; echo "{\\"Username\\": \\"%s\\", \\"Secret\\": \\"for $server\\"}"'


@pytest.mark.parametrize(
    ("config", "address", "credential"),
    [
        pytest.param(
            {"credsStore": "one"}, "quay.io", Credential("one", "for quay.io"), id="store for all"
        ),
        pytest.param(
            {
                "credHelpers": {"quay.io": "two"},
                "credsStore": "one",
                "auths": {"quay.io": auth("bot:x")},
            },
            "quay.io",
            Credential("two", "for quay.io"),
            id="the host's helper goes before the store and auths",
        ),
        pytest.param(
            {"credHelpers": {"ghcr.io": "two"}, "auths": {"quay.io": auth("bot:x")}},
            "quay.io",
            Credential("bot", "x"),
            id="another host's helper is not asked",
        ),
        pytest.param(
            {"credHelpers": {"https://index.docker.io/v1/": "two"}},
            "docker.io",
            Credential("two", "for https://index.docker.io/v1/"),
            id="hub is asked for as docker does",
        ),
    ],
)
async def test_helpers_are_asked_for_the_server(
    tmp_path: Path, config: dict[str, Any], address: str, credential: Credential
) -> None:
    for name in ("one", "two"):
        write_helper(tmp_path, name, f'[ "$1" = get ] || exit 9\n{ANSWERS % name}')
    assert await provider_of(tmp_path, config, address).get() == credential


async def test_a_helper_may_give_an_identity_token(tmp_path: Path) -> None:
    write_helper(tmp_path, "one", ANSWERS % "<token>")
    made = provider_of(tmp_path, {"credsStore": "one"})
    assert await made.get() == Credential(identity_token="for quay.io")


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("echo credentials not found in native keychain; exit 1", id="an error"),
        pytest.param('echo \'{"Username": "", "Secret": ""}\'', id="nothing in it"),
    ],
)
async def test_a_helper_that_has_nothing_means_anonymous(tmp_path: Path, script: str) -> None:
    write_helper(tmp_path, "one", script)
    assert (await provider_of(tmp_path, {"credsStore": "one"}).get()).is_anonymous


@pytest.mark.parametrize(
    ("script", "message"),
    [
        pytest.param(
            "echo hunter2; echo 'keychain is locked' >&2; exit 1",
            "docker-credential-one failed for quay.io, exit code 1: keychain is locked",
            id="exit code",
        ),
        pytest.param("echo hunter2", "docker-credential-one: that is not JSON", id="not JSON"),
        pytest.param(
            "echo '[\"hunter2\"]'", "docker-credential-one: that is not a JSON object", id="a list"
        ),
        pytest.param(
            'echo \'{"Username": "hunter2"}\'',
            "docker-credential-one gave no user name and secret for quay.io",
            id="no secret",
        ),
        pytest.param(
            "yes hunter2", "docker-credential-one printed more than 64 KiB", id="too much"
        ),
    ],
)
async def test_a_helper_that_fails_is_named_without_its_output(
    tmp_path: Path, script: str, message: str
) -> None:
    write_helper(tmp_path, "one", script)
    with pytest.raises(CredentialError) as caught:
        await provider_of(tmp_path, {"credsStore": "one"}).get()
    assert str(caught.value) == message


async def test_a_helper_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CredentialError, match="docker-credential-one can't be started: No such"):
        await provider_of(tmp_path, {"credsStore": "one"}).get()


async def test_a_helper_is_asked_once_and_again_when_refused(tmp_path: Path) -> None:
    script = f"""echo x >>{tmp_path}/runs
echo "{{\\"Username\\": \\"bot\\", \\"Secret\\": \\"$(wc -l <{tmp_path}/runs | tr -d ' ')\\"}}" """
    write_helper(tmp_path, "one", script)
    made = provider_of(tmp_path, {"credsStore": "one"})
    assert await made.get() == Credential("bot", "1")
    assert await made.get() == Credential("bot", "1")
    assert await made.renew(Credential("bot", "1")) == Credential("bot", "2")
