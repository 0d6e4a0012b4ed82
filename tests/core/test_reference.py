"""References and addresses of registries: what is read, what is refused, and in which words."""

from __future__ import annotations

import pytest

from watcher.core.reference import Reference, Registry


@pytest.mark.parametrize(
    ("address", "base_url"),
    [
        pytest.param("registry.example.com", "https://registry.example.com", id="a name"),
        pytest.param("localhost:5000", "https://localhost:5000", id="a port"),
        pytest.param("10.0.0.7:65535", "https://10.0.0.7:65535", id="IPv4, the last port"),
        pytest.param("[2001:db8::1]:443", "https://[2001:db8::1]:443", id="IPv6"),
        pytest.param("[::ffff:10.0.0.7]", "https://[::ffff:10.0.0.7]", id="IPv4 in IPv6"),
        pytest.param(f"{'a' * 63}.example", f"https://{'a' * 63}.example", id="the longest label"),
    ],
)
def test_an_address_is_read(address: str, base_url: str) -> None:
    assert Registry.parse(address).base_url == base_url


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("registry.example.com:0", id="port 0"),
        pytest.param("registry.example.com:65536", id="a port above the last"),
        pytest.param("a..b", id="an empty label"),
        pytest.param("a-.b", id="a label that ends with a hyphen"),
        pytest.param(f"{'a' * 64}.example", id="a label of 64 characters"),
        pytest.param(".".join(["a" * 60] * 5), id="a name of 304 characters"),
        pytest.param("999.1.1.1", id="a number above 255"),
        pytest.param("[1:2]", id="half an IPv6 address"),
        pytest.param("[::::]", id="too many colons"),
        pytest.param("[10.0.0.7]", id="IPv4 in brackets"),
    ],
)
def test_an_address_that_nothing_can_be_asked_at_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="is not a registry host, host:port or URL"):
        Registry.parse(address)


def test_no_control_character_of_an_address_gets_into_the_message() -> None:
    with pytest.raises(ValueError, match="starts with") as caught:
        Registry.parse("\x1b[31mftp://registry.example.com")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        pytest.param("nginx", "index.docker.io/library/nginx", id="an official image"),
        pytest.param("docker.io/nginx:1", "index.docker.io/library/nginx:1", id="another spelling"),
        pytest.param("acme/web:1.0", "index.docker.io/acme/web:1.0", id="an organisation"),
        pytest.param("localhost/web", "localhost/web", id="localhost is a host"),
        pytest.param(
            f"Host:5000/a/b:x@sha256:{'0' * 64}", f"host:5000/a/b:x@sha256:{'0' * 64}", id="all"
        ),
    ],
)
def test_a_reference_is_read_and_printed_in_full(text: str, printed: str) -> None:
    reference = Reference.parse(text)
    assert str(reference) == printed
    assert Reference.parse(printed) == reference
