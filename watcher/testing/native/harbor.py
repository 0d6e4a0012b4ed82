"""Harbor's `/api/v2.0/repositories`, which tells what changed, the artifacts of a repository, and
`/api/v2.0/systeminfo`.

Source: api/v2.0/swagger.yaml and src/server/v2.0/handler of goharbor/harbor. Takes Basic only.
Before 2.15.2 a tag that came or moved left its repository's update_time alone; since 2.13 the
version is not told to those who did not log in.
"""

from __future__ import annotations

import re
import zlib
from urllib.parse import unquote, urlencode

from watcher.testing.content import Content
from watcher.testing.native.call import Call, NativeApi, moment
from watcher.testing.records import Kind, Route
from watcher.testing.wire import Headers, Response, error_response, json_response

_REPOSITORIES = "/api/v2.0/repositories"
_ARTIFACTS = re.compile(r"/api/v2\.0/projects/([^/]+)/repositories/([^/]+)/artifacts")
_SYSTEM = "/api/v2.0/systeminfo"
_LARGEST = 100
_TOUCHES_SINCE = (2, 15, 2)
_HIDES_SINCE = (2, 13, 0)
_SORTS = ("name", "-name", "update_time", "-update_time", "creation_time", "-creation_time")


def route(path: str) -> Route | None:
    kinds = {_REPOSITORIES: Kind.NATIVE, _SYSTEM: Kind.PROBE}
    if path in kinds:
        return Route(kinds[path])
    found = _ARTIFACTS.fullmatch(path)
    # The name is encoded twice over, so that one layer is left.
    return Route(Kind.NATIVE, f"{found[1]}/{unquote(found[2])}") if found else None


def answer(call: Call) -> Response:
    if call.where.kind is Kind.PROBE:
        return _system(call)
    user = call.door.user(call.request)
    if user is None and "authorization" in call.request.headers:
        return error_response(401, "UNAUTHORIZED", "unauthorized")
    if call.where.repository:
        return _artifacts(call, user)
    if user is not None and not call.door.is_admin(user):
        return error_response(403, "FORBIDDEN", "forbidden")
    return _repositories(call, user)


def _system(call: Call) -> Response:
    document: dict[str, object] = {
        "auth_mode": "db_auth",
        "banner_message": "",
        "oidc_provider_name": "",
        "primary_auth_mode": False,
        "self_registration": False,
    }
    if call.door.user(call.request) is not None or _numbers(call.version) < _HIDES_SINCE:
        document["harbor_version"] = call.version
    return json_response(document)


def _repositories(call: Call, user: str | None) -> Response:
    size, page = call.number("page_size", 10), call.number("page", 1)
    if not 1 <= size <= _LARGEST:
        message = "validation failure list:\npage_size in query should be less than or equal to 100"
        return error_response(422, "UNPROCESSABLE_ENTITY", message)
    sort = call.request.parameter("sort") or "-creation_time"
    if sort not in _SORTS:
        return error_response(400, "BAD_REQUEST", f"cannot sort by {sort}")
    touches = _numbers(call.version) >= _TOUCHES_SINCE
    names = [name for name in call.content.repositories if call.door.may_read(user, name)]
    documents = [_repository(call.content, name, touches) for name in names]
    key = sort.removeprefix("-")
    documents.sort(key=lambda document: str(document[key]), reverse=sort.startswith("-"))
    start = (page - 1) * size
    headers = (("X-Total-Count", str(len(documents))), *_links(call, page, size, len(documents)))
    return json_response(documents[start : start + size], headers=headers)


def _artifacts(call: Call, user: str | None) -> Response:
    name = call.where.repository
    if not call.known() or not call.door.may_read(user, name):
        return error_response(404, "NOT_FOUND", f"repository {name} not found")
    size, page = call.number("page_size", 10), call.number("page", 1)
    tags: dict[str, list[dict[str, object]]] = {}
    if call.request.parameter("q") != "tags=*":
        tags = {digest: [] for digest in sorted(call.content.revisions(name))}
    for tag, times in call.content.times(name):
        document: dict[str, object] = {"name": tag, "push_time": moment(times.last, 3)}
        tags.setdefault(call.digest(tag), []).append(document)
    start = (page - 1) * size
    shown = list(tags.items())[start : start + size]
    headers = (("X-Total-Count", str(len(tags))), *_links(call, page, size, len(tags)))
    documents = [
        {"digest": digest, "type": "IMAGE", "tags": found or None} for digest, found in shown
    ]
    return json_response(documents, headers=headers)


def _links(call: Call, page: int, size: int, total: int) -> Headers:
    links = [_link(call, page - 1, "prev")] if page > 1 else []
    if page * size < total:
        links.append(_link(call, page + 1, "next"))
    return (("Link", " , ".join(links)),) if links else ()


def _link(call: Call, page: int, relation: str) -> str:
    kept = [pair for pair in call.request.parameters if pair[0] != "page"]
    query = urlencode(sorted([*kept, ("page", str(page))]))
    return f'<{call.request.path}?{query}>; rel="{relation}"'


def _repository(content: Content, name: str, touches: bool) -> dict[str, object]:
    made = content.made(name)
    return {
        "id": zlib.crc32(name.encode()),
        "project_id": zlib.crc32(name.partition("/")[0].encode()),
        "name": name,
        "artifact_count": len(content.revisions(name)),
        "pull_count": 0,
        "creation_time": moment(made, 3),
        "update_time": moment(content.updated(name) if touches else made, 3),
    }


def _numbers(version: str) -> tuple[int, ...]:
    """`v2.15.2-abc` as (2, 15, 2)."""
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("-")[0]))


API = NativeApi(route, answer)
