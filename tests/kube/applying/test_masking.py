"""What masking must find wherever it stands."""

from __future__ import annotations

from typing import Any

import pytest

from watcher.kube.applying.masking import HIDDEN, NEW, WAS, masked
from watcher.kube.objects import Object

PASSWORD, OTHER = "hunter2-hunter2", "correct-horse"


def variable(value: str, name: str = "API_KEY") -> dict[str, Any]:
    return {"name": name, "value": value}


def containers(*variables: Any) -> list[dict[str, Any]]:
    """One for each list of variables, all of one name, as a custom kind may have them."""
    return [{"name": "c", "env": list(each)} for each in variables]


def thing(*variables: Any) -> Object:
    spec = {"template": {"spec": {"containers": containers(*variables)}}}
    return {"apiVersion": "x/v1", "kind": "X", "metadata": {"name": "x"}, "spec": spec}


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        pytest.param(
            thing([variable(PASSWORD), variable(OTHER)]),
            thing([variable(PASSWORD), variable(PASSWORD)]),
            [HIDDEN, NEW],
            id="two variables of one name",
        ),
        pytest.param(
            thing([variable(OTHER)], [variable(OTHER)]),
            thing([variable(OTHER)], [variable(PASSWORD)]),
            [HIDDEN, NEW],
            id="two containers of one name",
        ),
        pytest.param(None, thing([variable(OTHER), variable(OTHER)]), [NEW, NEW], id="a new one"),
        pytest.param(
            thing([variable("1", "A"), variable(OTHER)]),
            thing([variable(OTHER), variable("1", "A")]),
            [HIDDEN],
            id="another order",
        ),
    ],
)
def test_no_variable_hides_behind_another_of_its_name(
    before: Object | None, after: Object, words: list[str]
) -> None:
    old, new = masked(before, after)
    assert PASSWORD not in f"{old}{new}"
    assert OTHER not in f"{old}{new}"
    found = [
        each["value"]
        for container in (new or {})["spec"]["template"]["spec"]["containers"]
        for each in container["env"]
        if each["name"] == "API_KEY"
    ]
    assert found == words
    assert (WAS in str(old)) is (before is not None and NEW in words)
