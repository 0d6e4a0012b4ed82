"""What may be shown of a text that a server or a plug-in printed: never a value that is a secret.

An API server repeats what it refuses: the answer about a changed Job holds its whole pod template
with the values of its environment, and a failed decode quotes the bytes around the place. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

LIMIT = 200
"""Characters of a text that are shown."""

GAP = "…"

_LONGEST = 32 * 1024
"""Characters of a text that are looked at."""

_BLANKS = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
_QUOTED_BYTES = re.compile(r",? (?:error found in #\d+ byte of|bigger context) .*")
_VALUE = re.compile(r"\b(?:(?:Invalid|Duplicate|Unsupported) value|Not found): ")
_PLAIN_VALUE = re.compile(r'"(?:[^"\\]|\\.){0,64}"|[-+.\w]{1,64}')
_DETAIL = re.compile(r'.*[]})"]: (?P<detail>.*)')
_SENSITIVE = re.compile(
    r"(?i)pass|secret|token|key|cred|auth|\bdata\b|\benv\b|value|\bargs?\b|command|annotations"
)
_NAME = (
    r"(?:password|passwd|passphrase|pwd|secret|token|(?:api|access|private)[-_]?key|authorization)"
)
_TOKENS = (
    (re.compile(r"-----BEGIN [^-]+-----.*?(?:-----END [^-]+-----|$)"), GAP),
    (re.compile(r"\beyJ[-\w]{5,}(?:\.[-\w]*){0,2}"), GAP),
    (re.compile(r"\b(?:gh[oprsu]_|github_pat_|glpat-|dckr_pat_|xox[abprs]-|A[KS]IA)\w{10,}"), GAP),
    (re.compile(r"(?i)\b(bearer|basic) +[-\w.~+/=]{8,}"), rf"\1 {GAP}"),
    (re.compile(r"(://)[^/\s]+@"), rf"\1{GAP}@"),
    (re.compile(r":[^\s:@/]+@(tcp|unix)\("), rf":{GAP}@\1("),
)
"""What is a secret wherever it stands."""
_CREDENTIALS = (
    *_TOKENS,
    (re.compile(rf"(?i)(?<![-\w])(--[-\w]*{_NAME}) +(?!-)\S+"), rf"\1 {GAP}"),
    (
        re.compile(
            rf"(?i)(?<!kind=)((?<![-\w])[-\w]*{_NAME}(?:[-_][-\w]{{0,40}}+)?[\"']?\s*[:=]\s*)"
            r"(?:\"[^\"]*\"?|'[^']*'?|(?:(?:bearer|basic) +)?[^\s,;]+)"
        ),
        rf"\1{GAP}",
    ),
)
_SECRETS = (
    *_CREDENTIALS,
    (re.compile(r'\b(Value"?:)(?:"[^"]*"?|[^\s,;})]+)'), rf"\1{GAP}"),
    (re.compile(r"\{.{60,}\}|\{.{60,}"), f"{{{GAP}}}"),
)


def redacted(text: str, *, field: str = "", limit: int = LIMIT) -> str:
    """`text` on one line, without the value that it is about where that may be a secret.

    `field` is the path of the field that it speaks of. A short plain value stays, because it is
    what the reader looks for, unless the field's name speaks against it.
    """
    shown = _QUOTED_BYTES.sub("", _BLANKS.sub(" ", text[:_LONGEST]).strip())
    shown = _replaced(_without_values(shown, field), _SECRETS)
    return shown if len(shown) <= limit else shown[:limit].rstrip() + GAP


def without_tokens(line: str) -> str:
    """A line of a program's own words without what is a secret wherever it stands, such as the
    password in a URL."""
    return _replaced(line, _TOKENS)


def without_credentials(line: str) -> str:
    """Also without what the words before it call a password: for the log of a container, which
    nobody wrote with readers in mind."""
    return _replaced(line, _CREDENTIALS)


def _replaced(text: str, patterns: Iterable[tuple[re.Pattern[str], str]]) -> str:
    for pattern, replacement in patterns:
        text = pattern.sub(replacement, text)
    return text


def _without_values(text: str, field: str) -> str:
    """Without the values that a server quotes; one that is no plain word takes along all that
    follows but the last detail."""
    shown = ""
    while (stated := _VALUE.search(text)) is not None:
        head, rest = text[: stated.end()], text[stated.end() :]
        plain = _PLAIN_VALUE.match(rest)
        if plain is None or rest[plain.end() :][:1] not in ("", ":", ",", "]"):
            detail = _DETAIL.fullmatch(rest)
            return shown + head + GAP + (f": {detail['detail']}" if detail else "")
        is_hidden = _SENSITIVE.search(field or text[: stated.start()]) is not None
        shown += head + (GAP if is_hidden else plain.group())
        text, field = rest[plain.end() :], ""
    return shown + text
