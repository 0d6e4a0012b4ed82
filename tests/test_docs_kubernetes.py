"""What docs/kubernetes.md and the README say of clusters is so."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import indent

import pytest

from watcher.config.clusters import CLUSTER
from watcher.config.fields import Section
from watcher.config.load import Config, load
from watcher.core.pipeline import OnFailure
from watcher.kube import access
from watcher.kube.access import Right, Target
from watcher.kube.applying.dry_run import NEVER_REPLACED
from watcher.kube.applying.inventory import FEW, SHARE
from watcher.kube.applying.plan import NOTE_KEYS, Action
from watcher.kube.manifests.bundle import MAXIMUM_BYTES, MAXIMUM_OBJECTS, read_documents
from watcher.kube.manifests.ordering import NEVER_PRUNED, WAVES, GroupKind
from watcher.kube.objects import Resource, group_of
from watcher.kube.rollback.undo_plan import NEVER_UNDONE
from watcher.kube.rollouts.follow import GRACE
from watcher.kube.rollouts.rollout import is_followed
from watcher.render.images import Pin, bind
from watcher.render.pod_templates import POD_TEMPLATES
from watcher.stages import OPTIONS, UNDOABLE
from watcher.stages.rights import STAGES_IN_CLUSTERS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGE = (ROOT / "docs" / "kubernetes.md").read_text()
WORDS = " ".join(PAGE.split())
ACCOUNT = "accounts: [{name: dockerhub, address: index.docker.io}]\n"


APPLY = OPTIONS["apply"]
assert isinstance(APPLY, Section)


def blocks(text: str) -> list[str]:
    """The YAML blocks of a page."""
    return re.findall(r"^```yaml\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def section(title: str) -> str:
    """What stands under a title of the page, on one line."""
    found = PAGE.partition(f"## {title}\n")[2]
    return " ".join(re.split(r"^#+ ", found, maxsplit=1, flags=re.MULTILINE)[0].split())


def loaded(folder: Path, text: str) -> Config:
    path = folder / "config.yaml"
    path.write_text(text)
    return load(path, stages=OPTIONS, undoable=UNDOABLE, environment={"HOME": str(folder)})


@pytest.mark.parametrize("stage", sorted(STAGES_IN_CLUSTERS))
def test_every_stage_that_works_in_clusters_is_described(stage: str) -> None:
    assert f"`{stage}`" in PAGE


@pytest.mark.parametrize("key", [*CLUSTER.fields, *APPLY.fields])
def test_every_key_of_clusters_and_of_apply_is_described(key: str) -> None:
    assert re.search(rf"\b{key}\b", PAGE)


@pytest.mark.parametrize(
    "word",
    sorted(
        {f"`{action}`" for action in Action if action not in (Action.FAILED, Action.NOT_APPLIED)}
        | {f"`{key}`" for key in NOTE_KEYS}
    ),
)
def test_every_result_and_annotation_is_described(word: str) -> None:
    assert word in PAGE


@pytest.mark.parametrize("number", range(len(WAVES)), ids=lambda number: f"wave {number + 1}")
def test_the_order_of_kinds_is_the_one_that_is_applied(number: int) -> None:
    row = re.search(rf"^\| {number + 1} \| (.*) \|$", PAGE, flags=re.MULTILINE)
    assert row is not None
    told = re.findall(r"\b[A-Z][A-Za-z]+\b", row[1].partition("(")[0])
    kinds = list(dict.fromkeys(kind for _, kind in WAVES[number]))
    assert told == (kinds or ["CRDs"])


@pytest.mark.parametrize(
    ("title", "kinds"),
    [
        pytest.param("Prune", NEVER_PRUNED, id="pruned"),
        pytest.param("Rollback", NEVER_UNDONE, id="taken back"),
        pytest.param("Immutable fields and `replace`", NEVER_REPLACED, id="replaced"),
    ],
)
def test_what_is_never_touched_is_named(title: str, kinds: frozenset[GroupKind]) -> None:
    told = re.search(r"Never [a-z ]+\**[:,] (.*?)(?:\.|$)", section(title))
    assert told is not None
    assert set(re.findall(r"\b[A-Z][A-Za-z]+s\b", told[1])) - {"Services"} == {
        f"{kind}s" for _, kind in kinds
    }


@pytest.mark.parametrize("kind", sorted({kind for _, kind in POD_TEMPLATES}))
def test_every_kind_whose_image_is_bound_is_named(kind: str) -> None:
    assert kind in section("The image: `bind` and `pin`")


@pytest.mark.parametrize(
    ("kind", "follows"),
    [
        *(
            (f"apps/v1 {kind}", True)
            for kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")
        ),
        ("batch/v1 Job", True),
        ("v1 Pod", True),
        ("apiregistration.k8s.io/v1 APIService", True),
        ("acme.example/v1 Widget", True),
        ("v1 PersistentVolumeClaim", False),
        ("v1 Service", False),
        ("batch/v1 CronJob", False),
    ],
)
def test_what_a_wait_follows_is_what_is_told(kind: str, follows: bool) -> None:
    api_version, _, name = kind.partition(" ")
    assert is_followed({"apiVersion": api_version, "kind": name}) is follows
    if follows and "." not in group_of(api_version).removesuffix(".k8s.io"):
        assert f"| {name} |" in PAGE


@pytest.mark.parametrize(
    "words",
    [
        f"{MAXIMUM_OBJECTS} objects and {MAXIMUM_BYTES // 1024**2} MiB",
        f"for {GRACE.seconds} seconds",
        f"{ {5: 'Five'}[FEW] } objects or more that are more than { {0.5: 'half'}[SHARE] }",
    ],
)
def test_numbers_are_those_of_the_code(words: str) -> None:
    assert words in WORDS


@pytest.mark.parametrize("stage", ["apply", "set_image", "restart", "rollback", "delete"])
def test_what_can_be_rolled_back_is_told(stage: str) -> None:
    taken_back, _, rest = section("Rollback").partition(", the last first.")
    assert (f"`{stage}`" in taken_back) is (stage in UNDOABLE)
    assert (f"`{stage}`" in rest.partition("Neither are ")[2].partition(".")[0]) is (
        stage not in UNDOABLE
    )


def verbs(rights: list[Right], resource: str) -> str:
    return ", ".join(dict.fromkeys(right.verb for right in rights if right.resource == resource))


@pytest.mark.parametrize(
    ("stage", "verbs_of"),
    [
        pytest.param("`apply`", lambda target: access.to_apply([target]), id="apply"),
        pytest.param("`wait`", lambda target: access.to_follow([target]), id="wait"),
        pytest.param("`on_failure: rollback`", lambda t: access.to_take_back([t]), id="back"),
        pytest.param("`set_image`, `restart`", access.to_patch, id="set_image"),
        pytest.param("`delete`", access.to_delete, id="delete"),
    ],
)
def test_the_rights_that_are_told_are_those_that_are_asked_for(
    stage: str, verbs_of: object
) -> None:
    resource = Resource("apps", "v1", "Deployment", "deployments", namespaced=True)
    target = Target(resource=resource, namespace="web", name="web", runs_pods=True)
    assert callable(verbs_of)
    row = re.search(rf"^\| {re.escape(stage)} \| ([^|]*) \|", PAGE, flags=re.MULTILINE)
    assert row is not None
    assert row[1] == verbs(list(verbs_of(target)), "deployments")


# The examples


def test_the_example_of_the_readme_is_a_config_that_ends_in_a_rollout(tmp_path: Path) -> None:
    config = loaded(tmp_path, blocks(README)[0])
    (stage,) = config.pipelines[0].stages
    assert (stage.type, stage.on_failure) == ("apply", OnFailure.ROLLBACK)
    assert (stage.options["namespace"], stage.options["wait"]) == ("web", "5m")


def test_the_manifest_of_the_readme_gets_the_image_of_the_run() -> None:
    documents = read_documents([("web.yaml", blocks(README)[1])])
    name = "index.docker.io/library/nginx"
    binding = bind(documents.objects, name=name, tag="1.27.3", digest=None, pin=Pin.TAG, paths={})
    assert [(bound.before, bound.after) for bound in binding.bound] == [("nginx", "nginx:1.27.3")]


@pytest.mark.parametrize("block", blocks(PAGE), ids=lambda block: block.split(":")[0])
def test_every_example_of_the_page_is_a_config(tmp_path: Path, block: str) -> None:
    if block.startswith("stages:"):
        block = f"pipelines:\n  - name: all\n{indent(block, '    ')}"
    assert loaded(tmp_path, ACCOUNT + block).pipelines
