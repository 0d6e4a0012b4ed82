"""GitLab's `/gitlab/v1/`: its root, and the tags of a repository by name or time of publishing.

Source: docs/spec/gitlab/api.md of gitlab-org/container-registry. Guarded by the tokens of the v2
API. Its Link names the previous page before the next one.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from urllib.parse import urlencode

from watcher.testing.content import TagTimes
from watcher.testing.native.call import Call, NativeApi, moment, not_found
from watcher.testing.records import Kind, Route
from watcher.testing.wire import Headers, Response, error_response, json_response

_TAGS = re.compile(r"/gitlab/v1/repositories/(?P<repository>.+?)/tags/list/?")
_ROOT = "/gitlab/v1/"
_LARGEST = 1000
_SORTS = ("name", "-name", "published_at", "-published_at")


def route(path: str) -> Route | None:
    if path == _ROOT:
        return Route(Kind.PROBE)
    found = _TAGS.fullmatch(path)
    return None if found is None else Route(Kind.NATIVE, found["repository"])


def answer(call: Call) -> Response:
    if refusal := call.guard():
        return refusal
    if call.where.kind is Kind.PROBE:
        version = (("Gitlab-Container-Registry-Version", call.version),)
        return Response(200, version)
    return _tags(call) if call.known() else not_found("repository name not known to registry")


def _tags(call: Call) -> Response:
    sort = call.request.parameter("sort") or "name"
    size = call.number("n", 100)
    if sort not in _SORTS or not 1 <= size <= _LARGEST:
        return error_response(400, "INVALID_QUERY_PARAMETER_VALUE", "invalid query parameter")
    listed = _sorted(call, sort)
    marks = [_mark(sort, *item) for item in listed]
    start = _start(call, marks, size)
    if start is None:
        return error_response(400, "INVALID_QUERY_PARAMETER_VALUE", "the marker is unknown")
    shown = listed[start : start + size]
    links = _links(call, marks, start, start + size)
    return json_response([_tag(call, *item) for item in shown], headers=links)


def _sorted(call: Call, sort: str) -> list[tuple[str, TagTimes]]:
    newest = call.content.times(call.where.repository)
    if sort == "-published_at":
        return newest
    if sort == "published_at":
        return newest[::-1]
    return sorted(newest, key=lambda item: item[0], reverse=sort == "-name")


def _mark(sort: str, name: str, times: TagTimes) -> str:
    if "published_at" not in sort:
        return name
    return base64.b64encode(f"{moment(times.last, 6)}|{name}".encode()).decode()


def _start(call: Call, marks: Sequence[str], size: int) -> int | None:
    last, before = call.request.parameter("last"), call.request.parameter("before")
    if (last and last not in marks) or (before and before not in marks):
        return None
    if before:
        return max(0, marks.index(before) - size)
    return marks.index(last) + 1 if last else 0


def _links(call: Call, marks: Sequence[str], start: int, end: int) -> Headers:
    links = [_link(call, "previous", "before", marks[start])] if 0 < start < len(marks) else []
    if end < len(marks):
        links.append(_link(call, "next", "last", marks[end - 1]))
    return (("Link", ", ".join(links)),) if links else ()


def _link(call: Call, relation: str, name: str, mark: str) -> str:
    kept = [pair for pair in call.request.parameters if pair[0] not in ("last", "before")]
    query = urlencode(sorted([*kept, (name, mark)]))
    return f'<{call.request.path}?{query}>; rel="{relation}"'


def _tag(call: Call, name: str, times: TagTimes) -> dict[str, object]:
    manifest = call.content.manifest(call.where.repository, name)
    document: dict[str, object] = {
        "name": name,
        "digest": call.digest(name),
        "media_type": "" if manifest is None else manifest.media_type,
        "size_bytes": 0 if manifest is None else len(manifest.body),
        "created_at": moment(times.first, 3, "+00:00"),
        "published_at": moment(times.last, 3, "+00:00"),
    }
    if times.last != times.first:
        document["updated_at"] = moment(times.last, 3, "+00:00")
    return document


API = NativeApi(route, answer)
