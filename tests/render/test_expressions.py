"""SPEC 4: expressions in texts and in plain data."""

from __future__ import annotations

import pytest

from tests.render.conftest import ScopeMaker
from tests.stages.conftest import DIGEST
from watcher.core.pipeline import Json
from watcher.errors import RenderError
from watcher.render.expressions import (
    check_condition,
    check_text,
    check_tree,
    condition_facts,
    facts_needed,
    holds,
    render,
    render_text,
)
from watcher.render.scope import Fact


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("${trigger['tag']}", "1.10", id="subscript"),
        pytest.param("${trigger.tag}", "1.10", id="attribute"),
        pytest.param("${ trigger.tag }", "1.10", id="blanks"),
        pytest.param("plain", "plain", id="nothing to do"),
        pytest.param("$x $ {a} $$", "$x $ {a} $$", id="dollars that begin nothing"),
        pytest.param("a-${trigger.tag}-${trigger.account}", "a-1.10-dockerhub", id="several"),
        pytest.param("$${HOME}", "${HOME}", id="literal"),
        pytest.param("$$${HOME}", "$${HOME}", id="literal behind a dollar"),
        pytest.param("$${a} ${trigger.tag}", "${a} 1.10", id="literal beside an expression"),
        pytest.param("${parameters.replicas | int}", 3, id="integer"),
        pytest.param("n=${parameters.replicas | int}", "n=3", id="integer in text"),
        pytest.param("${trigger.tag == '1.10'}", True, id="boolean"),
        pytest.param("is ${trigger.tag == '1.10'}", "is true", id="boolean in text"),
        pytest.param("${trigger.digest}", None, id="null alone"),
        pytest.param("${[1, 'a']}", [1, "a"], id="list"),
        pytest.param("x ${[1, 'a']}", 'x [1, "a"]', id="list in text is JSON"),
        pytest.param("${ {'a': {'b': 1}} }", {"a": {"b": 1}}, id="nested braces"),
        pytest.param("${ {'a': {'b': 1}}['a']['b'] }", 1, id="braces and brackets"),
        pytest.param("${ '}' }", "}", id="brace in quotes"),
        pytest.param('${ "it\'s" }', "it's", id="quote in quotes"),
        pytest.param(r"${ 'a\'}' }", "a'}", id="escaped quote"),
        pytest.param("${trigger.nothing | default('x')}", "x", id="default"),
        pytest.param("${trigger.tag ~ '-' ~ 1}", "1.10-1", id="concatenation"),
        pytest.param("${'old' if trigger.tag < '1' else 'new'}", "new", id="ternary"),
        pytest.param("${trigger.tag | replace('.', '-') | upper}", "1-10", id="filters"),
        pytest.param("${trigger.tag.split('.')[1]}", "10", id="method of a text"),
        pytest.param("${parameters.items}", "mine", id="a key with a method's name"),
        pytest.param("${parameters['keys'] | default('none')}", "none", id="never a method by []"),
        pytest.param("${parameters | length}", 2, id="a whole mapping"),
        pytest.param("${['b', 'a'] | sort | map('upper') | join('+')}", "A+B", id="chain"),
        pytest.param(
            "${trigger.artifacts[0].reference}", "index.docker.io/acme/demoapp:1.10", id="artifact"
        ),
        pytest.param("${image.reference}", "index.docker.io/acme/demoapp:1.10", id="reference"),
        pytest.param(
            "${execution.id} ${execution.pipeline} ${execution.started}",
            "0123456789abcdef deploy-web 2026-03-01T12:00:00Z",
            id="execution",
        ),
        pytest.param("${stages['smoke test'].status}", 200, id="outputs of a stage"),
        pytest.param(
            "${input.DOCKER_EVENT_OWNER_NAME}|${input.DOCKER_IMAGE}|"
            "${input.DOCKER_REPO_NAME}|${input.DOCKER_REPO_NAMESPACE}|${input.DOCKER_TAG}",
            "acme|index.docker.io/acme/demoapp|demoapp|acme|1.10",
            id="VMware's names",
        ),
        pytest.param("${input.replicas}", "3", id="VMware's own parameters"),
    ],
)
def test_an_expression_gives(text: str, value: Json, make_scope: ScopeMaker) -> None:
    scope = make_scope(outputs={"smoke test": {"status": 200}}, replicas="3", items="mine")
    result = render_text(text, scope)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize("tag", ["1.10", "on", "0x10", "null", "22:30", "1e3", "0123"])
def test_a_tag_stays_the_string_that_it_is(tag: str, make_scope: ScopeMaker) -> None:
    assert render_text("${trigger.tag}", make_scope(tag)) == tag


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${'v1.25.3-alpine' | semver_major}", 1),
        ("${'1.25.3' | semver_minor}", 25),
        ("${'7' | semver_minor}", 0),
        ("${'Feature/ABC_1' | dns_label}", "feature-abc-1"),
        ("${('a' * 62 ~ '--b') | dns_label}", "a" * 62),
        ("${'ü' | b64encode}", "w7w="),
        ("${'w7w=' | b64decode}", "ü"),
        ("${'' | sha256}", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("${trigger.time | strftime('%Y%m%d-%H%M')}", "20260301-1159"),
        ("${'2026-03-01T01:00:00+02:00' | strftime('%d %H')}", "28 23"),
        ("${0 | strftime('%Y')}", "1970"),
    ],
)
def test_a_filter_of_ours_gives(text: str, value: Json, make_scope: ScopeMaker) -> None:
    assert render_text(text, make_scope()) == value


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("${triger.tag}", "'triger' is an unknown name", id="unknown name"),
        pytest.param("${trigger.tga}", "did you mean 'tag'?", id="misspelt part"),
        pytest.param("${nope.a.b}", "'nope' is an unknown name", id="part of an unknown name"),
        pytest.param("${parameters['x']}", "'x' is not there", id="missing parameter"),
        pytest.param("x-${trigger.digest}", "it is null", id="null in text"),
        pytest.param("${trigger.tag", "is never closed", id="not closed"),
        pytest.param("${ '} ", "is never closed", id="quote not closed"),
        pytest.param("${}", "holds no expression", id="empty"),
        pytest.param("${1 +}", "unexpected", id="syntax"),
        pytest.param("${trigger.tag tag}", "unexpected 'tag'", id="two expressions"),
        pytest.param("${trigger.tag | nofilter}", "No filter named 'nofilter'", id="filter"),
        pytest.param("${1 / 0}", "division by zero", id="arithmetic"),
        pytest.param("${trigger.tag + 1}", "TypeError", id="types"),
        pytest.param("${trigger.keys}", "is no", id="method that is not called"),
        pytest.param("${'latest' | semver_major}", "is no version", id="no version"),
        pytest.param("${'...' | dns_label}", "holds no letter", id="no label"),
        pytest.param("${'%%' | b64decode}", "no text in base 64", id="no base 64"),
        pytest.param("${'now' | strftime('%Y')}", "no time of RFC 3339", id="no time"),
        pytest.param("${trigger.time | strftime('%9d')}", "no keyword %9", id="no keyword"),
        pytest.param("${'a' | random}", "No filter named 'random'", id="random"),
        pytest.param("${1e999}", "inf", id="too large a number"),
        pytest.param("${'inf' | float}", "no number", id="infinite"),
    ],
)
def test_a_fault_is_told_with_the_expression(
    text: str, complaint: str, make_scope: ScopeMaker
) -> None:
    with pytest.raises(RenderError) as raised:
        render_text(text, make_scope())
    assert complaint in raised.value.message
    assert "`${" in raised.value.message


@pytest.mark.parametrize(
    "expression",
    [
        "''.__class__",
        "''.__class__.__mro__[1].__subclasses__()",
        "trigger['__class__']",
        "trigger | attr('__class__')",
        "range.__init__.__globals__",
        "''.format(1)",
        "'{0.__class__}'.format(1)",
        "['{0.__class__}'] | map('format', 1) | map(attribute='__class__') | list",
        "[1].append(2)",
        "trigger.update({'tag': 'x'})",
        "trigger.clear()",
        "(1).to_bytes(4)",
        "self.__init__",
        "lipsum()",
        "cycler.__init__.__globals__.os",
    ],
)
def test_nothing_leads_out_of_the_sandbox(expression: str, make_scope: ScopeMaker) -> None:
    with pytest.raises(RenderError):
        render_text(f"${{{expression}}}", make_scope())


@pytest.mark.parametrize(
    "expression",
    [
        "'a' * 10**9",
        "10**9 * 'a'",
        "['a' * 1000] * 10**6",
        "10 ** (10 ** 8)",
        "range(10**9) | list",
        "range(10**9)",
        "'a' | center(10**9)",
        "'a'.ljust(10**9)",
        "'a'.zfill(10**9)",
        "'%1000000000d' % 1",
        "'%*d' % (1000000000, 1)",
        "'%1000000000d' | format(1)",
        "('a' * 1000000) | replace('a', 'b' * 1000000)",
        "('a' * 1000000).replace('a', 'b' * 1000000)",
        "('a' * 1000000) | replace(old='a', new='b' * 1000000)",
        "range(100000) | map('string') | join('b' * 1000000)",
        "('b' * 1000000).join(range(100000) | map('string'))",
        "('a' * 900000) ~ ('b' * 900000)",
        "('a' * 900000) + ('b' * 900000)",
        "{'a': 1} | tojson(indent=10**8)",
        "'a\n' * 1000 | indent(10**8)",
        "[1] | batch(10**8, 0) | list",
        "1.5 | round(10**8, 'ceil')",
        "'a b' | wordwrap(1, wrapstring='x' * 1000000)",
        "[['a' * 100000] * 5] * 5 | string",
    ],
)
@pytest.mark.timeout(10)
def test_a_runaway_ends_in_an_error(expression: str, make_scope: ScopeMaker) -> None:
    with pytest.raises(RenderError):
        render_text(f"${{{expression}}}", make_scope())


def test_data_is_rendered_with_its_keys_and_other_values_stay(make_scope: ScopeMaker) -> None:
    tree = {"${trigger.tag}": ["${parameters.n | int}", 2, None, True], "plain": 1.5}
    assert render(tree, make_scope(n="7")) == {"1.10": [7, 2, None, True], "plain": 1.5}


def test_a_fault_in_data_says_where(make_scope: ScopeMaker) -> None:
    with pytest.raises(RenderError) as raised:
        render({"body": {"list": ["x", {"a": "${nope}"}]}}, make_scope())
    assert raised.value.message.startswith("body.list[1].a: `${nope}`")


def test_keys_that_come_out_alike_are_refused(make_scope: ScopeMaker) -> None:
    with pytest.raises(RenderError, match="comes out twice"):
        render({"${trigger.tag}": 1, "1.10": 2}, make_scope())


@pytest.mark.parametrize(
    ("condition", "answer"),
    [
        ("trigger.tag == '1.10'", True),
        ("${trigger.tag == '1.10'}", True),
        ("${ trigger.tag != '1.10' }", False),
        ("true", True),
        ("parameters.flag", False),
        ("parameters.count", True),
        ("trigger.digest", False),
        ("stages.smoke.status == 200", True),
    ],
)
def test_a_condition_holds_or_not(condition: str, answer: bool, make_scope: ScopeMaker) -> None:
    scope = make_scope(outputs={"smoke": {"status": 200}}, flag="False", count=2)
    assert holds(condition, scope) is answer


def test_a_condition_that_would_always_hold_is_refused(make_scope: ScopeMaker) -> None:
    with pytest.raises(RenderError, match="a condition is one expression"):
        holds("${trigger.tag} == 'x'", make_scope())


@pytest.mark.parametrize(
    ("tree", "facts"),
    [
        pytest.param("${image.reference}", set(), id="by tag"),
        pytest.param("${image.by_digest}", {Fact.DIGEST}, id="by digest"),
        pytest.param({"a": ["${image['pinned']}"]}, {Fact.DIGEST}, id="pinned, deep inside"),
        pytest.param("${image | tojson}", {Fact.DIGEST}, id="the whole image"),
        pytest.param("${trigger.digest}", {Fact.DIGEST}, id="the trigger's digest"),
        pytest.param("${trigger['digest']}", {Fact.DIGEST}, id="the same by []"),
        pytest.param("${trigger.previous_digest}", set(), id="the digest before"),
        pytest.param("${labels['commit']}", {Fact.LABELS}, id="a label"),
        pytest.param({"${labels.a}": "${image.digest}"}, {Fact.LABELS, Fact.DIGEST}, id="both"),
        pytest.param("$${image.digest}", set(), id="a literal"),
        pytest.param("${image.", set(), id="a fault, left to rendering"),
        pytest.param("labels", set(), id="plain text"),
    ],
)
def test_the_registry_is_asked_only_for_what_is_used(tree: Json, facts: set[Fact]) -> None:
    assert facts_needed(tree) == facts


def test_a_condition_says_what_it_needs() -> None:
    assert condition_facts("labels.team == 'web'") == {Fact.LABELS}
    assert condition_facts("${image.digest != ''}") == {Fact.DIGEST}
    assert condition_facts("((") == frozenset()


def test_digest_and_labels_reach_the_expressions(make_scope: ScopeMaker) -> None:
    scope = make_scope(digest=DIGEST, labels={"org.opencontainers.image.revision": "abc"})
    name = "index.docker.io/acme/demoapp"
    assert render_text("${image.by_digest}", scope) == f"{name}@{DIGEST}"
    assert render_text("${image.pinned}", scope) == f"{name}:1.10@{DIGEST}"
    assert render_text("${trigger.digest}", scope) == DIGEST
    assert render_text("${labels['org.opencontainers.image.revision']}", scope) == "abc"


def test_a_label_is_never_an_expression(make_scope: ScopeMaker) -> None:
    scope = make_scope(labels={"evil": "${trigger.tag}"})
    assert render_text("x ${labels.evil}", scope) == "x ${trigger.tag}"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("${trigger.tag}", None),
        ("${parameters.anything} ${stages.any.thing} ${input.X} ${labels.y}", None),
        ("${trigger.items() | list}", None),
        ("${trigger.tga}", "did you mean 'tag'?"),
        ("${triggr.tag}", "did you mean 'trigger'?"),
        ("${trigger.tag | nofilter}", "No filter"),
        ("${trigger.tag", "never closed by a `}`; write `$${` for a literal `${`"),
        ("sleep ${WAIT:-1}", "unexpected ':'; write `$${` for a literal `${`"),
        ("echo ${PWD}", "'PWD' is an unknown name; write `$${` for a literal `${`; known are: "),
        ("$${WAIT:-1}", None),
    ],
)
def test_a_template_is_checked_without_values(text: str, complaint: str | None) -> None:
    fault = check_text(text)
    assert fault is None if complaint is None else complaint in (fault or "")


def test_every_fault_of_a_tree_has_its_path() -> None:
    faults = dict(check_tree({"url": "${x}", "headers": {"A": "${y"}, "list": ["ok", "${z}"]}))
    assert sorted(faults) == ["headers.A", "list[1]", "url"]


def test_a_condition_is_checked_without_values() -> None:
    assert check_condition("trigger.tag == 'x'") is None
    assert "did you mean" in (check_condition("triger.tag == 'x'") or "")
