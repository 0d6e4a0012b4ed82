"""try, explain, render: what would match, why, what would be written."""

from __future__ import annotations

import pytest
import yaml

from tests.cli.conftest import REPOSITORY, Bench
from watcher.testing.access import BasicAuth
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry


@pytest.fixture
def image(registry: FakeRegistry) -> str:
    registry.seed([REPOSITORY], ["1.2.0", "1.10.0", "2.0.0", "latest", "edge"])
    return f"{registry.address}/{REPOSITORY}"


@pytest.mark.parametrize(
    ("options", "matching"),
    [
        pytest.param((), ["edge", "2.0.0", "1.10.0", "1.2.0"], id="everything but latest"),
        pytest.param(("--semver", ">=1 <2"), ["1.10.0", "1.2.0"], id="range, newest first"),
        pytest.param(("--tag", r"1\..*"), ["1.10.0", "1.2.0"], id="pattern"),
        pytest.param(("--tag", "1"), [], id="a pattern takes the whole tag"),
        pytest.param(("--tag", "[a-z]+", "--order", "alphabetical"), ["latest", "edge"], id="abc"),
    ],
)
def test_try_shows_what_a_rule_matches(
    bench: Bench, image: str, options: tuple[str, ...], matching: list[str]
) -> None:
    shape = bench.json("try", image, "--plain-http", *options)
    assert shape["matching"] == matching
    assert shape["newest"] == (matching[0] if matching else None)
    assert len(shape["tags"]) == 5


def test_try_needs_no_config_and_leaves_nothing_behind(bench: Bench, image: str) -> None:
    shown = bench.run("try", image, "--plain-http", "--semver", ">=1").stdout
    assert "newest: 2.0.0" in shown
    assert "5 tags, 3 match" in shown
    assert list(bench.directory.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        pytest.param(("--tag", "(?=a)"), 2, "RE2 can't take", id="pattern"),
        pytest.param(("--semver", "one"), 2, "one", id="range"),
    ],
)
def test_try_refuses_a_rule_that_can_not_be(
    bench: Bench, image: str, options: tuple[str, ...], code: int, said: str
) -> None:
    assert said in bench.run("try", image, *options, code=code).stderr


def test_try_says_that_it_may_not_see_the_repository(
    bench: Bench, image: str, registry: FakeRegistry
) -> None:
    registry.auth = BasicAuth(users={"u": "p"})
    assert bench.run("try", image, "--plain-http", code=1).stderr.startswith("error: ")


def test_try_uses_what_docker_login_left_behind(
    bench: Bench, image: str, registry: FakeRegistry
) -> None:
    registry.auth = BasicAuth(users={"u": "p"})
    (bench.directory / ".docker").mkdir()
    (bench.directory / ".docker" / "config.json").write_text(
        f'{{"auths": {{"{registry.address}": {{"auth": "dTpw"}}}}}}'
    )
    assert bench.json("try", image, "--plain-http", "--docker-config")["newest"] is not None


def test_try_names_its_own_option_for_plain_http(bench: Bench, image: str) -> None:
    stderr = bench.run("try", image, code=1).stderr
    assert "hint: is it a plain http registry? (--plain-http)" in stderr


def test_explain_names_the_rule_for_each_known_tag(bench: Bench, registry: FakeRegistry) -> None:
    registry.seed([REPOSITORY], ["1.0", "2.0", "edge"])
    bench.configure(registry.address, trigger="tag: {semver: '<2'}\norder: semver")
    bench.run("run", "--once")
    (found,) = bench.json("explain", "web")["repositories"]
    assert {row["tag"]: row["kept"] for row in found["tags"]} == {
        "1.0": True,
        "2.0": False,
        "edge": False,
    }
    assert found["newest"] == "1.0"
    assert "not a version" in bench.run("explain", "web").stdout


def test_explain_takes_a_tag_that_nobody_has_seen(polled: Bench) -> None:
    (found,) = polled.json("explain", "web", "9.9")["repositories"]
    assert [(row["tag"], row["kept"], row["present"]) for row in found["tags"]] == [
        ("9.9", True, False)
    ]


def test_explain_says_that_nothing_was_polled_yet(bench: Bench) -> None:
    bench.configure("127.0.0.1:1")
    assert "not been polled" in bench.run("explain", "web").stdout
    assert not (bench.directory / "watcher.db").exists()


def test_explain_knows_the_nearest_trigger(bench: Bench) -> None:
    bench.configure("127.0.0.1:1")
    assert "did you mean 'web'?" in bench.run("explain", "wbe", code=2).stderr


MANIFEST = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: web}
data:
  image: ${image.reference}
  greeting: ${parameters.greeting}
"""


def test_render_prints_the_manifests_and_writes_nothing(bench: Bench) -> None:
    bench.configure("127.0.0.1:1", stages="- render: {manifests: [web.yaml], to: out}")
    bench.write("web.yaml", MANIFEST)
    words = (
        "render",
        "deploy",
        "--image",
        f"127.0.0.1:1/{REPOSITORY}:1.10",
        "--param",
        "greeting=hi",
    )
    document = yaml.safe_load(bench.run(*words).stdout)
    assert document["data"] == {"image": f"127.0.0.1:1/{REPOSITORY}:1.10", "greeting": "hi"}
    (stage,) = bench.json(*words)["stages"]
    assert [file["name"] for file in stage["files"]] == ["web.yaml"]
    assert not (bench.directory / "out").exists()


def test_render_asks_the_registry_only_for_what_is_used(
    bench: Bench, registry: FakeRegistry
) -> None:
    digest = registry.push(REPOSITORY, "1.0")
    bench.configure(registry.address, stages="- render: {manifests: [web.yaml], to: out}")
    bench.write("web.yaml", MANIFEST)
    words = ("render", "deploy", "--image", f"{registry.address}/{REPOSITORY}:1.0")
    bench.run(*words)
    assert registry.requests == []
    bench.write("web.yaml", MANIFEST.replace("image.reference", "image.by_digest"))
    assert digest in bench.run(*words).stdout
    assert registry.count(Kind.TAGS) == 0


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        pytest.param(("deploy", "--image", "nginx"), 2, "no tag", id="no tag"),
        pytest.param(
            ("deploy", "--image", "nginx:1"), 2, "no render or apply stage", id="no stage"
        ),
        pytest.param(
            ("deploy", "--image", "nginx:1", "--diff"), 2, "no apply stage", id="nothing to apply"
        ),
        pytest.param(("deplo", "--image", "nginx:1"), 2, "did you mean", id="no pipeline"),
        pytest.param(
            ("deploy", "--image", "nginx:1", "--param", "x=1"), 2, "parameter 'x'", id="parameter"
        ),
        pytest.param(("deploy", "--image", "nginx:1", "--param", "x"), 2, "K=V", id="no value"),
    ],
)
def test_render_says_what_is_missing(
    bench: Bench, words: tuple[str, ...], code: int, said: str
) -> None:
    bench.configure("127.0.0.1:1")
    assert said in bench.run("render", *words, code=code).stderr


def test_render_names_the_place_of_an_unknown_name(bench: Bench) -> None:
    bench.configure("127.0.0.1:1", stages="- render: {manifests: [web.yaml], to: out}")
    bench.write("web.yaml", MANIFEST.replace("image.reference", "triger.tag"))
    stderr = bench.run("render", "deploy", "--image", "nginx:1", code=1).stderr
    assert "web.yaml" in stderr
    assert "data.image" in stderr
