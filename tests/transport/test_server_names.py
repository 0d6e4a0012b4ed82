"""SNI: the name that a registry is asked for chooses its certificate, also through a proxy.

The names exist nowhere but in the proxy of the test, which leads both to one nginx.
"""

from __future__ import annotations

import pytest

from tests.registry.clients import connect
from tests.registry.proxies import running_proxy
from tests.transport.asking import error_of
from tests.transport.conftest import HOST, TAGS, Certificates, Front, tags
from watcher.core.account import Tls

NAMES = {f"{name}.registry.test": HOST for name in ("one", "two", "three")}


@pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])
@pytest.mark.parametrize("host", ["one.registry.test", "two.registry.test"])
async def test_each_of_two_registries_on_one_port_is_verified_by_its_own_certificate(
    front: Front, certificates: Certificates, host: str, http2: bool
) -> None:
    log = front.tail()
    address = front.address("names", host)
    tls = Tls(ca_file=certificates.ours.certificate)
    async with (
        running_proxy(names=NAMES) as proxy,
        connect(f"https://{address}", tls=tls, proxy=proxy.url, http2=http2) as client,
    ):
        assert await tags(client) == set(TAGS)
        assert proxy.asked == [f"CONNECT {address}"]
    (request,) = front.requests("names", log, 1)
    assert (request.server_name, request.host) == (host, address)


async def test_a_name_for_which_the_server_has_no_certificate_is_refused(
    front: Front, certificates: Certificates
) -> None:
    address = front.address("names", "three.registry.test")
    tls = Tls(ca_file=certificates.ours.certificate)
    async with (
        running_proxy(names=NAMES) as proxy,
        connect(f"https://{address}", tls=tls, proxy=proxy.url) as client,
    ):
        error = await error_of(client)
    assert f"the certificate of {address} is for another name" in str(error)
