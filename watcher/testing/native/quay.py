"""Quay's `/api/v1/repository/<r>/tag/` and `/health/instance`.

Source: endpoints/api/tag.py and health/ of quay/quay. It takes OAuth tokens of applications, not
the tokens of its v2 API, and no robots.
"""

from __future__ import annotations

import re
from email.utils import formatdate

from watcher.testing.content import TagTimes
from watcher.testing.images import DOCKER_LIST, OCI_INDEX
from watcher.testing.native.call import Call, NativeApi
from watcher.testing.records import Kind, Route
from watcher.testing.tokens import Verdict, bearer
from watcher.testing.wire import Response, json_response

_TAGS = re.compile(r"/api/v1/repository/(?P<repository>.+)/tag/")
_HEALTH = "/health/instance"
_LARGEST = 100
_SERVICES = ("auth", "database", "disk_space", "registry_gunicorn", "service_key", "web_gunicorn")
OAUTH_USER = "$oauthtoken"


def route(path: str) -> Route | None:
    if path == _HEALTH:
        return Route(Kind.PROBE)
    found = _TAGS.fullmatch(path)
    return None if found is None else Route(Kind.NATIVE, found["repository"])


def answer(call: Call) -> Response:
    if call.where.kind is Kind.PROBE:
        return _health()
    return _refusal(call) or _tags(call)


def _health() -> Response:
    data = {"services": dict.fromkeys(_SERVICES, True)}
    return json_response({"data": data, "status_code": 200})


def _refusal(call: Call) -> Response | None:
    user = None
    if "authorization" in call.request.headers:
        token = bearer(call.request) or ""
        if call.door.passwords.check((OAUTH_USER, token)) is not Verdict.RIGHT:
            return _error(401, "invalid_token", "Invalid bearer token format")
        user = OAUTH_USER
    if not call.door.may_read(user, call.where.repository):
        title = "invalid_token" if user is None else "insufficient_scope"
        status = 401 if user is None else 403
        return _error(status, title, "Requires authentication" if user is None else "Unauthorized")
    return None if call.known() else _error(404, "not_found", "Not Found")


def _error(status: int, title: str, message: str) -> Response:
    document = {
        "status": status,
        "error_message": message,
        "title": title,
        "error_type": title,
        "detail": message,
        "type": f"https://quay.io/api/v1/error/{title}",
    }
    return json_response(document, status)


def _tags(call: Call) -> Response:
    size = min(_LARGEST, max(1, call.number("limit", 50)))
    page = max(1, call.number("page", 1))
    listed = call.content.times(call.where.repository)
    wanted = call.request.parameter("specificTag")
    if wanted:
        listed = [item for item in listed if item[0] == wanted]
    shown = listed[(page - 1) * size : page * size]
    document = {
        "tags": [_tag(call, name, times) for name, times in shown],
        "page": page,
        "has_additional": len(listed) > page * size,
    }
    return json_response(document)


def _tag(call: Call, name: str, times: TagTimes) -> dict[str, object]:
    manifest = call.content.manifest(call.where.repository, name)
    start = int(times.last)
    return {
        "name": name,
        "reversion": False,
        "start_ts": start,
        "manifest_digest": call.digest(name),
        "is_manifest_list": manifest is not None
        and manifest.media_type in (OCI_INDEX, DOCKER_LIST),
        "size": None if manifest is None else len(manifest.body),
        "last_modified": formatdate(start),
    }


API = NativeApi(route, answer)
