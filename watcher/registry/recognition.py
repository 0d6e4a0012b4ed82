"""Which kind of registry a host is that no pattern knows: asked once a day, never per look.

At most four requests, none of them with a credential. For GitLab its path `/gitlab/v1/` alone is
not enough, as any proxy may answer there: its token server's name has to say so as well. A host
that does not answer well is not taken for an unknown kind: it is asked again an hour later.
field facts: registries.md sections 2.1 and 3.3.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from watcher.core.account import DialectName
from watcher.core.host import Recognition
from watcher.errors import ProtocolError, RegistryError
from watcher.registry.answer import Answer, is_html
from watcher.registry.bodies import parse_json
from watcher.registry.login.challenges import parse_challenges
from watcher.registry.urls import origin_of
from watcher.registry.wire import Ask, Wire

VALID = 24 * 3600.0
AGAIN_AFTER_FAILURE = 3600.0
PROBE_CAP = 256 * 1024
_OK, _UNAUTHORIZED, _TIME_OUT, _SERVER_ERROR = 200, 401, 408, 500
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,63}", re.ASCII)

Found = tuple[DialectName, str | None]


class Recogniser:
    """Recognises the host of one account."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def is_needed(self, last: Recognition | None) -> bool:
        """Whether the last recognition is too old."""
        return last is None or not 0 <= self._wire.lane.now() - last.at < VALID

    async def recognise(self) -> Recognition | None:
        """What the host is; None when it did not answer well enough to say."""
        try:
            found = await self._found()
        except RegistryError:
            return None
        dialect, version = found if found else (None, None)
        return Recognition(dialect, version, self._wire.lane.now())

    def postponed(self, last: Recognition | None) -> Recognition:
        """What to go by for an hour, in this process and the next ones, after a failure: what was
        known before it."""
        at = self._wire.lane.now() - VALID + AGAIN_AFTER_FAILURE
        return last._replace(at=at) if last is not None else Recognition(None, None, at)

    async def _found(self) -> Found | None:
        ping = await self._ask("/v2/")
        if ping is None:
            return None
        found = _by_headers(ping)
        if found is not None:
            return found
        probes: tuple[tuple[str, Callable[[Answer], Found | None]], ...] = (
            ("/api/v2.0/systeminfo", _harbor),
            ("/health/instance", _quay),
        )
        for path, read in probes:
            answer = await self._ask(path)
            found = read(answer) if answer is not None else None
            if found is not None:
                return found
        if _names_gitlab(ping) and _is_there(await self._ask("/gitlab/v1/")):
            return DialectName.GITLAB, _version(_header(ping, "gitlab-container-registry-version"))
        is_v2 = _header(ping, "docker-distribution-api-version").startswith("registry/2")
        return (DialectName.DISTRIBUTION, None) if is_v2 else None

    async def _ask(self, path: str) -> Answer | None:
        """An answer of the host itself; None where it is another's, or none that can be read."""
        ask = Ask(f"{self._wire.origin}{path}", "the kind of registry", PROBE_CAP)
        try:
            answer = await self._wire.deliver(ask, None, self._wire.origin)
        except ProtocolError:
            return None  # too long, or led in circles: that is no failure of a moment
        patience = self._wire.patience(answer, self._wire.lane.host_key)
        if patience is not None:
            raise patience
        if answer.status >= _SERVER_ERROR or answer.status == _TIME_OUT:
            raise RegistryError(f"{self._wire.host} answered {answer.status}")
        return answer if origin_of(answer.url) == self._wire.origin else None


def _by_headers(ping: Answer) -> Found | None:
    jfrog = _header(ping, "x-jfrog-version")
    if jfrog or "x-artifactory-id" in ping.headers:
        return DialectName.ARTIFACTORY, _version(jfrog.rpartition("/")[2])
    server = _header(ping, "server")
    if server.startswith("Nexus/"):
        return DialectName.NEXUS, _version(server.removeprefix("Nexus/"))
    return None


def _harbor(answer: Answer) -> Found | None:
    """Since 2.13 it tells its version only to those who logged in."""
    info = _object(answer)
    version = info.get("harbor_version")
    if isinstance(version, str):
        return DialectName.HARBOR, _version(version)
    is_harbor = isinstance(info.get("auth_mode"), str) and (
        "registry_url" in info or "self_registration" in info
    )
    return (DialectName.HARBOR, None) if is_harbor else None


def _quay(answer: Answer) -> Found | None:
    data = _object(answer).get("data")
    is_quay = isinstance(data, dict) and isinstance(data.get("services"), dict)
    return (DialectName.QUAY, None) if is_quay else None


def _names_gitlab(ping: Answer) -> bool:
    """Whether the token server is the one that GitLab has for its registry."""
    if "gitlab-container-registry-version" in ping.headers:
        return True
    challenges = parse_challenges(ping.headers.get_list("www-authenticate"))
    return any(
        challenge.get("service") == "container_registry"
        and (challenge.get("realm") or "").partition("?")[0].endswith("/jwt/auth")
        for challenge in challenges
    )


def _is_there(answer: Answer | None) -> bool:
    """GitLab's own API is there only with its database of metadata."""
    return answer is not None and answer.status in (_OK, _UNAUTHORIZED) and not is_html(answer)


def _object(answer: Answer) -> dict[str, Any]:
    if answer.status != _OK or is_html(answer):
        return {}
    try:
        document = parse_json(answer.body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _header(answer: Answer, name: str) -> str:
    return answer.headers.get(name, "")


def _version(text: str) -> str | None:
    """The first word, where it can be one of a version."""
    found = _VERSION.match(text.strip())
    return found[0] if found else None
