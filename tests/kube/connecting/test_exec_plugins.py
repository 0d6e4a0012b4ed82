"""Exec plug-ins: what they are told, how long their answer holds, and how they fail."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.kube.clients import CONFIG_MAP, GET, Time, config_map, connected
from tests.kube.faulty_api import Reply, serving
from tests.kube.identities import (
    GOOD,
    UNAUTHORIZED,
    V1,
    after_401,
    numbered,
    plugin,
    prints,
    refusal,
    runs,
)
from watcher.errors import ClusterError, ClusterFault


async def test_its_token_is_sent_and_kept_until_shortly_before_its_end(tmp_path: Path) -> None:
    time = Time()
    user = plugin(tmp_path, numbered(tmp_path, expires="2026-11-21T08:01:00Z"))
    async with (
        serving(GOOD) as api,
        connected(api.kubeconfig(tmp_path, user), time=time) as client,
    ):
        for seconds in (0, 49, 1, 9, 1):
            time.pass_(seconds)
            await GET(client)
    assert [seen.token for seen in api.requests] == ["t1", "t1", "t2", "t2", "t3"]


async def test_a_token_without_an_end_is_kept_until_it_is_refused(tmp_path: Path) -> None:
    time = Time()
    good = Reply(body=config_map())
    table = {f"GET {CONFIG_MAP}": [good, good, UNAUTHORIZED, good]}
    user = plugin(tmp_path, numbered(tmp_path))
    async with (
        serving(table) as api,
        connected(api.kubeconfig(tmp_path, user), time=time) as client,
    ):
        await GET(client)
        time.pass_(86_400)
        await GET(client)
        await GET(client)
    assert [seen.token for seen in api.requests] == ["t1", "t1", "t1", "t2"]


async def test_a_401_after_the_second_run_is_final(tmp_path: Path) -> None:
    user = plugin(tmp_path, numbered(tmp_path))
    async with (
        serving(after_401()) as api,
        connected(api.kubeconfig(tmp_path, user)) as client,
    ):
        with pytest.raises(ClusterError) as raised:
            await GET(client)
    assert raised.value.fault is ClusterFault.UNAUTHORIZED
    assert (len(api.requests), runs(tmp_path)) == (2, 2)


async def test_many_refused_at_once_run_it_once(tmp_path: Path) -> None:
    async with serving({f"GET {CONFIG_MAP}": [*[UNAUTHORIZED] * 4, *GOOD.values()]}) as api:  # type: ignore[list-item]
        user = plugin(tmp_path, f"sleep 0.2\n{numbered(tmp_path)}")
        async with connected(api.kubeconfig(tmp_path, user)) as client:
            await asyncio.gather(*(GET(client) for _ in range(4)))
    assert runs(tmp_path) == 2
    assert sorted({seen.token for seen in api.requests}) == ["t1", "t2"]


@pytest.mark.parametrize("version", [V1, "client.authentication.k8s.io/v1beta1"])
async def test_it_is_told_what_the_protocol_says(version: str, tmp_path: Path) -> None:
    script = (
        f'cat >"{tmp_path}/stdin"; echo "$KUBERNETES_EXEC_INFO" >"{tmp_path}/info"\n'
        f'echo "$1 $OWN $INHERITED [$NOTIFY_SOCKET]" >"{tmp_path}/said"\n'
        + prints("t", api_version=version)
    )
    user = plugin(
        tmp_path, script, apiVersion=version, args=["get-token"], provideClusterInfo=True,
        env=[{"name": "OWN", "value": "own"}],
    )  # fmt: skip
    environment = {"INHERITED": "yes", "PATH": "/usr/bin:/bin", "NOTIFY_SOCKET": "/run/x"}
    async with serving(GOOD) as api:
        file = api.kubeconfig(tmp_path, user, **{"tls-server-name": "k8s"})
        async with connected(file, environment=environment) as client:
            await GET(client)
    assert (tmp_path / "stdin").read_text() == ""
    assert (tmp_path / "said").read_text() == "get-token own yes []\n"
    assert json.loads((tmp_path / "info").read_text()) == {
        "kind": "ExecCredential",
        "apiVersion": version,
        "spec": {
            "interactive": False,
            "cluster": {"server": api.url, "tls-server-name": "k8s"},
        },
    }


async def test_a_bare_name_is_looked_for_on_the_path(tmp_path: Path) -> None:
    plugin(tmp_path, prints("t"))
    user = {"exec": {"apiVersion": V1, "command": "plugin"}}
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    async with (
        serving(GOOD) as api,
        connected(api.kubeconfig(tmp_path, user), environment=environment) as client,
    ):
        await GET(client)
    assert api.requests[0].token == "t"


async def test_a_token_of_the_user_makes_it_unnecessary(tmp_path: Path) -> None:
    user = {**plugin(tmp_path, prints("t")), "token": "own"}
    async with serving(GOOD) as api, connected(api.kubeconfig(tmp_path, user)) as client:
        await GET(client)
    assert (api.requests[0].token, runs(tmp_path)) == ("own", 0)


@pytest.mark.parametrize(
    ("script", "message", "temporary"),
    [
        pytest.param(
            "echo 'no login: run login' >&2; exit 3",
            "failed with exit code 3: no login: run login", True, id="it fails",
        ),
        pytest.param(
            "echo '{\"token\": \"s3cret-token-1\"}'; echo got s3cret-token-1 >&2; exit 1",
            "failed with exit code 1: got …", True, id="it says its token on stderr",
        ),
        pytest.param(
            "echo password=s3cret >&2; exit 1", "exit code 1: password=…", True,
            id="it says a password on stderr",
        ),
        pytest.param("kill -9 $$", "was ended by signal 9", True, id="it is killed"),
        pytest.param("sleep 60 & sleep 60", "did not end within 0.5 s", True, id="it hangs"),
        pytest.param("yes s3cret", "printed more than 1 MiB", False, id="it prints without end"),
        pytest.param("yes s3cret >&2 & sleep 60", "did not end within 0.5 s", True,
                     id="it complains without end"),
        pytest.param("exec >&- 2>&-; sleep 60", "did not end within 0.5 s", True,
                     id="it closes its outputs and hangs"),
        pytest.param(prints("s3cret").replace('"s3cret"', "5"), "what it holds is no text", False,
                     id="a token that is a number"),
        pytest.param("head -c 200000 /dev/zero | tr '\\0' '['", "it is no ExecCredential", False,
                     id="it prints what is nested too deeply"),
        pytest.param("", "printed what can't be used: it is no ExecCredential", False,
                     id="it prints nothing"),
        pytest.param("echo s3cret", "it is no ExecCredential", False, id="it prints no JSON"),
        pytest.param("echo '[1]'", "it is no ExecCredential", False, id="it prints a list"),
        pytest.param(prints("s3cret", api_version="client.authentication.k8s.io/v1alpha1"),
                     "it is not of client.authentication.k8s.io/v1", False,
                     id="another version"),
        pytest.param(prints(""), "neither a token nor a certificate", False, id="no token"),
        pytest.param(prints("s3cret", expires="soon"), "expirationTimestamp is no time", False,
                     id="an end that is none"),
        pytest.param(prints("s3cret\nx"), "characters that can't be sent", False,
                     id="a token of two lines"),
    ],
)  # fmt: skip
async def test_one_that_fails_is_an_error_and_no_anonymous_request(
    script: str, message: str, temporary: bool, tmp_path: Path
) -> None:
    async with serving(GOOD) as api:
        file = api.kubeconfig(tmp_path, plugin(tmp_path, script))
        error = await refusal(file, plugin_seconds=0.5 if "sleep" in script else 30.0)
    assert "the exec plug-in './plugin'" in str(error)
    assert message in str(error)
    assert error.temporary is temporary
    assert "s3cret" not in f"{error}{error!r}{error.hint}{error.__cause__!r}"
    assert api.requests == []


async def test_a_missing_one_is_named_with_the_way_to_install_it(tmp_path: Path) -> None:
    entry = {"apiVersion": V1, "command": "no-such-plugin", "installHint": "get it from x"}
    async with serving(GOOD) as api:
        error = await refusal(api.kubeconfig(tmp_path, {"exec": entry}))
    assert str(error) == (
        "the exec plug-in 'no-such-plugin' can't be started: No such file or directory"
    )
    assert error.hint == "get it from x"
    assert api.requests == []


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        pytest.param({"apiVersion": V1}, "has no command", id="no command"),
        pytest.param("aws", "has no command", id="a text"),
        pytest.param({"command": "x"}, "speaks None", id="no version"),
        pytest.param({"command": "x", "apiVersion": "client.authentication.k8s.io/v1alpha1"},
                     "speaks client.authentication.k8s.io/v1alpha1", id="an old version"),
        pytest.param({"command": "x", "apiVersion": V1, "interactiveMode": "Always"},
                     "wants a terminal", id="for people"),
        pytest.param({"command": "x", "apiVersion": V1, "args": "x"}, "is no list", id="args"),
        pytest.param({"command": "x", "apiVersion": V1, "env": [{"name": "A"}]},
                     "is no list of name and value", id="env"),
        pytest.param({"command": "x\0", "apiVersion": V1}, "can't be started", id="a zero byte"),
    ],
)  # fmt: skip
async def test_a_wrong_entry_is_an_error(entry: object, message: str, tmp_path: Path) -> None:
    async with serving({}) as api:
        assert message in str(await refusal(api.kubeconfig(tmp_path, {"exec": entry})))


async def test_one_that_fails_later_stops_the_call_that_needs_it(tmp_path: Path) -> None:
    time = Time()
    user = plugin(tmp_path, prints("t", expires="2026-11-21T08:01:00Z"))
    async with (
        serving(GOOD) as api,
        connected(api.kubeconfig(tmp_path, user), time=time) as client,
    ):
        await GET(client)
        plugin(tmp_path, "exit 1")
        time.pass_(60)
        with pytest.raises(ClusterError, match="failed with exit code 1") as raised:
            await GET(client)
    assert raised.value.temporary
    assert [seen.token for seen in api.requests] == ["t"]
