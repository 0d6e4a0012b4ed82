"""`init`, `schema` and `completion`: what a new user needs before the first run."""

from __future__ import annotations

import os
from pathlib import Path

import click

from watcher.cli import output
from watcher.cli.base import Invocation, command, pass_invocation
from watcher.errors import UsageError

DEFAULT_CONFIG = Path("config.yaml")
SHELLS = ("bash", "zsh", "fish")

TEMPLATE = """\
# Config of registry-watcher. `watcher schema` prints the JSON Schema of this file for editors,
# `watcher validate --online` checks it, `watcher run --once --dry-run` shows what would happen.

# Where the watcher keeps what it has seen and what it runs.
# Default: $STATE_DIRECTORY/watcher.db (systemd sets it), else ./watcher.db.
# state: ./watcher.db

# Registries to poll. One account is one credential for one registry.
accounts:
  - name: {account}
    address: {address}
    repositories: [{repository}]
    poll: 5m                       # or {{cron: "*/5 * * * *", timezone: Europe/Vienna}}
    # username: acme-bot           # omit for anonymous access; and one of:
    # password_file: /run/secrets/{account}
    # password_env: REGISTRY_PASSWORD
    # password_command: "aws --region us-east-1 ecr get-login-password"
    # docker_config: true          # what `docker login` left behind

# Rules that turn a new tag into a run of a pipeline.
triggers:
  - name: {trigger}
    account: {account}
    repository: {repository}
    tag:                           # a regex (full match), or an object; all keys must hold
      semver: ">=1.0.0"
    order: semver                  # a tag that is not above the highest fired does not fire
    fire: newest                   # several new tags at once: only the highest
    pipeline: {trigger}-pipeline

# What to do for a tag. The first sight of a repository fires nothing: it is the baseline.
pipelines:
  - name: {trigger}-pipeline
    stages:
      - name: announce
        command: [echo, "new image ${{trigger.artifacts[0].reference}}"]
      # - apply: {{manifests: [deploy/app.yaml], namespace: web, wait: 5m}}   # to Kubernetes
      #   on_failure: rollback
      # - render: {{manifests: [deploy/app.yaml], to: rendered}}
      # - webhook: {{url: https://ci.example.com/hooks/deploy, body: {{tag: "${{trigger.tag}}"}}}}
"""


@command("init", short_help="Write a commented config file to start from.")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--image", default="library/nginx", show_default=True, help="Image to watch first.")
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
@pass_invocation
def init(invocation: Invocation, file: Path | None, image: str, force: bool) -> None:
    """Write a commented config file that watches IMAGE and prints its new versions.

    FILE defaults to the global -c, else ./config.yaml. Nothing is overwritten without --force.
    """
    path = file or invocation.config or DEFAULT_CONFIG
    if path.is_dir():
        path = path / DEFAULT_CONFIG
    _create(path, starter_config(image), force=force)
    if invocation.json:
        output.print_json({"file": str(path)})
        return
    output.say(f"wrote {path}")
    flag = "" if path == DEFAULT_CONFIG else f" -c {path}"
    output.say(f"next: watcher validate --online{flag}")
    output.say(f"then: watcher run --once{flag}     # the first pass records what is there")


def starter_config(image: str) -> str:
    """The commented config for an image; raises UsageError when it is no image name."""
    from watcher.core.reference import Reference

    try:
        reference = Reference.parse(image)
    except ValueError as error:
        raise UsageError(str(error)) from error
    hub = reference.registry == "index.docker.io"
    return TEMPLATE.format(
        account="dockerhub" if hub else slug(reference.registry),
        address=reference.registry,
        repository=reference.repository,
        trigger=slug(reference.repository.rpartition("/")[2]),
    )


def slug(text: str) -> str:
    """A name that the config takes: lower-case letters, digits, and dashes inside."""
    words = "".join(c if c.isascii() and c.isalnum() else " " for c in text.lower()).split()
    return "-".join(words) or "unnamed"


def _create(path: Path, text: str, *, force: bool) -> None:
    mode = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if force else os.O_EXCL)
    try:
        descriptor = os.open(path, mode, 0o644)
    except FileExistsError as error:
        raise UsageError(
            f"{path} is there already", hint="--force overwrites it; or name another file"
        ) from error
    except OSError as error:
        raise UsageError(f"{path} can't be written: {error.strerror}") from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


@command("schema", short_help="Print the JSON Schema of the config file.")
def schema() -> None:
    """Print the JSON Schema of the config file, for editors and checkers."""
    from watcher.config.schema import schema as config_schema
    from watcher.stages import OPTIONS

    output.print_json(config_schema(OPTIONS))


@command("completion", short_help="Print the shell's completion script.")
@click.argument("shell", type=click.Choice(SHELLS))
@pass_invocation
def completion(invocation: Invocation, shell: str) -> None:
    """Print the completion script of a shell.

    bash: eval "$(watcher completion bash)" in ~/.bashrc; zsh alike in ~/.zshrc;
    fish: watcher completion fish > ~/.config/fish/completions/watcher.fish
    """
    from click.shell_completion import get_completion_class

    from watcher.cli.app import cli

    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(cli, {}, "watcher", "_WATCHER_COMPLETE").source()
    if invocation.json:
        output.print_json({"shell": shell, "script": script})
    else:
        output.write(script)
