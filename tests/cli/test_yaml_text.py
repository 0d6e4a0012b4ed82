"""Adding to a list of a YAML text: it is in there, and the rest is byte for byte the same."""

from __future__ import annotations

import pytest
from ruamel.yaml import YAML

from watcher.cli.yaml_text import append

ITEM = {"name": "new", "password": "a\nb: #\n", "list": ["1e3", True]}

TEXTS = {
    "nothing at all": "",
    "a comment only": "# mine\n",
    "another key": "triggers: []\n",
    "an empty list": "accounts: []   # none yet\ntriggers: []\n",
    "an empty value": "accounts:   # none yet\ntriggers: []\n",
    "an empty value at the end": "triggers: []\naccounts:",
    "null": "accounts: null\n",
    "a flow list": "accounts: [{name: a}]   # short\ntriggers: []\n",
    "dashes at the margin": "accounts:\n- name: a\n\n# next\ntriggers: []\n",
    "dashes far in": "accounts:\n      - name: a   # why\n      - name: b\ntriggers: []\n",
    "a literal at the end": "accounts:\n  - name: a\n    x: |\n      one\n\ntriggers: []\n",
    "comments of the last item": "accounts:\n  - name: a\n    # b: c\n  # next\ntriggers: []\n",
    "a flow list inside": "accounts:\n  - name: a\n    r: [x,\n      y]\ntriggers: []\n",
    "no newline at the end": "accounts:\n  - name: a",
    "windows lines": "accounts:\r\n  - name: a\r\ntriggers: []\r\n",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_the_item_is_last_and_the_rest_is_the_same(text: str) -> None:
    after = append(text, "accounts", ITEM)
    old = YAML(typ="safe", pure=True).load(text) or {}
    new = YAML(typ="safe", pure=True).load(after)
    assert new == {**old, "accounts": [*(old.get("accounts") or []), ITEM]}
    comments = [line[line.index("#") :] for line in text.splitlines() if "#" in line]
    assert [comment for comment in comments if comment not in after] == []


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("accounts: 3\n", id="no list"),
        pytest.param("- a\n", id="no mapping"),
        pytest.param("a: [\n", id="no YAML"),
    ],
)
def test_what_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        append(text, "accounts", ITEM)
