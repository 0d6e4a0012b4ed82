"""Puts the HTTP side together, where the config wants one. Loaded only then: neither a pass nor a
daemon without `http` pays for its libraries.
"""

from __future__ import annotations

import time

from watcher.core.serving import HttpSettings
from watcher.daemon.app import App
from watcher.daemon.desk import Desk
from watcher.daemon.exposition import Exposition
from watcher.daemon.vitals import Vitals
from watcher.daemon.webhooks import Webhooks
from watcher.telemetry.metrics import PrometheusMeter
from watcher.web.app import Parts, make_app
from watcher.web.auth import hook_token
from watcher.web.hooks.routes import hook_routes
from watcher.web.server import HttpServer


def http_server(
    app: App, desk: Desk, vitals: Vitals, webhooks: Webhooks, settings: HttpSettings
) -> HttpServer:
    """The server for this daemon, bound to its address; raises ListenError."""
    parts = Parts(
        health=vitals,
        desk=desk,
        metrics=_metrics(app, vitals),
        hooks=hook_routes(
            webhooks.reception, hook_token(settings, app.log), log=app.log, clock=time.monotonic
        ),
    )
    server = HttpServer(make_app(parts, settings, log=app.log), settings, log=app.log)
    server.bind()
    return server


def _metrics(app: App, vitals: Vitals) -> Exposition | None:
    """What `/metrics` answers, where anything is counted."""
    meter = app.meter
    return Exposition(app, meter, vitals.health) if isinstance(meter, PrometheusMeter) else None
