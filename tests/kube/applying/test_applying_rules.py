"""The pure rules of applying: notes, comparisons, marks of an ApplySet, take-over, refusals."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from tests.kube.bench import config_map, deployment
from watcher.core.cluster import Cluster
from watcher.errors import ClusterError, ClusterFault, FieldConflict, StageError
from watcher.kube import together
from watcher.kube.applying.applyset import (
    KINDS,
    NAMESPACES,
    PARENT,
    Extent,
    as_member,
    extent_of,
    id_of,
    is_labelled_by_us,
    is_written,
    listed_extent,
    parent_name,
    parent_object,
)
from watcher.kube.applying.comparing import LAST_APPLIED, is_same, is_untouched
from watcher.kube.applying.dry_run import may_take
from watcher.kube.applying.migration import migrated_fields, needs_migration
from watcher.kube.applying.notes import (
    check_fence,
    event_of,
    event_text,
    own_notes,
    volatile,
    with_notes,
)
from watcher.kube.applying.plan import (
    EVENT_NOTE,
    NOTE_KEYS,
    Action,
    ApplyOptions,
    Conflicts,
    Newer,
    PlannedObject,
)
from watcher.kube.applying.refused import Problem, raise_problems
from watcher.kube.objects import FIELD_MANAGER, Object, ObjectKey

NOON = datetime(2026, 11, 21, 12, 0, 0, 1, tzinfo=UTC)


def options(pipeline: str = "shop", stage: str = "deploy") -> ApplyOptions:
    cluster = Cluster(name="test")
    return ApplyOptions(pipeline=pipeline, stage=stage, cluster=cluster, namespace="default")


def planned(item: Object, **changes: Any) -> PlannedObject:
    given: dict[str, Any] = {"action": Action.CONFIGURED, "wave": 0, "resource": PARENT}
    return PlannedObject(key=ObjectKey.of(item), desired=item, **(given | changes))


def annotated(**annotations: str) -> Object:
    item = deployment()
    item["metadata"]["annotations"] = dict(annotations)
    return item


def owned_by(item: Object, *owners: tuple[str, str, Any], **metadata: Any) -> Object:
    """The object with these (manager, operation, fields)."""
    entries = [
        {"manager": manager, "operation": operation, "apiVersion": "v1", "fieldsV1": fields}
        for manager, operation, fields in owners
    ]
    return {**item, "metadata": {**item["metadata"], "managedFields": entries, **metadata}}


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (NOON, "2026-11-21T12:00:00.000001Z"),
        (NOON.replace(microsecond=0), "2026-11-21T12:00:00.000000Z"),
        (NOON.astimezone(timezone(timedelta(hours=2))), "2026-11-21T12:00:00.000001Z"),
    ],
)
def test_the_time_of_an_event_is_written_in_utc_with_microseconds(
    time: datetime, text: str
) -> None:
    assert event_text(time) == text
    assert event_of(annotated(**{EVENT_NOTE: text})) == time


@pytest.mark.parametrize(
    "written",
    [
        "",
        "yesterday",
        "2026-11-21T12:00:00",
        "2026-11-21",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
    ],
)
def test_an_event_that_nobody_can_read_fences_nothing(written: str) -> None:
    item = annotated(**{EVENT_NOTE: written})
    assert event_of(item) is None
    check_fence(planned(item), item, NOON)


@pytest.mark.parametrize(
    ("later", "is_newer"), [(-1, False), (0, False), (1, True)], ids=["older", "same", "newer"]
)
def test_only_a_newer_event_is_a_fence(later: int, is_newer: bool) -> None:
    live = annotated(**{EVENT_NOTE: event_text(NOON + timedelta(microseconds=later))})
    if is_newer:
        with pytest.raises(Newer, match="is later than this run's"):
            check_fence(planned(live), live, NOON)
    else:
        check_fence(planned(live), live, NOON)
    check_fence(planned(live), live, None)


def test_a_note_that_the_manifest_states_itself_is_the_manifests() -> None:
    cause = "kubernetes.io/change-cause"
    item = annotated(**{cause: "by hand", EVENT_NOTE: "forged"})
    notes = own_notes(item, {cause: "ours", EVENT_NOTE: "real", "registry-watcher/tag": "1"})
    assert notes == {EVENT_NOTE: "real", "registry-watcher/tag": "1"}
    made = with_notes(item, notes)["metadata"]["annotations"]
    assert made == {cause: "by hand", EVENT_NOTE: "real", "registry-watcher/tag": "1"}
    assert volatile(planned(item, notes=notes)) == NOTE_KEYS - {cause}


def test_a_dry_run_that_only_shows_other_versions_and_notes_is_no_change() -> None:
    ours = {"f:spec": {"f:replicas": {}}, "f:metadata": {"f:annotations": {f"f:{EVENT_NOTE}": {}}}}
    live = owned_by(
        annotated(**{EVENT_NOTE: "1"}),
        (FIELD_MANAGER, "Apply", ours),
        resourceVersion="1",
        generation=1,
    )
    result = owned_by(
        annotated(**{EVENT_NOTE: "2"}),
        (FIELD_MANAGER, "Apply", ours),
        ("hpa", "Update", {"f:spec": {}}),
        resourceVersion="2",
        generation=2,
    )
    assert is_same(live, {**result, "status": {"replicas": 3}})
    assert not is_same(live, result, besides=())


def test_owning_another_field_is_a_change() -> None:
    live = owned_by(deployment(), (FIELD_MANAGER, "Apply", {"f:spec": {}}))
    more = owned_by(deployment(), (FIELD_MANAGER, "Apply", {"f:spec": {"f:replicas": {}}}))
    assert not is_same(live, more)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"status": {"replicas": 4}}, True),
        ({"metadata": {"annotations": {"team": "blue"}}}, True),
        ({"metadata": {"uid": "other"}}, False),
        ({"spec": {"replicas": 4}}, False),
    ],
    ids=["status", "annotation", "another_object", "spec"],
)
def test_what_counts_as_somebodys_change(change: dict[str, Any], expected: bool) -> None:
    seen = owned_by(deployment(), (FIELD_MANAGER, "Apply", {"f:spec": {}}), uid="1")
    now = {**seen, **{key: {**seen.get(key, {}), **value} for key, value in change.items()}}
    assert is_untouched(seen, now) is expected


@pytest.mark.parametrize(
    ("manager", "conflicts", "expected"),
    [
        ("kubectl-set", Conflicts(), False),
        ("kubectl-set", Conflicts(managers=frozenset({"kubectl-set"})), True),
        ("kubectl-set", Conflicts(force=True), True),
        ("hpa", Conflicts(managers=frozenset({"hpa"})), False),
        ("horizontal-pod-autoscaler", Conflicts(managers=frozenset({"hpa"})), False),
        (
            "my-controller",
            Conflicts(managers=frozenset({"my-controller"})),
            False,
        ),
        ("hpa", Conflicts(force=True), True),
        ("keel", Conflicts(managers=frozenset({"keel"})), True),
        (FIELD_MANAGER, Conflicts(), True),
    ],
)
def test_whose_fields_may_be_taken(manager: str, conflicts: Conflicts, expected: bool) -> None:
    assert may_take(manager, conflicts) is expected


def test_the_id_of_a_set_is_the_one_that_kubectl_makes() -> None:
    made_by_kubectl = "applyset-DaObTxGT41gT7jz9wyulA3kuIrhUKfuOcjAfLI6wcmQ-v1"
    assert id_of("my-set", "default") == made_by_kubectl


@pytest.mark.parametrize(
    ("pipeline", "stage", "start"),
    [
        ("shop", "deploy", "registry-watcher-shop-deploy-"),
        ("Shop / ä", "to_prod", "registry-watcher-shop-to-prod-"),
        ("ä", "ö", "registry-watcher-"),
        ("x" * 300, "y" * 300, "registry-watcher-" + "x" * 36 + "-"),
    ],
)
def test_the_parents_name_is_a_name_and_its_own(pipeline: str, stage: str, start: str) -> None:
    name = parent_name(options(pipeline, stage))
    assert name.startswith(start)
    assert len(name) <= 63
    assert name.strip("-") == name
    assert name != parent_name(options(pipeline, f"{stage}2"))


def test_two_pairs_of_names_that_read_alike_have_two_parents() -> None:
    assert parent_name(options("a-b", "c")) != parent_name(options("a", "b-c"))


def test_a_parent_lists_what_it_was_made_of() -> None:
    elsewhere = deployment()
    elsewhere["metadata"]["namespace"] = "other"
    here = config_map("a")
    here["metadata"]["namespace"] = "default"
    extent = extent_of([here, elsewhere])
    parent = parent_object(options(), extent)
    annotations = parent["metadata"]["annotations"]
    assert annotations[KINDS] == "apps/v1/Deployment,v1/ConfigMap"
    assert annotations[NAMESPACES] == "other"
    assert listed_extent(parent) == extent
    assert is_written(parent, parent)
    assert not is_written(None, parent)
    assert not is_written(parent, parent_object(options(), Extent()))


def test_of_two_versions_of_a_kind_the_newer_bundles_is_kept() -> None:
    old = Extent(kinds={("batch", "CronJob"): "batch/v1beta1"}, namespaces=frozenset({"a"}))
    new = Extent(kinds={("batch", "CronJob"): "batch/v1"}, namespaces=frozenset({"b"}))
    assert old.joined(new) == Extent(
        kinds={("batch", "CronJob"): "batch/v1"}, namespaces=frozenset({"a", "b"})
    )


def test_only_a_label_that_we_applied_makes_a_member() -> None:
    fields: Object = {"f:metadata": {"f:labels": {"f:applyset.kubernetes.io/part-of": {}}}}
    item = as_member(config_map("a"), "applyset-x-v1")
    assert is_labelled_by_us(owned_by(item, (FIELD_MANAGER, "Apply", fields)))
    assert not is_labelled_by_us(owned_by(item, (FIELD_MANAGER, "Update", fields)))
    assert not is_labelled_by_us(owned_by(item, ("kubectl-create", "Update", fields)))
    assert "labels" not in config_map("a")["metadata"]


DATA: Object = {"f:data": {"f:x": {}}}
OTHER: Object = {"f:data": {"f:y": {}}}


@pytest.mark.parametrize(
    ("owners", "expected"),
    [
        ([("kubectl-client-side-apply", "Update", DATA)], True),
        ([("kubectl-create", "Update", DATA)], True),
        ([("kubectl-edit", "Update", DATA)], False),
        ([("kube-controller-manager", "Update", DATA)], False),
        ([("kubectl", "Apply", DATA)], False),
        ([("kubectl", "Update", DATA), (FIELD_MANAGER, "Apply", OTHER)], False),
        ([("kubectl", "Update", DATA), (FIELD_MANAGER, "Update", OTHER)], True),
        ([], False),
    ],
    ids=str,
)
def test_what_is_taken_over(owners: list[tuple[str, str, Any]], expected: bool) -> None:
    assert needs_migration(owned_by(config_map("a"), *owners)) is expected


def test_taking_over_unites_the_fields_and_leaves_all_others_alone() -> None:
    metadata: Object = {"f:annotations": {".": {}, f"f:{LAST_APPLIED}": {}}}
    live = owned_by(
        config_map("a"),
        ("kubectl-client-side-apply", "Update", {**DATA, "f:metadata": metadata}),
        ("kubectl-create", "Update", OTHER),
        ("kubectl-edit", "Update", {"f:data": {"f:z": {}}}),
    )
    status = {**live["metadata"]["managedFields"][0], "subresource": "status"}
    live["metadata"]["managedFields"].append(status)
    ours, edited, last = migrated_fields(live)
    assert (ours["manager"], ours["operation"]) == (FIELD_MANAGER, "Apply")
    assert ours["fieldsV1"] == {"f:data": {"f:x": {}, "f:y": {}}}
    assert edited["manager"] == "kubectl-edit"
    assert last == status


def refusal(message: str, fault: ClusterFault, **more: Any) -> ClusterError:
    return ClusterError(message, fault=fault, **more)


def test_one_refusal_is_one_line_with_its_hint_apart() -> None:
    conflict = refusal("no", ClusterFault.INVALID, hint="do so")
    with pytest.raises(StageError) as caught:
        raise_problems([Problem("a.yaml, document 1: configmap/a", conflict)], count=3)
    assert str(caught.value) == "nothing was applied: a.yaml, document 1: configmap/a: no"
    assert caught.value.hint == "do so"


def test_a_bundle_may_pass_later_only_if_every_refusal_may() -> None:
    passing = Problem("a", refusal("soon", ClusterFault.QUOTA, temporary=True))
    lasting = Problem("b", refusal("never", ClusterFault.INVALID))
    for problems, expected in (([passing, passing], True), ([passing, lasting], False)):
        with pytest.raises(StageError) as caught:
            raise_problems(problems, count=2)
        assert caught.value.temporary is expected


def test_a_newer_event_counts_more_than_what_is_wrong_with_an_old_bundle() -> None:
    wrong = Problem("a", refusal("no", ClusterFault.INVALID))
    with pytest.raises(Newer):
        raise_problems([wrong, Problem("b", Newer("newer"))], count=2)


def test_the_conflicts_of_a_whole_cluster_error_survive_being_restated() -> None:
    away = refusal(
        "away", ClusterFault.UNAVAILABLE, temporary=True, conflicts=(FieldConflict(".x", "y"),)
    )
    with pytest.raises(ClusterError) as caught:
        raise_problems([Problem("a", away)], count=2)
    assert caught.value.message == "away; nothing was applied"
    assert caught.value.temporary
    assert caught.value.conflicts == away.conflicts


async def test_four_at_a_time_and_results_in_order() -> None:
    running = most = 0
    done: list[int] = []

    async def work(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(10 - number):
            await asyncio.sleep(0)
        running -= 1
        return number * number

    results = await together.each(range(9), work, done=done.append)
    assert results == done == [number * number for number in range(9)]
    assert most == together.AT_ONCE


async def test_after_a_stop_those_under_way_are_finished_and_no_other_is_begun() -> None:
    begun: list[int] = []

    async def work(number: int) -> int:
        begun.append(number)
        for _ in range(number + 1):
            await asyncio.sleep(0)
        return number

    results = await together.each(range(20), work, stop=lambda number: number == 0)
    assert results[:4] == [0, 1, 2, 3]
    assert set(results[4:]) == {None}
    assert begun == [0, 1, 2, 3]


def test_of_what_somebody_wrote_into_an_inventory_only_kinds_and_namespaces_are_read() -> None:
    parent = annotated(
        **{
            KINDS: "v1/ConfigMap,apps/v1/Deployment,../../x,v1/a b,v1/\x1b[31m,",
            NAMESPACES: "web,../kube-system,a\nb,\x1b[2J,",
        }
    )
    assert listed_extent(parent) == Extent(
        kinds={("", "ConfigMap"): "v1", ("apps", "Deployment"): "apps/v1"},
        namespaces=frozenset({"web", *filter(None, [parent["metadata"].get("namespace")])}),
    )
