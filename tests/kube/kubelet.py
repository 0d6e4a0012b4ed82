"""A stand-in for scheduler and kubelet, so that controllers roll out for real without a node.

`python -m tests.kube.kubelet URL CA_FILE SERVER_PEM TOKEN_FILE BEHAVIOURS_FILE`: a process of its
own, so that a busy or patched test process does not disturb it, and so that it can be paused.
It watches pods, and serves their logs to the API server (tests/kube/logs.py).
"""

from __future__ import annotations

import asyncio
import itertools
import json
import ssl
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from tests.kube.behaviours import Life, Pod, status_of
from tests.kube.logs import LogServer

NODE = "test-node"
_ROOM = {"cpu": "64", "memory": "64Gi", "pods": "2000"}
_MERGE = "application/merge-patch+json"
_GONE = {httpx.codes.NOT_FOUND, httpx.codes.CONFLICT, httpx.codes.UNPROCESSABLE_ENTITY}
_AGAIN_AFTER = 0.2


@dataclass(kw_only=True)
class Kubelet:
    """Plays the node of every pod. `behaviours` is a file that tests may rewrite at any time."""

    client: httpx.AsyncClient
    behaviours: Path
    logs: LogServer
    playing: dict[str, tuple[tuple[str, ...], asyncio.Task[None]]] = field(default_factory=dict)
    addresses: itertools.count[int] = field(default_factory=itertools.count)

    async def run(self) -> None:
        while True:
            try:
                await self._follow()
            except httpx.TransportError as error:
                print(now(), "the watch broke:", repr(error), flush=True)
                await asyncio.sleep(_AGAIN_AFTER)

    async def register(self, port: int) -> None:
        """The node, with the port where the API server finds the logs."""
        conditions = [{"type": "Ready", "status": "True", "reason": "Test", "message": "test"}]
        status = {
            "capacity": _ROOM,
            "allocatable": _ROOM,
            "conditions": conditions,
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        }
        labels = {"kubernetes.io/hostname": NODE, "kubernetes.io/os": "linux"}
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE, "labels": labels}}
        await self._send("POST", "/api/v1/nodes", node)
        await self._send("PATCH", f"/api/v1/nodes/{NODE}", {"spec": {"taints": None}})
        await self._send("PATCH", f"/api/v1/nodes/{NODE}/status", {"status": status})

    async def _follow(self) -> None:
        listed = (await self.client.get("/api/v1/pods")).json()
        for pod in listed["items"]:
            self._see(pod)
        version = listed["metadata"]["resourceVersion"]
        path = f"/api/v1/pods?watch=1&resourceVersion={version}"
        async with self.client.stream("GET", path, timeout=httpx.Timeout(10, read=None)) as answer:
            async for line in answer.aiter_lines():
                event = json.loads(line)
                if event["type"] == "DELETED":
                    self._forget(event["object"]["metadata"]["uid"])
                elif event["type"] in {"ADDED", "MODIFIED"}:
                    self._see(event["object"])
                else:
                    return

    def _see(self, pod: Pod) -> None:
        """Begin to play a pod, or begin again where its images or its end changed."""
        uid = pod["metadata"]["uid"]
        ends = "ends" if pod["metadata"].get("deletionTimestamp") else ""
        kind = (ends, *(each["image"] for each in pod["spec"]["containers"]))
        known = self.playing.get(uid)
        if known is not None and known[0] == kind:
            return
        self._forget(uid)
        self.playing[uid] = kind, asyncio.create_task(self._end(pod) if ends else self._play(pod))

    def _forget(self, uid: str) -> None:
        known = self.playing.pop(uid, None)
        if known is not None:
            known[1].cancel()
        self.logs.forget(uid)

    async def _end(self, pod: Pod) -> None:
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0}
        await self._send("DELETE", path_of(pod), options)

    async def _play(self, pod: Pod) -> None:
        refused = unschedulable(pod)
        if refused is not None:
            await self._refuse(pod, refused)
            return
        if not pod["spec"].get("nodeName"):
            await self._bind(pod)
        life = Life.of(pod, json.loads(self.behaviours.read_text()))
        number = next(self.addresses)
        address = f"10.1.{number // 250 % 250}.{number % 250 + 1}"
        begun = time.monotonic()
        for at in life.times():
            await asyncio.sleep(begun + at - time.monotonic())
            self.logs.know(life, at)
            status = status_of(life, at, address=address, now=now)
            await self._send("PATCH", f"{path_of(pod)}/status", {"status": status})
            for reason, message in life.events(at):
                await self._tell(pod, reason, message)

    async def _bind(self, pod: Pod) -> None:
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": pod["metadata"]["name"]},
            "target": {"kind": "Node", "name": NODE},
        }
        await self._send("POST", f"{path_of(pod)}/binding", binding)

    async def _refuse(self, pod: Pod, message: str) -> None:
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": message,
            "lastTransitionTime": now(),
        }
        status = {"phase": "Pending", "conditions": [condition]}
        await self._send("PATCH", f"{path_of(pod)}/status", {"status": status})
        await self._tell(pod, "FailedScheduling", message)

    async def _tell(self, pod: Pod, reason: str, message: str) -> None:
        metadata, time = pod["metadata"], now()
        about = {key: metadata[key] for key in ("name", "namespace", "uid")}
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{metadata['name']}.", "namespace": about["namespace"]},
            "involvedObject": {"apiVersion": "v1", "kind": "Pod", **about},
            "type": "Warning",
            "reason": reason,
            "message": message,
            "source": {"component": "kubelet", "host": NODE},
            "firstTimestamp": time,
            "lastTimestamp": time,
            "count": 1,
        }
        await self._send("POST", f"/api/v1/namespaces/{about['namespace']}/events", event)

    async def _send(self, method: str, path: str, body: Mapping[str, Any]) -> None:
        """Until it is done, or there is nothing to do it to."""
        kind = _MERGE if method == "PATCH" else "application/json"
        while True:
            try:
                answer = await self._request(method, path, json.dumps(body), kind)
            except httpx.TransportError as error:
                print(now(), method, path, repr(error), flush=True)
            else:
                if answer.is_success or answer.status_code in _GONE:
                    return
                print(now(), method, path, answer.status_code, answer.text, flush=True)
                if answer.status_code == httpx.codes.FORBIDDEN:
                    return  # the namespace is being deleted
            await asyncio.sleep(_AGAIN_AFTER)

    async def _request(self, method: str, path: str, body: str, kind: str) -> httpx.Response:
        """One that is finished even where its pod is forgotten meanwhile: a request that is cut off
        may keep its place among the connections for ever."""
        request = self.client.request(method, path, content=body, headers={"Content-Type": kind})
        return await asyncio.shield(asyncio.create_task(request))


def path_of(pod: Pod) -> str:
    metadata = pod["metadata"]
    return f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"


def unschedulable(pod: Pod) -> str | None:
    """Why no node takes the pod: it asks for a node's label, or for more than 64 whole CPUs."""
    wanted = pod["spec"].get("nodeSelector", {})
    if not wanted.items() <= {"kubernetes.io/hostname": NODE, "kubernetes.io/os": "linux"}.items():
        return "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
    requests = [each.get("resources", {}).get("requests", {}) for each in pod["spec"]["containers"]]
    if sum(int(each.get("cpu", "0")) for each in requests if each.get("cpu", "0").isdigit()) > 64:
        return "0/1 nodes are available: 1 Insufficient cpu."
    return None


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def main(url: str, ca_file: Path, server: Path, token: str, behaviours: Path) -> None:
    logs = LogServer()
    listener = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    listener.load_cert_chain(server)
    async with httpx.AsyncClient(
        base_url=url,
        verify=ssl.create_default_context(cafile=ca_file),
        headers={"Authorization": f"Bearer {token}"},
        timeout=httpx.Timeout(30.0, pool=None),
        limits=httpx.Limits(max_connections=12),
        trust_env=False,
    ) as client:
        kubelet = Kubelet(client=client, behaviours=behaviours, logs=logs)
        await kubelet.register(await logs.listen(listener))
        await kubelet.run()


if __name__ == "__main__":
    url, *names = sys.argv[1:]
    files = [Path(name) for name in names]
    asyncio.run(main(url, files[0], files[1], files[2].read_text(), files[3]))
