"""Triggers (SPEC 3.2): what each key makes, and which triggers could never fire."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.config.loading import PIPELINE, load_text, problems
from watcher.core.change import ChangeKind
from watcher.core.selector import Ordering, OrderKind, TagRule
from watcher.core.trigger import Backfill, Fire, Trigger

HUB = "accounts:\n  - name: hub\n    address: docker.io\n"


def text_of(*lines: str, account: str = "", parameters: str = "{}") -> str:
    pipeline = f"{PIPELINE}    parameters: {parameters}\n"
    head = f"{HUB}    {account}\n{pipeline}triggers:\n"
    return head + "  - {name: t, account: hub, pipeline: tell}\n".replace(
        "}", "".join(f", {line}" for line in lines) + "}"
    )


def trigger_of(folder: Path, *lines: str, **text: str) -> Trigger:
    return load_text(folder, text_of(*lines, **text)).triggers[0]


def said(folder: Path, *lines: str, **text: str) -> list[str]:
    """The problems without their lines."""
    return [problem.partition(" ")[2] for problem in problems(folder, text_of(*lines, **text))]


def test_a_trigger_of_the_required_keys_has_every_default(tmp_path: Path) -> None:
    assert trigger_of(tmp_path, "repository: nginx") == Trigger(
        name="t", account="hub", pipeline="tell", repositories=("library/nginx",)
    )


@pytest.mark.parametrize(
    ("line", "attribute", "value"),
    [
        ("tag: ''", "tag", TagRule()),
        ("tag: 'master-.*'", "tag", TagRule(matches="master-.*")),
        ("tag: ' v.* '", "tag", TagRule(matches="v.*")),
        ("tag: {}", "tag", TagRule()),
        ("tag: {matches: a, excludes: b, equals: c, starts_with: d, ends_with: e, contains: f, "
         "one_of: [g], not_one_of: [h], semver: '>=1', glob: i}", "tag",
         TagRule(matches="a", excludes="b", equals="c", starts_with="d", ends_with="e",
                 contains="f", one_of=("g",), not_one_of=("h",), semver=">=1", glob="i")),
        ("order: semver", "order", Ordering(kind=OrderKind.SEMVER)),
        ("order: numeric, extract: 'b(?P<value>.*)'", "order",
         Ordering(kind=OrderKind.NUMERIC, extract="b(?P<value>.*)")),
        ("fire: newest", "fire", Fire.NEWEST),
        ("enabled: false", "enabled", False),
        ("allow_downgrade: true", "allow_downgrade", True),
        ("changes: [moved, deleted]", "changes",
         frozenset({ChangeKind.MOVED, ChangeKind.DELETED})),
        ("backfill: all", "backfill", Backfill.ALL),
    ],
)  # fmt: skip
def test_a_key_makes_its_part_of_the_trigger(
    tmp_path: Path, line: str, attribute: str, value: Any
) -> None:
    assert getattr(trigger_of(tmp_path, "repository: a/b", line), attribute) == value


def test_repositories_are_a_list_of_names_or_a_pattern(tmp_path: Path) -> None:
    found = trigger_of(tmp_path, "repository: [a/b, nginx]")
    assert found.repositories == ("a/b", "library/nginx")
    found = trigger_of(tmp_path, "repositories: 'a/.*'", account="catalog: true")
    assert (found.repositories, found.repository_pattern) == ((), "a/.*")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "repository: the key 'repository' is missing (or `repositories`, a pattern)"),
        ("repository: a, repositories: b", "repositories: stands beside `repository` "
         "(give one of the two)"),
        ("repository: []", "repository: needs at least 1"),
        ("repository: A/b", "repository[0]: 'A/b' is not a repository name "
         "(names are in lower case)"),
        ("repository: a, gates: {}", "gates: unknown key 'gates'"),
        ("repository: a, tag: 1.10", "tag: must be a regular expression (RE2) or a mapping, "
         "is a number (quote it: '1.10')"),
        ("repository: a, tag: {equals: 1.10}", "tag.equals: must be text, is a number "
         "(quote it: '1.10')"),
        ("repository: a, tag: {mathces: a}", "tag.mathces: unknown key 'mathces' "
         "(did you mean 'matches'?)"),
        ("repository: a, tag: {one_of: []}", "tag.one_of: needs at least 1"),
        ("repository: a, tag: {semver: 'a b'}", "tag.semver: 'a b' is not a range of versions "
         "such as '^1.2', '>=1.4 <2' or '1.x || 2.x'"),
        ("repository: a, extract: 'v(.*)'", "extract: the pattern 'v(.*)' has no group "
         "(?P<value>...)"),
        ("repository: a, order: semantic", "order: 'semantic' is not one of semver, numeric, "
         "alphabetical, first_seen"),
        ("repository: a, changes: []", "changes: needs at least 1"),
        ("repository: a, changes: [new, new]", "changes[1]: 'new' is given twice"),
    ],
)  # fmt: skip
def test_a_wrong_key_is_refused_with_the_way_out(tmp_path: Path, line: str, message: str) -> None:
    lines = [line] if line else []
    if "repositories: b" in line:
        assert f"triggers[0].{message}" in said(tmp_path, *lines)
    else:
        assert said(tmp_path, *lines) == [f"triggers[0].{message}"]


@pytest.mark.parametrize(
    ("account", "line", "message"),
    [
        pytest.param("repositories: [a/b]", "repository: a/c",
                     "repository: the account 'hub' does not watch 'a/c' "
                     "(add it to `repositories` of the account (it has a/b))",
                     id="not in the list"),
        pytest.param("repositories: [a/b]", "repository: [a/b, a/c]",
                     "repository[1]: the account 'hub' does not watch 'a/c' "
                     "(add it to `repositories` of the account (it has a/b))",
                     id="one of two not in the list"),
        pytest.param("catalog: {skip: [a/c]}", "repository: a/c",
                     "repository: the account 'hub' does not watch 'a/c' "
                     "(add it to `repositories` of the account (by its catalog))",
                     id="skipped by the catalog"),
        pytest.param("catalog: {include: b/.*}", "repository: a/c",
                     "repository: the account 'hub' does not watch 'a/c' "
                     "(add it to `repositories` of the account (by its catalog))",
                     id="not included by the catalog"),
        pytest.param("repositories: [a/b]", "repositories: c/.*",
                     "repositories: 'c/.*' matches no repository of the account 'hub' "
                     "(it has a/b)", id="pattern that matches none"),
        pytest.param("", "repositories: c/.*",
                     "repositories: the account 'hub' has neither `repositories` nor `catalog` "
                     "(a pattern needs names to match)", id="pattern without names"),
        pytest.param("track_digests: off", "repository: a, changes: [moved]",
                     "changes: `moved` is never seen: the account 'hub' has `track_digests: off`",
                     id="moved without digests"),
    ],
)  # fmt: skip
def test_a_trigger_that_could_never_fire_is_refused(
    tmp_path: Path, account: str, line: str, message: str
) -> None:
    assert said(tmp_path, line, account=account) == [f"triggers[0].{message}"]


@pytest.mark.parametrize(
    ("account", "line"),
    [
        ("repositories: [nginx]", "repository: library/nginx"),
        ("catalog: {include: b/.*}\n    repositories: [a/c]", "repository: a/c"),
        ("catalog: {include: a/.*}", "repository: a/c"),
        ("repositories: [a/b, c/d]", "repositories: c/.*"),
        ("catalog: true", "repositories: c/.*"),
    ],
)
def test_a_trigger_that_may_fire_is_taken(tmp_path: Path, account: str, line: str) -> None:
    assert trigger_of(tmp_path, line, account=account).name == "t"


@pytest.mark.parametrize(
    ("parameters", "given", "message"),
    [
        ("{n: {required: true}}", "{}",
         "parameters: the pipeline 'tell' requires the parameter 'n'"),
        ("{count: {default: 1}}", "{cuont: 2}",
         "parameters.cuont: the pipeline 'tell' has no parameter 'cuont' (did you mean 'count'?)"),
        ("{}", "{n: 1}", "parameters.n: the pipeline 'tell' has no parameter 'n'"),
    ],
)  # fmt: skip
def test_parameters_are_those_of_the_pipeline(
    tmp_path: Path, parameters: str, given: str, message: str
) -> None:
    lines = ("repository: a", f"parameters: {given}")
    assert said(tmp_path, *lines, parameters=parameters) == [f"triggers[0].{message}"]


def test_given_parameters_are_kept_as_plain_data(tmp_path: Path) -> None:
    lines = ("repository: a", "parameters: {n: 3, v: '1.10', l: [true]}")
    found = trigger_of(tmp_path, *lines, parameters="{n: {required: true}, v: {}, l: {}}")
    assert found.parameters == {"n": 3, "v": "1.10", "l": [True]}


def test_names_are_taken_once(tmp_path: Path) -> None:
    text = text_of("repository: a") + "  - {name: t, account: hub, pipeline: tell, repository: b}\n"
    assert problems(tmp_path, text) == [
        f"12: triggers[1].name: the name 't' is taken (by triggers[0] at {tmp_path}/config.yaml:11)"
    ]
