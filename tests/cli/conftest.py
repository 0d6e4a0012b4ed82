"""A workbench for the command line: a directory, a registry, a config, and the commands in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from watcher.cli.app import cli
from watcher.testing.registry import FakeRegistry

REPOSITORY = "acme/web"

CONFIG = """\
accounts:
  - name: fake
    address: {address}
    plain_http: true
    repositories: [acme/web]
{account}
triggers:
  - name: web
    account: fake
    repository: acme/web
    pipeline: deploy
{trigger}
pipelines:
  - name: deploy
    parameters: {{greeting: {{default: hello}}}}
    stages:
      - name: greet
        command: [echo, "${{parameters.greeting}} ${{trigger.tag}}"]
{stages}
"""


@dataclass
class Bench:
    """Runs commands as a user does, in `directory`."""

    directory: Path
    runner: CliRunner = field(default_factory=CliRunner)

    def run(self, *words: str, typed: str | None = None, code: int | None = 0) -> Result:
        """The command's result; its exit code is checked unless it is None."""
        result = self.runner.invoke(cli, list(words), input=typed)
        if code is not None:
            assert result.exit_code == code, f"{words}: {result.output}"
        assert "Traceback" not in result.output, result.output
        return result

    def json(self, *words: str, typed: str | None = None, code: int | None = 0) -> Any:
        """What the command prints with --json: exactly one value."""
        return json.loads(self.run(*words, "--json", typed=typed, code=code).stdout)

    def write(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.write_text(text, encoding="utf-8")
        return path

    def configure(
        self, address: str, *, account: str = "", trigger: str = "", stages: str = ""
    ) -> Path:
        """The usual config; each argument is a line, or several, for its part."""
        return self.write(
            "config.yaml",
            CONFIG.format(
                address=address,
                account=_indented(account, 4),
                trigger=_indented(trigger, 4),
                stages=_indented(stages, 6),
            ),
        )


def _indented(text: str, columns: int) -> str:
    return "\n".join(f"{' ' * columns}{line}" for line in text.splitlines())


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("WATCHER_CONFIG", "STATE_DIRECTORY", "DOCKER_CONFIG", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return Bench(tmp_path)


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry.in_thread() as running:
        yield running


@pytest.fixture
def polled(bench: Bench, registry: FakeRegistry) -> Bench:
    """A config whose repository has the tag 1.0 and has been polled once."""
    registry.push(REPOSITORY, "1.0")
    bench.configure(registry.address)
    bench.run("run", "--once")
    return bench
