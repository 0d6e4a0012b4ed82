"""What each sender's payload says: tables of payloads in the shapes that they document."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.web.hooks import payloads
from tests.web.hooks.payloads import DIGEST, EPOCH, encoded
from watcher.core.hint import Hint
from watcher.core.reference import DOCKER_HUB_NAME
from watcher.web.hooks.message import MOST_EVENTS, Malformed, Message
from watcher.web.hooks.senders import ALIASES, KINDS, kind_named

Json = Any


def read(name: str, payload: Json, headers: Mapping[str, str] | None = None) -> Message:
    kind = kind_named(name)
    assert kind is not None
    body = payload if isinstance(payload, bytes) else encoded(payload)
    return kind.read(body, payloads.GITHUB_HEADERS if headers is None else headers)


def changed(payload: Json, change: Callable[[Json], object]) -> Json:
    """A copy in which something is different."""
    other = copy.deepcopy(payload)
    change(other)
    return other


def web(registry: str | None, digest: str | None = DIGEST, tag: str | None = "1.4.2") -> Hint:
    return Hint(registry=registry, repository="acme/web", tag=tag, digest=digest)


@pytest.mark.parametrize(
    ("sender", "payload", "hint"),
    [
        pytest.param("dockerhub", payloads.DOCKER_HUB, web(DOCKER_HUB_NAME, None), id="Docker Hub"),
        pytest.param("quay", payloads.QUAY, web("quay.io", None), id="Quay"),
        pytest.param("harbor", payloads.HARBOR, web("harbor.acme.test"), id="Harbor"),
        pytest.param(
            "harbor", payloads.HARBOR_CLOUD_EVENT, web("harbor.acme.test"), id="Harbor, CloudEvents"
        ),
        pytest.param(
            "distribution",
            payloads.DISTRIBUTION,
            web("registry.acme.test:5000"),
            id="docker-registry",
        ),
        pytest.param(
            "gitlab", payloads.DISTRIBUTION, web("registry.acme.test:5000"), id="GitLab's registry"
        ),
        pytest.param("github", payloads.GITHUB, web("ghcr.io"), id="GitHub"),
        pytest.param("acr", payloads.ACR, web("acme.azurecr.io"), id="ACR itself"),
        pytest.param("acr", payloads.EVENT_GRID, web("acmehub.azurecr.io"), id="Event Grid"),
        pytest.param(
            "acr", payloads.AZURE_CLOUD_EVENT, web("acme.azurecr.io"), id="Event Grid, CloudEvents"
        ),
        pytest.param("gcr", payloads.GCR, web("eu.gcr.io"), id="Pub/Sub"),
        pytest.param(
            "ecr", payloads.ECR, web("012345678910.dkr.ecr.us-east-1.amazonaws.com"), id="ECR"
        ),
        pytest.param("dtr", payloads.DTR, web("dtr.acme.test"), id="DTR"),
        pytest.param("msr", payloads.DTR, web("dtr.acme.test"), id="MSR"),
        pytest.param("generic", payloads.GENERIC, web("registry.acme.test:5000"), id="generic"),
        pytest.param(
            "generic",
            {"registry": "quay.io", "repository": "acme/web", "tag": "1.4.2", "digest": DIGEST},
            web("quay.io"),
            id="generic in parts",
        ),
        pytest.param("generic", {"repository": "acme/web"}, web(None, None, None), id="least"),
    ],
)
def test_a_push_names_registry_repository_tag_and_digest(
    sender: str, payload: Json, hint: Hint
) -> None:
    assert read(sender, payload).hints == (hint,)


OTHER_PUSHES = [
    pytest.param(
        "dockerhub",
        changed(payloads.DOCKER_HUB, lambda p: p["repository"].update(repo_name="nginx")),
        [Hint(registry=DOCKER_HUB_NAME, repository="library/nginx", tag="1.4.2")],
        id="an official image",
    ),
    pytest.param(
        "quay",
        changed(payloads.QUAY, lambda p: p.update(updated_tags=["a", "b"])),
        [web("quay.io", None, "a"), web("quay.io", None, "b")],
        id="two tags at once",
    ),
    pytest.param(
        "quay",
        changed(payloads.QUAY, lambda p: p.update(updated_tags={"latest": "0" * 64})),
        [web("quay.io", None, "latest")],
        id="tags as old versions send them",
    ),
    pytest.param(
        "harbor",
        changed(
            payloads.HARBOR, lambda p: p["event_data"]["resources"][0].update(tag=DIGEST)
        ),
        [web("harbor.acme.test", DIGEST, None)],
        id="a digest in place of the tag",
    ),
    pytest.param(
        "harbor",
        changed(payloads.HARBOR, lambda p: p.update(type="DELETE_ARTIFACT")),
        [
            Hint(
                registry="harbor.acme.test",
                repository="acme/web",
                tag="1.4.2",
                digest=DIGEST,
                is_deletion=True,
            )
        ],
        id="deleted in Harbor",
    ),
    pytest.param(
        "distribution",
        {"events": [payloads.LAYER_EVENT, payloads.DISTRIBUTION_EVENT]},
        [web("registry.acme.test:5000")],
        id="layers beside the image",
    ),
    pytest.param(
        "distribution",
        {"events": [payloads.DELETION_EVENT]},
        [
            Hint(
                registry="registry.acme.test:5000",
                repository="acme/web",
                digest=DIGEST,
                is_deletion=True,
            )
        ],
        id="deleted by digest",
    ),
    pytest.param(
        "distribution",
        changed(payloads.DISTRIBUTION, lambda p: p["events"][0].pop("request")),
        [web("registry.acme.test:5000")],
        id="the host of the URL alone",
    ),
    pytest.param(
        "github",
        changed(
            payloads.GITHUB, lambda p: p["registry_package"]["package_version"].pop("package_url")
        ),
        [web("ghcr.io")],
        id="owner and name in place of the URL",
    ),
    pytest.param(
        "gcr",
        payloads.pub_sub({**payloads.GCR_SAID, "tag": "europe-docker.pkg.dev/acme/images/web:1"}),
        [
            Hint(
                registry="europe-docker.pkg.dev",
                repository="acme/images/web",
                tag="1",
                digest=DIGEST,
            )
        ],
        id="Artifact Registry",
    ),
    pytest.param(
        "gcr",
        payloads.pub_sub({"action": "DELETE", "tag": "eu.gcr.io/acme/web:1.4.2"}),
        [Hint(registry="eu.gcr.io", repository="acme/web", tag="1.4.2", is_deletion=True)],
        id="deleted at Google",
    ),
    pytest.param(
        "ecr",
        changed(payloads.ECR, lambda p: p.update(region="cn-north-1")),
        [web("012345678910.dkr.ecr.cn-north-1.amazonaws.com.cn")],
        id="ECR in China",
    ),
    pytest.param(
        "dtr",
        changed(payloads.DTR, lambda p: p["contents"].update(imageName="acme/web:1.4.2")),
        [web(None)],
        id="DTR without a host",
    ),
    pytest.param(
        "generic",
        {"image": "nginx:1.27"},
        [Hint(registry=DOCKER_HUB_NAME, repository="library/nginx", tag="1.27")],
        id="an image as people write it",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("sender", "payload", "hints"), OTHER_PUSHES)
def test_payloads_have_other_forms_too(sender: str, payload: Json, hints: list[Hint]) -> None:
    assert list(read(sender, payload).hints) == hints


@pytest.mark.parametrize(
    ("sender", "payload", "headers"),
    [
        pytest.param("quay", {"repository": "acme/web", "build_id": "7"}, {}, id="a build at Quay"),
        pytest.param("harbor", {"type": "SCANNING_COMPLETED"}, {}, id="a scan at Harbor"),
        pytest.param("harbor", {"type": "REPLICATION"}, {}, id="a replication at Harbor"),
        pytest.param("distribution", {"events": [payloads.LAYER_EVENT]}, {}, id="a layer"),
        pytest.param(
            "distribution",
            {"events": [{**payloads.DISTRIBUTION_EVENT, "action": "pull"}]},
            {},
            id="a pull",
        ),
        pytest.param("distribution", {"events": []}, {}, id="no event at all"),
        pytest.param("gitlab", {"object_kind": "push"}, {}, id="a push of a project's code"),
        pytest.param("gitlab", {"event_name": "project_create"}, {}, id="a system hook"),
        pytest.param("github", {"zen": "Keep it."}, {"x-github-event": "ping"}, id="a ping"),
        pytest.param(
            "github",
            changed(payloads.GITHUB, lambda p: p["registry_package"].update(package_type="npm")),
            None,
            id="a package that is no image",
        ),
        pytest.param("acr", {"id": "7", "action": "ping"}, {}, id="a ping of ACR"),
        pytest.param("acr", {"id": "7", "action": "chart_push"}, {}, id="a chart"),
        pytest.param(
            "gcr",
            payloads.pub_sub({"action": "INSERT", "digest": f"eu.gcr.io/acme/web@{DIGEST}"}),
            {},
            id="an image without a tag",
        ),
        pytest.param(
            "ecr", {**payloads.ECR, "detail-type": "ECR Image Scan"}, {}, id="a scan at ECR"
        ),
        pytest.param(
            "ecr",
            changed(payloads.ECR, lambda p: p["detail"].update(result="FAILURE")),
            {},
            id="a push that failed",
        ),
        pytest.param("dtr", {"type": "SCAN_COMPLETED", "contents": {}}, {}, id="a scan at DTR"),
    ],
)
def test_what_is_no_push_is_no_hint_and_says_so(
    sender: str, payload: Json, headers: Mapping[str, str] | None
) -> None:
    message = read(sender, payload, headers)
    assert message.hints == ()
    assert message.note


@pytest.mark.parametrize(
    ("sender", "payload"),
    [
        *(pytest.param(name, b"{", id=f"{name}: no JSON") for name in KINDS),
        *(pytest.param(name, b"[]", id=f"{name}: an empty list") for name in KINDS),
        *(pytest.param(name, b"[" * 100_000, id=f"{name}: nested for ever") for name in KINDS),
        pytest.param("dockerhub", {"push_data": {"tag": "1"}}, id="no repository"),
        pytest.param(
            "dockerhub",
            changed(payloads.DOCKER_HUB, lambda p: p["push_data"].update(tag="a b")),
            id="a tag with a blank",
        ),
        pytest.param(
            "dockerhub",
            changed(payloads.DOCKER_HUB, lambda p: p["repository"].update(repo_name="../etc")),
            id="a path",
        ),
        pytest.param(
            "harbor",
            changed(payloads.HARBOR, lambda p: p["event_data"].update(resources="x")),
            id="resources of another type",
        ),
        pytest.param(
            "distribution",
            {"events": [payloads.LAYER_EVENT] * (MOST_EVENTS + 1)},
            id="very many events",
        ),
        pytest.param(
            "quay",
            {**payloads.QUAY, "updated_tags": ["1"] * (MOST_EVENTS + 1)},
            id="very many tags",
        ),
        pytest.param("gcr", {"message": {"data": "%%%"}}, id="no base64"),
        pytest.param("gcr", payloads.pub_sub({"action": "INSERT"}), id="no image at Google"),
        pytest.param("ecr", {**payloads.ECR, "region": "evil.test/"}, id="a region that is none"),
        pytest.param("ecr", {**payloads.ECR, "account": "1"}, id="an account that is none"),
        pytest.param(
            "acr",
            changed(payloads.VALIDATION, lambda p: p[0]["data"].update(validationCode="<b>")),
            id="a code that is none",
        ),
        pytest.param("generic", {"image": "UPPER/case"}, id="an image that is none"),
        pytest.param("generic", {"repository": "acme/web", "digest": "sha256:1"}, id="a digest"),
    ],
)
def test_what_the_sender_would_not_send_is_refused_in_our_own_words(
    sender: str, payload: Json
) -> None:
    with pytest.raises(Malformed) as caught:
        read(sender, payload)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 100


def test_github_has_to_say_which_event_it_is() -> None:
    with pytest.raises(Malformed, match="X-GitHub-Event"):
        read("github", payloads.GITHUB, {})


def test_an_event_that_cannot_be_read_does_not_hold_up_the_queue_of_docker_registry() -> None:
    odd = changed(payloads.DISTRIBUTION_EVENT, lambda e: e["target"].update(repository="Odd//"))
    assert read("distribution", {"events": [odd]}).hints == ()
    both = read("distribution", {"events": [odd, payloads.DISTRIBUTION_EVENT]})
    assert both.hints == (web("registry.acme.test:5000"),)


@pytest.mark.parametrize(
    ("sender", "payload", "identifier"),
    [
        pytest.param("harbor", payloads.HARBOR_CLOUD_EVENT, "3c9e1f7a-delivery", id="CloudEvents"),
        pytest.param("distribution", payloads.DISTRIBUTION, "f3d1-event", id="docker-registry"),
        pytest.param("github", payloads.GITHUB, "72d3162e-cc78", id="GitHub"),
        pytest.param("acr", payloads.ACR, "cb8c-event", id="ACR"),
        pytest.param("gcr", payloads.GCR, "1094", id="Pub/Sub"),
        pytest.param("ecr", payloads.ECR, "13cd-event", id="ECR"),
        pytest.param("generic", payloads.GENERIC, "build-812", id="generic"),
        pytest.param("dockerhub", payloads.DOCKER_HUB, None, id="Docker Hub has none"),
        pytest.param("quay", payloads.QUAY, None, id="Quay has none"),
    ],
)
def test_the_number_of_a_delivery_is_read_where_there_is_one(
    sender: str, payload: Json, identifier: str | None
) -> None:
    assert read(sender, payload).identifier == identifier


@pytest.mark.parametrize(
    ("sender", "payload"),
    [
        ("dockerhub", payloads.DOCKER_HUB),
        ("harbor", payloads.HARBOR),
        ("distribution", payloads.DISTRIBUTION),
        ("github", payloads.GITHUB),
        ("acr", payloads.EVENT_GRID),
        ("gcr", payloads.GCR),
        ("ecr", payloads.ECR),
        ("dtr", payloads.DTR),
        ("generic", {**payloads.GENERIC, "time": payloads.MOMENT}),
    ],
)
def test_the_time_of_a_delivery_is_read_where_there_is_one(sender: str, payload: Json) -> None:
    assert read(sender, payload).moment == EPOCH


def test_event_grid_gets_its_code_back_and_nothing_else_happens() -> None:
    message = read("acr", payloads.VALIDATION)
    assert message.reply == {"validationResponse": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6"}
    assert message.hints == ()


def test_pulls_and_layers_are_told_apart_from_what_an_operator_wants_to_see() -> None:
    assert read("distribution", {"events": [payloads.LAYER_EVENT]}).is_traffic
    assert not read("harbor", {"type": "SCANNING_COMPLETED"}).is_traffic


def test_docker_hub_names_whom_to_call_back() -> None:
    message = read("dockerhub", payloads.DOCKER_HUB)
    assert message.callback_url == payloads.DOCKER_HUB["callback_url"]


def test_every_other_name_of_a_sender_leads_to_one() -> None:
    assert set(ALIASES.values()) <= KINDS.keys()
    assert kind_named("nobody") is None
