"""Who the client is to a server, and how that is renewed while it runs."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import ssl
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.kube.clients import CONFIG_MAP, GET, Time, config_map, connected
from tests.kube.faulty_api import Reply, Table, serving
from tests.kube.identities import (
    GOOD,
    LOOPBACK,
    UNAUTHORIZED,
    V1,
    after_401,
    plugin,
    pod_account,
    pod_environment,
    refusal,
    runs,
)
from tests.registry.certificates import Authority
from watcher.errors import ClusterError, ClusterFault


async def test_a_token_is_sent_as_it_stands_in_the_kubeconfig(tmp_path: Path) -> None:
    async with (
        serving(GOOD) as api,
        connected(api.kubeconfig(tmp_path, {"token": "abc"})) as client,
    ):
        await GET(client)
    assert [seen.token for seen in api.requests] == ["abc"]


async def test_a_name_and_a_password_are_sent(tmp_path: Path) -> None:
    user = {"username": "bob", "password": "pässword"}
    async with serving(GOOD) as api, connected(api.kubeconfig(tmp_path, user)) as client:
        await GET(client)
    sent = api.requests[0].headers["authorization"].removeprefix("Basic ")
    assert base64.b64decode(sent).decode() == "bob:pässword"


async def test_a_token_s_file_wins_over_the_token_and_loses_its_newline(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file\n")
    user = {"token": "inline", "tokenFile": "token"}
    async with serving(GOOD) as api, connected(api.kubeconfig(tmp_path, user)) as client:
        await GET(client)
    assert api.requests[0].token == "from-file"


async def test_a_token_s_file_is_read_again_after_a_minute(tmp_path: Path) -> None:
    token, time = tmp_path / "token", Time()
    token.write_text("one")
    async with (
        serving(GOOD) as api,
        connected(api.kubeconfig(tmp_path, {"tokenFile": "token"}), time=time) as client,
    ):
        await GET(client)
        token.write_text("two")
        await GET(client)
        time.pass_(60)
        await GET(client)
    assert [seen.token for seen in api.requests] == ["one", "one", "two"]


async def test_a_rotated_token_is_read_when_the_old_one_is_refused(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("one")
    async with (
        serving(after_401(Reply(body=config_map()))) as api,
        connected(api.kubeconfig(tmp_path, {"tokenFile": "token"})) as client,
    ):
        token.write_text("two")
        assert await GET(client) == config_map()
    assert [seen.token for seen in api.requests] == ["one", "two"]


@pytest.mark.parametrize("rotated", [True, False])
async def test_a_token_that_stays_refused_ends_without_a_storm(
    rotated: bool, tmp_path: Path
) -> None:
    token, time = tmp_path / "token", Time()
    token.write_text("one")
    async with (
        serving(after_401()) as api,
        connected(api.kubeconfig(tmp_path, {"tokenFile": "token"}), time=time) as client,
    ):
        if rotated:
            token.write_text("two")
        with pytest.raises(ClusterError) as raised:
            await GET(client)
    assert (raised.value.fault, raised.value.temporary) == (ClusterFault.UNAUTHORIZED, False)
    assert (len(api.requests), time.slept) == (2 if rotated else 1, [])


async def test_a_token_of_the_kubeconfig_itself_is_not_tried_twice(tmp_path: Path) -> None:
    async with serving(after_401()) as api, connected(api.kubeconfig(tmp_path)) as client:
        with pytest.raises(ClusterError, match="does not accept the credential"):
            await GET(client)
    assert len(api.requests) == 1


async def test_a_token_s_file_that_is_gone_for_a_while_stops_nothing_until_a_401(
    tmp_path: Path,
) -> None:
    token, time, good = tmp_path / "token", Time(), Reply(body=config_map())
    token.write_text("one")
    table: Table = {f"GET {CONFIG_MAP}": [good, UNAUTHORIZED]}
    async with (
        serving(table) as api,
        connected(api.kubeconfig(tmp_path, {"tokenFile": "token"}), time=time) as client,
    ):
        token.unlink()
        time.pass_(61)
        await GET(client)
        with pytest.raises(ClusterError, match="can't be read: No such file") as raised:
            await GET(client)
    assert raised.value.fault is ClusterFault.CONFIGURATION
    assert [seen.token for seen in api.requests] == ["one", "one"]


async def test_a_kubeconfig_that_was_renewed_is_read_when_the_old_token_is_refused(
    tmp_path: Path,
) -> None:
    async with (
        serving(after_401(Reply(body=config_map()))) as api,
        connected(api.kubeconfig(tmp_path, {"token": "one"})) as client,
    ):
        api.kubeconfig(tmp_path, {"token": "two"})
        assert await GET(client) == config_map()
    assert [seen.token for seen in api.requests] == ["one", "two"]


async def test_a_token_for_another_server_is_not_sent_to_the_old_one(tmp_path: Path) -> None:
    async with (
        serving(after_401(Reply(body=config_map()))) as api,
        connected(api.kubeconfig(tmp_path, {"token": "one"})) as client,
    ):
        api.kubeconfig(tmp_path, {"token": "two"}, server="https://other.example")
        with pytest.raises(ClusterError, match="leads to another server now") as raised:
            await GET(client)
    assert raised.value.fault is ClusterFault.CONFIGURATION
    assert [seen.token for seen in api.requests] == ["one"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "holds no token", id="empty"),
        pytest.param(b" \n", "holds no token", id="blank"),
        pytest.param(b"s3cret\nX-Injected: 1", "characters that can't be sent", id="lines"),
        pytest.param("s3cret-ü".encode(), "characters that can't be sent", id="not ASCII"),
        pytest.param(None, "can't be read: No such file", id="missing"),
    ],
)
async def test_a_token_that_can_t_be_sent_is_never_shown(
    content: bytes | None, message: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    async with serving({}) as api:
        error = await refusal(api.kubeconfig(tmp_path, {"tokenFile": "token"}))
    assert message in str(error)
    assert "s3cret" not in f"{error}{error!r}{error.hint}"
    assert api.requests == []


async def test_its_token_is_read_again_after_a_minute_and_on_a_401(tmp_path: Path) -> None:
    authority, time = Authority(tmp_path, now=datetime.now(UTC)), Time()
    account = pod_account(tmp_path / "sa", authority, "one\n")
    good = Reply(body=config_map())
    table = {f"GET {CONFIG_MAP}": [good, good, UNAUTHORIZED, good]}
    async with (
        serving(table, context=authority.server_context(LOOPBACK)) as api,
        connected(
            None, time=time, environment=pod_environment(api), service_account=account
        ) as client,
    ):
        await GET(client)
        (account / "token").write_text("two\n")
        time.pass_(61)
        await GET(client)
        (account / "token").write_text("three\n")
        await GET(client)
    assert [seen.token for seen in api.requests] == ["one", "two", "two", "three"]
    assert client.namespace == "team-a"


@pytest.mark.parametrize("lacking", ["ca.crt", "KUBERNETES_SERVICE_PORT"])
async def test_an_account_that_is_not_whole_is_an_error(lacking: str, tmp_path: Path) -> None:
    account = pod_account(tmp_path / "sa", Authority(tmp_path, now=datetime.now(UTC)), "t")
    environment = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    environment.pop(lacking, None)
    (account / lacking).unlink(missing_ok=True)
    error = await refusal(None, environment=environment, service_account=account)
    assert "the pod's service account can't be used" in str(error)


def server(authority: Authority) -> ssl.SSLContext:
    context = authority.server_context(LOOPBACK)
    context.load_verify_locations(authority.certificate)
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


@pytest.mark.parametrize("inline", [True, False], ids=["inline", "by path"])
async def test_a_client_certificate_is_shown_to_the_server(inline: bool, tmp_path: Path) -> None:
    authority = Authority(tmp_path, now=datetime.now(UTC))
    pem = authority.issue_client("bob")
    data = base64.b64encode(pem.read_bytes()).decode()
    ca = base64.b64encode(authority.certificate.read_bytes()).decode()
    user = (
        {"client-certificate-data": data, "client-key-data": data}
        if inline
        else {"client-certificate": pem.name, "client-key": pem.name}
    )
    cluster = (
        {"certificate-authority-data": ca}
        if inline
        else {"certificate-authority": authority.certificate.name}
    )
    async with (
        serving(GOOD, context=server(authority)) as api,
        connected(api.kubeconfig(tmp_path, user, **cluster), now=_now) as client,
    ):
        await GET(client)
    assert api.requests[0].subject == "bob"


async def test_a_replaced_file_is_read_when_the_old_one_is_refused(tmp_path: Path) -> None:
    authority = Authority(tmp_path, now=datetime.now(UTC))
    pem = authority.issue_client("old")
    user = {"client-certificate": str(pem), "client-key": str(pem)}
    cluster = {"certificate-authority": str(authority.certificate)}
    table = after_401(Reply(body=config_map()))
    async with (
        serving(table, context=server(authority)) as api,
        connected(api.kubeconfig(tmp_path, user, **cluster), now=_now) as client,
    ):
        pem.write_bytes(authority.issue_client("new").read_bytes())
        await GET(client)
    assert [seen.subject for seen in api.requests] == ["old", "new"]


async def test_a_plug_in_s_certificate_is_replaced_with_its_connections(tmp_path: Path) -> None:
    authority = Authority(tmp_path, now=datetime.now(UTC))
    for name in ("one", "two"):
        text = authority.issue_client(name).read_text()
        status = {"clientCertificateData": text, "clientKeyData": text}
        credential = {"apiVersion": V1, "kind": "ExecCredential", "status": status}
        (tmp_path / name).write_text(json.dumps(credential))
    user = plugin(tmp_path, f"cd {tmp_path}; [ $(wc -l <runs) = 1 ] && cat one || cat two")
    cluster = {"certificate-authority": str(authority.certificate)}
    table = after_401(Reply(body=config_map()))
    async with (
        serving(table, context=server(authority)) as api,
        connected(api.kubeconfig(tmp_path, user, **cluster), now=_now) as client,
    ):
        await GET(client)
    assert [seen.subject for seen in api.requests] == ["one", "two"]


async def test_a_plug_in_s_certificate_is_replaced_before_it_ends(tmp_path: Path) -> None:
    authority = Authority(tmp_path, now=datetime(2026, 11, 21, 8, 0, tzinfo=UTC))
    text = authority.issue_client("bob").read_text()  # for five days
    status = {"clientCertificateData": text, "clientKeyData": text}
    credential = {"apiVersion": V1, "kind": "ExecCredential", "status": status}
    user = plugin(tmp_path, f"cat <<'END'\n{json.dumps(credential)}\nEND")
    time = Time()
    async with (
        serving(GOOD) as api,
        connected(api.kubeconfig(tmp_path, user), time=time) as client,
    ):
        time.pass_(5 * 86_400 - 11)
        await GET(client)
        assert runs(tmp_path) == 1
        time.pass_(1)
        await GET(client)
    assert runs(tmp_path) == 2


async def test_an_expired_one_is_named_before_anything_is_sent(tmp_path: Path) -> None:
    authority = Authority(tmp_path, now=datetime(2026, 11, 21, 8, 0, tzinfo=UTC))
    pem = authority.issue_client("bob", expired=True)
    user = {"client-certificate": str(pem), "client-key": str(pem)}
    async with serving(GOOD) as api:
        error = await refusal(api.kubeconfig(tmp_path, user))
    address = api.url.removeprefix("http://")
    assert str(error) == (f"the client certificate for {address} expired on 2026-11-20 08:00 UTC")
    assert api.requests == []


async def test_one_that_ends_while_we_run_is_named_instead_of_a_401(tmp_path: Path) -> None:
    authority = Authority(tmp_path, now=datetime(2026, 11, 21, 8, 0, tzinfo=UTC))
    pem = authority.issue_client("bob")
    user = {"client-certificate": str(pem), "client-key": str(pem)}
    time = Time()
    async with (
        serving(after_401()) as api,
        connected(api.kubeconfig(tmp_path, user), time=time) as client,
    ):
        time.pass_(6 * 86_400)
        with pytest.raises(ClusterError, match="expired on 2026-11-26") as raised:
            await GET(client)
    assert raised.value.fault is ClusterFault.CONFIGURATION


@pytest.mark.parametrize(
    ("user", "message"),
    [
        pytest.param({"client-certificate": "none", "client-key": "none"},
                     "none can't be read: No such file", id="missing files"),
        pytest.param({"client-certificate-data": "%%", "client-key-data": "%%"},
                     "client-certificate-data of the kubeconfig is not base64", id="no base64"),
        pytest.param({"client-certificate-data": "QQ=="}, "holds no credential", id="no key"),
        pytest.param({}, "the user 'u' of the kubeconfig holds no credential", id="nothing"),
    ],
)  # fmt: skip
async def test_one_that_is_not_whole_is_no_anonymous_access(
    user: dict[str, Any], message: str, tmp_path: Path
) -> None:
    async with serving(GOOD) as api:
        assert message in str(await refusal(api.kubeconfig(tmp_path, user)))


async def test_one_that_is_no_certificate_is_an_error(tmp_path: Path) -> None:
    authority = Authority(tmp_path, now=datetime.now(UTC))
    user = {"client-certificate-data": "QQ==", "client-key-data": "QQ=="}
    async with (
        serving(GOOD, context=server(authority)) as api,
        connected(api.kubeconfig(tmp_path, user)) as client,
    ):
        with pytest.raises(ClusterError, match="can't be used") as raised:
            await GET(client)
    assert raised.value.fault is ClusterFault.CONFIGURATION


async def test_no_key_is_written_to_a_directory(tmp_path: Path) -> None:
    """The official loader would leave it in the temporary directory when the process is killed."""
    authority = Authority(tmp_path, now=datetime.now(UTC))
    data = base64.b64encode(authority.issue_client("bob").read_bytes()).decode()
    ca = base64.b64encode(authority.certificate.read_bytes()).decode()
    user = {"client-certificate-data": data, "client-key-data": data}
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    program = (
        "import asyncio, os, pathlib, sys\n"
        "from watcher.core.cluster import Cluster\n"
        "from watcher.kube.client import ClusterClient\n"
        "async def main():\n"
        "    cluster = Cluster(name='x', kubeconfig=pathlib.Path(sys.argv[1]))\n"
        "    client = await ClusterClient.connect(cluster, environment={})\n"
        "    print(await client.version(), os.listdir(os.environ['TMPDIR']))\n"
        "asyncio.run(main())\n"
    )
    table = {"GET /version": Reply(body={"gitVersion": "v1"})}
    async with serving(table, context=server(authority)) as api:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            program,
            str(api.kubeconfig(tmp_path, user, **{"certificate-authority-data": ca})),
            stdout=subprocess.PIPE,
            env={**os.environ, "TMPDIR": str(temporary)},
        )
        said, _ = await process.communicate()
    assert said.decode() == "v1 []\n"
    assert api.requests[0].subject == "bob"


def _now() -> datetime:
    return datetime.now(UTC)
