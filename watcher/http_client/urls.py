"""URLs as text: libraries would normalise what must go back byte by byte."""

from __future__ import annotations


def origin_of(url: str) -> str:
    """`scheme://host[:port]` of an absolute URL, in lower case, without a default port."""
    scheme, _, rest = url.partition("://")
    scheme = scheme.lower()
    authority = rest.partition("/")[0].partition("?")[0].lower()
    default = ":443" if scheme == "https" else ":80"
    return f"{scheme}://{authority.removesuffix(default)}"


def target_of(url: str) -> bytes:
    """Path and query of an absolute URL, as they are."""
    _, slash, path = url.partition("://")[2].partition("/")
    return (slash + path or "/").encode("ascii")
