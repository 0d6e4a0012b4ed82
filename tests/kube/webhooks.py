"""Admission webhooks for the ConfigMaps of one namespace, and a server that refuses everything."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.kube.cluster import RealCluster, wait
from tests.kube.pki import LOOPBACK

CLOSED = f"https://{LOOPBACK}:1/"
"""Where nobody listens."""

_PATH = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
_CREATED = 201


@contextmanager
def webhook(cluster: RealCluster, namespace: str, url: str) -> Iterator[None]:
    """The API server asks `url` about each ConfigMap of the namespace, until the block ends."""
    cluster.kubectl("label", "namespace", namespace, f"test={namespace}")
    cluster.created(_PATH, _configuration(cluster, namespace, url))
    try:
        _until(cluster, namespace, is_asked=True)
        yield
    finally:
        cluster.request("DELETE", f"{_PATH}/{namespace}")
        _until(cluster, namespace, is_asked=False)


@contextmanager
def refusing_server(cluster: RealCluster, words: str) -> Iterator[str]:
    """The address of an admission server that refuses everything with these words."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps(_refusal(review, words)).encode()
            self.send_response_only(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cluster.identities.server)
    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="admission")
    thread.start()
    try:
        yield f"https://{LOOPBACK}:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _configuration(cluster: RealCluster, namespace: str, url: str) -> dict[str, Any]:
    rule = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "resources": ["configmaps"],
        "operations": ["CREATE", "UPDATE"],
    }
    authority = base64.b64encode(cluster.ca_file.read_bytes()).decode()
    hook = {
        "name": f"{namespace}.example.com",
        "rules": [rule],
        "clientConfig": {"url": url, "caBundle": authority},
        "namespaceSelector": {"matchLabels": {"test": namespace}},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "failurePolicy": "Fail",
        "timeoutSeconds": 5,
    }
    return {"metadata": {"name": namespace}, "webhooks": [hook]}


def _refusal(review: dict[str, Any], words: str) -> dict[str, Any]:
    response = {"uid": review["request"]["uid"], "allowed": False, "status": {"message": words}}
    return {
        "apiVersion": review["apiVersion"],
        "kind": "AdmissionReview",
        "response": response,
    }


def _until(cluster: RealCluster, namespace: str, *, is_asked: bool) -> None:
    """Until the API server has taken notice of the webhook, or of its end."""
    path = f"/api/v1/namespaces/{namespace}/configmaps?dryRun=All"
    probe = {"metadata": {"name": "probe"}}

    def passes() -> bool:
        return cluster.request("POST", path, probe)[0] == _CREATED

    wait("the admission webhook", lambda: passes() is not is_asked)
