"""Makes of a request what its operation declares, or refuses it: 400 for what is no JSON, 413 and
415 for other bodies, 422 for values, 404 for a path that can't name anything.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from http import HTTPStatus
from typing import Any

from starlette.requests import Request

from watcher.web.api.declaring import Operation, Parameter
from watcher.web.limits import KIB
from watcher.web.refusals import Refused

MOST_BODY = 64 * KIB
_JSON = "application/json"


async def given_by(request: Request, operation: Operation) -> dict[str, Any]:
    """A value for every parameter of the operation; raises Refused."""
    given = {part.name: _part(part, request.path_params[part.name]) for part in operation.parts}
    given |= _query(request, operation.query)
    given |= _known(operation.body or (), await _body(request, operation))
    return given


def _part(parameter: Parameter, text: str) -> Any:
    try:
        return parameter.kind.parse(text)
    except ValueError as error:
        raise Refused(HTTPStatus.NOT_FOUND, "not found", f"{parameter.name} {error}") from None


def _query(request: Request, parameters: Iterable[Parameter]) -> dict[str, Any]:
    texts: dict[str, str] = {}
    for name, text in request.query_params.multi_items():
        if name in texts:
            _refuse(name, "is given twice")
        texts[name] = text
    declared = {parameter.name: parameter for parameter in parameters}
    _check_names(texts, declared)
    return {name: _parsed(parameter, texts) for name, parameter in declared.items()}


def _parsed(parameter: Parameter, texts: Mapping[str, str]) -> Any:
    if parameter.name not in texts:
        return parameter.default
    try:
        return parameter.kind.parse(texts[parameter.name])
    except ValueError as error:
        return _refuse(parameter.name, str(error))


def _known(parameters: Iterable[Parameter], body: Mapping[str, Any]) -> dict[str, Any]:
    declared = {parameter.name: parameter for parameter in parameters}
    _check_names(body, declared)
    return {name: _value(parameter, body) for name, parameter in declared.items()}


def _value(parameter: Parameter, body: Mapping[str, Any]) -> Any:
    if parameter.name not in body:
        return _refuse(parameter.name, "is missing") if parameter.required else parameter.default
    try:
        return parameter.kind.read(body[parameter.name])
    except ValueError as error:
        return _refuse(parameter.name, str(error))


def _check_names(names: Iterable[str], declared: Mapping[str, Parameter]) -> None:
    for name in names:
        if name not in declared:
            near = get_close_matches(name, declared, n=1)
            known = f"there are: {', '.join(declared) or 'none'}"
            hint = f"did you mean {near[0]!r}?" if near else known
            raise Refused(
                HTTPStatus.UNPROCESSABLE_ENTITY, f"{name[:100]!r} is not known here", hint
            )


async def _body(request: Request, operation: Operation) -> Mapping[str, Any]:
    content = await _content(request)
    if not content:
        if operation.needs_body:
            raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "a body is needed", f"as {_JSON}")
        return {}
    if operation.method == "GET":
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "no body is taken here")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _JSON:
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body is not JSON", f"send {_JSON}")
    return _object(content)


async def _content(request: Request) -> bytes:
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > MOST_BODY:
            raise Refused(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body may have {MOST_BODY} bytes here"
            )
    return bytes(content)


def _object(content: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(content.decode(), parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise Refused(HTTPStatus.BAD_REQUEST, "the body is not JSON") from None
    if not isinstance(value, dict):
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "the body is not a JSON object")
    return value


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


def _refuse(name: str, rule: str) -> Any:
    raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, f"{name[:100]!r} {rule}")
