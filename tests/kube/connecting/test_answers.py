"""The classifier: what each answer of an API server means, by recorded and by written answers."""

from __future__ import annotations

import json
import re
import time
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kube.recorded import SERVERS, cause, recorded, refused, status_of, text
from watcher.errors import ClusterError, ClusterFault, FieldConflict
from watcher.kube.connecting.answers import Answer, items_of, object_of, warnings_of
from watcher.kube.connecting.refusals import TEMPORARY

F = ClusterFault

RECORDED_FAULTS = {
    "no field manager": F.INVALID,
    "field conflict": F.FIELD_CONFLICT,
    "stale resourceVersion": F.VERSION_CONFLICT,
    "managedFields in manifest": F.INVALID,
    "missing namespace": F.NAMESPACE_MISSING,
    "unknown resource path": F.KIND_UNKNOWN,
    "unknown field": F.INVALID,
    "wrong type": F.INVALID,
    "selector mismatch": F.INVALID,
    "immutable selector": F.IMMUTABLE,
    "duplicate container": F.INVALID,
    "empty image": F.INVALID,
    "bad base64 secret": F.INVALID,
    "bad name": F.INVALID,
    "name mismatch": F.INVALID,
    "job immutable template (note: leaks env)": F.IMMUTABLE,
    "too large configmap": F.INVALID,
    "request too large": F.INVALID,
    "cr right after crd": F.KIND_UNKNOWN,
    "cr schema violation": F.INVALID,
    "cr unknown field": F.INVALID,
    "quota exceeded": F.QUOTA,
    "dead webhook": F.UNAVAILABLE,
    "namespace terminating": F.NAMESPACE_TERMINATING,
    "anonymous": F.ANONYMOUS,
    "bad token": F.UNAUTHORIZED,
}
"""Of both servers alike."""

GOOD = sorted(
    case
    for case, each in recorded(SERVERS[0]).items()
    if each.status < 300 and not case.startswith(("discovery", "version"))
)


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize(("case", "fault"), RECORDED_FAULTS.items(), ids=list(RECORDED_FAULTS))
def test_a_recorded_refusal_is_the_same_fault_on_both_servers(
    server: str, case: str, fault: ClusterFault
) -> None:
    each = recorded(server)[case]
    error = refused(each.answer, method=each.method, about="configmap/x in namespace fx")
    assert error.fault is fault
    assert error.status == each.status
    assert error.about == "configmap/x in namespace fx"
    assert error.temporary is (fault in TEMPORARY)


@pytest.mark.parametrize("server", SERVERS)
def test_every_recorded_refusal_is_in_the_table(server: str) -> None:
    assert {c for c, e in recorded(server).items() if e.status >= 300} == set(RECORDED_FAULTS)


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("case", GOOD)
def test_a_recorded_good_answer_holds_an_object(server: str, case: str) -> None:
    answer = recorded(server)[case].answer
    body = json.loads(answer.body)
    if body["kind"].endswith("List"):
        assert items_of(answer, about="")[0] == body["items"]
    elif body["kind"] != "Status":
        assert object_of(answer, body["kind"], about="") == body


RBAC = (
    'deployments.apps "web" is forbidden: User "system:serviceaccount:w:w" cannot patch resource '
    '"deployments" in API group "apps" in the namespace "shop"'
)
WRITTEN = [
    pytest.param(status_of(403, "Forbidden", RBAC), F.FORBIDDEN, False, id="403 by RBAC"),
    pytest.param(
        status_of(403, "Forbidden", "attempting to grant RBAC permissions not currently held: {}"),
        F.FORBIDDEN, False, id="403 escalation",
    ),
    pytest.param(
        status_of(403, "Forbidden", "failed quota: q: must specify limits.cpu"),
        F.QUOTA, False, id="403 a quota that the object must take account of",
    ),
    pytest.param(
        status_of(403, None, 'admission webhook "x.io" denied the request: no :latest'),
        F.POLICY, False, id="403 of an admission webhook",
    ),
    pytest.param(
        status_of(400, None, 'admission webhook "x.io" denied the request: no'),
        F.POLICY, False, id="400 of an admission webhook",
    ),
    pytest.param(
        status_of(403, "Forbidden", 'pods "x" is forbidden: violates PodSecurity "restricted"'),
        F.POLICY, False, id="403 of pod security",
    ),
    pytest.param(
        status_of(
            422, "Invalid", "", [{"message": "ValidatingAdmissionPolicy 'p' denied request: no"}]
        ),
        F.POLICY, False, id="422 with causes alone",
    ),
    pytest.param(
        status_of(
            422, "Invalid",
            'deployments.apps "d" is forbidden: ValidatingAdmissionPolicy \'p\' with binding \'b\' '
            "denied request: replicas must be odd",
            [{"message": "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: odd"}],
        ),
        F.POLICY, False, id="422 of an admission policy",
    ),
    pytest.param(
        status_of(404, "NotFound", 'configmaps "a" not found', name="a", kind="configmaps"),
        F.NOT_FOUND, False, id="404 of an object",
    ),
    pytest.param(
        status_of(404, "NotFound", "the server could not find the requested resource"),
        F.KIND_UNKNOWN, False, id="404 of a kind",
    ),
    pytest.param(
        status_of(409, "AlreadyExists", 'configmaps "a" already exists'),
        F.EXISTS, True, id="409 of a race to create",
    ),
    pytest.param(
        status_of(409, "Conflict", "Precondition failed: UID in precondition: a, UID in object: b"),
        F.VERSION_CONFLICT, True, id="409 of another uid",
    ),
    pytest.param(
        status_of(410, "Expired", "The provided continue parameter is too old"),
        F.VERSION_CONFLICT, True, id="410 of old pages",
    ),
    pytest.param(text(413, "<html>too large</html>"), F.INVALID, False, id="413 of a proxy"),
    pytest.param(
        status_of(
            422, "Invalid", "", [cause("roleRef", "Invalid value: x: cannot change roleRef")]
        ),
        F.IMMUTABLE, False, id="422 roleRef",
    ),
    pytest.param(
        status_of(
            422, "Invalid", "",
            [cause("spec", "Forbidden: updates to statefulset spec for fields other than 'replicas'"
                   " are forbidden", "FieldValueForbidden")],
        ),
        F.IMMUTABLE, False, id="422 StatefulSet",
    ),
    pytest.param(
        status_of(
            422, "Invalid", "",
            [cause("spec", "Forbidden: pod updates may not change fields other than image")],
        ),
        F.IMMUTABLE, False, id="422 Pod",
    ),
    pytest.param(
        status_of(
            422, "Invalid", "",
            [cause("spec.clusterIP", 'Invalid value: "": may not change once set')],
        ),
        F.IMMUTABLE, False, id="422 Service",
    ),
    pytest.param(
        status_of(
            422, "Invalid", "",
            [cause("spec.selector", "Invalid value: {}: field is immutable"),
             cause("spec.replicas", "Invalid value: -1: must be greater than or equal to 0")],
        ),
        F.INVALID, False, id="422 immutable and wrong besides: replacing would fail too",
    ),
    pytest.param(
        status_of(
            422, "Invalid", "",
            [cause("data.note", 'Invalid value: "this is immutable": must be short')],
        ),
        F.INVALID, False, id="422 whose value speaks of immutable",
    ),
    pytest.param(
        status_of(429, "TooManyRequests", "slow down"), F.THROTTLED, True, id="429"
    ),
    pytest.param(text(429, "slow down"), F.THROTTLED, True, id="429 of a proxy"),
    pytest.param(
        status_of(500, None, 'failed to create typed patch object: .spec.ports: element 0: '
                  'associative list with keys has an element that omits key field "protocol"'),
        F.INVALID, False, id="500 without a reason, a key field left out",
    ),
    pytest.param(
        status_of(500, "InternalError", "Internal error occurred: etcdserver: no leader"),
        F.UNAVAILABLE, True, id="500 of etcd",
    ),
    pytest.param(
        status_of(500, None, "etcdserver: request timed out"),
        F.UNAVAILABLE, True, id="500 of etcd without a reason",
    ),
    pytest.param(
        status_of(500, "", "context deadline exceeded"), F.UNAVAILABLE, True, id="500 too late",
    ),
    pytest.param(
        status_of(500, "ServerTimeout", "try again"), F.UNAVAILABLE, True, id="500 server time-out"
    ),
    pytest.param(status_of(503, "ServiceUnavailable", "x"), F.UNAVAILABLE, True, id="503"),
    pytest.param(status_of(504, "Timeout", "x"), F.UNAVAILABLE, True, id="504"),
    pytest.param(text(500, "oops"), F.UNAVAILABLE, True, id="500 of a proxy"),
    pytest.param(text(502, "<html>"), F.UNAVAILABLE, True, id="502 of a proxy"),
    pytest.param(text(503, ""), F.UNAVAILABLE, True, id="503 without a body"),
    pytest.param(text(401, "Unauthorized"), F.UNAUTHORIZED, False, id="401 of a proxy"),
    pytest.param(
        text(404, "<html>", content_type="text/html"), F.NOT_KUBERNETES, True,
        id="404 of a web site",
    ),
    pytest.param(text(403, "<html>"), F.NOT_KUBERNETES, True, id="403 of a web site"),
    pytest.param(
        text(302, "", location="https://login"), F.NOT_KUBERNETES, True, id="302 to a login"
    ),
    pytest.param(
        text(400, "Client sent an HTTP request to an HTTPS server.\n"),
        F.CONFIGURATION, False, id="400 for http:// instead of https://",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "fault", "temporary"), WRITTEN)
def test_an_answer_is_this_fault(answer: Answer, fault: ClusterFault, temporary: bool) -> None:
    error = refused(answer)
    assert (error.fault, error.temporary) == (fault, temporary)


def test_a_500_without_a_reason_is_no_users_mistake_where_nothing_was_written() -> None:
    answer = status_of(500, None, "something")
    assert refused(answer, method="GET").fault is F.UNAVAILABLE
    assert refused(answer, method="PATCH").fault is F.INVALID


def test_a_namespace_that_is_itself_asked_for_is_an_object_that_is_not_there() -> None:
    answer = status_of(404, "NotFound", 'namespaces "x" not found', name="x", kind="namespaces")
    assert refused(answer, method="GET", about="namespace/x").fault is F.NOT_FOUND
    assert refused(answer, method="PATCH", about="namespace/x").fault is F.NOT_FOUND
    assert refused(answer, method="POST", about="pod/p in namespace x").fault is F.NAMESPACE_MISSING


@pytest.mark.parametrize("server", SERVERS)
def test_a_field_conflict_names_field_manager_and_a_way_out(server: str) -> None:
    error = refused(recorded(server)["field conflict"].answer)
    assert error.conflicts == (FieldConflict(".data.k", "human"),)
    assert error.message == "owned by others, with other values: .data.k (by human)"
    assert "`conflicts: [human]`" in str(error.hint)


def test_a_conflict_with_several_managers_lists_each_once() -> None:
    causes = [
        cause(".spec.replicas", 'conflict with "hpa" using apps/v1', "FieldManagerConflict"),
        cause(".spec.a", 'conflict with "kubectl-set" using apps/v1', "FieldManagerConflict"),
        cause(".spec.b", 'conflict with "hpa" with subresource "scale" using v1 at 2026-11-21',
              "FieldManagerConflict"),
    ]  # fmt: skip
    error = refused(status_of(409, "Conflict", "Apply failed with 3 conflicts", causes))
    assert [c.manager for c in error.conflicts] == ["hpa", "kubectl-set", "hpa"]
    assert "`conflicts: [hpa, kubectl-set]`" in str(error.hint)


def test_a_right_that_is_missing_is_named() -> None:
    hint = refused(status_of(403, "Forbidden", RBAC)).hint
    assert hint == "grant patch on deployments.apps in namespace shop (see deploy/rbac.yaml)"


def test_a_new_object_that_may_only_be_patched_is_told_from_one_that_may_not() -> None:
    answer = status_of(403, "Forbidden", 'jobs "a" is forbidden: ', kind="jobs", group="batch")
    error = refused(answer)
    assert str(error) == 'jobs "a" is forbidden'
    assert error.hint == "grant create on jobs.batch: a new object needs it beside patch"


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("unknown field", ".spec.zzz: field not declared in schema"),
        ("wrong type", ".spec.replicas: expected numeric (int or float), got"),
        ("empty image", "spec.template.spec.containers[0].image: Required value"),
        ("cr schema violation", "spec.size: Invalid value: 0: spec.size in body should be greater"),
        ("immutable selector", "spec.selector: Invalid value: …: field is immutable"),
        ("job immutable template (note: leaks env)",
         "spec.template: Invalid value: …: field is immutable"),
        ("missing namespace", 'namespaces "nosuch" not found'),
        ("quota exceeded", "exceeded quota: q, requested: count/configmaps=1"),
        ("dead webhook", 'failed calling webhook "dead.example.com"'),
        ("request too large", "limit is 3145728"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("server", SERVERS)
def test_the_message_keeps_field_and_reason(server: str, case: str, message: str) -> None:
    assert message in refused(recorded(server)[case].answer).message


def test_many_causes_are_counted_not_listed() -> None:
    causes = [cause(f"spec.f{number}", "Required value") for number in range(9)]
    message = refused(status_of(422, "Invalid", "", causes)).message
    assert message.startswith("spec.f0: Required value; spec.f1: ")
    assert message.endswith(" and 4 more")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        pytest.param({"retry-after": "7"}, 7, id="seconds"),
        pytest.param({"retry-after": "Sat, 21 Nov 2026 08:00:09 GMT",
                      "date": "Sat, 21 Nov 2026 08:00:00 GMT"}, 9, id="a date by its own clock"),
        pytest.param({"retry-after": "Sat, 21 Nov 2026 07:00:00 GMT",
                      "date": "Sat, 21 Nov 2026 08:00:00 GMT"}, 0, id="a date that is over"),
        pytest.param({"retry-after": "Sat, 21 Nov 2026 08:00:00 -0000",
                      "date": "Sat, 21 Nov 2026 08:00:00 GMT"}, None, id="dates that can't meet"),
        pytest.param({"retry-after": "soon"}, None, id="nonsense"),
        pytest.param({"retry-after": "²"}, None, id="a digit that is none"),
        pytest.param({"retry-after": "9" * 30}, 86_400, id="ages"),
        pytest.param({}, None, id="nothing"),
    ],
)  # fmt: skip
def test_how_long_the_server_asks_to_wait(headers: dict[str, str], seconds: int | None) -> None:
    error = refused(Answer(status=429, headers=headers))
    assert error.retry_after == (None if seconds is None else timedelta(seconds=seconds))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"<html>please log in</html>", id="HTML"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'{"kind":"Secret","metadata":{}}', id="another kind"),
        pytest.param(b'{"kind":"ConfigMap"}', id="no metadata"),
        pytest.param(b'{"kind":"ConfigMap","meta', id="half of it"),
        pytest.param(b"[" * 100_000, id="a nest of brackets"),
        pytest.param(b"\xff\xfe", id="no text"),
    ],
)
def test_only_an_object_of_the_kind_is_a_success(body: bytes) -> None:
    answer = Answer(status=200, body=body, headers={"content-type": "text/html; charset=x"})
    with pytest.raises(ClusterError, match="no answer of a Kubernetes API server") as raised:
        object_of(answer, "ConfigMap", about="configmap/a in namespace b")
    assert raised.value.fault is F.NOT_KUBERNETES
    assert raised.value.about == "configmap/a in namespace b"
    assert "text/html" in str(raised.value)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"metadata": {}}, id="no items"),
        pytest.param({"items": [1], "metadata": {}}, id="items that are no objects"),
        pytest.param({"items": {"a": 1}, "metadata": {}}, id="items that are no list"),
        pytest.param({"items": []}, id="no metadata"),
    ],
)
def test_a_page_of_a_list_is_checked(body: dict[str, Any]) -> None:
    with pytest.raises(ClusterError) as raised:
        items_of(Answer(status=200, body=json.dumps(body).encode()), about="")
    assert raised.value.fault is F.NOT_KUBERNETES


@pytest.mark.parametrize(("items", "expected"), [(None, []), ([], []), ([{"a": 1}], [{"a": 1}])])
def test_a_page_may_be_empty_or_null(items: Any, expected: list[Any]) -> None:
    body = json.dumps({"items": items, "metadata": {"continue": "c"}}).encode()
    assert items_of(Answer(status=200, body=body), about="") == (expected, "c")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param(['299 - "v1beta1 is deprecated"'], ("v1beta1 is deprecated",), id="one"),
        pytest.param(['299 - "a"', '299 - "b", 299 - "c"'], ("a", "b", "c"), id="several"),
        pytest.param(['299 - "a"', '299 - "a"'], ("a",), id="the same twice"),
        pytest.param(['299 - "say \\"hi\\""'], ('say "hi"',), id="quotes"),
        pytest.param(["nonsense"], (), id="nonsense"),
    ],
)  # fmt: skip
def test_warnings_of_the_server_are_collected(values: list[str], expected: tuple[str, ...]) -> None:
    assert warnings_of(values) == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=10,
)
STATUSES = st.fixed_dictionaries(
    {"kind": st.just("Status")},
    optional={"reason": JSON, "message": JSON, "details": st.fixed_dictionaries(
        {}, optional={"causes": JSON, "kind": JSON}) | JSON},
)  # fmt: skip


@given(
    status=st.integers(300, 599),
    body=st.binary(max_size=60) | (STATUSES | JSON).map(lambda body: json.dumps(body).encode()),
    retry_after=st.text(max_size=10),
)
def test_every_answer_is_some_fault_in_few_words(
    status: int, body: bytes, retry_after: str
) -> None:
    headers = {"retry-after": retry_after}
    error = refused(Answer(status=status, body=body, headers=headers))
    assert isinstance(error.fault, ClusterFault)
    assert len(str(error)) < 3000
    assert re.search(r"[\x00-\x1f]", str(error)) is None


def test_causes_without_end_take_a_moment() -> None:
    causes = [cause(f".spec.x{number}", 'conflict with "a": v') for number in range(100_000)]
    answer = status_of(422, "Invalid", "x is invalid", causes)
    began = time.perf_counter()
    assert "and 995 more" in str(refused(answer))
    assert time.perf_counter() - began < 3.0
