"""What the fake registry answers when nothing goes wrong: ping, catalog, tags, manifests, blobs.

Imported by the fake registry only. Source: OCI distribution specification 1.1; where the kinds of
registry differ, the profile says how.
"""

from __future__ import annotations

from collections.abc import Sequence

from watcher.testing.content import Content
from watcher.testing.google import google_document
from watcher.testing.images import Manifest, sha256
from watcher.testing.paging import Page
from watcher.testing.profile import Profile
from watcher.testing.records import Kind, Route
from watcher.testing.wire import Headers, Request, Response, error_response, json_response

_VERSION: Headers = (("Docker-Distribution-Api-Version", "registry/2.0"),)
_READS = ("GET", "HEAD")


class Answers:
    """Answers requests out of a Content, for those that may pass."""

    def __init__(self, content: Content, profile: Profile, *, needs_accept: bool) -> None:
        self._content = content
        self._profile = profile
        self._needs_accept = needs_accept

    def answer(self, request: Request, where: Route, url: str, user: str | None) -> Response:
        """The answer; `url` is this registry's address, for absolute links."""
        if request.method not in _READS:
            return error_response(405, "UNSUPPORTED", "the operation is unsupported")
        match where.kind:
            case Kind.PING:
                return json_response({}, headers=_VERSION)
            case Kind.CATALOG:
                return self._catalog(request, url, user)
            case Kind.TAGS:
                return self._tags(request, where, url)
            case Kind.MANIFEST:
                return self._manifest(request, where)
            case Kind.BLOB:
                return self._blob(where)
        return self._no_page(request)

    def _no_page(self, request: Request) -> Response:
        # Nexus links to a path that its main port serves, and a connector port answers with 400.
        elsewhere = self._profile.paging.link_path.partition("{")[0]
        if elsewhere and request.path.startswith(elsewhere):
            return Response(400, (("Content-Type", "text/html"),), b"<h1>400 Bad Request</h1>\n")
        return Response(404, (("Content-Type", "text/plain"),), b"404 page not found\n")

    def _catalog(self, request: Request, url: str, user: str | None) -> Response:
        if self._profile.catalog is None:
            return error_response(404, "UNSUPPORTED", "there is no catalog")
        is_empty = self._profile.quiet_catalog and user is None
        names = () if is_empty else self._content.repositories
        page = self._profile.catalog.cut(request, names, url)
        if isinstance(page, Response):
            return page
        return json_response({"repositories": page.names}, headers=page.headers)

    def _tags(self, request: Request, where: Route, url: str) -> Response:
        repository = where.repository
        tags = self._content.tags(repository)
        if tags is None:
            message = "repository name not known to registry"
            return error_response(404, "NAME_UNKNOWN", message)
        page = self._profile.paging.cut(request, self._listed(repository, tags), url)
        if isinstance(page, Response):
            return page
        answer = json_response(self._document(repository, page), headers=page.headers)
        return self._as_told(request, answer)

    def _listed(self, repository: str, tags: Sequence[str]) -> list[str]:
        if not self._profile.lists_digests:
            return list(tags)
        digests = sorted(self._content.revisions(repository))
        return [*tags, *digests, *(digest.replace(":", "__") for digest in digests)]

    def _document(self, repository: str, page: Page) -> dict[str, object]:
        tags: list[str | None] = [*page.names]
        is_last = not page.headers
        if is_last:
            tags += self._profile.odd_tags
        document: dict[str, object] = {"name": repository, "tags": tags}
        if self._profile.tells_manifests:
            document |= google_document(self._content, repository, page.names, is_last=is_last)
        return document

    def _as_told(self, request: Request, answer: Response) -> Response:
        """The list with the headers that this kind of registry gives to it."""
        headers = tuple(pair for pair in answer.headers if pair[0] != "Content-Type")
        headers = (("Content-Type", self._profile.list_type), *headers)
        if not self._profile.list_etag:
            return Response(answer.status, headers, answer.body)
        etag = f'"{sha256(answer.body)}"'
        if request.headers.get("if-none-match") == etag:
            return Response(304)
        return Response(answer.status, (*headers, ("ETag", etag)), answer.body)

    def _manifest(self, request: Request, where: Route) -> Response:
        manifest = self._content.manifest(where.repository, where.reference)
        if manifest is None or (self._needs_accept and not _accepts(request, manifest)):
            status = self._profile.missing_head_status if request.method == "HEAD" else 404
            return error_response(status, "MANIFEST_UNKNOWN", "manifest unknown")
        headers: Headers = (
            ("Content-Type", manifest.media_type),
            ("Docker-Content-Digest", manifest.digest),
        )
        if not self._profile.manifest_etag:
            return Response(200, headers, manifest.body)
        if request.headers.get("if-none-match", "").strip('"') == manifest.digest:
            return Response(304)
        return Response(200, (*headers, ("ETag", f'"{manifest.digest}"')), manifest.body)

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
