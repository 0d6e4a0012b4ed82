"""The config loader: whatever a file holds, it is a Config or every problem with its place."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import strategies as st

from tests.fuzz.mutations import changed_documents, long_texts, spoiled, texts
from tests.fuzz.running import busy_at_most, fuzzed, is_clean
from watcher.config.load import Config, load
from watcher.config.yaml_nodes import YamlError, parse
from watcher.errors import ConfigError
from watcher.stages import OPTIONS, UNDOABLE

EXAMPLE = (Path(__file__).parents[2] / "config.example.yaml").read_text()
SECRET = "tr0ub4dor-and-3"
SMALL = f"""\
accounts:
  - name: quay
    address: quay.io
    username: acme+robot
    password: {SECRET}
    proxy: http://me:{SECRET}@proxy.example:3128
    repositories: [acme/web, acme/db]
    poll: {{every: 30s, jitter: 3s}}
    limits: {{concurrency: 4, requests_per_second: 2.5}}
triggers:
  - name: web
    account: quay
    repository: acme/web
    tag: {{semver: ">=1.2 <2", excludes: .*-rc.*}}
    order: semver
    pipeline: tell
pipelines:
  - name: tell
    parameters: {{channel: {{default: images}}}}
    stages:
      - webhook: {{url: "https://hooks.example/${{parameters.channel}}", method: POST}}
        retry: {{attempts: 3, backoff: 10s}}
"""
WORDS = ("&a ", "*a", "!!str ", "!!python/object:os.system ", "<<: ", "? ", "- ", ": ", "{", "[",
         "]", "}", "|\n", ">\n", "#", "'", '"', "\n", "\n---\n", "%YAML 1.1\n", "\t", "  ", "null",
         "true", "1.10", "0x", "9" * 400, "10s", "accounts:\n", "${", "\\", "~", "=")  # fmt: skip
ENVIRONMENT = {"HOME": "/home/watcher"}
LONGEST = 5.0


@contextmanager
def written(content: bytes) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "config.yaml")
        path.write_bytes(content)
        yield path


def read(content: bytes) -> Config | ConfigError:
    """What the loader makes of it, in time; every problem has its place and is fit to be shown."""
    with written(content) as path, busy_at_most(LONGEST):
        try:
            return load(path, stages=OPTIONS, undoable=UNDOABLE, environment=ENVIRONMENT)
        except ConfigError as error:
            found = error
    assert found.problems
    for problem in found.problems:
        assert problem.file.endswith("/config.yaml")
        assert 0 <= problem.line <= len(content.decode(errors="replace").splitlines()) + 1
        assert problem.line or problem.path == "accounts" or "UTF-8" in problem.message
        assert is_clean(problem.message), ascii(problem.message)
        assert is_clean(problem.path), ascii(problem.path)
        assert is_clean(problem.hint or ""), ascii(problem.hint)
    return found


@fuzzed(examples=10, text=texts([EXAMPLE, SMALL], WORDS))
def test_a_file_with_a_few_changes_is_a_config_or_an_error_with_places(text: str) -> None:
    read(text.encode("utf-8", "surrogatepass"))


@fuzzed(examples=10, content=spoiled(SMALL.encode()))
def test_bytes_that_are_no_text_are_an_error_with_a_place(content: bytes) -> None:
    read(content)


@fuzzed(examples=10, content=st.binary(max_size=200))
def test_any_bytes_are_a_config_or_an_error(content: bytes) -> None:
    read(content)


@fuzzed(examples=20, document=changed_documents([yaml.safe_load(SMALL), yaml.safe_load(EXAMPLE)]))
def test_a_config_with_wrong_values_is_refused_in_words_without_its_passwords(
    document: Any,
) -> None:
    content = yaml.safe_dump(document, allow_unicode=True).encode("utf-8", "surrogatepass")
    found = read(content)
    assert SECRET not in (str(found) if isinstance(found, ConfigError) else repr(found))


@fuzzed(examples=6, text=long_texts(WORDS))
def test_a_long_text_of_yaml_costs_little(text: str) -> None:
    with busy_at_most(LONGEST):
        try:
            parse(text)
        except YamlError as error:
            said = error.message
        else:
            said = ""
    assert is_clean(said)


@pytest.mark.parametrize("text", [SMALL, EXAMPLE], ids=["small", "example"])
def test_what_the_changes_begin_with_is_a_config(text: str) -> None:
    assert isinstance(read(text.encode()), Config)
