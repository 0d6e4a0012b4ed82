"""`/hooks/SENDER`: who may deliver, what it has to look like as HTTP, and what a handshake gets.

A token is checked before the body is read; a signature needs the body, and is checked after it.
Neither they nor the query of the URL get anywhere but here.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import NoReturn

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from watcher.telemetry.log import Log
from watcher.web.auth import TokenFile, WrongTokens, check_local
from watcher.web.hooks.proof import Signed, is_held, signed, tokens_given
from watcher.web.hooks.reception import Letter, Reception
from watcher.web.hooks.senders import Kind, kind_named
from watcher.web.refusals import Refused

_EVENT_GRID = ".eventgrid.azure.net"
_LONGEST_ORIGIN = 255


def hook_routes(
    reception: Reception, token: TokenFile | None, *, log: Log, clock: Callable[[], float]
) -> list[Route]:
    """To be mounted at `/hooks`. Without a token only this machine may deliver. `clock` is
    monotonic, in seconds."""
    door = _Door(reception, token, WrongTokens(log=log, clock=clock))
    return [Route("/{sender}", door.answer, methods=["POST", "OPTIONS"])]


class _Door:
    """Lets deliveries in."""

    def __init__(self, reception: Reception, token: TokenFile | None, wrong: WrongTokens) -> None:
        self._reception = reception
        self._token = token
        self._wrong = wrong

    async def answer(self, request: Request) -> Response:
        kind = kind_named(request.path_params["sender"])
        if kind is None:
            raise Refused(HTTPStatus.NOT_FOUND, "not found")
        is_known = self._is_known(request)
        if request.method == "OPTIONS":
            return self._handshake(request, kind, is_known=is_known)
        if not is_known and signed(request.headers, kind.signature, b"") is None:
            self._refuse(request, kind)
        _check_media_type(request)
        body = await request.body()
        reply = self._reception.receive(
            kind,
            Letter(
                headers=request.headers,
                body=body,
                signed=self._proof(request, kind, body, is_known=is_known),
                account=request.query_params.get("account"),
            ),
        )
        return JSONResponse(
            dict(reply.content), status_code=reply.status, headers=dict(reply.headers)
        )

    def _is_known(self, request: Request) -> bool:
        """Whether the token was given. Where none is demanded, raises Refused for strangers."""
        if self._token is None:
            check_local(request)
            return True
        given = tokens_given(request.headers, request.query_params.getlist("token"))
        return is_held(self._token, given)

    def _proof(self, request: Request, kind: Kind, body: bytes, *, is_known: bool) -> Signed | None:
        """What was signed, where it was: a signature that is there has to be right."""
        proof = signed(request.headers, kind.signature, body)
        if self._token is None or (proof is None and is_known):
            return None
        if proof is None or not self._token.has_signed(proof.content, proof.signature):
            self._refuse(request, kind)
        return proof

    def _refuse(self, request: Request, kind: Kind) -> NoReturn:
        self._reception.refuse(kind.sender)
        self._wrong.count(request)
        raise Refused(
            HTTPStatus.UNAUTHORIZED,
            "unauthorized",
            "docs/webhooks.md says where each sender puts the token",
            headers={"www-authenticate": "Bearer"},
        )

    def _handshake(self, request: Request, kind: Kind, *, is_known: bool) -> Response:
        """Event Grid asks whether it may deliver (CloudEvents, "Abuse Protection")."""
        origin = request.headers.get("webhook-request-origin", "")
        if kind.sender.name != "acr" or len(origin) > _LONGEST_ORIGIN:
            raise Refused(
                HTTPStatus.METHOD_NOT_ALLOWED, "method not allowed", headers={"allow": "POST"}
            )
        if not is_known:
            self._refuse(request, kind)
        if not f".{origin}".endswith(_EVENT_GRID) or not origin.isascii():
            raise Refused(HTTPStatus.FORBIDDEN, "this origin may not deliver")
        allowed = {"webhook-allowed-origin": origin, "webhook-allowed-rate": "*"}
        return Response(status_code=HTTPStatus.OK, headers=allowed)


def _check_media_type(request: Request) -> None:
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given not in ("", "application/json") and not given.endswith("+json"):
        raise Refused(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "the body has to be JSON",
            "choose application/json at the sender",
        )
