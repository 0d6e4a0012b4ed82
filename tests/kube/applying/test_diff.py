"""What a diff shows, and what it must never show."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kube.bench import bench_of, config_map, deployment, secret
from tests.kube.cluster import RealCluster
from watcher.kube.applying.applyset import PARENT
from watcher.kube.applying.comparing import LAST_APPLIED
from watcher.kube.applying.diff import LIMIT, difference, planned_difference, pruned_difference
from watcher.kube.applying.masking import HIDDEN, NEW, WAS, masked
from watcher.kube.applying.plan import Action, PlannedObject
from watcher.kube.objects import Object, ObjectKey

PASSWORD = "hunter2-hunter2"
OTHER = "correct-horse"


def coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def compared(before: Object | None, after: Object | None) -> str:
    item = before or after
    assert item is not None
    return difference(ObjectKey.of(item), Action.CONFIGURED, before, after).text


def served(item: Object, **metadata: Any) -> Object:
    """As a server keeps it."""
    kept = {
        "uid": "1",
        "resourceVersion": "7",
        "generation": 3,
        "creationTimestamp": "2026-11-21T08:00:00Z",
        "managedFields": [{"manager": "x"}],
    }
    return {
        **item,
        "metadata": {**item["metadata"], **kept, **metadata},
        "status": {"replicas": 1},
    }


def with_variables(**variables: str) -> Object:
    item = deployment()
    container = item["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": name, "value": value} for name, value in variables.items()]
    return item


def test_a_change_shows_as_lines_of_yaml_with_what_stands_around_it() -> None:
    before, after = config_map("a", x="1", y="one\ntwo\n"), config_map("a", x="2", y="one\n2\n")
    assert compared(before, after) == "\n".join(
        [
            "--- configmap/a (live)",
            "+++ configmap/a (configured)",
            "@@ -1,9 +1,9 @@",
            " apiVersion: v1",
            " data:",
            "-  x: '1'",
            "+  x: '2'",
            "   y: |",
            "     one",
            "-    two",
            "+    2",
            " kind: ConfigMap",
            " metadata:",
            "   name: a",
        ]
    )


def test_a_new_object_is_compared_with_nothing_and_a_deleted_one_too() -> None:
    created = compared(None, config_map("a", x="1"))
    assert "+  x: '1'" in created
    assert not [line for line in created.splitlines()[2:] if not line.startswith(("+", "@@"))]
    deleted = compared(config_map("a", x="1"), None)
    assert "-  x: '1'" in deleted


def test_what_the_server_keeps_for_itself_is_no_difference() -> None:
    later = served(config_map("a", x="1"), resourceVersion="8", generation=4)
    assert compared(served(config_map("a", x="1")), {**later, "status": {}}) == ""


def test_the_last_client_side_apply_is_not_shown() -> None:
    noted = config_map("a", x="1")
    noted["metadata"]["annotations"] = {LAST_APPLIED: json.dumps({"data": PASSWORD})}
    assert compared(noted, config_map("a", x="1")) == ""


def test_of_a_secret_the_keys_are_shown_and_whether_they_change() -> None:
    before = secret("s", data={"same": coded(PASSWORD), "old": "b2xk", "changed": coded("1")})
    after = secret("s", data={"same": coded(PASSWORD), "new": "bmV3", "changed": coded("2")})
    text = compared(before, after)
    assert f"-  changed: '{WAS}'" in text
    assert f"+  changed: '{NEW}'" in text
    assert f"-  old: '{WAS}'" in text
    assert f"+  new: '{NEW}'" in text
    assert f"   same: '{HIDDEN}'" in text
    for hidden in (PASSWORD, coded(PASSWORD), coded("1"), coded("2"), "b2xk", "bmV3"):
        assert hidden not in text


@pytest.mark.parametrize(
    "name", ["DB_PASSWORD", "secret", "GITHUB_TOKEN", "api-key", "AWS_CREDENTIALS"]
)
def test_a_variable_that_looks_like_a_password_is_hidden(name: str) -> None:
    text = compared(with_variables(**{name: PASSWORD}), with_variables(**{name: OTHER}))
    assert f"-          value: '{WAS}'" in text
    assert f"+          value: '{NEW}'" in text
    assert PASSWORD not in text
    assert OTHER not in text


def test_another_variable_is_shown() -> None:
    text = compared(with_variables(LEVEL="info"), with_variables(LEVEL="debug"))
    assert "-        - name: LEVEL" not in text
    assert "value: debug" in text


def test_a_hidden_variable_that_only_moved_is_not_called_changed() -> None:
    before = with_variables(PASSWORD=PASSWORD)
    after = with_variables(LEVEL="info", PASSWORD=PASSWORD)
    text = compared(before, after)
    assert WAS not in text
    assert NEW not in text


def test_a_hidden_text_is_the_same_for_every_value() -> None:
    one = compared(secret("s", data={"k": coded("a")}), secret("s", data={"k": coded("b")}))
    two = compared(secret("s", data={"k": coded("c")}), secret("s", data={"k": coded("d" * 99)}))
    assert one == two


@given(
    st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), st.text(min_size=6)),
    st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), st.text(min_size=6)),
)
def test_no_value_of_any_secret_is_ever_shown(old: dict[str, str], new: dict[str, str]) -> None:
    before, after = secret("s", data=old, stringData=new), secret("s", data=new, stringData=old)
    for item in masked(before, after):
        assert item is not None
        values = {*item["data"].values(), *item["stringData"].values()}
        assert values <= {HIDDEN, WAS, NEW}
    assert before["data"] == old, "what is compared is not changed"


def test_a_long_diff_is_cut_with_counts() -> None:
    lines = {f"key-{number:05}": "x" * 40 for number in range(4000)}
    found = difference(
        ObjectKey("", "ConfigMap", "", "a"), Action.CREATED, None, config_map("a", lines)
    )
    assert len(found.text) < LIMIT + 100
    assert found.added == 4005
    assert found.text.splitlines()[-1] == "… cut off here: 4005 lines added and 0 removed in all"


def test_what_is_too_long_to_compare_is_only_counted() -> None:
    before = config_map("a", text="x\n" * 15_000)
    after = config_map("a", text="y\n" * 15_000)
    assert compared(before, after).endswith("too long to compare")
    assert compared(before, before) == ""


def test_control_characters_do_not_reach_the_terminal() -> None:
    text = compared(None, config_map("a", x="\x1b[31mred\x07"))
    assert "\x1b" not in text
    assert "\x07" not in text


def test_a_replaced_object_shows_only_what_its_manifest_speaks_of() -> None:
    live = served(deployment(image="web:1"))
    live["spec"]["progressDeadlineSeconds"] = 600
    wanted = deployment(image="web:2")
    item = PlannedObject(
        key=ObjectKey.of(wanted),
        resource=PARENT,
        desired=wanted,
        action=Action.REPLACED,
        wave=0,
        live=live,
    )
    found = planned_difference(item)
    assert (found.added, found.removed) == (1, 1)
    assert "image: web:2" in found.text
    assert "progressDeadlineSeconds" not in found.text


async def test_the_diff_of_a_plan_shows_what_changes_and_nothing_else(
    cluster: RealCluster,
) -> None:
    async with bench_of(cluster) as bench:
        kept = secret("s", stringData={"password": PASSWORD})
        await bench.apply(kept, config_map("a", x="1"), config_map("b", x="1"), prune=True)
        changed = secret("s", stringData={"password": OTHER})
        new = config_map("c", x="1")
        plan = await bench.plan(changed, config_map("a", x="1"), new, deployment(), prune=True)
        found = {item.key.name: planned_difference(item) for item in plan.items}
        gone = [pruned_difference(each) for each in plan.obsolete]
        assert [(each.key.name, each.action) for each in (*found.values(), *gone)] == [
            ("s", Action.CONFIGURED),
            ("a", Action.UNCHANGED),
            ("c", Action.CREATED),
            ("web", Action.CREATED),
            ("b", Action.PRUNED),
        ]
        assert found["a"].text == ""
        assert "-  x: '1'" in gone[0].text
        assert (found["s"].added, found["s"].removed) == (1, 1)
        assert "terminationGracePeriodSeconds: 30" in found["web"].text
        every = "\n".join(each.text for each in found.values())
        for hidden in (PASSWORD, OTHER, coded(PASSWORD), coded(OTHER)):
            assert hidden not in every
