"""What a registry answered: a plain value, and what its refusals mean (OCI distribution 1.1).

Error messages come from outside: control characters are cut, length is capped, and what was sent
as a secret is blotted out should the server repeat it. The small values of this package are
NamedTuples: at start-up each dataclass costs as much as two requests.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from html import escape, unescape
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, quote_plus

from watcher.errors import AccessDenied, NotFound, ProtocolError, ProxyError, RegistryError
from watcher.registry.bodies import parse_json

if TYPE_CHECKING:
    from watcher.http_client import Headers

MAXIMUM_MESSAGE = 300
_LONGEST_PAGE = 4096
_TITLE = re.compile(r"<title>([^<]*)", re.IGNORECASE)
_WANTS_TLS = re.compile(rb"HTTPS (?:server|port)")
_TEMPORARY = frozenset({408, 499})


class Answer(NamedTuple):
    """One answer, read to its end. `url` is where it came from, after redirects."""

    status: int
    headers: Headers
    body: bytes
    url: str


class SpecError(NamedTuple):
    """The first error of the specification's error body; both empty when there is none."""

    code: str = ""
    message: str = ""


def spec_error(body: bytes, secrets: Sequence[str] = ()) -> SpecError:
    """Read `{"errors": [{"code": …, "message": …}]}`; anything else is an empty SpecError."""
    try:
        document = parse_json(body)
        first = document["errors"][0]
        message = _blot(str(first.get("message", "")), secrets)
        code = _blot(str(first.get("code", "")), secrets)
        return SpecError(clean(code, 64), clean(message))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return SpecError()


def clean(text: str, most: int = MAXIMUM_MESSAGE) -> str:
    """Text of a stranger for one line of ours."""
    line = "".join(c if c.isprintable() else " " for c in text[: most + 1]).strip()
    return line if len(line) <= most else line[:most] + "…"


def failure(answer: Answer, host: str, what: str, secrets: Sequence[str] = ()) -> RegistryError:
    """The error that an answer means; `what` was asked for (`repository acme/web`)."""
    error = spec_error(answer.body, secrets)
    said = " ".join(part for part in (str(answer.status), error.code) if part)
    told = error.message or ("" if error.code else _text_of(answer, secrets))
    detail = f": {told}" if told else ""
    message = f"{host} answered {said} for {what}{detail}"
    return _error(answer, host, message)


def _text_of(answer: Answer, secrets: Sequence[str]) -> str:
    """What a web server before the registry says: plain text, or the title of its page."""
    kind = answer.headers.get("content-type", "").lower()
    if not kind.startswith("text/"):
        return ""
    text = answer.body[:_LONGEST_PAGE].decode("utf-8", "replace")
    if is_html(answer):
        title = _TITLE.search(text)
        text = unescape(title[1]) if title else ""
    return clean(_blot(text, secrets)).removeprefix(str(answer.status)).strip()


def _error(answer: Answer, host: str, message: str) -> RegistryError:
    status = answer.status
    if status == 400 and answer.url.startswith("http://") and _WANTS_TLS.search(answer.body):
        return ProtocolError(
            message,
            host=host,
            status=status,
            hint="is it an https registry? (without `plain_http`)",
        )
    if status in (401, 403):
        return AccessDenied(
            message,
            host=host,
            status=status,
            hint="the account may not read it, or it does not exist",
        )
    if status == 404:
        hint = "that is no answer of the v2 API; is the address right?" if is_html(answer) else None
        return NotFound(message, host=host, status=status, hint=hint)
    if status == 407:
        return ProxyError(f"the proxy for {host} wants a login (407)", host=host, status=status)
    if status < 400:
        return ProtocolError(message, host=host, status=status)
    temporary = status >= 500 or status in _TEMPORARY
    return RegistryError(message, host=host, status=status, temporary=temporary)


def is_html(answer: Answer) -> bool:
    return answer.headers.get("content-type", "").lower().startswith("text/html")


def _blot(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        if len(secret) > 3:
            for form in forms_of(secret):
                text = text.replace(form, "***")
    return text


def forms_of(secret: str) -> set[str]:
    """The ways in which JSON, URLs, forms and web pages write a text; most often all are one."""
    in_json = json.dumps(secret)[1:-1]
    return {
        secret,
        in_json,
        in_json.replace("/", "\\/"),
        json.dumps(secret, ensure_ascii=False)[1:-1],
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        escape(secret),
        escape(secret, quote=False),
    }
