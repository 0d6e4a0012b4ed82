"""SPEC 4: manifests are parsed first and rendered scalar by scalar."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.render.conftest import ScopeMaker
from tests.stages.conftest import SOURCE, make_execution
from watcher.errors import RenderError
from watcher.render.manifests import Manifest
from watcher.render.scope import Fact, build_scope

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: {version: "${trigger.tag}"}
spec:
  replicas: ${parameters.replicas | int}
  template:
    spec:
      containers:
      - name: web
        image: ${image.reference}
        env:
        - {name: TAG, value: '${trigger.tag}'}
"""


def load(text: str) -> Any:
    return yaml.safe_load(text)


def test_a_deployment_is_rendered(make_scope: ScopeMaker) -> None:
    text = Manifest("web.yaml", DEPLOYMENT).render(make_scope(replicas="3"))
    assert text == (
        DEPLOYMENT.replace("${parameters.replicas | int}", "3")
        .replace("${image.reference}", "index.docker.io/acme/demoapp:1.10")
        .replace("${trigger.tag}", "1.10")
    )


@pytest.mark.parametrize(
    "tag",
    [
        "1.10",
        "on",
        "y",
        "No",
        "0x10",
        "0o17",
        "0123",
        "1e3",
        "1_0",
        "22:30",
        "null",
        "~",
        "true",
        "2026-03-01",
        ".5",
        ".inf",
        "-1",
        "=",
        "0b1",
        "latest",
        "v1.2.3",
    ],
)
def test_a_tag_is_written_so_that_every_reader_sees_a_string(
    tag: str, make_scope: ScopeMaker
) -> None:
    text = Manifest("a.yaml", "a: ${trigger.tag}\nb: '${trigger.tag}'\n").render(make_scope(tag))
    assert load(text) == {"a": tag, "b": tag}
    plain = text.splitlines()[0] == f"a: {tag}"
    assert plain == (tag in ("latest", "v1.2.3"))


@given(value=st.text(), key=st.text(min_size=1))
def test_no_value_changes_the_structure(value: str, key: str) -> None:
    scope = build_scope(make_execution(parameters={"value": value, "key": key}, source=SOURCE), {})
    source = "plain: ${parameters.value}\nquoted: 'x${parameters.value}'\nliteral: |\n"
    source += (
        '  a\n  ${parameters.value}\nlist: ["${parameters.value}"]\n? ${parameters.key}\n: 1\n'
    )
    try:
        text = Manifest("a.yaml", source).render(scope)
    except RenderError:
        assert key in ("plain", "quoted", "literal", "list")  # refused: the key stands there twice
        return
    assert load(text) == {
        "plain": value,
        "quoted": f"x{value}",
        "literal": f"a\n{value}\n",
        "list": [value],
        key: 1,
    }


def test_what_holds_no_expression_is_written_as_it_was_read(make_scope: ScopeMaker) -> None:
    source = "mode: 0644\nflag: yes\nfloat: 1e3\ntime: 22:30\nquoted: \"1\"\nsingle: '2'\n"
    source += "block: |\n  line\n   more\nfolded: >-\n  a\n  b\nbinary: !!binary aGk=\nnothing:\n"
    text = Manifest("a.yaml", source).render(make_scope())
    assert text.splitlines()[:4] == source.splitlines()[:4]
    assert load(text) == load(source)


def test_a_single_expression_keeps_its_type(make_scope: ScopeMaker) -> None:
    source = "i: ${1 + 1}\nf: ${2.0 * 1}\nbig: ${1e30}\nb: ${true}\nn: ${none}\n"
    source += "l: ${['on', 1]}\nm: \"${ {'on': {'x': '1'}} }\"\nq: \"${3}\"\n"
    text = Manifest("a.yaml", source).render(make_scope())
    assert load(text) == {
        "i": 2, "f": 2.0, "big": 1e30, "b": True, "n": None,
        "l": ["on", 1], "m": {"on": {"x": "1"}}, "q": 3,
    }  # fmt: skip


def test_documents_stay_apart_and_empty_ones_vanish(make_scope: ScopeMaker) -> None:
    source = "a: ${trigger.tag}\n---\n# only a comment\n---\nb: ${trigger.tag}\n"
    text = Manifest("a.yaml", source).render(make_scope())
    assert list(yaml.safe_load_all(text)) == [{"a": "1.10"}, {"b": "1.10"}]


def test_anchors_and_aliases_survive(make_scope: ScopeMaker) -> None:
    source = "a: &x {t: '${trigger.tag}'}\nb: *x\nc:\n  <<: *x\n  u: 1\n"
    text = Manifest("a.yaml", source).render(make_scope())
    inner = {"t": "1.10"}
    assert load(text) == {"a": inner, "b": inner, "c": {**inner, "u": 1}}


def test_a_literal_dollar_brace_reaches_the_cluster(make_scope: ScopeMaker) -> None:
    source = "run: |\n  echo $${HOME} ${trigger.tag}\n"
    text = Manifest("a.yaml", source).render(make_scope())
    assert text == "run: |\n  echo ${HOME} 1.10\n"


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        pytest.param(
            "a: 1\n---\nspec: {template: {spec: {containers: [{image: '${triger.tag}'}]}}}",
            "deploy/web.yaml, document 2, spec.template.spec.containers[0].image: "
            "`${triger.tag}`: 'triger' is an unknown name",
            id="an unknown name",
        ),
        pytest.param("${nope}: 1", "deploy/web.yaml, document 1, ${nope}: `${nope}`", id="a key"),
        pytest.param("'${trigger.tag}': 1\n'1.10': 2", "stands here twice", id="keys alike"),
        pytest.param("a: 1\na: 2", "deploy/web.yaml, document 1, a: this key", id="keys the same"),
        pytest.param("b: 1\n\na: 1\na: 2", "twice (again in line 4)", id="its line"),
        pytest.param("a: [1", "deploy/web.yaml: line 1", id="no YAML"),
        pytest.param("a: ${x | default(\"b: c\")}", "deploy/web.yaml: line 1", id="not quoted"),
        pytest.param("[" * 3000, "nested too deeply", id="too deep"),
        pytest.param("a: *nope", "deploy/web.yaml: line 1", id="no such anchor"),
    ],
)  # fmt: skip
def test_a_fault_names_file_document_path_and_expression(
    source: str, complaint: str, make_scope: ScopeMaker
) -> None:
    with pytest.raises(RenderError) as raised:
        Manifest("deploy/web.yaml", source).render(make_scope())
    assert complaint in raised.value.message


@pytest.mark.timeout(10)
def test_aliases_that_would_multiply_are_rendered_once(make_scope: ScopeMaker) -> None:
    lines = ["a0: &a0 ['${trigger.tag}']"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    manifest = Manifest("a.yaml", "\n".join(lines))
    assert manifest.fault() is None
    assert manifest.facts_needed() == frozenset()
    assert manifest.render(make_scope()).count("1.10") == 1


def test_a_list_in_itself_does_not_hang(make_scope: ScopeMaker) -> None:
    manifest = Manifest("a.yaml", "x: &x [*x, '${trigger.tag}']")
    assert manifest.fault() is None
    assert "1.10" in manifest.render(make_scope())


def test_json_stays_json(make_scope: ScopeMaker) -> None:
    source = (
        '{"tag": "${trigger.tag}", "replicas": "${parameters.n | int}", "q": "${labels[\\"a\\"]}"}'
    )
    manifest = Manifest("a.json", source)
    assert manifest.facts_needed() == {Fact.LABELS}
    text = manifest.render(make_scope(n="2", labels={"a": "b"}))
    assert json.loads(text) == {"tag": "1.10", "replicas": 2, "q": "b"}


@pytest.mark.parametrize(
    "source", ["{", '{"a": "${nope}"}', '{"a": "${"}', '{"a": {"b": 1, "b": 2}}']
)
def test_a_fault_in_json_names_the_file(source: str, make_scope: ScopeMaker) -> None:
    manifest = Manifest("a.json", source)
    with pytest.raises(RenderError, match=r"^a\.json: "):
        manifest.render(make_scope())
    assert (manifest.fault() or "").startswith("a.json: ")


class TestTemplates:
    """Files named *.j2: text first, then YAML."""

    def test_loops_and_conditions_make_yaml(self, make_scope: ScopeMaker) -> None:
        source = (
            "items:\n{% for zone in parameters.zones %}\n- {{ zone }}-{{ trigger.tag }}\n"
            "  {% if loop.last %}\n- last: ${trigger.tag}\n  {% endif %}\n{% endfor %}\n"
        )
        text = Manifest("a.yaml.j2", source).render(make_scope("v1", zones=["a", "b"]))
        assert load(text) == {"items": ["a-v1", "b-v1", {"last": "v1"}]}

    def test_values_in_text_are_yaml(self, make_scope: ScopeMaker) -> None:
        text = Manifest("a.yaml.j2", "a: {{ [1, true] }}\nb: {{ true }}\n").render(make_scope())
        assert load(text) == {"a": [1, True], "b": True}

    @pytest.mark.parametrize(
        ("line", "label"),
        [
            pytest.param("a: {{ labels.x }}", "x\n---\nkind: Secret", id="another document"),
            pytest.param("a: {{ labels.x }}", "x\nb: y", id="another key"),
            pytest.param("a: {b: {{ labels.x }}}", "x, c: y", id="another key on the line"),
            pytest.param("a: '{{ labels.x }}'", "x'\nb: 'y", id="out of its quotes"),
            pytest.param("- {{ labels.x }}", "x\n- y", id="another item"),
            pytest.param("a: {{ labels.x }}", "{b: y}", id="a mapping"),
            pytest.param("a: {{ labels.x | trim ~ 1 }}", "x\nb: y", id="through a filter"),
            pytest.param(
                "{% for k, v in labels.items() %}{{ v }}{% endfor %}", "a: x", id="in a loop"
            ),
        ],
    )
    def test_a_label_of_the_image_never_becomes_structure(
        self, line: str, label: str, make_scope: ScopeMaker
    ) -> None:
        scope = make_scope(labels={"x": label})
        with pytest.raises(RenderError, match="a label of the image would change the structure"):
            Manifest("a.yaml.j2", line).render(scope)

    @pytest.mark.parametrize(
        ("line", "label", "value"),
        [
            pytest.param("a: '{{ labels.x }}'", "2026-11-21T08:00:00Z", "2026-11-21T08:00:00Z",
                         id="a time"),
            pytest.param("a: {{ labels.x }}", "https://x/y?z#a", "https://x/y?z#a", id="a URL"),
            pytest.param("a: {{ labels.x | tojson }}", "x\nb: \"y\"", "x\nb: \"y\"", id="as JSON"),
            pytest.param("a: '${labels.x}'", "x'\nb: 'y", "x'\nb: 'y", id="as an expression"),
            pytest.param("a: {{ labels.x | b64encode }}", "{x}", "e3h9", id="encoded"),
            pytest.param("a: {{ trigger.tag }}1", "x\ny", "1.101", id="not used"),
            pytest.param("a: [{{ labels.x }}]", "b,c", ["b", "c"], id="several by a comma"),
        ],
    )  # fmt: skip
    def test_a_label_of_the_image_is_a_value(
        self, line: str, label: str, value: str | list[str], make_scope: ScopeMaker
    ) -> None:
        text = Manifest("a.yaml.j2", line).render(make_scope(labels={"x": label}))
        assert {key: each if isinstance(each, list) else str(each)
                for key, each in load(text).items()} == {"a": value}  # fmt: skip

    def test_labels_make_no_structure_in_json_either(self, make_scope: ScopeMaker) -> None:
        source = '{\n\t"a": "{{ labels.x }}"\n}'
        good = make_scope(labels={"x": "a#b"})
        assert json.loads(Manifest("a.json.j2", source).render(good)) == {"a": "a#b"}
        with pytest.raises(RenderError, match="a label of the image would change"):
            Manifest("a.json.j2", source).render(make_scope(labels={"x": 'x", "b": "y'}))

    def test_bombs_of_aliases_take_a_moment(self, make_scope: ScopeMaker) -> None:
        bomb = "a0: &a0 x\n" + "".join(f"a{n + 1}: &a{n + 1} [*a{n}, *a{n}]\n" for n in range(40))
        scope = make_scope(labels={"x": "x\ny"})
        assert Manifest("a.yaml.j2", bomb).render(scope).startswith("a0: &")

    def test_a_value_brings_no_expression_along(self, make_scope: ScopeMaker) -> None:
        scope = make_scope(labels={"evil": "${trigger.tag}"})
        source = "{% macro m(x) %}${trigger.tag} {{ x }}{% endmacro %}a: x {{ labels.evil }}\nb: x "
        text = Manifest("a.yaml.j2", source + "{{ m(labels.evil) }}\n").render(scope)
        assert load(text) == {"a": "x ${trigger.tag}", "b": "x 1.10 ${trigger.tag}"}

    @pytest.mark.parametrize(
        ("source", "complaint"),
        [
            (
                "a: 1\nb: {{ triger.tag }}\n",
                "line 2, `b: {{ triger.tag }}`: 'triger' is an unknown",
            ),
            ("a: {% if %}", "line 1, `a: {% if %}`: Expected an expression"),
            ("{% include 'x' %}", "can't include"),
            ("{% import 'x' as y %}", "can't include"),
            ("a: {{ none }}", "it is null"),
            ("a: {{ trigger.tag.__class__ }}", "unsafe"),
            (
                "{% for a in range(999) %}{% for b in range(999) %}{% endfor %}{% endfor %}",
                "rounds",
            ),
            ("{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}", "nested too deeply"),
            (
                "{% set n = namespace(x='ab') %}{% for i in range(99) %}{% set n.x = n.x ~ n.x %}"
                "{% endfor %}",
                "it makes more than",
            ),
            ("{% for i in range(9999) %}{{ 'x' * 9999 }}{% endfor %}", "it makes more than"),
        ],
    )
    @pytest.mark.timeout(10)
    def test_a_fault_names_file_and_line(
        self, source: str, complaint: str, make_scope: ScopeMaker
    ) -> None:
        with pytest.raises(RenderError) as raised:
            Manifest("web.yaml.j2", source).render(make_scope())
        assert raised.value.message.startswith("web.yaml.j2: ")
        assert complaint in raised.value.message

    @pytest.mark.parametrize(
        ("source", "facts"),
        [
            ("image: {{ image.by_digest }}", {Fact.DIGEST}),
            ("image: ${image.by_digest}", {Fact.DIGEST}),
            ("image: {{ image.reference }}", set()),
            ("{% if labels.team %}a{% endif %}", {Fact.LABELS}),
            ("{% if %} ${", set()),
        ],
    )
    def test_its_facts_are_found(self, source: str, facts: set[Fact]) -> None:
        assert Manifest("a.yaml.j2", source).facts_needed() == facts

    def test_it_is_checked_without_values(self) -> None:
        assert Manifest("a.yaml.j2", "a: {{ trigger.tag }}").fault() is None
        assert "did you mean" in (Manifest("a.yaml.j2", "a: {{ trigger.tga }}").fault() or "")


def test_a_manifest_is_checked_without_values() -> None:
    assert Manifest("a.yaml", DEPLOYMENT).fault() is None
    fault = Manifest("a.yaml", "a: {b: ['${trigger.tga}']}").fault()
    assert fault is not None
    assert fault.startswith("a.yaml, document 1, a.b[0]: `${trigger.tga}`")


def test_a_byte_order_mark_is_no_part_of_the_first_key(make_scope: ScopeMaker) -> None:
    assert load(Manifest("a.yaml", "\ufeffa: ${trigger.tag}").render(make_scope())) == {"a": "1.10"}


@pytest.mark.parametrize(
    "text",
    [
        "a: {{ labels.dollar }}{{ labels.brace }}",
        "a: ${{ labels.brace }}",
        "a: {{ labels.dollar }}{parameters.secret}",
        "a: {{ labels.dollar }}${parameters.secret}",
        "{% macro m() %}{{ labels.dollar }}{% endmacro %}a: {{ m() }}{{ labels.brace }}",
    ],
    ids=["two values", "after a dollar", "before a brace", "before an expression", "macro"],
)
def test_values_and_their_neighbours_never_make_an_expression(
    text: str, make_scope: ScopeMaker
) -> None:
    labels = {"dollar": "$", "brace": "{parameters.secret}"}
    with pytest.raises(RenderError, match="would make"):
        Manifest("a.yaml.j2", text).render(make_scope(labels=labels, secret="known to us"))


def test_dollars_and_braces_that_make_no_expression_stay(make_scope: ScopeMaker) -> None:
    labels = {"dollar": "5 $", "brace": "{b}"}
    text = "a: '{{ labels.dollar }} {{ labels.brace }}${trigger.tag}$'"
    rendered = Manifest("a.yaml.j2", text).render(make_scope(labels=labels))
    assert load(rendered) == {"a": "5 $ {b}1.10$"}
