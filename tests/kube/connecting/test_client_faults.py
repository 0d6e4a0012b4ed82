"""What the client makes of servers that throttle, break, hang or are none."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.kube.clients import (
    APPLY,
    COLLECTION,
    CONFIG_MAP,
    CONFIG_MAPS,
    CREATE,
    DELETE,
    DELETE_UID,
    GET,
    GOOD,
    METHODS,
    PATCH,
    PATCH_FENCED,
    PATCH_JSON_FENCED,
    SHORT,
    TRY_CREATE,
    Call,
    Time,
    config_map,
    connected,
    everywhere,
    outcome,
    patching,
)
from tests.kube.faulty_api import (
    Behaviour,
    Drip,
    FaultyApi,
    Hang,
    Reply,
    Reset,
    closed_port,
    refused,
    serving,
)
from tests.registry.certificates import Authority
from watcher.errors import ClusterError, ClusterFault
from watcher.kube.client import MOST_PAGES
from watcher.kube.connecting.transport import BODY_LIMIT

F = ClusterFault
BUSY = refused(503, "ServiceUnavailable", "busy")
THROTTLED = refused(429, "TooManyRequests", "slow down")


@pytest.mark.parametrize("name", METHODS)
async def test_a_throttled_request_waits_as_long_as_asked_and_is_sent_again(
    name: str, tmp_path: Path
) -> None:
    clock = Time()
    asked = Reply(status=429, body=THROTTLED.body, headers={"Retry-After": "2"})
    async with serving(everywhere(asked, GOOD)) as api:
        result = await outcome(api, tmp_path, METHODS[name], clock)
    assert not isinstance(result, ClusterError)
    assert (clock.slept, len(api.requests)) == ([2.0], 2)


@pytest.mark.parametrize(
    ("call", "requests"),
    [
        pytest.param(GET, 5, id="a read"),
        pytest.param(APPLY, 5, id="an apply"),
        pytest.param(DELETE_UID, 5, id="a delete of one very object"),
        pytest.param(PATCH_FENCED, 5, id="a patch for one version"),
        pytest.param(PATCH_JSON_FENCED, 5, id="a JSON patch for one version"),
        pytest.param(TRY_CREATE, 5, id="a dry run of a create"),
        pytest.param(patching({"a": 1}, dry_run=True), 5, id="a dry run of a patch"),
        pytest.param(DELETE, 1, id="a delete by name"),
        pytest.param(PATCH, 1, id="a patch"),
        pytest.param(CREATE, 1, id="a create"),
    ],
)
@pytest.mark.parametrize("fault", [BUSY, Reset()], ids=["503", "a reset"])
async def test_only_what_may_happen_twice_is_sent_again_when_the_answer_is_lost(
    call: Call, requests: int, fault: Behaviour, tmp_path: Path
) -> None:
    async with serving(everywhere(fault)) as api:
        result = await outcome(api, tmp_path, call, Time())
    assert isinstance(result, ClusterError)
    assert (result.fault, result.temporary) == (F.UNAVAILABLE, True)
    assert result.about == "configmap/a in namespace shop"
    assert len(api.requests) == requests


@pytest.mark.parametrize("fault", [BUSY, Reset(), THROTTLED], ids=["503", "a reset", "429"])
async def test_an_apply_gets_through_when_the_trouble_passes(
    fault: Behaviour, tmp_path: Path
) -> None:
    clock = Time()
    async with serving(everywhere(fault, fault, GOOD)) as api:
        result = await outcome(api, tmp_path, APPLY, clock)
    assert result.object == config_map()
    first, second = clock.slept
    assert 0.125 <= first <= 0.375
    assert 0.25 <= second <= 0.75


@pytest.mark.parametrize("name", METHODS)
async def test_what_never_reached_the_server_is_sent_again_whatever_it_is(
    name: str, tmp_path: Path
) -> None:
    clock = Time()
    with closed_port() as port:
        api = FaultyApi({})
        api.url = f"http://127.0.0.1:{port}"
        async with connected(api.kubeconfig(tmp_path), time=clock) as client:
            with pytest.raises(ClusterError, match=r"to [\d.:]+: Connection") as raised:
                await METHODS[name](client)
    assert (raised.value.fault, raised.value.temporary) == (F.UNAVAILABLE, True)
    assert "can it be reached" in str(raised.value.hint)
    assert (client.sent, len(clock.slept)) == (5, 4)


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(refused(400, "BadRequest", "no"), id="400"),
        pytest.param(refused(403, "Forbidden", "no"), id="403"),
        pytest.param(refused(404, "NotFound", "the server could not find"), id="404"),
        pytest.param(refused(409, "Conflict", "modified"), id="409"),
        pytest.param(refused(422, "Invalid", "no"), id="422"),
        pytest.param(refused(500, "", "failed to create typed patch object"), id="500, invalid"),
        pytest.param(Reply(status=302, headers={"location": "http://127.0.0.1:1/"}), id="302"),
    ],
)
async def test_a_refusal_is_final(reply: Reply, tmp_path: Path) -> None:
    clock = Time()
    async with serving(everywhere(reply)) as api:
        result = await outcome(api, tmp_path, APPLY, clock)
    assert isinstance(result, ClusterError)
    assert (len(api.requests), clock.slept) == (1, [])


async def test_a_race_to_create_by_apply_is_run_again(tmp_path: Path) -> None:
    exists = refused(409, "AlreadyExists", "configmaps already exists")
    async with serving(everywhere(exists, GOOD)) as api:
        assert (await outcome(api, tmp_path, APPLY, Time())).object == config_map()
    async with serving(everywhere(exists)) as api:
        assert (await outcome(api, tmp_path, CREATE, Time())).fault is F.EXISTS
    assert len(api.requests) == 1


async def test_a_wait_that_the_server_asks_for_is_bounded(tmp_path: Path) -> None:
    clock = Time()
    asked = Reply(status=503, body=BUSY.body, headers={"Retry-After": "3600"})
    async with serving(everywhere(asked, GOOD)) as api:
        await outcome(api, tmp_path, APPLY, clock)
    assert clock.slept == [30.0]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        pytest.param(Hang(), "did not answer in time", id="a hang"),
        pytest.param(Drip(0.05), "did not answer in time", id="a body byte by byte"),
        pytest.param(
            Drip(0.05, b"HTTP/1.1 200 OK\r\nx: "), "did not answer in time", id="headers likewise"
        ),
        pytest.param(
            Reply(body=config_map(), length=9999), "without a whole answer", id="half an answer"
        ),
        pytest.param(Reset(), "closed the connection", id="a reset"),
    ],
)
async def test_a_server_that_breaks_off_or_hangs_is_given_up(
    fault: Behaviour, message: str, tmp_path: Path
) -> None:
    started = time.monotonic()
    async with serving(everywhere(fault)) as api:
        result = await outcome(api, tmp_path, PATCH, Time(), patience=SHORT)
    assert isinstance(result, ClusterError)
    assert message in str(result)
    assert (result.fault, len(api.requests)) == (F.UNAVAILABLE, 1)
    assert time.monotonic() - started < 10


async def test_time_outs_are_not_multiplied_behind_our_back(tmp_path: Path) -> None:
    started = time.monotonic()
    async with serving(everywhere(Hang())) as api:
        await outcome(api, tmp_path, GET, Time(), patience=SHORT)
    assert len(api.requests) == 5
    assert time.monotonic() - started < 5 * SHORT.read.read + 5


async def test_a_call_that_is_cancelled_ends_at_once(tmp_path: Path) -> None:
    async with (
        serving(everywhere(Hang())) as api,
        connected(api.kubeconfig(tmp_path)) as client,
    ):
        started = time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await APPLY(client)
        assert time.monotonic() - started < 5


async def test_a_server_that_hangs_does_not_keep_the_process_from_ending(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys, pathlib\n"
        "from watcher.core.cluster import Cluster\n"
        "from watcher.kube.client import ClusterClient\n"
        "async def main():\n"
        "    cluster = Cluster(name='x', kubeconfig=pathlib.Path(sys.argv[1]))\n"
        "    client = await ClusterClient.connect(cluster, environment={})\n"
        "    asyncio.get_running_loop().create_task(client.version())\n"
        "    await asyncio.sleep(0.3)\n"
        "asyncio.run(main())\n"
    )
    async with serving({"GET /version": Hang()}) as api:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, str(api.kubeconfig(tmp_path)),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        started = time.monotonic()
        said, _ = await process.communicate()
    assert (process.returncode, said.decode()) == (0, "")
    assert api.paths == ["/version"]
    assert time.monotonic() - started < 9


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(
            Reply(body=b"<html>log in</html>", headers={"content-type": "text/html"}), id="HTML"
        ),
        pytest.param(Reply(body=b""), id="nothing"),
        pytest.param(Reply(body={"kind": "Secret", "metadata": {}}), id="another kind"),
        pytest.param(Reply(body=["ConfigMap"]), id="a list"),
        pytest.param(
            Reply(body=b"\x1f\x8b", headers={"content-encoding": "gzip"}), id="compressed"
        ),
    ],
)
@pytest.mark.parametrize("name", ["get", "apply", "create", "patch"])
async def test_an_answer_with_200_that_is_no_object_of_ours_is_no_success(
    name: str, reply: Reply, tmp_path: Path
) -> None:
    async with serving(everywhere(reply)) as api:
        result = await outcome(api, tmp_path, METHODS[name], Time())
    assert isinstance(result, ClusterError)
    assert result.fault is F.NOT_KUBERNETES
    assert len(api.requests) == 1


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(DELETE, id="delete"),
        pytest.param(lambda client: client.version(), id="version"),
        pytest.param(lambda client: client.allowed({"verb": "get"}), id="allowed"),
        pytest.param(lambda client: client.list(CONFIG_MAPS, "shop"), id="list"),
        pytest.param(lambda client: client.pod_log("shop", "p", "c"), id="log"),
    ],
)
async def test_no_method_takes_a_login_page_for_an_answer(call: Call, tmp_path: Path) -> None:
    page = Reply(body=b"<html>", headers={"content-type": "text/html"})
    table = {
        f"DELETE {CONFIG_MAP}": page,
        "GET /version": page,
        "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews": page,
        f"GET {COLLECTION}": page,
        "GET /api/v1/namespaces/shop/pods/p/log": page,
    }
    async with serving(table) as api:
        result = await outcome(api, tmp_path, call, Time())
    assert isinstance(result, ClusterError)
    assert result.fault is F.NOT_KUBERNETES


async def test_an_answer_without_end_is_cut_off(tmp_path: Path) -> None:
    huge = Reply(body=b" " * (BODY_LIMIT + 1))
    async with serving(everywhere(huge)) as api:
        result = await outcome(api, tmp_path, GET, Time())
    assert result.fault is F.NOT_KUBERNETES
    assert str(result).endswith("the answer is larger than 64 MiB")


async def test_a_list_without_end_is_given_up(tmp_path: Path) -> None:
    page = Reply(body={"kind": "ConfigMapList", "metadata": {"continue": "x"}, "items": []})
    async with serving({"GET /api/v1/namespaces/shop/configmaps": page}) as api:
        result = await outcome(api, tmp_path, lambda c: c.list(CONFIG_MAPS, "shop"), Time())
        assert len(api.requests) == MOST_PAGES
    assert result.fault is F.NOT_KUBERNETES


async def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    async with serving(everywhere(GOOD)) as other:
        away = Reply(status=307, headers={"location": f"{other.url}{CONFIG_MAP}"})
        async with serving(everywhere(away)) as api:
            result = await outcome(api, tmp_path, GET, Time())
    assert result.fault is F.NOT_KUBERNETES
    assert other.requests == []


async def test_never_more_than_four_requests_at_once(tmp_path: Path) -> None:
    async with (
        serving({f"GET {CONFIG_MAP}": Hang()}) as api,
        connected(api.kubeconfig(tmp_path)) as client,
    ):
        calls = [asyncio.create_task(client.get(CONFIG_MAPS, "shop", "a")) for _ in range(9)]
        async with asyncio.timeout(10):
            while len(api.requests) < 4:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert len(api.requests) == 4
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)


async def test_a_host_name_that_can_t_be_resolved_is_named(tmp_path: Path) -> None:
    api = FaultyApi({})
    api.url = "https://no-such-host.invalid"
    result = await outcome_unsent(api, tmp_path)
    assert (result.fault, result.temporary) == (F.UNAVAILABLE, True)
    assert "the host name of no-such-host.invalid can't be resolved" in str(result)


async def test_tls_against_a_plain_server_says_so(tmp_path: Path) -> None:
    async with raw_server(b"HTTP/1.0 400 Bad Request\r\n\r\n") as api:
        result = await outcome_unsent(api, tmp_path)
    assert result.fault is F.CONFIGURATION
    assert "does not speak TLS" in str(result)


@pytest.mark.parametrize(
    ("host", "expired", "trusted", "message"),
    [
        pytest.param("127.0.0.1", True, True, "certificate has expired", id="an expired one"),
        pytest.param("127.0.0.1", False, False, "unable to get local issuer", id="of a stranger"),
        pytest.param("10.0.0.1", False, True, "IP address mismatch", id="of another server"),
    ],
)
async def test_a_server_certificate_that_is_not_right_is_for_the_operator(
    host: str, expired: bool, trusted: bool, message: str, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    authority = Authority(tmp_path, now=now)
    other = Authority(tmp_path, now=now, name="Other authority")
    async with serving({}, context=authority.server_context(host, expired=expired)) as api:
        ca = (authority if trusted else other).certificate
        result = await outcome_unsent(api, tmp_path, **{"certificate-authority": str(ca)})
    assert (result.fault, result.temporary) == (F.CONFIGURATION, False)
    assert message in str(result)
    assert "the certificate of 127.0.0.1:" in str(result)
    assert api.requests == []


async def test_a_server_that_breaks_off_tls_is_asked_again(tmp_path: Path) -> None:
    clock = Time()
    async with (
        raw_server(b"") as api,
        connected(api.kubeconfig(tmp_path), time=clock) as client,
    ):
        with pytest.raises(ClusterError) as raised:
            await GET(client)
    assert (raised.value.fault, len(clock.slept)) == (F.UNAVAILABLE, 4)


@asynccontextmanager
async def raw_server(answer: bytes) -> AsyncIterator[FaultyApi]:
    """A port whose server says `answer` to whatever comes, and ends; as if it spoke TLS."""

    async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(answer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    api = FaultyApi({})
    server = await asyncio.start_server(answered, "127.0.0.1", 0)
    api.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield api


async def outcome_unsent(api: FaultyApi, tmp_path: Path, **cluster: Any) -> ClusterError:
    async with connected(api.kubeconfig(tmp_path, **cluster)) as client:
        with pytest.raises(ClusterError) as raised:
            await GET(client)
    return raised.value
