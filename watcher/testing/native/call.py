"""What a native API of the fake registry is, what it is handed, and how it writes moments.

Imported by the modules beside it and by profiles.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from watcher.testing.content import Content
from watcher.testing.doorkeeper import Doorkeeper
from watcher.testing.records import Route
from watcher.testing.wire import Request, Response, error_response


@dataclass(frozen=True, slots=True)
class Call:
    """One request to a native API. `url` is the registry's address, `version` what it is."""

    request: Request
    where: Route
    url: str
    content: Content
    door: Doorkeeper
    version: str

    @property
    def host(self) -> str:
        return self.url.partition("://")[2]

    def number(self, name: str, default: int) -> int:
        """A parameter that is a number; ValueError where it is none."""
        given = self.request.parameter(name)
        return default if given is None else int(given)

    def guard(self) -> Response | None:
        """The refusal by the rules of the v2 API, for APIs that take its tokens."""
        return self.door.refusal(self.request, self.where, self.url)

    def known(self) -> bool:
        """Whether the repository exists."""
        return self.content.tags(self.where.repository) is not None

    def digest(self, tag: str) -> str:
        """The digest of a tag of the repository."""
        return self.content.digest(self.where.repository, tag)


class NativeApi(NamedTuple):
    """Reads its paths, and answers them; guards itself."""

    route: Callable[[str], Route | None]
    answer: Callable[[Call], Response]


def not_found(message: str) -> Response:
    """404 in the form of the distribution specification."""
    return error_response(404, "NAME_UNKNOWN", message)


def moment(seconds: float, digits: int, zone: str = "Z") -> str:
    """RFC 3339 with that many digits of a second, `2023-06-30T05:03:17.825Z`."""
    whole = datetime.fromtimestamp(seconds, UTC)
    fraction = f"{whole.microsecond:06}0"[:digits]
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{fraction}{zone}"
