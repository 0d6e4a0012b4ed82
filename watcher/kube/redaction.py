"""What may be shown of a text that a server or a plug-in printed: never a value that is a secret.

An API server repeats what it refuses: the answer about a changed Job holds its whole pod template
with the values of its environment, and a failed decode quotes the bytes around the place. Pure.
"""

from __future__ import annotations

import re

LIMIT = 200
"""Characters of a text that are shown."""

GAP = "…"

_BLANKS = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
_QUOTED_BYTES = re.compile(r",? (?:error found in #\d+ byte of|bigger context) .*")
_VALUE = re.compile(r"\b(?:(?:Invalid|Duplicate|Unsupported) value|Not found): ")
_PLAIN_VALUE = re.compile(r'"(?:[^"\\]|\\.){0,64}"|[-+.\w]{1,64}')
_DETAIL = re.compile(r'.*[]})"]: (?P<detail>.*)')
_SENSITIVE = re.compile(
    r"(?i)pass|secret|token|key|cred|auth|\bdata\b|\benv\b|value|\bargs?\b|command|annotations"
)
_SECRETS = (
    (re.compile(r"-----BEGIN [^-]+-----.*?(?:-----END [^-]+-----|$)"), GAP),
    (re.compile(r"\beyJ[-\w]{5,}(?:\.[-\w]*){0,2}"), GAP),
    (re.compile(r"(?i)\b(bearer|basic) +[-\w.~+/=]{8,}"), rf"\1 {GAP}"),
    (re.compile(r"(://)[^/\s@]+@"), rf"\1{GAP}@"),
    (
        re.compile(
            r"(?i)(?<!kind=)(\b[-\w]*(?:password|passwd|secret|token|api[-_]?key|authorization)"
            r"[\"']?\s*[:=]\s*)(?:\"[^\"]*\"?|'[^']*'?|[^\s,;]+)"
        ),
        rf"\1{GAP}",
    ),
    (re.compile(r'\b(Value"?:)"[^"]*"?'), rf"\1{GAP}"),
    (re.compile(r"\{.{60,}\}|\{.{60,}"), f"{{{GAP}}}"),
)


def redacted(text: str, *, field: str = "", limit: int = LIMIT) -> str:
    """`text` on one line, without the value that it is about where that may be a secret.

    `field` is the path of the field that it speaks of. A short plain value stays, because it is
    what the reader looks for, unless the field's name speaks against it.
    """
    shown = _QUOTED_BYTES.sub("", _BLANKS.sub(" ", text).strip())
    shown = _without_value(shown, field)
    for pattern, replacement in _SECRETS:
        shown = pattern.sub(replacement, shown)
    return shown if len(shown) <= limit else shown[:limit].rstrip() + GAP


def _without_value(text: str, field: str) -> str:
    stated = _VALUE.search(text)
    if stated is None:
        return text
    head, rest = text[: stated.end()], text[stated.end() :]
    plain = _PLAIN_VALUE.match(rest)
    if plain is not None and rest[plain.end() :][:1] in ("", ":", ",", "]"):
        hidden = _SENSITIVE.search(field or text[: stated.start()]) is not None
        return head + (GAP if hidden else plain.group()) + rest[plain.end() :]
    detail = _DETAIL.fullmatch(rest)
    return head + GAP + (f": {detail['detail']}" if detail else "")
