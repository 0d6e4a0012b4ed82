"""SPEC 7.1 `bind` and `pin`: the run's image takes its place wherever its name stands."""

from __future__ import annotations

from base64 import b64encode
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.render.images import Binding, Pin, bind, invalid_images, mentions

NEW = "sha256:" + "a" * 64
OLD = "sha256:" + "b" * 64
NAME = "index.docker.io/armory/demoapp"


def item(api_version: str, kind: str, spec: Any, **more: Any) -> dict[str, Any]:
    metadata = {"name": "web", "namespace": "shop"}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec, **more}


def deployment(*images: Any) -> dict[str, Any]:
    containers = [{"name": f"c{number}", "image": image} for number, image in enumerate(images)]
    return item("apps/v1", "Deployment", {"template": {"spec": {"containers": containers}}})


def bound(
    *objects: dict[str, Any],
    name: str = NAME,
    tag: str = "1.10",
    digest: str | None = NEW,
    pin: Pin = Pin.TAG,
    paths: dict[str, list[str]] | None = None,
) -> Binding:
    return bind(objects, name=name, tag=tag, digest=digest, pin=pin, paths=paths or {})


def image_in(binding: Binding) -> str:
    spec = binding.objects[0]["spec"]["template"]["spec"]
    return str(spec["containers"][0]["image"])


@pytest.mark.parametrize(
    ("name", "before", "by_tag", "by_digest"),
    [
        pytest.param(
            NAME, "armory/demoapp", "armory/demoapp:1.10", f"armory/demoapp@{NEW}", id="no tag"
        ),
        pytest.param(
            NAME, "armory/demoapp:1.9", "armory/demoapp:1.10", f"armory/demoapp@{NEW}", id="short"
        ),
        pytest.param(
            NAME,
            "docker.io/armory/demoapp:1.9",
            "docker.io/armory/demoapp:1.10",
            f"docker.io/armory/demoapp@{NEW}",
            id="docker.io",
        ),
        pytest.param(
            NAME,
            "index.docker.io/armory/demoapp",
            "index.docker.io/armory/demoapp:1.10",
            f"index.docker.io/armory/demoapp@{NEW}",
            id="index.docker.io",
        ),
        pytest.param(
            NAME,
            "registry-1.docker.io/armory/demoapp:1",
            "registry-1.docker.io/armory/demoapp:1.10",
            f"registry-1.docker.io/armory/demoapp@{NEW}",
            id="registry-1.docker.io",
        ),
        pytest.param(
            NAME,
            f"armory/demoapp@{OLD}",
            "armory/demoapp:1.10",
            f"armory/demoapp@{NEW}",
            id="pinned to the old one",
        ),
        pytest.param(
            NAME,
            f"armory/demoapp:1.10@{OLD}",
            "armory/demoapp:1.10",
            f"armory/demoapp@{NEW}",
            id="the tag, pinned to the old one",
        ),
        pytest.param("docker.io/nginx", "nginx:1", "nginx:1.10", f"nginx@{NEW}", id="official"),
        pytest.param(
            "nginx",
            "docker.io/library/nginx:1",
            "docker.io/library/nginx:1.10",
            f"docker.io/library/nginx@{NEW}",
            id="official in full",
        ),
        pytest.param(
            "localhost:5000/app",
            "localhost:5000/app",
            "localhost:5000/app:1.10",
            f"localhost:5000/app@{NEW}",
            id="host:port without tag",
        ),
        pytest.param(
            "localhost:5000/app",
            "localhost:5000/app:9",
            "localhost:5000/app:1.10",
            f"localhost:5000/app@{NEW}",
            id="host:port with tag",
        ),
        pytest.param(
            "ghcr.io/a/b",
            "GHCR.io/a/b:9",
            "GHCR.io/a/b:1.10",
            f"GHCR.io/a/b@{NEW}",
            id="large letters",
        ),
        pytest.param(
            NAME,
            f"armory/demoapp@{NEW}",
            f"armory/demoapp@{NEW}",
            f"armory/demoapp@{NEW}",
            id="pinned to the new one already",
        ),
        pytest.param(
            NAME,
            f"armory/demoapp:1.10@{NEW}",
            f"armory/demoapp:1.10@{NEW}",
            f"armory/demoapp:1.10@{NEW}",
            id="both, the new one already",
        ),
    ],
)
def test_the_image_is_replaced_in_its_own_spelling(
    name: str, before: str, by_tag: str, by_digest: str
) -> None:
    for pin, after in ((Pin.TAG, by_tag), (Pin.DIGEST, by_digest)):
        binding = bound(deployment(before), name=name, pin=pin)
        assert image_in(binding) == after
        assert [(one.before, one.after) for one in binding.bound] == [(before, after)]
        assert binding.mentions


@pytest.mark.parametrize(
    "image",
    [
        "armory/demoapp-worker:1.9",
        "armory/demoapp/worker:1.9",
        "other/armory/demoapp:1.9",
        "demoapp:1.9",
        "ghcr.io/armory/demoapp:1.9",
        "docker.io:5000/armory/demoapp:1.9",
        "localhost/armory/demoapp",
        f"other/demoapp@{NEW}",
    ],
)
def test_other_images_stay(image: str) -> None:
    item = deployment(image)
    binding = bound(item)
    assert binding.objects[0] is item
    assert binding.bound == ()


POD_SPEC = {
    "containers": [{"image": "armory/demoapp:1"}, {"image": "sidecar:1"}],
    "initContainers": [{"image": "armory/demoapp:2"}],
    "ephemeralContainers": [{"image": "docker.io/armory/demoapp"}],
}
TEMPLATE = {"template": {"spec": POD_SPEC}}


@pytest.mark.parametrize(
    ("item", "path"),
    [
        pytest.param(item("v1", "Pod", POD_SPEC), "spec", id="Pod"),
        *(
            pytest.param(
                item(version, kind, TEMPLATE), "spec.template.spec", id=f"{version} {kind}"
            )
            for version, kind in [
                ("apps/v1", "Deployment"),
                ("apps/v1beta1", "Deployment"),
                ("extensions/v1beta1", "Deployment"),
                ("apps/v1", "StatefulSet"),
                ("apps/v1", "DaemonSet"),
                ("apps/v1", "ReplicaSet"),
                ("v1", "ReplicationController"),
                ("batch/v1", "Job"),
            ]
        ),
        *(
            pytest.param(
                item(version, "CronJob", {"jobTemplate": {"spec": TEMPLATE}}),
                "spec.jobTemplate.spec.template.spec",
                id=f"{version} CronJob",
            )
            for version in ("batch/v1", "batch/v1beta1")
        ),
        pytest.param(
            item("v1", "PodTemplate", None, **TEMPLATE), "template.spec", id="PodTemplate"
        ),
    ],
)
def test_every_container_of_every_pod_template_is_found(item: dict[str, Any], path: str) -> None:
    binding = bound(item)
    assert [(one.path, one.after) for one in binding.bound] == [
        (f"{path}.containers[0].image", "armory/demoapp:1.10"),
        (f"{path}.initContainers[0].image", "armory/demoapp:1.10"),
        (f"{path}.ephemeralContainers[0].image", "docker.io/armory/demoapp:1.10"),
    ]
    assert "sidecar:1" in str(binding.objects[0])


ROLLOUT = item(
    "argoproj.io/v1alpha1",
    "Rollout",
    {"template": {"spec": POD_SPEC}, "canary": [[{"image": "armory/demoapp"}]]},
)


@pytest.mark.parametrize(
    ("paths", "found"),
    [
        pytest.param({}, [], id="unknown"),
        pytest.param(
            {"Rollout": ["spec.template.spec.containers[*].image"]},
            ["spec.template.spec.containers[0].image"],
            id="by kind",
        ),
        pytest.param(
            {
                "Rollout.argoproj.io": ["spec.canary[*][0].image"],
                "Rollout": ["spec.canary[0][*].image"],
            },
            ["spec.canary[0][0].image"],
            id="by kind and group, each place once",
        ),
        pytest.param({"Rollout.other.io": ["spec.canary[0][0].image"]}, [], id="another group"),
        pytest.param(
            {
                "Rollout": [
                    "spec.nothing[*].image",
                    "spec.canary[7].image",
                    "spec.template[*]",
                    "kind.a",
                ]
            },
            [],
            id="places that are not there",
        ),
    ],
)
def test_custom_kinds_hold_images_at_configured_paths(
    paths: dict[str, list[str]], found: list[str]
) -> None:
    assert [one.path for one in bound(ROLLOUT, paths=paths).bound] == found


@pytest.mark.parametrize("path", ["", "a..b", "a[", "a[x]", "[0]", "a.*", "a[*]b", "a b"])
def test_a_path_that_is_none_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="is not a path such as"):
        bound(ROLLOUT, paths={"Rollout": [path]})


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        pytest.param("nginx:not a tag!", "'not a tag!' is not a tag", id="tag"),
        pytest.param("armory/demoapp:", "'' is not a tag", id="empty tag"),
        pytest.param("armory/demoapp@", "'' is not a digest", id="empty digest"),
        pytest.param("armory/demoapp@sha256:12", "'sha256:12' is not a digest", id="digest"),
        pytest.param("Armory/Demoapp", "is not a repository name", id="large letters"),
        pytest.param(" nginx", "' nginx' is not an image", id="a space"),
        pytest.param("nginx\n", "is not an image", id="a line end"),
        pytest.param("", "is not a repository name", id="empty"),
        pytest.param("https://ghcr.io/a/b", "is not a registry host", id="a URL"),
        pytest.param(5, "an image must be a string", id="a number"),
        pytest.param(None, "an image must be a string", id="nothing"),
    ],
)
def test_what_is_no_image_is_left_alone_and_reported(image: Any, reason: str) -> None:
    item = deployment("armory/demoapp", image)
    binding = bound(deployment("other"), item)
    (invalid,) = binding.invalid
    assert (invalid.index, invalid.key) == (1, "deployment.apps/web in namespace shop")
    assert invalid.path == "spec.template.spec.containers[1].image"
    assert reason in invalid.reason
    spec = binding.objects[1]["spec"]["template"]["spec"]
    assert [one["image"] for one in spec["containers"]] == ["armory/demoapp:1.10", image]
    assert invalid_images([deployment("other"), item], {}) == binding.invalid


def test_a_container_without_an_image_is_left_to_the_server() -> None:
    spec = {"template": {"spec": {"containers": [{"name": "a"}, "text"], "initContainers": None}}}
    binding = bound(item("apps/v1", "Deployment", spec))
    assert (binding.bound, binding.invalid) == ((), ())


def test_what_comes_in_stays_as_it_is() -> None:
    objects = [
        deployment("armory/demoapp:1"),
        deployment("other:1"),
        deployment("armory/demoapp:1.10"),
    ]
    before = deepcopy(objects)
    binding = bound(*objects)
    assert objects == before
    assert [one is other for one, other in zip(binding.objects, objects, strict=True)] == [
        False,
        True,
        True,
    ]
    assert [one.index for one in binding.bound] == [0, 2]


def test_a_digest_must_be_known_to_be_pinned() -> None:
    with pytest.raises(ValueError, match="digest that is not known"):
        bound(deployment("armory/demoapp"), digest=None, pin=Pin.DIGEST)


def test_without_a_digest_the_tag_is_bound() -> None:
    assert image_in(bound(deployment(f"armory/demoapp:1.10@{OLD}"), digest=None)) == (
        "armory/demoapp:1.10"
    )


@pytest.mark.parametrize(
    ("text", "tag", "said"),
    [
        pytest.param("armory/demoapp:1.10", "1.10", True, id="a reference"),
        pytest.param("--image=docker.io/armory/demoapp:1.10", "1.10", True, id="an argument"),
        pytest.param("image: armory/demoapp:1.10\n", "1.10", True, id="a file"),
        pytest.param('{"image":"armory/demoapp:1.10"}', "1.10", True, id="JSON in a text"),
        pytest.param("docker://armory/demoapp:1.10", "1.10", True, id="with a scheme"),
        pytest.param("image:armory/demoapp:1.10", "1.10", True, id="after a key"),
        pytest.param("1.10", "1.10", True, id="the tag alone"),
        pytest.param("VERSION=1.10", "1.10", True, id="the tag as a value"),
        pytest.param('{"tag":"1.10"}', "1.10", True, id="the tag in JSON"),
        pytest.param("tag: 1.10, more", "1.10", True, id="the tag in YAML"),
        pytest.param(f"x@{NEW}", "9", True, id="the digest"),
        pytest.param(NEW, "9", True, id="the digest alone"),
        pytest.param(f"armory/demoapp:1.10@{OLD}", "1.10", False, id="pinned to another digest"),
        pytest.param("other/app:1.10", "1.10", False, id="another image of that tag"),
        pytest.param("ghcr.io/armory/demoapp:1.10", "1.10", False, id="another registry"),
        pytest.param("localhost:1", "1", False, id="a port"),
        pytest.param("12:30", "30", False, id="a time"),
        pytest.param("armory/demoapp:1.10.1", "1.10", False, id="a longer tag"),
        pytest.param("armory/demoapp:v1.10", "1.10", False, id="a tag with a prefix"),
        pytest.param("armory/demoapp:1.10-rc1", "1.10", False, id="a tag with a suffix"),
        pytest.param("1x10", "1.10", False, id="a point is a point"),
        pytest.param("armory/demoapp:1.9", "1.10", False, id="another tag"),
        pytest.param(OLD, "1.10", False, id="another digest"),
        pytest.param("", "1.10", False, id="nothing"),
    ],
)
def test_a_text_mentions_the_new_image(text: str, tag: str, *, said: bool) -> None:
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}}
    objects = [{**config_map, "data": {"nested": [{"text": text}]}}]
    assert mentions(objects, name=NAME, tag=tag, digest=NEW) is said


def test_without_a_digest_a_pinned_tag_counts() -> None:
    objects = [deployment(f"armory/demoapp:1.10@{OLD}")]
    assert mentions(objects, name=NAME, tag="1.10", digest=None)


def test_a_tag_called_like_an_api_version_is_not_mentioned_by_it() -> None:
    target = {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment"}}
    assert not mentions([item("v1", "Pod", target)], name=NAME, tag="v1", digest=None)


def test_a_file_in_a_secret_counts() -> None:
    data = {"binary": "/w==", "broken": "%", "env": b64encode(b"VERSION=1.10\n").decode()}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "web"}, "data": data}
    assert mentions([secret], name=NAME, tag="1.10", digest=None)
    assert not mentions([secret], name=NAME, tag="1.9", digest=None)


def test_manifests_about_something_else_mention_nothing() -> None:
    binding = bound(deployment("other/app:2"))
    assert (binding.bound, binding.mentions) == ((), False)


@given(
    st.lists(
        st.sampled_from(
            ["armory/demoapp", "docker.io/armory/demoapp:1", "other:1", "not an image"]
        ),
        max_size=6,
    ),
    st.sampled_from(list(Pin)),
)
def test_binding_twice_changes_nothing_more(images: list[str], pin: Pin) -> None:
    once = bound(deployment(*images), pin=pin)
    twice = bound(*once.objects, pin=pin)
    assert twice.objects == once.objects
    assert [one.after for one in once.bound] == [one.before for one in twice.bound]
    assert once.mentions == any("demoapp" in image for image in images)


@pytest.mark.parametrize("text", ["a" * 200_000, ":" * 200_000, "a:1.10" * 30_000])
def test_long_texts_are_searched_in_reasonable_time(text: str) -> None:
    assert not mentions([deployment(text + "!")], name=NAME, tag="1.10", digest=None)
