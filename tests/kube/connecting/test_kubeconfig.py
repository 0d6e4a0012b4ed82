"""Which cluster and which user a client takes, and what it refuses to take."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.kube.clients import connected
from tests.kube.faulty_api import FaultyApi
from tests.kube.identities import (
    contexts,
    pod_account,
    refusal,
    write,
)
from tests.registry.certificates import Authority


async def test_the_only_context_is_taken(tmp_path: Path) -> None:
    async with connected(contexts(tmp_path / "k", "a")) as client:
        assert client.namespace == "ns-a"


async def test_of_several_the_named_one_is_taken(tmp_path: Path) -> None:
    async with connected(contexts(tmp_path / "k", "a", "b"), context="b") as client:
        assert client.namespace == "ns-b"


async def test_of_several_the_one_that_happens_to_be_current_is_refused(tmp_path: Path) -> None:
    file = contexts(tmp_path / "k", "b", "a", **{"current-context": "a"})
    error = await refusal(file)
    assert "several contexts" in str(error)
    assert error.hint == "write `context:` with one of a, b"


async def test_the_config_s_namespace_wins_over_the_context_s(tmp_path: Path) -> None:
    async with connected(contexts(tmp_path / "k", "a"), namespace="shop") as client:
        assert client.namespace == "shop"


async def test_without_any_namespace_it_is_default(tmp_path: Path) -> None:
    async with connected(FaultyApi({}).kubeconfig(tmp_path, server="https://x")) as client:
        assert client.namespace == "default"


@pytest.mark.parametrize(
    ("content", "context", "message"),
    [
        pytest.param({}, None, "has no contexts", id="no contexts"),
        pytest.param({}, "x", "has no context 'x'", id="an unknown context"),
        pytest.param(
            {"contexts": [{"name": "x", "context": {"cluster": "c"}}]},
            None, "the context 'x' names the cluster 'c', which does not exist",
            id="an unknown cluster",
        ),
        pytest.param(
            {"contexts": [{"name": "x", "context": {"cluster": "c"}}],
             "clusters": [{"name": "c", "cluster": {"server": "https://c"}}]},
            None, "the context 'x' names no user", id="no user",
        ),
        pytest.param(
            {"contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
             "clusters": [{"name": "c", "cluster": {"server": "https://c"}}]},
            None, "the context 'x' names the user 'u', which does not exist",
            id="an unknown user",
        ),
        pytest.param(
            {"contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
             "clusters": [{"name": "c", "cluster": {}}], "users": [{"name": "u", "user": {}}]},
            None, "the cluster 'c' of the kubeconfig has no server", id="no server",
        ),
        pytest.param({"contexts": [{}]}, None, "an entry of contexts has no name", id="no name"),
        pytest.param({"contexts": "x"}, None, "has no contexts", id="contexts that are a text"),
    ],
)  # fmt: skip
async def test_a_kubeconfig_that_says_too_little_is_no_anonymous_access(
    content: dict[str, Any], context: str | None, message: str, tmp_path: Path
) -> None:
    error = await refusal(write(tmp_path / "k", **content, kind="Config"), context=context)
    assert message in str(error)


async def test_a_missing_kubeconfig_is_named(tmp_path: Path) -> None:
    assert str(tmp_path / "none") in str(await refusal(tmp_path / "none"))


async def test_broken_yaml_is_no_reason_to_show_it(tmp_path: Path) -> None:
    (tmp_path / "k").write_text("users:\n- token: s3cret-token: [")
    error = await refusal(tmp_path / "k")
    assert "is no YAML (line 2)" in str(error)
    assert "s3cret" not in f"{error!r}{error.__cause__!r}"


@pytest.mark.parametrize(
    ("written", "message"),
    [
        pytest.param({"x": "2026-13-45"}, "is no YAML", id="a date that is none"),
        pytest.param({"x": "9" * 6000}, "is no YAML", id="a number without end"),
        pytest.param({"server": "https://me:s3cret@x"}, "no server address", id="a password"),
        pytest.param({"server": "https://x/?a=s3cret"}, "no server address", id="a query"),
        pytest.param({"server": "'https://[::1'"}, "no server address", id="half an address"),
        pytest.param({"server": "https://x:port"}, "no server address", id="a port that is none"),
        pytest.param({"namespace": "5"}, "namespace of the context 'x' is no text", id="a number"),
        pytest.param({"proxy": "bogus-s3cret"}, "the proxy before", id="a proxy that is none"),
    ],
)
async def test_what_nobody_can_use_is_one_line_without_passwords(
    written: dict[str, str], message: str, tmp_path: Path
) -> None:
    proxy = f", proxy-url: {written['proxy']}" if "proxy" in written else ""
    server, namespace = written.get("server", "https://x"), written.get("namespace", "web")
    (tmp_path / "k").write_text(
        f"clusters: [{{name: c, cluster: {{server: {server}{proxy}}}}}]\n"
        "users: [{name: u, user: {token: t}}]\n"
        f"contexts: [{{name: x, context: {{cluster: c, user: u, namespace: {namespace}}}}}]\n"
        f"x: {written.get('x', '')}\n"
    )
    error = await refusal(tmp_path / "k")
    assert message in str(error)
    assert "s3cret" not in f"{error}{error!r}{error.hint}{error.__cause__!r}"


async def test_a_kubeconfig_that_everybody_may_write_is_refused(tmp_path: Path) -> None:
    file = contexts(tmp_path / "k", "a")
    file.chmod(0o666)
    error = await refusal(file)
    assert error.hint == f"run chmod 600 {file}"


async def test_the_environment_names_files_that_are_merged(tmp_path: Path) -> None:
    first, second = contexts(tmp_path / "1", "a"), contexts(tmp_path / "2", "a", "b")
    environment = {"KUBECONFIG": f"{first}:{tmp_path / 'missing'}:{second}"}
    async with connected(None, environment=environment, context="b") as client:
        assert client.namespace == "ns-b"


async def test_a_context_alone_is_looked_for_in_the_usual_kubeconfig(tmp_path: Path) -> None:
    contexts(tmp_path / ".kube" / "config", "a", "b")
    async with connected(None, home=tmp_path, context="b", environment={}) as client:
        assert client.namespace == "ns-b"


async def test_the_pod_s_account_comes_before_the_usual_kubeconfigs(tmp_path: Path) -> None:
    contexts(tmp_path / ".kube" / "config", "a")
    account = pod_account(tmp_path / "sa", Authority(tmp_path, now=datetime.now(UTC)), "t")
    inside = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    options: dict[str, Any] = {"home": tmp_path, "service_account": account}
    async with connected(None, environment=inside, **options) as client:
        assert client.namespace == "team-a"
    async with connected(None, environment={}, **options) as client:
        assert client.namespace == "ns-a"
    named = {"KUBECONFIG": str(contexts(tmp_path / "k", "b"))}
    async with connected(None, environment=named, **options) as client:
        assert client.namespace == "ns-b"
    async with connected(None, environment={**inside, **named}, **options) as client:
        assert client.namespace == "team-a"


@pytest.mark.parametrize(
    ("user", "cluster", "message"),
    [
        pytest.param({"token": "t"}, {"insecure-skip-tls-verify": True},
                     "skips the verification of TLS", id="a token without verification"),
        pytest.param({"tokenFile": "t"}, {"insecure-skip-tls-verify": True},
                     "skips the verification of TLS", id="a token's file likewise"),
        pytest.param({"exec": {"command": "x"}}, {"insecure-skip-tls-verify": True},
                     "skips the verification of TLS", id="a plug-in likewise"),
        pytest.param({"token": "t"}, {"server": "http://c.example"},
                     "would send its credential unencrypted", id="a token over http"),
        pytest.param({"token": "t", "as": "root"}, {}, "impersonates another", id="as"),
        pytest.param({"auth-provider": {"name": "oidc"}}, {}, "has an auth-provider",
                     id="an auth-provider"),
        pytest.param({"token": "t"}, {"certificate-authority": "none"}, "does not exist",
                     id="an authority that is not there"),
        pytest.param({"token": "t"}, {"certificate-authority-data": "%"}, "is not base64",
                     id="an authority that is no base64"),
    ],
)  # fmt: skip
async def test_what_can_t_be_honoured_or_is_not_safe(
    user: dict[str, Any], cluster: dict[str, Any], message: str, tmp_path: Path
) -> None:
    file = FaultyApi({}).kubeconfig(tmp_path, user, **{"server": "https://c.example", **cluster})
    assert message in str(await refusal(file))


async def test_what_the_environment_of_the_process_says_of_kubeconfigs_is_not_believed(
    tmp_path: Path,
) -> None:
    error = await refusal(None, environment={}, home=tmp_path)
    assert str(tmp_path / ".kube" / "config") in str(error)


def test_importing_the_client_loads_neither_the_official_one_nor_its_libraries() -> None:
    program = (
        "import sys, watcher.kube.client\n"
        "heavy = {'kubernetes', 'urllib3', 'yaml', 'requests', 'pydantic'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
