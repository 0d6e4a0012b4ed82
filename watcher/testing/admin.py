"""The fake registry by hand: its `/_admin/` paths, and what `python -m` does.

Admin requests need no credential, meet no fault and are not counted. Imported by the fake
registry only.
"""

from __future__ import annotations

import argparse
import asyncio
import ssl
import sys
from typing import TYPE_CHECKING

from watcher.testing.access import BearerAuth
from watcher.testing.profiles import PROFILES
from watcher.testing.wire import Request, Response, json_response

if TYPE_CHECKING:
    from watcher.testing.registry import FakeRegistry

_PREFIX = "/_admin/"


def is_admin(request: Request) -> bool:
    return request.path.startswith(_PREFIX)


def answer(registry: FakeRegistry, request: Request) -> Response:
    """`push` and `delete` (repository, tag), `repositories`, `stats`, `reset`, `revoke`."""
    try:
        return _perform(registry, request)
    except KeyError as error:
        return json_response({"error": f"missing or unknown: {error.args[0]}"}, 404)


def _perform(registry: FakeRegistry, request: Request) -> Response:
    given = dict(request.parameters)
    match request.path.removeprefix(_PREFIX):
        case "push":
            digest = registry.push(given["repository"], given["tag"], content=given.get("content"))
            return json_response({"digest": digest})
        case "delete":
            registry.delete_tag(given["repository"], given["tag"])
        case "repositories":
            return json_response({"repositories": registry.repositories})
        case "stats":
            return json_response(_stats(registry))
        case "reset":
            registry.reset_log()
        case "revoke":
            registry.revoke_tokens()
        case unknown:
            raise KeyError(unknown)
    return json_response({})


def _stats(registry: FakeRegistry) -> dict[str, object]:
    counters = registry.counters
    return {
        "requests": dict(counters.requests),
        "statuses": {str(status): count for status, count in counters.statuses.items()},
        "connections": counters.connections,
        "tokens": counters.tokens,
        "faults": counters.faults,
    }


def main(make: type[FakeRegistry]) -> int:
    """Serve until interrupted; the address is the first line of the output."""
    arguments = _parser().parse_args()
    users = dict(_user(text) for text in arguments.user)
    registry = make(
        host=arguments.host,
        port=arguments.port,
        profile=PROFILES[arguments.profile] if arguments.profile else None,
        users=users,
        public=arguments.public,
        auth=BearerAuth(users=users) if users and not arguments.profile else None,
        tls=_tls(arguments.certificate),
    )
    registry.seed(
        [f"lab/app-{number:05}" for number in range(arguments.repositories)],
        [f"1.{number // 10}.{number % 10}" for number in range(arguments.tags)],
    )
    try:
        asyncio.run(_serve(registry))
    except KeyboardInterrupt:
        return 130
    return 0


async def _serve(registry: FakeRegistry) -> None:
    async with registry:
        sys.stdout.write(f"{registry.address}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m watcher.testing.registry")
    parser.add_argument("--host", default="127.0.0.1", help="where to listen")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--repositories", type=int, default=0, help="how many lab/app-00000 ...")
    parser.add_argument("--tags", type=int, default=100, help="tags in each of them, from 1.0.0")
    parser.add_argument("--profile", choices=PROFILES, help="the kind of registry that it plays")
    parser.add_argument(
        "--user",
        action="append",
        default=[],
        metavar="NAME:PASSWORD",
        help="may stand more than once; then it asks for a login, Bearer tokens if plain",
    )
    parser.add_argument(
        "--public",
        action="append",
        default=[],
        metavar="REPOSITORY",
        help="may be read without a user; may stand more than once",
    )
    parser.add_argument("--certificate", help="PEM file with key and certificate; serves https")
    return parser


def _user(text: str) -> tuple[str, str]:
    name, _, password = text.partition(":")
    return name, password


def _tls(certificate: str | None) -> ssl.SSLContext | None:
    if certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context
