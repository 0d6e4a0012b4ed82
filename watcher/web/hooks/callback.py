"""Docker Hub's `callback_url`: whether a URL that a payload names is Docker Hub's. Pure.

Anything else must never be called: a payload would then decide where this daemon sends requests.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_HOST = re.compile(r"(?:[a-z0-9-]+\.)*hub\.docker\.com")
"""Letters, digits and hyphens alone: a proxy may read more than a name out of anything else."""
_LONGEST = 2000


def is_docker_hub(url: str) -> bool:
    """https at its usual port, a host of Docker Hub's, no user and no password."""
    if len(url) > _LONGEST or not url.isascii() or not url.isprintable() or "\\" in url:
        return False
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    if parts.scheme != "https" or port not in (None, 443) or "@" in parts.netloc or parts.fragment:
        return False
    return _HOST.fullmatch(parts.hostname or "") is not None
