"""Where a password may go: the checks of token servers by literal and by resolved address."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from watcher.core.reference import Registry
from watcher.errors import ProtocolError, TransportError
from watcher.registry.realms import MOST_LOOKUPS, Guard, expected_token_host

NAMES = {
    "public.example": ["93.184.216.34"],
    "tokens.example": ["93.184.216.35", "2606:2800:220:1::1"],
    "private.example": ["10.1.2.3"],
    "half.example": ["93.184.216.34", "127.0.0.1"],
    "metadata.example": ["169.254.169.254"],
    "mapped.example": ["::ffff:10.0.0.1"],
    "this.example": ["127.0.0.1"],
    "scoped.example": ["fe80::1%eth0"],
    # What the C library makes of numbers that are no dotted quads.
    "2130706433": ["127.0.0.1"],
    "127.1": ["127.0.0.1"],
}


def guard(
    registry: str,
    *,
    proxied: bool = False,
    names: Mapping[str, Sequence[str]] = NAMES,
    pins: dict[str, Sequence[str]] | None = None,
) -> Guard:
    async def resolve(host: str) -> Sequence[str]:
        if host not in names:
            raise OSError("no such name")
        return names[host]

    plain = registry.startswith("http://")
    return Guard(
        Registry.parse(registry, plain_http=plain),
        resolve=resolve,
        pin=({} if pins is None else pins).__setitem__,
        is_proxied=lambda _: proxied,
    )


@pytest.mark.parametrize(
    ("registry", "url"),
    [
        pytest.param("public.example", "https://tokens.example/token", id="public to public"),
        pytest.param("public.example", "https://public.example/token", id="itself"),
        pytest.param(
            "public.example", "https://public.example:8443/token", id="itself, other port"
        ),
        pytest.param("private.example", "https://private.example/t", id="private: itself"),
        pytest.param("private.example", "https://10.9.9.9/token", id="private to private"),
        pytest.param("private.example", "https://tokens.example/token", id="private to public"),
        pytest.param("http://private.example", "http://10.9.9.9/token", id="plain to plain"),
        pytest.param("http://127.0.0.1:5000", "http://127.0.0.1:5001/token", id="local to local"),
        pytest.param("http://127.0.0.1:5000", "https://this.example/token", id="local by name"),
    ],
)
async def test_a_token_server_is_allowed(registry: str, url: str) -> None:
    await guard(registry).check(url, "token server")


@pytest.mark.parametrize(
    ("registry", "url", "reason"),
    [
        pytest.param("public.example", "http://tokens.example/t", "plain http", id="http"),
        pytest.param("public.example", "http://public.example/t", "plain http", id="http, itself"),
        pytest.param("public.example", "https://127.0.0.1/t", "private", id="loopback"),
        pytest.param("public.example", "https://[::1]/t", "private", id="loopback, IPv6"),
        pytest.param("public.example", "https://10.0.0.1/t", "private", id="RFC 1918"),
        pytest.param("public.example", "https://[fc00::1]/t", "private", id="unique local"),
        pytest.param("public.example", "https://100.64.0.1/t", "private", id="carrier NAT"),
        pytest.param("public.example", "https://private.example/t", "private", id="private name"),
        pytest.param("public.example", "https://half.example/t", "private", id="one bad address"),
        pytest.param("public.example", "https://mapped.example/t", "private", id="mapped IPv4"),
        pytest.param("public.example", "https://2130706433/t", "private", id="a number"),
        pytest.param("public.example", "https://127.1/t", "private", id="a short quad"),
        pytest.param(
            "public.example", "https://metadata.example/t", "metadata", id="metadata name"
        ),
        pytest.param("private.example", "https://169.254.169.254/t", "metadata", id="metadata"),
        pytest.param("private.example", "https://[fd00:ec2::254]/t", "metadata", id="EC2, IPv6"),
        pytest.param("private.example", "https://100.100.100.200/t", "metadata", id="Alibaba"),
        pytest.param("private.example", "https://scoped.example/t", "metadata", id="link-local"),
        pytest.param("private.example", "https://127.0.0.1/t", "this machine", id="this machine"),
        pytest.param("public.example", "ftp://tokens.example/t", "no http", id="ftp"),
        pytest.param("public.example", "https:///t", "no http", id="no host"),
        pytest.param("public.example", "https://a:b@tokens.example/t", "no http", id="a password"),
        pytest.param("public.example", "https://tokens.example:x/t", "no http", id="no port"),
        pytest.param("public.example", "", "no http", id="nothing"),
    ],
)
async def test_a_token_server_is_refused(registry: str, url: str, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        await guard(registry).check(url, "token server")


async def test_a_name_that_nobody_knows_is_a_matter_of_transport() -> None:
    with pytest.raises(TransportError, match=r"nowhere\.example could not be resolved"):
        await guard("public.example").check("https://nowhere.example/t", "token server")


async def test_behind_a_proxy_names_are_not_resolved_here() -> None:
    await guard("public.example", proxied=True, names={}).check(
        "https://x.example/t", "token server"
    )


@pytest.mark.parametrize(
    ("url", "pinned"),
    [
        pytest.param(
            "https://Tokens.example/t", {"tokens.example": NAMES["tokens.example"]}, id="a name"
        ),
        pytest.param("https://public.example/t", {}, id="the registry itself"),
    ],
)
async def test_the_addresses_that_were_checked_are_those_that_are_connected_to(
    url: str, pinned: dict[str, Sequence[str]]
) -> None:
    pins: dict[str, Sequence[str]] = {}
    await guard("public.example", pins=pins).check(url, "token server")
    assert pins == pinned


async def test_a_name_that_was_refused_is_not_connected_to() -> None:
    pins: dict[str, Sequence[str]] = {}
    with pytest.raises(ProtocolError):
        await guard("public.example", pins=pins).check("https://half.example/t", "token server")
    assert pins == {}


@pytest.mark.parametrize(
    ("registry", "host"),
    [
        ("docker.io", "auth.docker.io"),
        ("ghcr.io", "ghcr.io"),
        ("quay.io", "quay.io"),
        ("registry.gitlab.com", "gitlab.com"),
        ("acme.azurecr.io", "acme.azurecr.io"),
        ("eu.gcr.io", "eu.gcr.io"),
        ("europe-docker.pkg.dev", "europe-docker.pkg.dev"),
        ("public.ecr.aws", "public.ecr.aws"),
        ("registry.example", None),
        ("evil-ghcr.io", None),
    ],
)
def test_the_token_servers_of_well_known_registries_are_known(
    registry: str, host: str | None
) -> None:
    assert expected_token_host(Registry.parse(registry)) == host


@pytest.mark.parametrize(
    "host",
    [
        pytest.param("[64:ff9b::a9fe:a9fe]", id="NAT64, metadata"),
        pytest.param("[64:ff9b::a00:1]", id="NAT64, private"),
        pytest.param("[2002:7f00:1::]", id="6to4, loopback"),
        pytest.param("[::7f00:1]", id="IPv4-compatible, loopback"),
        pytest.param("[::ffff:0:7f00:1]", id="SIIT, loopback"),
    ],
)
async def test_an_ipv4_address_within_is_looked_at(host: str) -> None:
    with pytest.raises(ProtocolError, match="refused"):
        await guard("public.example").check(f"https://{host}/t", "redirect target")


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "2852039166", "[fe80::1]", "[fd00:ec2::254]", "0.0.0.0"]
)
async def test_behind_a_proxy_literal_metadata_addresses_are_refused(host: str) -> None:
    with pytest.raises(ProtocolError, match="metadata"):
        await guard("public.example", proxied=True).check(f"https://{host}/t", "redirect target")


@pytest.mark.parametrize("host", ["[64:ff9b::5db8:d822]", "[2606:4700::1111]", "93.184.216.34"])
async def test_public_addresses_stay_allowed(host: str) -> None:
    await guard("public.example").check(f"https://{host}/t", "redirect target")


async def test_names_that_a_registry_made_up_are_looked_up_few_at_once() -> None:
    """A lookup may take as long as the resolver has patience, and takes a thread from all."""
    under_way, most, over = 0, 0, asyncio.Event()

    async def resolve(host: str) -> Sequence[str]:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await over.wait()
        under_way -= 1
        return NAMES["tokens.example"]

    registry = Registry.parse("public.example", plain_http=False)
    pins: dict[str, Sequence[str]] = {}
    made = Guard(registry, resolve=resolve, pin=pins.__setitem__, is_proxied=lambda _: False)
    checks = [
        asyncio.create_task(made.check(f"https://n{number}.example/t", "redirect target"))
        for number in range(8)
    ]
    while most < MOST_LOOKUPS:
        await asyncio.sleep(0)
    over.set()
    await asyncio.gather(*checks)
    assert most == MOST_LOOKUPS
