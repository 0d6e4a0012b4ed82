"""What the fake registry answers when nothing goes wrong: ping, catalog, tags, manifests, blobs.

Imported by the fake registry only. Source: OCI distribution specification 1.1.
"""

from __future__ import annotations

from watcher.testing.content import Content
from watcher.testing.images import Manifest
from watcher.testing.paging import Paging
from watcher.testing.records import Kind, Route
from watcher.testing.wire import Headers, Request, Response, error_response, json_response

_VERSION: Headers = (("Docker-Distribution-Api-Version", "registry/2.0"),)
_READS = ("GET", "HEAD")


class Answers:
    """Answers requests out of a Content, for those that may pass."""

    def __init__(self, content: Content, paging: Paging, *, needs_accept: bool) -> None:
        self._content = content
        self.paging = paging
        self._needs_accept = needs_accept

    def answer(self, request: Request, where: Route, url: str) -> Response:
        """The answer; `url` is this registry's address, for absolute links."""
        if request.method not in _READS:
            return error_response(405, "UNSUPPORTED", "the operation is unsupported")
        match where.kind:
            case Kind.PING:
                return json_response({}, headers=_VERSION)
            case Kind.CATALOG:
                names = self._content.repositories
                return self.paging.answer(request, names, {}, "repositories", url)
            case Kind.TAGS:
                return self._tags(request, where, url)
            case Kind.MANIFEST:
                return self._manifest(request, where)
            case Kind.BLOB:
                return self._blob(where)
        return Response(404, (("Content-Type", "text/plain"),), b"404 page not found\n")

    def _tags(self, request: Request, where: Route, url: str) -> Response:
        tags = self._content.tags(where.repository)
        if tags is None:
            return error_response(404, "NAME_UNKNOWN", "repository name not known to registry")
        return self.paging.answer(request, tags, {"name": where.repository}, "tags", url)

    def _manifest(self, request: Request, where: Route) -> Response:
        manifest = self._content.manifest(where.repository, where.reference)
        if manifest is None or (self._needs_accept and not _accepts(request, manifest)):
            return error_response(404, "MANIFEST_UNKNOWN", "manifest unknown")
        headers = (
            ("Content-Type", manifest.media_type),
            ("Docker-Content-Digest", manifest.digest),
            ("ETag", f'"{manifest.digest}"'),
        )
        if request.headers.get("if-none-match", "").strip('"') == manifest.digest:
            return Response(304)
        return Response(200, headers, manifest.body)

    def _blob(self, where: Route) -> Response:
        body = self._content.blob(where.repository, where.reference)
        if body is None:
            return error_response(404, "BLOB_UNKNOWN", "blob unknown to registry")
        headers = (
            ("Content-Type", "application/octet-stream"),
            ("Docker-Content-Digest", where.reference),
        )
        return Response(200, headers, body)


def _accepts(request: Request, manifest: Manifest) -> bool:
    accept = request.headers.get("accept", "*/*")
    ranges = {part.partition(";")[0].strip() for part in accept.split(",")}
    return bool(ranges & {manifest.media_type, "*/*", "application/*"})
