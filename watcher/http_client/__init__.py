"""The one factory of HTTP connections: TLS, proxy, time-outs, and what their errors mean.

    connections.py   Connections: the door for the rest of the program
    http1.py         the engine for HTTP/1.1, on aiohttp
    http2.py         the engine for HTTP/2, on httpcore
    goaway.py        orderly ends of HTTP/2 connections, which h2 does not know
    messages.py      a request and its answer
    reading.py       bodies within bounds
    errors.py        errors of HTTP libraries in our words
    trust.py         which certificates are believed
    proxies.py       which proxy leads to a host
    addresses.py     which addresses a name may have
    settings.py      what an account says about HTTP
    calls.py         one call of somebody's URL: stages, notifiers, the ping

Requests leave as they are built: no cookies, no redirects, no credentials of netrc. Imported by
`registry`, `stages` and `notifiers`; importing it imports none of the libraries.
"""

from __future__ import annotations

from watcher.http_client.connections import Connections
from watcher.http_client.errors import BrokenConnection, is_broken_connection, translate
from watcher.http_client.messages import Headers, Reply
from watcher.http_client.proxies import proxy_from_environment
from watcher.http_client.reading import read_body
from watcher.http_client.settings import MAXIMUM_ORIGINS, USER_AGENT, HttpSettings
from watcher.http_client.trust import context_of
from watcher.http_client.urls import origin_of

__all__ = [
    "MAXIMUM_ORIGINS",
    "USER_AGENT",
    "BrokenConnection",
    "Connections",
    "Headers",
    "HttpSettings",
    "Reply",
    "context_of",
    "is_broken_connection",
    "origin_of",
    "proxy_from_environment",
    "read_body",
    "translate",
]
