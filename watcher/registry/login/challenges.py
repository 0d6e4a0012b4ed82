"""WWW-Authenticate, read as RFC 9110 section 11.6.1 says and as registries really write it.

Several header lines, several challenges in one line, quoted pairs, odd case, blanks around `=`,
unquoted values, trailing commas: nothing here raises, what can't be read is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import NamedTuple

MAXIMUM_LENGTH = 16 * 1024
MAXIMUM_LINES = 8
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - a grammar rule, not a secret
_SCHEME = re.compile(_TOKEN)
_PARAMETER = re.compile(rf'({_TOKEN})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)(?:"|$)|([^ \t,"]*))')
_QUOTED_PAIR = re.compile(r"\\(.)")


class Challenge(NamedTuple):
    """One way to log in that a server offers; scheme and keys in lower case."""

    scheme: str
    parameters: Mapping[str, str]

    def get(self, key: str) -> str | None:
        return self.parameters.get(key) or None

    @property
    def scopes(self) -> tuple[str, ...]:
        return tuple(self.parameters.get("scope", "").split())


def parse_challenges(lines: Iterable[str]) -> tuple[Challenge, ...]:
    """All challenges of a response, in the server's order. Of equal keys the first counts; what
    comes after a few lines is left."""
    few = islice(lines, MAXIMUM_LINES)
    return tuple(challenge for line in few for challenge in _challenges(line[:MAXIMUM_LENGTH]))


def _challenges(line: str) -> list[Challenge]:
    found: list[tuple[str, dict[str, str]]] = []
    position = 0
    while position < len(line):
        parameter = _PARAMETER.match(line, position)
        scheme = None if parameter and found else _SCHEME.match(line, position)
        if parameter and found:
            found[-1][1].setdefault(parameter[1].lower(), _value(parameter))
            position = parameter.end()
        elif scheme:
            found.append((scheme[0].lower(), {}))
            position = scheme.end()
        else:
            position += 1
    return [Challenge(scheme, parameters) for scheme, parameters in found]


def _value(parameter: re.Match[str]) -> str:
    if parameter[2] is None:
        return parameter[3]
    return _QUOTED_PAIR.sub(r"\1", parameter[2])
