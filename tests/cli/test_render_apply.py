"""render of apply stages: what would be applied, and with --diff what that would change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.conftest import Bench
from tests.kube.cluster import RealCluster
from tests.stages.deploying import config_map, secret, workload
from watcher.cli import changes
from watcher.cli.changes import StageChanges
from watcher.kube.applying.diff import Difference
from watcher.kube.applying.plan import Action
from watcher.kube.objects import ObjectKey

IMAGE = "acme/web:2"
HIDDEN_WORD = "hunter2-hunter2"


@dataclass(frozen=True, kw_only=True)
class Shop:
    """A pipeline with one apply stage."""

    bench: Bench
    kubeconfig: Path | str = "/nowhere"
    namespace: str = "web"

    def configure(self, *manifests: Mapping[str, Any], **options: Any) -> None:
        stage = {"name": "web", "apply": {"manifests": ["web.yaml"], **options}}
        cluster = {
            "name": "test",
            "kubeconfig": str(self.kubeconfig),
            "namespace": self.namespace,
        }
        config = {
            "accounts": [{"name": "hub", "address": "index.docker.io"}],
            "clusters": [cluster],
            "pipelines": [{"name": "deploy", "stages": [stage]}],
        }
        self.bench.write("config.yaml", json.dumps(config))
        self.bench.write("web.yaml", yaml.safe_dump_all(manifests))

    def render(self, *words: str, code: int = 0) -> str:
        result = self.bench.run("render", "deploy", "--image", IMAGE, *words, code=code)
        return result.stdout if code == 0 else result.stderr

    def changes(self) -> list[dict[str, Any]]:
        """The objects of the stage, as --json shows them."""
        shape = self.bench.json("render", "deploy", "--image", IMAGE, "--diff")
        assert (shape["pipeline"], shape["image"]) == ("deploy", "index.docker.io/acme/web:2")
        (stage,) = shape["stages"]
        assert (stage["name"], stage["cluster"]) == ("web", "test")
        return list(stage["objects"])


@pytest.fixture
def shop(bench: Bench, cluster: RealCluster) -> Shop:
    return Shop(bench=bench, kubeconfig=cluster.kubeconfig, namespace=cluster.namespace())


def test_an_apply_stage_shows_its_objects_with_the_image_bound(bench: Bench) -> None:
    Shop(bench=bench).configure(workload(), config_map(a="${trigger.tag}", text="a\nb\n"))
    shown = Shop(bench=bench).render()
    assert f"---\n# Source: {bench.directory}/web.yaml\n" in shown
    deployment, settings = filter(None, yaml.safe_load_all(shown))
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == IMAGE
    assert settings["data"] == {"a": "2", "text": "a\nb\n"}
    assert "    a\n    b\n" in shown


def test_values_of_secrets_are_hidden(bench: Bench) -> None:
    shop = Shop(bench=bench)
    shop.configure(secret(password=HIDDEN_WORD), workload())
    for words in ((), ("--json",)):
        shown = shop.render(*words)
        assert "password" in shown
        assert HIDDEN_WORD not in shown


def test_manifests_without_the_new_image_are_refused_as_in_a_run(bench: Bench) -> None:
    shop = Shop(bench=bench)
    shop.configure(config_map(a="1"))
    assert "mention the new tag 2" in shop.render(code=1)


def test_a_diff_shows_what_is_created_changed_and_unchanged(
    shop: Shop, cluster: RealCluster
) -> None:
    for item in (config_map(a="1"), config_map("same", a="1")):
        cluster.kubectl(
            "-n", shop.namespace, "apply", "--server-side", "--field-manager=registry-watcher",
            "-f", "-", input=json.dumps(item),
        )  # fmt: skip
    shop.configure(config_map(a="2"), config_map("same", a="1"), workload())
    found = {each["name"]: each for each in shop.changes()}
    assert {name: each["action"] for name, each in found.items()} == {
        "settings": "configured",
        "same": "unchanged",
        "web": "created",
    }
    assert "-  a: '1'\n+  a: '2'" in found["settings"]["diff"]
    assert (found["settings"]["added"], found["settings"]["removed"]) == (1, 1)
    assert found["same"]["diff"] == ""
    assert f"image: {IMAGE}" in found["web"]["diff"]
    status, _ = cluster.request("GET", f"/apis/apps/v1/namespaces/{shop.namespace}/deployments/web")
    assert status == 404


def test_a_diff_for_people_has_a_head_and_a_sum(shop: Shop) -> None:
    shop.configure(config_map(a="1"), workload())
    shown = shop.render("--diff")
    assert shown.startswith(f"# stage web: cluster test, namespace {shop.namespace}\n")
    assert "+  a: '1'\n" in shown
    assert shown.endswith("# 2 created\n")
    assert "\x1b" not in shown


def test_a_diff_hides_secrets(shop: Shop, cluster: RealCluster) -> None:
    before = json.dumps(secret(password="another-word"))
    cluster.kubectl("-n", shop.namespace, "apply", "--server-side", "-f", "-", input=before)
    shop.configure(secret(password=HIDDEN_WORD), workload(), conflicts="force")
    for words in (("--diff",), ("--diff", "--json")):
        shown = shop.render(*words)
        assert "*** (new)" in shown
        assert HIDDEN_WORD not in shown
        assert "another-word" not in shown


def test_a_bundle_that_the_cluster_refuses_is_told_object_by_object(shop: Shop) -> None:
    wrong = config_map("wrong", a="1") | {"dada": {}}
    shop.configure(workload(replcias=2), wrong)
    stderr = shop.render("--diff", code=1)
    assert "replcias" in stderr
    assert "dada" in stderr
    assert len(stderr.splitlines()) >= 3


def test_a_cluster_that_can_not_be_used_is_told_with_a_hint(bench: Bench) -> None:
    Shop(bench=bench).configure(workload())
    stderr = Shop(bench=bench).render("--diff", code=1)
    assert "/nowhere" in stderr
    assert "Traceback" not in stderr


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


DIFF = "--- a (live)\n+++ a (configured)\n@@ -1 +1 @@\n-old \x1b[2J\n+new"
ONE = StageChanges(
    stage="web",
    cluster="test",
    namespace="web",
    objects=(
        Difference(
            key=ObjectKey("", "ConfigMap", "web", "a"),
            action=Action.CONFIGURED,
            text=DIFF,
            added=1,
            removed=1,
        ),
        Difference(key=ObjectKey("", "ConfigMap", "web", "b"), action=Action.KEPT),
    ),
    warnings=(),
)


def test_a_diff_has_colours_on_a_terminal_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal = Terminal()
    with redirect_stdout(terminal):
        changes.show([ONE])
    assert "\x1b[32m+new" in terminal.getvalue()
    assert "\x1b[31m-old" in terminal.getvalue()
    assert "\x1b[2J" not in terminal.getvalue()
    changes.show([ONE])
    plain = capsys.readouterr().out
    assert "\x1b" not in plain
    assert "# configmap/b in namespace web kept\n" in plain
    assert plain.endswith("# 1 configured, 1 kept\n")
