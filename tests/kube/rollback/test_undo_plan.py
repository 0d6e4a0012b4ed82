"""What is kept for taking an apply back, and whether an object is still what the run made of it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from watcher.errors import StageError
from watcher.kube.applying.diff import difference
from watcher.kube.applying.notes import event_text
from watcher.kube.applying.plan import EVENT_NOTE, Action
from watcher.kube.objects import Object, ObjectKey
from watcher.kube.rollback.undo import foreign
from watcher.kube.rollback.undo_plan import (
    Change,
    How,
    UndoPlan,
    change_of,
    created_by_us,
    values_of,
    without_values,
)
from watcher.kube.workloads import template_mark

EVENT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
KEY = ObjectKey("", "ConfigMap", "shop", "settings")


def entry(fields: dict[str, Any], manager: str = "registry-watcher", **more: str) -> dict[str, Any]:
    operation = "Apply" if manager == "registry-watcher" else "Update"
    return {"manager": manager, "operation": operation, "fieldsV1": fields, **more}


def owned(*keys: str, manager: str = "registry-watcher", **more: str) -> dict[str, Any]:
    return entry({"f:data": {f"f:{key}": {} for key in keys}}, manager, **more)


def config_map(
    *entries: dict[str, Any], uid: str = "1", kind: str = "ConfigMap", **data: str
) -> Object:
    metadata = {"name": "settings", "namespace": "shop", "uid": uid, "managedFields": list(entries)}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, "data": data}


def deployment(image: str = "web:1", **annotations: str) -> Object:
    container = {"name": "web", "image": image}
    metadata = {"name": "web", "namespace": "shop", "uid": "1", "annotations": annotations}
    spec = {"template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container]}}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def change(**values: Any) -> Change:
    return replace(Change(key=KEY, api_version="v1", how=How.CHANGED, uid="1"), **values)


def plan(*changes: Change) -> UndoPlan:
    return UndoPlan(changes=changes, digest=None, event_time=EVENT)


@pytest.mark.parametrize(
    ("before", "after", "back"),
    [
        pytest.param(
            config_map(owned("a"), a="1"), config_map(owned("a"), a="2"), {"a": "1"}, id="changed"
        ),
        pytest.param(
            config_map(owned("a"), a="1"),
            config_map(owned("a", "b"), a="1", b="2"),
            {"a": "1"},
            id="added: it goes with what we no longer ask for",
        ),
        pytest.param(
            config_map(owned("a", "b"), a="1", b="2"),
            config_map(owned("a"), a="1"),
            {"a": "1", "b": "2"},
            id="dropped",
        ),
        pytest.param(
            config_map(owned("a", manager="ann"), a="1"),
            config_map(owned("a"), a="2"),
            {"a": "1"},
            id="taken from somebody",
        ),
        pytest.param(
            config_map(owned("b", manager="ann"), b="1"),
            config_map(owned("a"), owned("b", manager="ann"), a="1", b="1"),
            {},
            id="what others own stays theirs",
        ),
    ],
)
def test_what_brings_back_what_was(before: Object, after: Object, back: dict[str, str]) -> None:
    kept = change_of(How.CHANGED, before, live=before, result=after).before
    assert kept is not None
    assert kept.get("data", {}) == back
    assert kept["metadata"] == {"name": "settings", "namespace": "shop"}


def test_what_was_taken_over_from_kubectl_is_kept_too() -> None:
    last = {"kubectl.kubernetes.io/last-applied-configuration": "{secret}"}
    fields = {
        "f:data": {"f:a": {}, "f:b": {}},
        "f:metadata": {"f:annotations": {f"f:{name}": {} for name in last}},
    }
    live = config_map(entry(fields, "kubectl-client-side-apply"), a="1", b="2")
    live["metadata"]["annotations"] = last
    result = config_map(owned("a"), a="9")
    taken = frozenset({"kubectl-client-side-apply"})
    kept = change_of(How.CHANGED, live, live=live, result=result, taken_over=taken).before
    assert kept is not None
    assert kept["data"] == {"a": "1", "b": "2"}
    assert "{secret}" not in json.dumps(kept)


def test_of_what_is_replaced_everything_is_kept() -> None:
    live = config_map(owned("a", manager="ann"), a="1")
    kept = change_of(How.REPLACED, live, live=live, result=None).before
    assert kept is not None
    assert kept["data"] == {"a": "1"}
    assert "uid" not in kept["metadata"]


def test_the_values_of_a_secret_are_kept_apart() -> None:
    live = config_map(owned("a"), kind="Secret", a="MQ==", b="Mg==")
    kept = change_of(How.CHANGED, live, live=live, result=None)
    assert kept.is_secret
    assert "MQ==" not in json.dumps(kept.to_json())
    assert values_of(How.CHANGED, live, None, frozenset()) == {"a": "MQ=="}
    assert without_values({**live, "stringData": {"a": "1"}}).keys() == live.keys() - {"data"}
    assert without_values(config_map(a="1"))["data"] == {"a": "1"}


def test_an_object_that_is_nested_too_deeply_is_refused_in_one_clear_line() -> None:
    fields: dict[str, Any] = {}
    value: dict[str, Any] = {}
    for _ in range(2000):
        fields, value = {"f:a": fields}, {"a": value}
    live = {**config_map(entry({"f:spec": fields})), "spec": value}
    with pytest.raises(StageError, match=r"configmap/settings.*: it is nested too deeply"):
        change_of(How.CHANGED, live, live=live, result=live)
    with pytest.raises(StageError, match=r"configmap/settings.*: it is nested too deeply"):
        difference(KEY, Action.CONFIGURED, live, None)


def test_a_plan_survives_the_state_file() -> None:
    whole = change(how=How.REPLACED, made="2", before=config_map(a="1"), copy="x", marks=("m",))
    kept = replace(plan(whole, change()), digest="sha256:d", unknown=True, blames_image=True)
    assert UndoPlan.from_json(json.loads(json.dumps(kept.to_json()))) == kept


def test_a_later_attempt_does_not_change_what_was_before() -> None:
    first = plan(change(before=config_map(a="1"), marks=("one", "two")))
    joined = first.joined([change(before=config_map(a="2"), marks=("two", "three"))])
    assert joined.changes == (change(before=config_map(a="1"), marks=("one", "two", "three")),)
    created = plan(change(how=How.CREATED, uid=""))
    again = created.joined([change(uid="7", made="7")]).changes[0]
    assert (again.how, again.made) == (How.CREATED, "7")
    theirs = created.joined([change(uid="7")]).changes[0]
    assert (theirs.how, theirs.made) == (How.CREATED, "")
    replaced = plan(change(how=How.REPLACED))
    assert replaced.joined([change(uid="7", made="7")]).changes[0].made == "7"
    assert replaced.joined([change(made="1")]).changes[0].made == ""


def test_whether_an_earlier_attempt_made_what_is_there_is_told_by_its_fields() -> None:
    time = "2026-03-01T12:00:00Z"
    ours = config_map(owned("a", time=time), uid="7")
    ours["metadata"]["creationTimestamp"] = time
    theirs = config_map(owned("a", manager="ann", time=time), uid="7")
    theirs["metadata"]["creationTimestamp"] = time
    made = [change_of(How.CHANGED, it, live=it, result=it).made for it in (ours, theirs)]
    assert made == ["7", ""]
    assert change_of(How.REPLACED, ours, live=ours, result=ours).made == ""


def test_the_answer_tells_which_object_was_made_and_what_it_runs() -> None:
    key = ObjectKey.of(deployment())
    planned = plan(change(key=key, how=How.CREATED, uid=""), change())
    time = "2026-03-01T12:00:00Z"
    made = deployment()
    made["metadata"] |= {"creationTimestamp": time, "managedFields": [entry({}, time=time)]}
    first, second = planned.with_made([(made, None)]).changes
    assert first.made == "1"
    assert first.marks == (template_mark(deployment()),)
    assert second == change()
    kept = plan(change(key=key)).with_made([(made, True)]).changes[0]
    assert kept.made == ""
    theirs = deployment()
    theirs["metadata"]["managedFields"] = [entry({"f:spec": {}}, "ann")]
    assert planned.with_made([(theirs, None)]).changes[0].made == ""
    assert planned.with_made([(made, False)]).changes[0].made == ""
    assert planned.with_made([(deployment(), True)]).changes[0].made == "1"


@pytest.mark.parametrize(
    ("created", "applied", "manager", "expected"),
    [
        pytest.param("2026-03-01T12:00:00Z", "2026-03-01T12:00:00Z", "", True, id="made by us"),
        pytest.param("2026-03-01T12:00:00Z", "2026-03-01T11:59:59Z", "", True, id="on the second"),
        pytest.param("2026-03-01T12:00:00Z", "2026-03-01T12:09:00Z", "", False, id="applied later"),
        pytest.param("2026-03-01T12:00:00Z", "2026-03-01T12:00:00Z", "ann", False, id="by ann"),
        pytest.param("", "", "", False, id="no times"),
    ],
)
def test_whether_we_made_an_object(
    created: str, applied: str, manager: str, expected: bool
) -> None:
    item = config_map(owned("a", manager=manager or "registry-watcher", time=applied))
    item["metadata"]["creationTimestamp"] = created
    assert created_by_us(item) is expected


NEWER = {EVENT_NOTE: event_text(EVENT + timedelta(microseconds=1))}
OLDER = {EVENT_NOTE: event_text(EVENT)}
MARKS = tuple(template_mark(deployment(image)) for image in ("web:1", "web:2"))
MADE_NOW = {"creationTimestamp": "2026-03-01T12:00:00Z"}


@pytest.mark.parametrize(
    ("known", "live", "why"),
    [
        pytest.param(change(), config_map(), "", id="as we left it"),
        pytest.param(change(), None, "somebody has deleted it since", id="deleted"),
        pytest.param(change(how=How.PRUNED), None, "", id="deleted by us"),
        pytest.param(change(how=How.REPLACED), None, "", id="deleted by us in order to replace"),
        pytest.param(
            change(), config_map(uid="2"), "somebody has made it anew since", id="another one"
        ),
        pytest.param(
            change(how=How.REPLACED, made="2"), config_map(uid="2"), "", id="the one we made"
        ),
        pytest.param(
            change(how=How.CREATED, uid=""),
            config_map(uid="2"),
            "somebody has made it anew since",
            id="one that others made",
        ),
        pytest.param(change(marks=MARKS), deployment("web:2"), "", id="runs what we applied"),
        pytest.param(change(marks=MARKS), deployment("web:1"), "", id="runs what was before"),
        pytest.param(
            change(marks=MARKS),
            deployment("web:3"),
            "somebody has changed what it runs since",
            id="runs something else",
        ),
        pytest.param(
            change(marks=MARKS),
            deployment("web:2", **NEWER),
            f"a newer event has changed it, of {NEWER[EVENT_NOTE]}",
            id="a newer event",
        ),
        pytest.param(change(marks=MARKS), deployment("web:2", **OLDER), "", id="the same event"),
    ],
)
def test_what_somebody_else_changed_is_foreign(
    known: Change, live: Object | None, why: str
) -> None:
    assert foreign(known, live, EVENT) == why


def test_what_is_being_deleted_is_left_alone() -> None:
    leaving = config_map()
    leaving["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:00Z"
    assert foreign(change(), leaving, EVENT) == "it is being deleted"


def test_what_a_crash_left_unnamed_is_known_by_its_maker() -> None:
    item = config_map(owned("a", time="2026-03-01T12:00:00Z"), uid="9")
    item["metadata"].update(MADE_NOW)
    assert foreign(change(how=How.CREATED, uid=""), item, EVENT) == ""


def test_a_restart_does_not_change_what_an_object_runs() -> None:
    restarted = deployment()
    mark = {"kubectl.kubernetes.io/restartedAt": "2026-03-01T12:00:00Z"}
    restarted["spec"]["template"]["metadata"]["annotations"] = mark
    assert template_mark(restarted) == template_mark(deployment())
    assert template_mark(config_map()) == ""
