"""Loads a config from a text, with a few stages of its own."""

from __future__ import annotations

from collections.abc import Container, Mapping
from pathlib import Path

import pytest

from watcher.config.fields import (
    Anything,
    Either,
    Field,
    Kind,
    ListOf,
    MapOf,
    PathValue,
    Section,
    Text,
)
from watcher.config.load import Config, load
from watcher.errors import ConfigError

STAGES: Mapping[str, Kind] = {
    "command": Either(ListOf(Text(template=True), minimum=1), Text(template=True)),
    "render": Section(
        {
            "manifests": Field(ListOf(PathValue(template=True)), required=True),
            "to": Field(PathValue(template=True), required=True),
        }
    ),
    "pipeline": Section(
        {"name": Field(Text(template=True), required=True), "parameters": Field(MapOf(Anything()))}
    ),
}
ACCOUNT = """
accounts:
  - name: hub
    address: registry.example.com
"""
PIPELINE = """
pipelines:
  - name: tell
    stages: [{command: echo}]
"""
HOME = {"HOME": "/home/watcher"}


def load_text(
    folder: Path,
    text: str,
    environment: Mapping[str, str] = HOME,
    *,
    stages: Mapping[str, Kind] = STAGES,
    undoable: Container[str] = (),
) -> Config:
    path = folder / "config.yaml"
    path.write_text(text)
    return load(path, stages=stages, undoable=undoable, environment=environment)


def problems(
    folder: Path,
    text: str,
    environment: Mapping[str, str] = HOME,
    *,
    stages: Mapping[str, Kind] = STAGES,
    undoable: Container[str] = (),
) -> list[str]:
    """What is wrong with the text, as `LINE PATH: MESSAGE (HINT)`."""
    with pytest.raises(ConfigError) as caught:
        load_text(folder, text, environment, stages=stages, undoable=undoable)
    prefix = f"{folder}/config.yaml:"
    return [str(problem).removeprefix(prefix) for problem in caught.value.problems]
