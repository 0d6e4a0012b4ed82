"""Payloads in the shapes that each sender documents, of one push of acme/web:1.4.2."""

from __future__ import annotations

import base64
import json
from typing import Any

DIGEST = "sha256:" + "5e" * 32
MOMENT = "2027-01-15T08:00:00Z"
EPOCH = 1_800_000_000.0
Json = Any

DOCKER_HUB: Json = {
    "callback_url": "https://registry.hub.docker.com/u/acme/web/hook/2f1c/",
    "push_data": {"pushed_at": EPOCH, "pusher": "builder", "tag": "1.4.2", "images": []},
    "repository": {
        "name": "web",
        "namespace": "acme",
        "owner": "acme",
        "repo_name": "acme/web",
        "repo_url": "https://hub.docker.com/r/acme/web",
        "is_private": True,
        "status": "Active",
    },
}
QUAY: Json = {
    "name": "web",
    "namespace": "acme",
    "repository": "acme/web",
    "docker_url": "quay.io/acme/web",
    "homepage": "https://quay.io/repository/acme/web",
    "updated_tags": ["1.4.2"],
}
HARBOR_DATA: Json = {
    "resources": [
        {"digest": DIGEST, "tag": "1.4.2", "resource_url": "harbor.acme.test/acme/web:1.4.2"}
    ],
    "repository": {
        "name": "web",
        "namespace": "acme",
        "repo_full_name": "acme/web",
        "repo_type": "private",
    },
}
HARBOR: Json = {
    "type": "PUSH_ARTIFACT",
    "occur_at": int(EPOCH),
    "operator": "robot$ci",
    "event_data": HARBOR_DATA,
}
HARBOR_CLOUD_EVENT: Json = {
    "specversion": "1.0",
    "id": "3c9e1f7a-delivery",
    "source": "/projects/7/webhook/policies/3",
    "type": "harbor.artifact.pushed",
    "datacontenttype": "application/json",
    "time": MOMENT,
    "data": HARBOR_DATA,
    "operator": "robot$ci",
}
DISTRIBUTION_EVENT: Json = {
    "id": "f3d1-event",
    "timestamp": MOMENT,
    "action": "push",
    "target": {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "size": 708,
        "digest": DIGEST,
        "length": 708,
        "repository": "acme/web",
        "url": f"http://registry.acme.test:5000/v2/acme/web/manifests/{DIGEST}",
        "tag": "1.4.2",
    },
    "request": {
        "id": "9a",
        "addr": "192.0.2.7:50112",
        "host": "registry.acme.test:5000",
        "method": "PUT",
        "useragent": "skopeo/1.9",
    },
    "actor": {},
    "source": {"addr": "registry:5000", "instanceID": "b2"},
}
DISTRIBUTION: Json = {"events": [DISTRIBUTION_EVENT]}
LAYER_EVENT: Json = {
    **DISTRIBUTION_EVENT,
    "target": {
        "mediaType": "application/octet-stream",
        "digest": DIGEST,
        "repository": "acme/web",
        "url": f"http://registry.acme.test:5000/v2/acme/web/blobs/{DIGEST}",
    },
}
DELETION_EVENT: Json = {
    "id": "d4",
    "timestamp": MOMENT,
    "action": "delete",
    "target": {"digest": DIGEST, "repository": "acme/web"},
    "request": {"host": "registry.acme.test:5000", "method": "DELETE"},
}
GITHUB_PACKAGE: Json = {
    "name": "web",
    "namespace": "Acme",
    "ecosystem": "CONTAINER",
    "package_type": "CONTAINER",
    "updated_at": MOMENT,
    "owner": {"login": "Acme", "type": "Organization"},
    "package_version": {
        "version": DIGEST,
        "container_metadata": {
            "tag": {"name": "1.4.2", "digest": DIGEST},
            "labels": {},
            "manifest": {},
        },
        "package_url": "ghcr.io/Acme/web:1.4.2",
    },
    "registry": {"type": "CONTAINER", "url": "https://ghcr.io/Acme"},
}
GITHUB: Json = {
    "action": "published",
    "registry_package": GITHUB_PACKAGE,
    "organization": {"login": "Acme"},
    "sender": {"login": "builder"},
}
GITHUB_HEADERS = {"x-github-event": "registry_package", "x-github-delivery": "72d3162e-cc78"}
ACR: Json = {
    "id": "cb8c-event",
    "timestamp": MOMENT,
    "action": "push",
    "target": {
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "size": 524,
        "digest": DIGEST,
        "repository": "acme/web",
        "tag": "1.4.2",
    },
    "request": {"id": "3c", "host": "acme.azurecr.io", "method": "PUT", "useragent": "docker"},
}
_AZURE = (
    "/subscriptions/0/resourceGroups/g/providers/Microsoft.ContainerRegistry/registries/acmehub"
)
EVENT_GRID: Json = [
    {
        "id": "831e-event",
        "topic": _AZURE,
        "subject": "acme/web:1.4.2",
        "eventType": "Microsoft.ContainerRegistry.ImagePushed",
        "eventTime": MOMENT,
        "data": {key: value for key, value in ACR.items() if key != "request"},
        "dataVersion": "1.0",
        "metadataVersion": "1",
    }
]
AZURE_CLOUD_EVENT: Json = {
    "specversion": "1.0",
    "id": "831e-event",
    "source": _AZURE,
    "subject": "acme/web:1.4.2",
    "type": "Microsoft.ContainerRegistry.ImagePushed",
    "time": MOMENT,
    "data": ACR,
}
VALIDATION: Json = [
    {
        "id": "2d17",
        "topic": _AZURE,
        "subject": "",
        "data": {
            "validationCode": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6",
            "validationUrl": "https://rp-eastus2.eventgrid.azure.net:553/validate?id=1",
        },
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "eventTime": MOMENT,
        "metadataVersion": "1",
        "dataVersion": "1",
    }
]
ECR: Json = {
    "version": "0",
    "id": "13cd-event",
    "detail-type": "ECR Image Action",
    "source": "aws.ecr",
    "account": "012345678910",
    "time": MOMENT,
    "region": "us-east-1",
    "resources": [],
    "detail": {
        "result": "SUCCESS",
        "repository-name": "acme/web",
        "image-digest": DIGEST,
        "action-type": "PUSH",
        "image-tag": "1.4.2",
    },
}
DTR: Json = {
    "type": "TAG_PUSH",
    "createdAt": MOMENT,
    "contents": {
        "namespace": "acme",
        "repository": "web",
        "tag": "1.4.2",
        "digest": DIGEST,
        "imageName": "dtr.acme.test/acme/web:1.4.2",
        "os": "linux",
        "architecture": "amd64",
        "author": "builder",
        "pushedAt": MOMENT,
    },
    "location": "/repositories/acme/web/tags/1.4.2",
}
GENERIC: Json = {"image": f"registry.acme.test:5000/acme/web:1.4.2@{DIGEST}", "id": "build-812"}


def pub_sub(said: Json) -> Json:
    """What Pub/Sub pushes for a message of the topic `gcr`."""
    data = base64.b64encode(json.dumps(said).encode()).decode()
    message = {"data": data, "messageId": "1094", "publishTime": MOMENT, "attributes": {}}
    return {"message": message, "subscription": "projects/acme/subscriptions/watcher"}


GCR_SAID: Json = {
    "action": "INSERT",
    "digest": f"eu.gcr.io/acme/web@{DIGEST}",
    "tag": "eu.gcr.io/acme/web:1.4.2",
}
GCR = pub_sub(GCR_SAID)


def encoded(payload: Json) -> bytes:
    return json.dumps(payload).encode()
