"""Azure's `/acr/v1/<r>/_tags`: tags with digests, newest first with `orderby=timedesc`.

Source: Azure's REST reference "Tag - Get List" and the recordings of its SDKs. Guarded by the v2
API's rules; the action wanted is metadata_read.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from watcher.testing.content import TagTimes
from watcher.testing.native.call import Call, NativeApi, moment, not_found
from watcher.testing.records import Kind, Route
from watcher.testing.wire import Headers, Response, error_response, json_response

_TAGS = re.compile(r"/acr/v1/(?P<repository>.+)/_tags")
_DEFAULT = 100


def route(path: str) -> Route | None:
    found = _TAGS.fullmatch(path)
    return None if found is None else Route(Kind.NATIVE, found["repository"])


def answer(call: Call) -> Response:
    if refusal := call.guard():
        return refusal
    if not call.known():
        name = call.where.repository
        return not_found(f'repository "{name}" is not found')
    return _tags(call)


def _tags(call: Call) -> Response:
    listed = call.content.times(call.where.repository)
    order = call.request.parameter("orderby") or ""
    if order == "timeasc":
        listed.reverse()
    elif order != "timedesc":
        listed.sort()
    cursors = [_cursor(name, times) for name, times in listed]
    last = call.request.parameter("last")
    if last is not None and last not in cursors:
        return error_response(400, "BAD_REQUEST", "the last entry is unknown")
    start = 0 if last is None else cursors.index(last) + 1
    size = call.number("n", _DEFAULT)
    shown = listed[start : start + size]
    document = {
        "registry": call.host,
        "imageName": call.where.repository,
        "tags": [_tag(call, *item) for item in shown],
    }
    more = bool(shown) and start + size < len(listed)
    links = _next(call, cursors[start + size - 1], size, order) if more else ()
    return json_response(document, headers=links)


def _cursor(name: str, times: TagTimes) -> str:
    """What `last` is: not the tag's name, and with an ampersand that must stay escaped."""
    return f"{times.number}&{name}"


def _next(call: Call, cursor: str, size: int, order: str) -> Headers:
    path = f"/acr/v1/{call.where.repository}/_tags"
    target = f"{path}?last={quote(cursor, safe='')}&n={size}&orderby={order}"
    return (("Link", f'<{target}>; rel="next"'),)


def _tag(call: Call, name: str, times: TagTimes) -> dict[str, object]:
    rights = ("deleteEnabled", "writeEnabled", "readEnabled", "listEnabled")
    return {
        "name": name,
        "digest": call.digest(name),
        "createdTime": moment(times.first, 7),
        "lastUpdateTime": moment(times.last, 7),
        "signed": False,
        "changeableAttributes": dict.fromkeys(rights, True),
    }


API = NativeApi(route, answer)
