"""init, schema, completion: the first minute of a new user."""

from __future__ import annotations

import json
import subprocess
import sys

import jsonschema
import pytest
import yaml

from tests.cli.conftest import Bench
from watcher.testing.registry import FakeRegistry


def test_init_writes_a_config_that_is_valid(bench: Bench) -> None:
    said = bench.run("init").stdout
    assert "wrote config.yaml" in said
    assert bench.json("validate") == {"ok": True, "problems": [], "findings": []}


@pytest.mark.parametrize(
    ("image", "address", "repository"),
    [
        pytest.param("nginx", "index.docker.io", "library/nginx", id="Docker Hub's own"),
        pytest.param("ghcr.io/Acme/app", None, None, id="upper case is refused"),
        pytest.param("ghcr.io/acme/app", "ghcr.io", "acme/app", id="another registry"),
        pytest.param("localhost:5000/app:1", "localhost:5000", "app", id="port and tag"),
    ],
)
def test_init_starts_from_any_image(
    bench: Bench, image: str, address: str | None, repository: str | None
) -> None:
    bench.run("init", "--image", image, code=0 if address else 2)
    if address is None:
        assert not (bench.directory / "config.yaml").exists()
        return
    config = yaml.safe_load((bench.directory / "config.yaml").read_text())
    assert config["accounts"][0]["address"] == address
    assert config["accounts"][0]["repositories"] == [repository]
    bench.run("validate")


def test_init_overwrites_only_by_force(bench: Bench) -> None:
    mine = bench.write("config.yaml", "# mine\n")
    assert "--force" in bench.run("init", code=2).stderr
    assert mine.read_text() == "# mine\n"
    bench.run("init", "--force")
    assert "accounts:" in mine.read_text()


def test_init_takes_the_place_that_c_names(bench: Bench) -> None:
    assert bench.json("init", "-c", "here.yaml") == {"file": "here.yaml"}
    assert (bench.directory / "here.yaml").exists()


def test_the_schema_takes_what_init_writes_and_refuses_a_typing_error(bench: Bench) -> None:
    bench.run("init")
    schema = json.loads(bench.run("schema").stdout)
    config = yaml.safe_load((bench.directory / "config.yaml").read_text())
    jsonschema.validate(config, schema)
    config["acounts"] = []
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(config, schema)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_the_command(bench: Bench, shell: str) -> None:
    assert "_WATCHER_COMPLETE" in bench.run("completion", shell).stdout
    assert bench.json("completion", shell)["shell"] == shell


def test_bash_completes_commands(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_WATCHER_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "watcher exec")
    monkeypatch.setenv("COMP_CWORD", "1")
    done = subprocess.run(
        [sys.executable, "-m", "watcher"], capture_output=True, text=True, timeout=60
    )
    assert "executions" in done.stdout


def test_a_dry_run_makes_no_state_file(bench: Bench, registry: FakeRegistry) -> None:
    registry.push("acme/web", "1.0")
    bench.configure(registry.address)
    assert "first sight" in bench.run("run", "--dry-run").stdout
    assert [path.name for path in bench.directory.iterdir()] == ["config.yaml"]
