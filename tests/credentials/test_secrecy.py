"""No secret in reprs, messages or tracebacks, whatever the source and whatever goes wrong."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from datetime import timedelta
from pathlib import Path

import pytest

from watcher.core.account import Credential, CredentialSource
from watcher.core.reference import Registry
from watcher.credentials import provider
from watcher.errors import CredentialError

SECRET = "correct-horse-battery-staple"
REGISTRY = Registry.parse("quay.io")


def texts_of(error: BaseException) -> str:
    return "".join([str(error), repr(error), *traceback.format_exception(error)])


@pytest.mark.parametrize(
    "credential",
    [
        pytest.param(Credential("bot", SECRET), id="password"),
        pytest.param(Credential("bot", identity_token=SECRET), id="identity token"),
        pytest.param(CredentialSource(username="bot", password=SECRET), id="source"),
    ],
)
def test_reprs_hide_the_secret(credential: object) -> None:
    assert SECRET not in f"{credential!r} {credential}"


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("cat $SECRET_FILE; exit 1", id="exit code"),
        pytest.param("cat $SECRET_FILE; cat $SECRET_FILE >&2; exit 1", id="repeated on stderr"),
        pytest.param("cat $SECRET_FILE; printf '\\377'", id="not text"),
        pytest.param("while :; do cat $SECRET_FILE; done", id="too much"),
        pytest.param("cat $SECRET_FILE; cat $SECRET_FILE >&2; sleep 100", id="too slow"),
    ],
)
async def test_a_failing_command_shows_no_output(tmp_path: Path, script: str) -> None:
    file = tmp_path / "secret"
    file.write_text(SECRET)
    source = CredentialSource(password_command=script, password_timeout=timedelta(seconds=2))
    environment = {**os.environ, "SECRET_FILE": str(file)}
    made = provider(source, REGISTRY, clock=lambda: 0.0, environment=environment)
    with pytest.raises(CredentialError) as caught:
        await made.get()
    assert SECRET not in texts_of(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(f'{{"auths": {{"quay.io": {{"auth": "{SECRET}"}}}}}}', id="auth"),
        pytest.param(f'{{"auths": "{SECRET}', id="not JSON"),
        pytest.param(f'{{"credsStore": "{SECRET}!"}}', id="helper name"),
    ],
)
async def test_a_broken_docker_config_shows_no_content(tmp_path: Path, content: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(content)
    made = provider(
        CredentialSource(docker_config=file), REGISTRY, clock=lambda: 0.0, environment={}
    )
    with pytest.raises(CredentialError) as caught:
        await made.get()
    assert SECRET not in texts_of(caught.value)


async def test_a_binary_password_file_shows_no_content(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_bytes(SECRET.encode() + b"\xff")
    made = provider(
        CredentialSource(password_file=file), REGISTRY, clock=lambda: 0.0, environment={}
    )
    with pytest.raises(CredentialError) as caught:
        await made.get()
    assert SECRET not in texts_of(caught.value)


def test_plain_sources_import_neither_asyncio_nor_json() -> None:
    """Who reads a password from a file doesn't pay for commands and helpers at start-up."""
    code = "import sys, watcher.credentials; print('asyncio' in sys.modules, 'json' in sys.modules)"
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert printed.stdout.split() == ["False", "False"]
