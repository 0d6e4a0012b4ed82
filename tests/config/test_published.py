"""What is published of the config agrees with how it is read: schema, docs, example."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from watcher.config.document import document
from watcher.config.fields import Either, Kind, ListOf, MapOf, Section
from watcher.config.load import load
from watcher.config.pipelines import STAGE_KEYS, StageKind
from watcher.config.reference import reference
from watcher.config.schema import schema
from watcher.stages import STAGES, UNDOABLE

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "config.example.yaml"
KINDS = {name: stage.options for name, stage in STAGES.items()}


class Yaml12(yaml.SafeLoader):
    """PyYAML with only `true` and `false` as booleans, as editors for YAML 1.2 read it."""


Yaml12.yaml_implicit_resolvers = {
    first: [(tag, rule) for tag, rule in rules if not tag.endswith((":bool", ":int", ":timestamp"))]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Yaml12.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("true|false$"), list("tf"))
Yaml12.add_implicit_resolver("tag:yaml.org,2002:int", re.compile("-?[0-9]+$"), list("-0123456789"))


def example() -> Any:
    return yaml.load(EXAMPLE.read_text(), Yaml12)


def keys_of(kind: Kind, path: str = "") -> Iterator[str]:
    """Every key that may be written, as a path without positions."""
    match kind:
        case Section():
            for key, field in kind.fields.items():
                yield f"{path}.{key}"
                yield from keys_of(field.kind, f"{path}.{key}")
        case StageKind():
            yield from keys_of(Section(dict(STAGE_KEYS)), path)
            for name, options in kind.types.items():
                yield f"{path}.{name}"
                yield from keys_of(options, f"{path}.{name}")
        case ListOf():
            yield from keys_of(kind.kind, path)
        case MapOf():
            yield from keys_of(kind.kind, f"{path}.*")
        case Either():
            for choice in kind.kinds:
                yield from keys_of(choice, path)


def keys_in(data: Any, path: str = "") -> Iterator[str]:
    """Every key that is written; `*` stands beside each, for the names of users."""
    for key, value in data.items() if isinstance(data, dict) else ():
        for name in (key, "*"):
            yield f"{path}.{name}"
            yield from keys_in(value, f"{path}.{name}")
    for value in data if isinstance(data, list) else ():
        yield from keys_in(value, path)


IN_ITS_PLACE = {".ping.url_file"}
"""Keys of what may stand only once, of which the example has the other one."""


def test_the_example_has_every_key() -> None:
    missing = sorted(set(keys_of(document(KINDS))) - set(keys_in(example())) - IN_ITS_PLACE)
    assert missing == []


def test_the_example_loads() -> None:
    config = load(EXAMPLE, stages=KINDS, undoable=UNDOABLE, environment={"HOME": "/root"})
    assert {account.name for account in config.accounts} >= {"dockerhub", "gcr", "ecr", "quay"}


def test_the_schema_is_valid_and_takes_the_example() -> None:
    published = schema(KINDS)
    jsonschema.Draft202012Validator.check_schema(published)
    jsonschema.Draft202012Validator(published).validate(example())


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("acounts: []", id="unknown key at the top"),
        pytest.param("accounts: [{name: a, address: b, pasword: c}]", id="unknown key below"),
        pytest.param("accounts: [{name: a}]", id="missing key"),
        pytest.param("accounts: [{name: A_b, address: b}]", id="a name"),
        pytest.param("accounts: [{name: a, address: b, poll: 60}]", id="a bare number"),
        pytest.param("accounts: [{name: a, address: b, poll: 1 hour}]", id="a duration"),
        pytest.param("accounts: [{name: a, address: b, plain_http: yes}]", id="a boolean"),
        pytest.param("accounts: [{name: a, address: b, hold_above: -1}]", id="a number"),
        pytest.param("pipelines: [{name: p, stages: []}]", id="no stages"),
        pytest.param("pipelines: [{name: p, stages: [{name: x}]}]", id="no stage type"),
        pytest.param("pipelines: [{name: p, stages: [{wait: 1s, command: x}]}]", id="two types"),
    ],
)
def test_the_schema_refuses_what_loading_refuses(text: str) -> None:
    validator = jsonschema.Draft202012Validator(schema(KINDS))
    assert not validator.is_valid(yaml.load(text, Yaml12))


def test_every_key_has_its_meaning_written_down() -> None:
    page = reference(KINDS)
    for key in (path.rsplit(".", 1)[1] for path in keys_of(document(KINDS))):
        assert f"| `{key}` |" in page or f"### `{key}`" in page, key


def test_the_page_of_the_configuration_is_what_is_generated() -> None:
    """Where this fails: `make docs`."""
    assert (ROOT / "docs" / "configuration.md").read_text() == reference(KINDS)
