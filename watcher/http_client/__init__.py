"""The one factory of HTTP connections: TLS, proxy, time-outs, and what their errors mean.

    connections.py   Connections: what the rest of the program uses
    errors.py        errors of HTTP libraries in our words
    trust.py         which certificates are believed
    proxies.py       which proxy leads to a host
    settings.py      what an account says about HTTP

Requests leave as they are built: no cookies, no redirects, no credentials of netrc. Imported by
`registry` and `stages`.
"""

from __future__ import annotations

from watcher.http_client.connections import MAXIMUM_ORIGINS, Connections
from watcher.http_client.errors import is_broken_connection, translate
from watcher.http_client.proxies import proxy_from_environment
from watcher.http_client.settings import USER_AGENT, HttpSettings

__all__ = [
    "MAXIMUM_ORIGINS",
    "USER_AGENT",
    "Connections",
    "HttpSettings",
    "is_broken_connection",
    "proxy_from_environment",
    "translate",
]
