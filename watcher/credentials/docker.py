"""`docker_config`: the credentials that `docker login` and `podman login` left behind.

A helper of the host goes before the helper for all, and that before `auths`. Formats: docker's
config.json with its credential-helper protocol, and auth.json of containers/image.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from watcher.core.account import Credential, CredentialProvider, CredentialSource
from watcher.core.reference import Registry
from watcher.credentials.plain import Fixed, WatchedFile
from watcher.errors import CredentialError

DOCKER_HUB_SERVER = "https://index.docker.io/v1/"
_MEANS_IDENTITY = "<token>"
_NOT_FOUND = "credentials not found"
_HELPER_NAME = re.compile(r"[A-Za-z0-9._-]+")
_KEY = re.compile(r"(?:https?://)?([^/]+)(/.*)?", re.IGNORECASE)


class FromDockerConfig:
    """Reads the file again when it changed; what a helper gives is kept for `password_ttl`."""

    def __init__(
        self,
        source: CredentialSource,
        registry: Registry,
        *,
        clock: Callable[[], float],
        environment: Mapping[str, str],
    ) -> None:
        path = source.docker_config
        assert path is not None  # or another provider would do
        if path.is_dir():
            path = path / "config.json"
        self._file = WatchedFile(path, "docker_config")
        self._source = source
        self._registry = registry
        self._clock = clock
        self._environment = environment
        self._current: CredentialProvider | None = None

    async def get(self) -> Credential:
        return await self._provider().get()

    async def renew(self, refused: Credential) -> Credential:
        return await self._provider().renew(refused)

    def _provider(self) -> CredentialProvider:
        if self._current is None or self._file.is_changed():
            self._current = self._read()
        return self._current

    def _read(self) -> CredentialProvider:
        config = _object(self._file.read(), f"docker_config {self._file.path}")
        try:
            name = helper_of(config, self._registry)
            if name is None:
                return _Kept(credential_of(config, self._registry))
        except ValueError as error:
            raise CredentialError(f"docker_config {self._file.path}: {error}") from None
        return self._from_helper(name)

    def _from_helper(self, name: str) -> CredentialProvider:
        from watcher.credentials.renewed import Renewed

        server = DOCKER_HUB_SERVER if self._registry.is_docker_hub else self._registry.name

        async def fetch() -> Credential:
            return await ask_helper(
                name,
                server,
                environment=self._environment,
                timeout=self._source.password_timeout,
            )

        return Renewed(fetch, ttl=self._source.password_ttl, clock=self._clock)


class _Kept(Fixed):
    """What stands in `auths`."""

    def __init__(self, credential: Credential) -> None:
        super().__init__(None, None)
        self._credential = credential


def helper_of(config: Mapping[str, Any], registry: Registry) -> str | None:
    """The helper's name for the registry, None when `auths` counts. Raises ValueError."""
    helpers = _mapping(config, "credHelpers")
    names = [name for key, name in helpers.items() if _matches(key, registry) == ""]
    name = names[0] if names else config.get("credsStore")
    if not name:
        return None
    if not isinstance(name, str) or _HELPER_NAME.fullmatch(name) is None:
        raise ValueError("a credential helper's name may have letters, digits and . _ - only")
    return name


def credential_of(config: Mapping[str, Any], registry: Registry) -> Credential:
    """The entry of `auths` for the host, else the only one for a part of it (containers' auth.json
    may name repositories); anonymous when there is none. Raises ValueError."""
    found: dict[str, Any] = {}
    for key, entry in _mapping(config, "auths").items():
        part = _matches(key, registry)
        if part is not None and entry:
            found.setdefault(part, entry)
    if "" in found:
        return _credential(found[""])
    if len(found) > 1:
        raise ValueError(f"several entries for parts of {registry.name}, none for the host itself")
    return _credential(*found.values()) if found else Credential()


async def ask_helper(
    name: str, server: str, *, environment: Mapping[str, str], timeout: timedelta
) -> Credential:
    """What `docker-credential-NAME get` says; anonymous when it has nothing for the server.

    Raises CredentialError. Helpers write their errors to stdout, where secrets come from too, so
    only the one that means "nothing there" is looked for in it.
    """
    from watcher.credentials.process import run

    what = f"docker-credential-{name}"
    ended = await run(
        [what, "get"],
        what=what,
        environment=environment,
        timeout=timeout,
        stdin=server.encode(),
    )
    if ended.code != 0:
        if _NOT_FOUND in f"{ended.stdout} {ended.stderr}".lower():
            return Credential()
        hint = f"try: echo {server} | {what} get"
        raise CredentialError(f"{what} failed for {server}, {ended.how}", hint=hint)
    answer = _object(ended.stdout, what)
    username, secret = answer.get("Username"), answer.get("Secret")
    if username == secret == "":
        return Credential()  # so says docker-credential-pass, where others fail
    if not isinstance(secret, str) or not isinstance(username, str) or not secret:
        raise CredentialError(f"{what} gave no user name and secret for {server}")
    if username == _MEANS_IDENTITY:
        return Credential(identity_token=secret)
    return Credential(username, secret)


def _matches(key: str, registry: Registry) -> str | None:
    """What a key names of the registry: "" for the whole of it (`host`, `https://host/v1/`), a
    path for a part, None for another registry."""
    match = _KEY.fullmatch(key.strip())
    if match is None:
        return None
    host, path = match[1], match[2] or ""
    try:
        name = Registry.parse(host).name
    except ValueError:
        return None
    if name.removesuffix(":443") != registry.name.removesuffix(":443"):
        return None
    return "" if path.rstrip("/") in ("", "/v1", "/v2") else path.strip("/")


def _credential(entry: Any) -> Credential:
    if not isinstance(entry, dict):
        raise ValueError("an entry of `auths` is not an object")
    username, password = entry.get("username"), entry.get("password")
    if auth := entry.get("auth"):
        username, password = _decoded(auth)
    if token := entry.get("identitytoken"):
        return Credential(username or None, identity_token=_text(token))
    if entry.get("registrytoken"):
        raise ValueError("`registrytoken` is not supported; log in with a user and password")
    if not username and not password:
        return Credential()
    return Credential(_text(username), _text(password))


def _decoded(auth: object) -> tuple[str, str]:
    """`user:password` in base64; old versions of docker left NULs at the end."""
    try:
        text = base64.b64decode(_text(auth), validate=True).decode().rstrip("\0")
    except (binascii.Error, UnicodeDecodeError):
        text = ""
    username, colon, password = text.partition(":")
    if not colon:
        raise ValueError("an `auth` in `auths` is not user:password in base64") from None
    return username, password


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("an entry of `auths` has a value that is not text")
    return value


def _mapping(config: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = config.get(key) or {}
    if not isinstance(value, dict):
        raise ValueError(f"{key!r} is not an object")
    return value


def _object(text: str, what: str) -> dict[str, Any]:
    """A JSON object; the cause is cut off where it would hold the text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise CredentialError(f"{what}: that is not JSON") from None
    if not isinstance(value, dict):
        raise CredentialError(f"{what}: that is not a JSON object")
    return value
