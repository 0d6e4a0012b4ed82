"""Puts the HTTP side together, where the config wants one. Loaded only then: neither a pass nor a
daemon without `http` pays for its libraries.
"""

from __future__ import annotations

from watcher.core.serving import HttpSettings
from watcher.daemon.app import App
from watcher.daemon.desk import Desk
from watcher.web.app import Parts, make_app
from watcher.web.server import HttpServer


def http_server(app: App, settings: HttpSettings) -> HttpServer:
    """The server around this App, bound to its address; raises ListenError."""
    parts = Parts(desk=Desk(app))
    server = HttpServer(make_app(parts, settings, log=app.log), settings, log=app.log)
    server.bind()
    return server
