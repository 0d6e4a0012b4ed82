"""Docker Hub's API of hub.docker.com: tags newest first, and its own login.

Source: docs.docker.com "Docker Hub API", and what clients reported (the order that
`last_updated` means, the silent cap of pages). Here it stands at the registry's own origin.
"""

from __future__ import annotations

import json
import re
import zlib
from urllib.parse import urlencode

from watcher.testing.content import TagTimes
from watcher.testing.native.call import Call, NativeApi, moment
from watcher.testing.records import Kind, Route
from watcher.testing.tokens import Verdict, bearer
from watcher.testing.wire import Response, json_response

_TAGS = re.compile(r"/v2/namespaces/(?P<namespace>[^/]+)/repositories/(?P<name>[^/]+)/tags/?")
_LOGIN = "/v2/auth/token"
_SCOPE = "hub-api"
_LARGEST = 100


def route(path: str) -> Route | None:
    if path == _LOGIN:
        return Route(Kind.LOGIN)
    found = _TAGS.fullmatch(path)
    return None if found is None else Route(Kind.NATIVE, f"{found['namespace']}/{found['name']}")


def answer(call: Call) -> Response:
    if call.where.kind is Kind.LOGIN:
        return _login(call)
    return _refusal(call) or _tags(call)


def _login(call: Call) -> Response:
    if call.request.method != "POST":
        return json_response({"detail": "Method not allowed"}, 405)
    try:
        document = json.loads(call.request.body)
        given = (str(document["identifier"]), str(document["secret"]))
    except (ValueError, KeyError, TypeError):
        return json_response({"detail": "identifier and secret are required"}, 400)
    if call.door.passwords.check(given) is not Verdict.RIGHT:
        return json_response({"detail": "Incorrect authentication credentials"}, 401)
    token = call.door.tokens.mint(given[0], frozenset({_SCOPE}))
    return json_response({"access_token": token})


def _refusal(call: Call) -> Response | None:
    user = None
    if "authorization" in call.request.headers:
        grant = call.door.tokens.grant(bearer(call.request) or "")
        if grant is None or _SCOPE not in grant.scopes:
            return json_response({"detail": "Given token not valid", "error": True}, 401)
        user = grant.user
    # A repository that may not be seen does not exist.
    if call.known() and call.door.may_read(user, call.where.repository):
        return None
    return json_response({"message": "object not found", "errinfo": {}}, 404)


def _tags(call: Call) -> Response:
    size = min(_LARGEST, max(1, call.number("page_size", 10)))
    page = max(1, call.number("page", 1))
    listed = call.content.times(call.where.repository)
    if call.request.parameter("ordering") == "-last_updated":  # the wrong way round, truly
        listed.reverse()
    start = (page - 1) * size
    if start and start >= len(listed):
        return json_response({"message": "page not found", "errinfo": {}}, 404)
    document = {
        "count": len(listed),
        "next": _page(call, page + 1) if start + size < len(listed) else None,
        "previous": _page(call, page - 1) if page > 1 else None,
        "results": [_tag(call, *item) for item in listed[start : start + size]],
    }
    return json_response(document)


def _page(call: Call, number: int) -> str:
    kept = [pair for pair in call.request.parameters if pair[0] != "page"]
    query = urlencode([*kept, ("page", str(number))])
    return f"{call.url}{call.request.path}?{query}"


def _tag(call: Call, name: str, times: TagTimes) -> dict[str, object]:
    manifest = call.content.manifest(call.where.repository, name)
    updated = moment(times.last, 6)
    return {
        "creator": 1,
        "id": zlib.crc32(f"{call.where.repository}:{name}".encode()),
        "images": [],
        "last_updated": updated,
        "last_updater": 1,
        "last_updater_username": "acme",
        "name": name,
        "repository": zlib.crc32(call.where.repository.encode()),
        "full_size": 0 if manifest is None else len(manifest.body),
        "v2": True,
        "tag_status": "active",
        "tag_last_pulled": None,
        "tag_last_pushed": updated,
        "media_type": None if manifest is None else manifest.media_type,
        "content_type": "image",
        "digest": call.digest(name),
    }


API = NativeApi(route, answer)
