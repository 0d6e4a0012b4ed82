"""Passwords that are simply there: config, environment, file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from watcher.core.account import Credential, CredentialProvider, CredentialSource
from watcher.core.reference import Registry
from watcher.credentials import provider
from watcher.errors import CredentialError

REGISTRY = Registry.parse("registry.example.com")


def provider_of(source: CredentialSource, **environment: str) -> CredentialProvider:
    return provider(source, REGISTRY, clock=lambda: 0.0, environment=environment)


async def test_without_a_source_the_credential_is_anonymous() -> None:
    credential = await provider_of(CredentialSource()).get()
    assert credential == Credential()
    assert credential.is_anonymous


async def test_a_password_in_the_config_is_sent_as_it_is() -> None:
    source = CredentialSource(username="bot", password=" hunter2 ")
    assert await provider_of(source).get() == Credential("bot", " hunter2 ")
    assert await provider_of(source).renew(Credential()) == Credential("bot", " hunter2 ")


async def test_a_password_in_the_environment_is_sent_as_it_is() -> None:
    source = CredentialSource(username="bot", password_env="QUAY_TOKEN")
    assert await provider_of(source, QUAY_TOKEN="hunter2\n").get() == Credential("bot", "hunter2\n")


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        pytest.param({}, "the environment variable QUAY_TOKEN is not set", id="missing"),
        pytest.param(
            {"QUAY_TOKEN": ""}, "the environment variable QUAY_TOKEN is empty", id="empty"
        ),
    ],
)
async def test_a_variable_without_a_password_is_named(
    environment: dict[str, str], message: str
) -> None:
    source = CredentialSource(username="bot", password_env="QUAY_TOKEN")
    with pytest.raises(CredentialError, match=message):
        await provider_of(source, **environment).get()


@pytest.mark.parametrize(
    ("content", "password"),
    [
        pytest.param("hunter2", "hunter2", id="no newline"),
        pytest.param("hunter2\n", "hunter2", id="one newline is cut"),
        pytest.param("hunter2\r\n", "hunter2", id="one windows newline is cut"),
        pytest.param("hunter2\n\n", "hunter2\n", id="only one newline is cut"),
        pytest.param(" hunter2 \n", " hunter2 ", id="blanks stay"),
        pytest.param("hunter2\r", "hunter2\r", id="a lone carriage return stays"),
        pytest.param('{\n  "type": "x"\n}\n', '{\n  "type": "x"\n}', id="lines of a key stay"),
        pytest.param("pässwörd\n", "pässwörd", id="not only ascii"),
    ],
)
async def test_of_a_file_one_newline_at_the_end_is_cut(
    tmp_path: Path, content: str, password: str
) -> None:
    file = tmp_path / "password"
    file.write_bytes(content.encode())
    credential = await provider_of(CredentialSource(username="bot", password_file=file)).get()
    assert credential == Credential("bot", password)


def rewrite(file: Path) -> None:
    file.write_text("new-password\n")


def rewrite_with_same_size_and_time(file: Path) -> None:
    before = file.stat()
    replacement = file.with_name("replacement")
    replacement.write_text("new-secret\n")
    os.utime(replacement, ns=(before.st_atime_ns, before.st_mtime_ns))
    replacement.rename(file)


@pytest.mark.parametrize(
    ("change", "password"),
    [
        pytest.param(rewrite, "new-password", id="written again"),
        pytest.param(rewrite_with_same_size_and_time, "new-secret", id="another inode"),
    ],
)
async def test_a_changed_file_is_read_again(
    tmp_path: Path, change: Callable[[Path], None], password: str
) -> None:
    file = tmp_path / "password"
    file.write_text("old-secret\n")
    source = provider_of(CredentialSource(username="bot", password_file=file))
    assert await source.get() == Credential("bot", "old-secret")
    change(file)
    assert await source.get() == Credential("bot", password)


async def test_a_secret_rotated_behind_a_symbolic_link_is_read_again(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "password").write_text(f"{name}-secret")
    link = tmp_path / "data"
    link.symlink_to("old")
    source = provider_of(CredentialSource(password_file=link / "password"))
    assert await source.get() == Credential(None, "old-secret")
    link.unlink()
    link.symlink_to("new")
    assert await source.get() == Credential(None, "new-secret")


async def test_a_refused_password_is_read_again_even_when_the_file_looks_the_same(
    tmp_path: Path,
) -> None:
    file = tmp_path / "password"
    file.write_text("old-secret")
    before = file.stat()
    source = provider_of(CredentialSource(username="bot", password_file=file))
    refused = await source.get()
    file.write_text("new-secret")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert await source.get() == refused
    assert await source.renew(refused) == Credential("bot", "new-secret")


def make_nothing(file: Path) -> None:
    pass


def make_directory(file: Path) -> None:
    file.mkdir()


def make_empty(file: Path) -> None:
    file.write_text("\n")


def make_large(file: Path) -> None:
    file.write_bytes(b"hunter2" * 200_000)


def make_binary(file: Path) -> None:
    file.write_bytes(b"hunter2\xff\n")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(make_nothing, "can't be read: No such file or directory", id="missing"),
        pytest.param(make_directory, "can't be read: Is a directory", id="a directory"),
        pytest.param(make_empty, "is empty", id="empty"),
        pytest.param(make_large, "is larger than 1 MiB", id="too large"),
        pytest.param(make_binary, "is not UTF-8 text", id="not text"),
    ],
)
async def test_a_file_that_is_no_password_is_named_without_its_content(
    tmp_path: Path, make: Callable[[Path], None], message: str
) -> None:
    file = tmp_path / "password"
    make(file)
    source = provider_of(CredentialSource(username="bot", password_file=file))
    with pytest.raises(CredentialError) as caught:
        await source.get()
    assert str(caught.value) == f"password_file {file} {message}"


async def test_a_file_that_went_away_is_an_error_until_it_is_back(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("hunter2")
    source = provider_of(CredentialSource(username="bot", password_file=file))
    await source.get()
    file.unlink()
    with pytest.raises(CredentialError, match="No such file"):
        await source.get()
    file.write_text("hunter3")
    assert await source.get() == Credential("bot", "hunter3")
