"""The command `watcher`: which module holds which command. Loads none of them itself."""

from __future__ import annotations

import click

from watcher import __version__
from watcher.cli.base import LazyGroup

COMMANDS = {
    "run": "watcher.cli.run:run",
    "validate": "watcher.cli.validate:validate",
    "try": "watcher.cli.tryout:try_image",
    "explain": "watcher.cli.explain:explain",
    "plan": "watcher.cli.plan:plan",
    "render": "watcher.cli.render:render",
    "trigger": "watcher.cli.trigger:trigger",
    "poll": "watcher.cli.poll:poll",
    "baseline": "watcher.cli.poll:baseline",
    "status": "watcher.cli.status:status",
    "activity": "watcher.cli.status:activity",
    "health": "watcher.cli.health:health",
    "executions": "watcher.cli.executions:executions",
    "cancel": "watcher.cli.executions:cancel",
    "retry": "watcher.cli.executions:retry",
    "events": "watcher.cli.events:events",
    "enable": "watcher.cli.switch:enable",
    "disable": "watcher.cli.switch:disable",
    "webhooks": "watcher.cli.webhooks:webhooks",
    "notify": "watcher.cli.notify:notify",
    "account": "watcher.cli.account:account",
    "state": "watcher.cli.state:state",
    "schema": "watcher.cli.setup:schema",
    "init": "watcher.cli.setup:init",
    "import": "watcher.cli.imports:import_",
    "demo": "watcher.cli.demo:demo",
    "completion": "watcher.cli.setup:completion",
}

cli = LazyGroup(
    "watcher",
    table=COMMANDS,
    help="Polls container registries, notices new and moved tags, and runs your pipelines.",
    epilog="First steps: watcher try nginx · watcher init · watcher validate --online · "
    "watcher run --once --dry-run · watcher run",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
click.version_option(__version__, prog_name="watcher")(cli)
