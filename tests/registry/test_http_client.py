"""What the two engines of HTTP have in common: errors in our words, proxies, addresses, imports."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.registry.certificates import Authority
from tests.registry.h2_server import Say, running_h2
from tests.registry.proxies import Proxy
from watcher.core.account import Timeouts, Tls
from watcher.errors import ProtocolError, ProxyError, TlsError, TransportError
from watcher.http_client import (
    BrokenConnection,
    Connections,
    Headers,
    HttpSettings,
    Reply,
    is_broken_connection,
    translate,
)
from watcher.testing.registry import FakeRegistry

HOST = "registry.example"
ENGINES = pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, now=datetime.now(UTC))


@asynccontextmanager
async def serving(http2: bool, context: ssl.SSLContext) -> AsyncIterator[str]:
    """The URL of a server that answers 200 to `/v2/`."""
    if http2:
        async with running_h2(context) as h2:
            h2.otherwise = Say()
            yield h2.url
    else:
        async with FakeRegistry(tls=context) as registry:
            yield registry.url


@asynccontextmanager
async def saying(answer: bytes) -> AsyncIterator[str]:
    """The URL of a plain server that says these bytes to each request, and goes on reading until
    the client closes the connection."""
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        with suppress(ConnectionError):
            while (await reader.readline()).strip():
                pass
            writer.write(answer)
            await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            async with asyncio.timeout(5):
                await asyncio.gather(*serving)


@contextmanager
def demanding(context: ssl.SSLContext, http2: bool) -> Iterator[str]:
    """The URL of a server that wants a client certificate, and says so when it gets none. (One of
    asyncio would close the connection without a word.)"""
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(["h2" if http2 else "http/1.1"])
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            plain, _ = listener.accept()
            plain.settimeout(5)
            with plain.dup() as open_until_read, suppress(OSError):
                with suppress(ssl.SSLError), context.wrap_socket(plain, server_side=True) as secure:
                    secure.recv(65536)
                while open_until_read.recv(65536):
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"https://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            thread.join(timeout=10)


@asynccontextmanager
async def connecting(
    *,
    tls: Tls | None = None,
    http2: bool = False,
    proxy: str | None = None,
    timeouts: Timeouts | None = None,
) -> AsyncIterator[Connections]:
    settings = HttpSettings(
        tls=tls or Tls(), proxy=proxy, timeouts=timeouts or Timeouts(), http2=http2
    )
    connections = Connections(settings, environment={})
    try:
        yield connections
    finally:
        await connections.aclose()


async def get(connections: Connections, url: str, method: str = "GET") -> Reply:
    return await connections.exchange(method, url, [], cap=100_000, host=HOST)


# Errors of real connections.


@ENGINES
@pytest.mark.parametrize(
    "version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["tls 1.2", "tls 1.3"]
)
async def test_a_client_certificate_that_the_server_does_not_take_is_named(
    authority: Authority, tmp_path: Path, http2: bool, version: ssl.TLSVersion
) -> None:
    """With TLS 1.3 the refusal comes after the handshake, in place of an answer."""
    context = authority.server_context("127.0.0.1")
    context.maximum_version = version
    context.load_verify_locations(authority.certificate)
    own = Authority(tmp_path, now=datetime.now(UTC), name="Another").issue_client("watcher")
    tls = Tls(ca_file=authority.certificate, client_cert=own, client_key=own)
    with demanding(context, http2) as url:
        async with connecting(tls=tls, http2=http2) as connections:
            with pytest.raises(TlsError, match="refused the client certificate") as caught:
                await get(connections, f"{url}/v2/")
    assert not is_broken_connection(caught.value.__cause__)


@ENGINES
async def test_a_server_that_wants_a_client_certificate_is_told_from_a_broken_connection(
    authority: Authority, http2: bool
) -> None:
    context = authority.server_context("127.0.0.1")
    context.load_verify_locations(authority.certificate)
    with demanding(context, http2) as url:
        tls = Tls(ca_file=authority.certificate)
        async with connecting(tls=tls, http2=http2) as connections:
            with pytest.raises(TlsError, match="wants a client certificate") as caught:
                await get(connections, f"{url}/v2/")
    assert "client_cert" in (caught.value.hint or "")
    assert not is_broken_connection(caught.value.__cause__)


@ENGINES
async def test_a_client_certificate_is_shown(authority: Authority, http2: bool) -> None:
    context = authority.server_context("127.0.0.1")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.certificate)
    own = authority.issue_client("watcher")
    tls = Tls(ca_file=authority.certificate, client_cert=own, client_key=own)
    async with serving(http2, context) as url, connecting(tls=tls, http2=http2) as connections:
        assert (await get(connections, f"{url}/v2/")).status == 200


@ENGINES
async def test_a_name_that_does_not_exist_is_named(http2: bool) -> None:
    async with connecting(http2=http2) as connections:
        with pytest.raises(TransportError, match="the name nowhere"):
            await get(connections, "https://nowhere.invalid/v2/")


@ENGINES
async def test_who_does_not_take_the_connection_is_given_up_while_connecting(
    http2: bool,
) -> None:
    """A listener whose queue is full answers no further handshake."""
    timeouts = Timeouts(connect=timedelta(seconds=0.3))
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for waiting in (first, second):
            waiting.settimeout(0)
            waiting.connect_ex(listener.getsockname())
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/v2/"
        async with connecting(http2=http2, timeouts=timeouts) as connections:
            with pytest.raises(TransportError, match="connecting to"):
                await get(connections, url)


async def test_the_whole_exchange_has_a_limit_of_its_own() -> None:
    timeouts = Timeouts(read=timedelta(seconds=5), total=timedelta(seconds=0.3))
    async with saying(b"") as url, connecting(timeouts=timeouts) as connections:
        with pytest.raises(TransportError, match="the whole exchange"):
            await get(connections, url)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "did not answer in HTTP", id="no HTTP"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nLink: " + b"x" * 80_000 + b"\r\n\r\n",
            "headers that are too large",
            id="a long header",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 5000 + b"\r\n",
            "headers that are too large",
            id="many headers",
        ),
    ],
)
async def test_what_is_no_answer_is_not_tried_again(answer: bytes, words: str) -> None:
    async with saying(answer) as url, connecting() as connections:
        with pytest.raises(TransportError, match=words) as caught:
            await get(connections, url)
    assert not is_broken_connection(caught.value.__cause__)


async def test_a_long_link_and_a_long_challenge_are_read() -> None:
    link, challenge = "<" + "x" * 30_000 + ">", "Bearer scope=" + "y" * 30_000
    head = f"HTTP/1.1 401 No\r\nLink: {link}\r\nWWW-Authenticate: {challenge}\r\n"
    async with (
        saying(f"{head}Content-Length: 0\r\n\r\n".encode()) as url,
        connecting() as connections,
    ):
        reply = await get(connections, url)
    assert reply.headers.get("link") == link
    assert reply.headers.get("www-authenticate") == challenge


@pytest.mark.parametrize(
    "url", ["http://[::1/", "http://127.1:1/", "http:///v2/"], ids=["bracket", "short", "no host"]
)
async def test_an_invalid_url_is_refused(url: str) -> None:
    async with connecting() as connections:
        with pytest.raises(ProtocolError, match="names an invalid URL"):
            await get(connections, url)


async def test_a_plain_name_goes_to_the_addresses_that_were_checked() -> None:
    answer = b"HTTP/1.1 204 No Content\r\n\r\n"
    async with saying(answer) as url, connecting() as connections:
        port = url.rpartition(":")[2]
        connections.pin("checked.example", ["127.0.0.2", "127.0.0.1"])
        assert (await get(connections, f"http://Checked.example:{port}/")).status == 204


# Errors as values.


def refused_by_tls(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}]")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("WRONG_VERSION_NUMBER", "no TLS connection"),
        ("TLSV1_ALERT_PROTOCOL_VERSION", "no common version of TLS"),
        ("UNSUPPORTED_PROTOCOL", "no common version of TLS"),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "wants a client certificate"),
        ("SSLV3_ALERT_CERTIFICATE_EXPIRED", "client certificate"),
        ("TLSV1_ALERT_UNKNOWN_CA", "client certificate"),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", "no TLS connection"),
    ],
)
def test_a_refusal_of_tls_is_named(reason: str, words: str) -> None:
    broken = BrokenConnection()
    broken.__cause__ = refused_by_tls(reason)
    error = translate(broken, "r.example")
    assert isinstance(error, TlsError)
    assert words in error.message
    assert (error.temporary, is_broken_connection(broken)) == (False, False)


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        pytest.param(ConnectionResetError(errno.ECONNRESET, "reset"), "broke the", id="reset"),
        pytest.param(ssl.SSLEOFError(8, "EOF occurred"), "broke the connection", id="end of TLS"),
        pytest.param(OSError(errno.EHOSTUNREACH, "No route"), "can't be reached", id="no route"),
    ],
)
def test_a_broken_connection_is_one_to_try_again(cause: Exception, words: str) -> None:
    broken = BrokenConnection()
    broken.__cause__ = cause
    error = translate(broken, "r.example")
    assert words in error.message
    assert (error.temporary, is_broken_connection(broken)) == (True, True)


def test_of_several_addresses_the_first_failure_is_told() -> None:
    error = OSError("All connection attempts failed")
    error.__cause__ = ExceptionGroup(
        "several", [ConnectionRefusedError(errno.ECONNREFUSED, "no"), OSError(1, "other")]
    )
    assert translate(error, "r.example").message == "r.example refused the connection"


@pytest.mark.parametrize(
    ("host", "name"),
    [
        pytest.param("r.example", "r.example", id="no port"),
        pytest.param("r.example:5000", "r.example", id="a port"),
    ],
)
def test_a_name_that_nobody_knows_is_told_without_the_port(host: str, name: str) -> None:
    error = OSError("no connection")
    error.__cause__ = socket.gaierror(socket.EAI_NONAME, "unknown")
    assert translate(error, host).message == f"the name {name} could not be resolved"


# Proxies.


@asynccontextmanager
async def secure_proxy(context: ssl.SSLContext) -> AsyncIterator[Proxy]:
    proxy = Proxy()
    async with await asyncio.start_server(proxy.serve, "127.0.0.1", 0, ssl=context) as server:
        proxy.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield proxy


@ENGINES
async def test_an_https_proxy_leads_to_https(authority: Authority, http2: bool) -> None:
    tls = Tls(ca_file=authority.certificate)
    async with (
        serving(http2, authority.server_context("127.0.0.1")) as url,
        secure_proxy(authority.server_context("127.0.0.1")) as proxy,
        connecting(tls=tls, http2=http2, proxy=proxy.url) as connections,
    ):
        assert (await get(connections, f"{url}/v2/")).status == 200
        assert proxy.asked == [f"CONNECT {url.partition('://')[2]}"]


async def test_an_https_proxy_leads_to_plain_http(authority: Authority) -> None:
    tls = Tls(ca_file=authority.certificate)
    async with (
        FakeRegistry() as registry,
        secure_proxy(authority.server_context("127.0.0.1")) as proxy,
        connecting(tls=tls, proxy=proxy.url) as connections,
    ):
        assert (await get(connections, f"{registry.url}/v2/")).status == 200
        assert proxy.asked == [f"GET {registry.url}/v2/"]


async def test_the_certificate_of_a_proxy_is_named_as_its_own(authority: Authority) -> None:
    tls = Tls(ca_file=authority.certificate)
    expired = authority.server_context("127.0.0.1", expired=True)
    async with (
        serving(http2=False, context=authority.server_context("127.0.0.1")) as url,
        secure_proxy(expired) as proxy,
        connecting(tls=tls, proxy=proxy.url) as connections,
    ):
        name = proxy.url.partition("://")[2]
        with pytest.raises(TlsError, match=f"the certificate of the proxy {name} has expired"):
            await get(connections, f"{url}/v2/")


@ENGINES
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param(b"HTTP/1.1 407 No\r\n\r\n", "the proxy .*login .407.", id="407"),
        pytest.param(b"HTTP/1.1 403 No\r\n\r\n", "refused to connect to it .403.", id="403"),
    ],
)
async def test_a_proxy_that_opens_no_tunnel_is_an_error_of_its_own(
    http2: bool, answer: bytes, words: str
) -> None:
    async with saying(answer) as url:
        proxy = url.replace("http://", "http://us%40er:pass%3Aword@")
        async with connecting(http2=http2, proxy=proxy) as connections:
            with pytest.raises(ProxyError, match=words) as caught:
                await get(connections, "https://registry.example/v2/")
    shown = f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"
    assert "pass" not in shown


@ENGINES
async def test_a_proxy_whose_name_does_not_exist_is_named(http2: bool) -> None:
    async with connecting(http2=http2, proxy="http://nowhere.invalid:3128") as connections:
        with pytest.raises(ProxyError, match="the name of the proxy"):
            await get(connections, "https://registry.example/v2/")


async def test_a_login_for_the_proxy_goes_to_the_proxy(authority: Authority) -> None:
    proxy = Proxy()
    async with (
        FakeRegistry() as registry,
        await asyncio.start_server(proxy.serve, "127.0.0.1", 0) as server,
    ):
        port = server.sockets[0].getsockname()[1]
        async with connecting(proxy=f"http://us%40er:pass%3Aword@127.0.0.1:{port}") as connections:
            await get(connections, f"{registry.url}/v2/")
    assert b"Proxy-Authorization: Basic dXNAZXI6cGFzczp3b3Jk" in proxy.heads[0]


# Headers.


def test_headers_are_found_in_any_case_and_any_encoding() -> None:
    headers = Headers([(b"Link", b"<a>"), (b"link", b"<b>"), (b"X", "µ".encode()), (b"Y", b"\xb5")])
    assert headers.get("LINK") == "<a>, <b>"
    assert headers.get_list("Link") == ["<a>", "<b>"]
    assert (headers.get("x"), headers.get("y")) == ("µ", "µ")
    assert ("link" in headers, "z" in headers) == (True, False)
    assert (headers.get("z"), headers.get("z", "none"), headers.get_list("z")) == (None, "none", [])


# Imports.


def modules_after(script: str) -> set[str]:
    command = [sys.executable, "-c", f"{script}\nimport sys; print(*sys.modules)"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_no_library_is_imported_before_the_first_request() -> None:
    loaded = modules_after("import watcher.http_client, watcher.registry.client")
    assert loaded.isdisjoint({"aiohttp", "httpx", "httpcore", "h2", "yarl"})


def test_http1_needs_no_library_of_http2() -> None:
    loaded = modules_after("import watcher.http_client.http1")
    assert "aiohttp" in loaded
    assert loaded.isdisjoint({"httpx", "httpcore", "h2", "anyio", "certifi"})


def test_the_import_leaves_the_roots_of_others_alone(authority: Authority) -> None:
    script = (
        "import ssl, watcher.http_client.http1\n"
        "print(len(ssl.create_default_context().get_ca_certs()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={"SSL_CERT_FILE": str(authority.certificate), "PYTHONPATH": ":".join(sys.path)},
    )
    assert done.stdout.strip() == "1"
