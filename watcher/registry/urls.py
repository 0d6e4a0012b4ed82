"""URLs as text: httpx and urllib would normalise what must go back byte by byte.

Every URL that a registry names passes `absolute` first, so that only printable ASCII gets on.
"""

from __future__ import annotations

from urllib.parse import urljoin


def absolute(base: str, reference: str) -> str | None:
    """A reference as an absolute URL without fragment; None for an empty or unprintable one."""
    if not reference or not reference.isascii() or not reference.isprintable() or " " in reference:
        return None
    try:
        return urljoin(base, reference).partition("#")[0]
    except ValueError:
        return None


def origin_of(url: str) -> str:
    """`scheme://host[:port]` of an absolute URL, in lower case, without a default port."""
    scheme, _, rest = url.partition("://")
    authority = rest.partition("/")[0].partition("?")[0].lower()
    default = ":443" if scheme == "https" else ":80"
    return f"{scheme}://{authority.removesuffix(default)}"


def target_of(url: str) -> bytes:
    """Path and query of an absolute URL, as they are."""
    _, slash, path = url.partition("://")[2].partition("/")
    return (slash + path or "/").encode("ascii")
