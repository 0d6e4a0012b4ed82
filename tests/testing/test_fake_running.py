"""The fake registry runs in a thread, over TLS, again on its port, and as a program."""

from __future__ import annotations

import datetime
import http.client
import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.registry.certificates import Authority
from tests.servers import need
from watcher.testing.access import BearerAuth
from watcher.testing.images import sha256
from watcher.testing.profiles import PROFILES
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry


def get(address: str, path: str, method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_it_serves_from_a_thread_of_its_own_while_the_test_pushes() -> None:
    with FakeRegistry.in_thread() as registry:
        assert get(registry.address, "/v2/acme/web/tags/list")[0] == 404
        registry.push("acme/web", "1")
        status, body = get(registry.address, "/v2/acme/web/tags/list")
        assert (status, json.loads(body)["tags"]) == (200, ["1"])
        assert registry.count(Kind.TAGS) == 2


async def test_it_has_no_address_before_it_runs_and_the_same_one_after_a_restart() -> None:
    registry = FakeRegistry()
    with pytest.raises(RuntimeError, match="not running"):
        _ = registry.address
    await registry.start()
    address = registry.address
    await registry.stop()
    await registry.start()
    assert registry.address == address
    await registry.stop()
    await registry.stop()


async def test_it_speaks_tls_with_a_context_that_it_is_given(tmp_path: Path) -> None:
    authority = Authority(tmp_path, now=datetime.datetime.now(datetime.UTC))
    async with FakeRegistry(tls=authority.server_context("127.0.0.1")) as registry:
        assert registry.url.startswith("https://127.0.0.1:")
        trusting = ssl.create_default_context(cafile=authority.certificate)
        async with httpx.AsyncClient(verify=trusting, trust_env=False) as client:
            assert (await client.get(f"{registry.url}/v2/")).status_code == 200


@contextmanager
def program(*arguments: str) -> Iterator[str]:
    command = [sys.executable, "-m", "watcher.testing.registry", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def test_by_hand_it_prints_its_address_and_is_filled_by_admin_paths() -> None:
    with program("--port", "0", "--repositories", "3", "--tags", "20") as address:
        status, body = get(address, "/_admin/push?repository=acme/web&tag=1.0", "POST")
        assert (status, json.loads(body)["digest"][:7]) == (200, "sha256:")
        assert get(address, "/v2/acme/web/manifests/1.0")[0] == 200
        assert get(address, "/_admin/delete?repository=acme/web&tag=1.0", "POST")[0] == 200
        assert get(address, "/v2/acme/web/manifests/1.0")[0] == 404
        repositories = json.loads(get(address, "/_admin/repositories")[1])["repositories"]
        assert repositories[:2] == ["lab/app-00000", "lab/app-00001"]
        assert len(json.loads(get(address, "/v2/lab/app-00002/tags/list")[1])["tags"]) == 20
        stats = json.loads(get(address, "/_admin/stats")[1])
        assert stats["requests"] == {"manifest": 2, "tags": 1}
        assert stats["statuses"] == {"200": 2, "404": 1}
        assert get(address, "/_admin/reset", "POST")[0] == 200
        assert json.loads(get(address, "/_admin/stats")[1])["requests"] == {}
        assert get(address, "/_admin/push?repository=acme/web", "POST")[0] == 404
        assert get(address, "/_admin/unknown")[0] == 404


def test_by_hand_it_asks_for_tokens_when_it_is_given_a_user() -> None:
    with program("--user", "acme:secret") as address:
        assert get(address, "/v2/")[0] == 401
        assert get(address, "/_admin/revoke", "POST")[0] == 200


def test_by_hand_it_plays_a_kind_of_registry_with_several_users() -> None:
    users = ("--user", "acme:se:cret", "--user", "$oauthtoken:oauth")
    with program("--profile", "quay", *users, "--public", "acme/open") as address:
        for repository in ("acme/open", "acme/web"):
            path = f"/_admin/push?repository={repository}&tag=1.0"
            assert get(address, path, "POST")[0] == 200
        assert get(address, "/api/v1/repository/acme/open/tag/")[0] == 200
        assert get(address, "/api/v1/repository/acme/web/tag/")[0] == 401
        assert json.loads(get(address, "/_admin/stats")[1])["requests"] == {"native": 2}


def test_it_needs_neither_an_http_client_nor_pytest() -> None:
    code = (
        "import sys, watcher.testing.registry;"
        "print([m for m in ('httpx', 'pytest', 'cryptography') if m in sys.modules])"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert output.stdout.strip() == "[]"


@pytest.mark.parametrize("platforms", [(), ("linux/amd64", "linux/arm64")], ids=["image", "index"])
def test_skopeo_takes_it_for_a_registry(tmp_path: Path, platforms: tuple[str, ...]) -> None:
    need("skopeo")
    with FakeRegistry.in_thread(auth=BearerAuth(users={"acme": "secret"})) as registry:
        digest = registry.push("acme/web", "1.0", labels={"team": "web"}, platforms=platforms)
        source = f"docker://{registry.address}/acme/web"
        options = ["--creds", "acme:secret", "--tls-verify=false"]
        listed = skopeo("list-tags", *options, source)
        assert json.loads(listed)["Tags"] == ["1.0"]
        seen = json.loads(skopeo("inspect", *options, f"{source}:1.0"))
        assert (seen["Digest"], seen["Labels"]) == (digest, {"team": "web"})
        copying = ["--all", "--src-creds", "acme:secret", "--src-tls-verify=false"]
        skopeo("copy", *copying, f"{source}@{digest}", f"dir:{tmp_path}")
        copied = (tmp_path / "manifest.json").read_bytes()
        assert sha256(copied) == digest


@pytest.mark.parametrize("name", PROFILES)
def test_skopeo_takes_each_kind_of_registry_for_what_it_plays(name: str) -> None:
    need("skopeo")
    with FakeRegistry.in_thread(profile=PROFILES[name], users={"acme": "secret"}) as registry:
        tags = {f"1.{number}" for number in range(120)}
        for tag in tags:
            digest = registry.push("acme/web", tag)
        source = f"docker://{registry.address}/acme/web"
        options = ["--creds", "acme:secret", "--tls-verify=false"]
        assert tags <= set(json.loads(skopeo("list-tags", *options, source))["Tags"])
        seen = json.loads(skopeo("inspect", "--no-tags", *options, f"{source}:{tag}"))
        assert seen["Digest"] == digest


def skopeo(*arguments: str) -> str:
    command = ["skopeo", "--insecure-policy", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
