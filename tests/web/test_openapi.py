"""The description of the API, and schemathesis, which asks a running daemon whatever that allows
and whatever it forbids.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.specs.openapi.checks import ignored_auth

from tests.system.watching import Watcher
from tests.web.daemon import REPOSITORY, document
from tests.web.serving import TOKEN
from watcher.testing.registry import FakeRegistry
from watcher.web.api.openapi import description
from watcher.web.api.routes import OPERATIONS

EXAMPLES = 15
"""For each operation; schemathesis adds the edges of every value by itself."""

RIGHT = {"Authorization": f"Bearer {TOKEN}"}

described = schemathesis.openapi.from_dict(description(OPERATIONS, with_token=True))


@pytest.fixture(scope="module")
def daemon_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running daemon, which serves just this description."""
    directory = tmp_path_factory.mktemp("daemon")
    token = directory / "token"
    token.write_text(TOKEN)
    with FakeRegistry.in_thread() as registry:
        registry.push(REPOSITORY, "v1")
        watcher = Watcher(directory, document(registry, directory, token_file=str(token)))
        with watcher.running() as daemon:
            url = f"http://{daemon.wait_for('listening')[0]['address']}"
            asked = Request(f"{url}/api/v1/openapi.json", headers=RIGHT)
            with urlopen(asked, timeout=10) as answer:
                assert json.load(answer) == described.raw_schema
            yield url


@described.parametrize()
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_the_daemon_keeps_to_its_description(case: Case[Any], daemon_url: str) -> None:
    # So many wrong tokens would be answered 429; the next test has that check.
    case.call_and_validate(base_url=daemon_url, headers=RIGHT, excluded_checks=[ignored_auth])


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}], ids=["none", "wrong"])
def test_each_operation_demands_the_token(daemon_url: str, headers: dict[str, str]) -> None:
    for operation in OPERATIONS:
        url = f"{daemon_url}/api/v1{operation.path.replace('{', '').replace('}', '')}"
        asked = Request(url, method=operation.method, headers=headers)
        with pytest.raises(HTTPError) as refused:
            urlopen(asked, timeout=10)
        assert refused.value.code == 401, operation.name
        refused.value.close()


def test_each_operation_is_described_with_all_that_it_takes() -> None:
    document: dict[str, Any] = description(OPERATIONS, with_token=True)
    for operation in OPERATIONS:
        written = document["paths"][f"/api/v1{operation.path}"][operation.method.lower()]
        names = [parameter["name"] for parameter in written["parameters"]]
        assert names == [p.name for p in (*operation.parts, *operation.query)]
        assert ("requestBody" in written) == (operation.body is not None)
        assert str(int(operation.status)) in written["responses"]
    assert len(document["paths"]) == len(OPERATIONS)


def test_the_schemas_are_schemas() -> None:
    document = description(OPERATIONS, with_token=False)
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    assert "security" not in document
    json.dumps(document)


def test_the_description_is_in_the_docs() -> None:
    text = (Path(__file__).parents[2] / "docs" / "http.md").read_text()
    missing = [operation.path for operation in OPERATIONS if operation.path not in text]
    assert not missing
