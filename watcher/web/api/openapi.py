"""The OpenAPI 3.1 description of the API, written from the declared operations. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from watcher import __version__
from watcher.web.api.declaring import Operation, Parameter
from watcher.web.api.shapes import COMPONENTS, Schema, ref

PREFIX = "/api/v1"

_ALWAYS = {
    HTTPStatus.BAD_REQUEST: "The request is no HTTP, or its body no JSON.",
    HTTPStatus.UNAUTHORIZED: "The token is missing or wrong.",
    HTTPStatus.FORBIDDEN: "Without a token only requests of this machine are served.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "A value is missing, unknown or wrong.",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many wrong tokens.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The state file or the token can't be used now.",
}
_OF_BODIES = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is not JSON.",
}
_OF_ACTS = {
    HTTPStatus.NOT_FOUND: "What is named does not exist.",
    HTTPStatus.CONFLICT: "It may not be, as things stand; the error says why.",
}


def description(operations: Iterable[Operation], *, with_token: bool) -> dict[str, Any]:
    """The document. `with_token`: whether one is demanded."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths[PREFIX + operation.path] = {operation.method.lower(): _operation(operation)}
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "registry-watcher",
            "version": __version__,
            "description": "What the watcher sees and runs, and what a person may ask of it.",
        },
        "paths": paths,
        "components": {"schemas": COMPONENTS},
    }
    if with_token:
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
    return document


def _operation(operation: Operation) -> dict[str, Any]:
    parameters = [
        *(_parameter(part, "path") for part in operation.parts),
        *(_parameter(each, "query") for each in operation.query),
    ]
    written: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.doc,
        "parameters": parameters,
        "responses": _responses(operation),
    }
    if operation.body is not None:
        written["requestBody"] = {
            "required": operation.needs_body,
            "content": {"application/json": {"schema": _body(operation.body)}},
        }
    return written


def _parameter(parameter: Parameter, place: str) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": place,
        "required": parameter.required,
        "description": parameter.doc,
        "schema": _schema(parameter),
    }


def _body(parameters: tuple[Parameter, ...]) -> Schema:
    properties = {each.name: {**_schema(each), "description": each.doc} for each in parameters}
    return {
        "type": "object",
        "properties": properties,
        "required": [each.name for each in parameters if each.required],
        "additionalProperties": False,
    }


def _schema(parameter: Parameter) -> Schema:
    schema = parameter.kind.schema
    if parameter.default is not None:
        schema = {**schema, "default": parameter.default}
    return schema


def _responses(operation: Operation) -> dict[str, Any]:
    refusals = dict(_ALWAYS)
    if operation.method == "POST":
        refusals |= _OF_BODIES
    refusals |= {status: _OF_ACTS[status] for status in operation.refusals}
    answers = {str(int(operation.status)): _answer(operation.doc, operation.answer)}
    answers |= {
        str(int(status)): _answer(doc, ref("Error")) for status, doc in sorted(refusals.items())
    }
    return answers


def _answer(doc: str, schema: Schema) -> dict[str, Any]:
    return {"description": doc, "content": {"application/json": {"schema": schema}}}
