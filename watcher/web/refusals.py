"""How the HTTP side says no: one shape, `{"error": …, "hint": …}`, without a stack or a version."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response


class Refused(HTTPException):
    """A request is not carried out: the status, what is wrong, and what to do about it."""

    def __init__(
        self,
        status: HTTPStatus,
        error: str,
        hint: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, error, headers)
        self.hint = hint


def refusal_body(error: str, hint: str | None = None) -> bytes:
    return json.dumps({"error": error, "hint": hint}).encode()


async def answer_refused(_: Request, error: Exception) -> Response:
    """For Starlette: our own refusals, and its own for paths and methods that there are not."""
    assert isinstance(error, HTTPException)
    message = error.detail
    if not isinstance(error, Refused):
        message = HTTPStatus(error.status_code).phrase.lower()
    hint = getattr(error, "hint", None)
    return JSONResponse(
        {"error": message, "hint": hint}, status_code=error.status_code, headers=error.headers
    )


async def answer_fault(_: Request, __: Exception) -> Response:
    """For what nobody expected; the log has the rest."""
    return JSONResponse({"error": "internal error", "hint": None}, status_code=500)
