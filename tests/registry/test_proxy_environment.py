"""HTTP_PROXY and its relatives: which proxy leads to a host, if any."""

from __future__ import annotations

import pytest

from watcher.http_client import proxy_from_environment

PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("origin", "environment", "expected"),
    [
        pytest.param("https://a.example", {}, None, id="nothing said"),
        pytest.param("https://a.example", {"HTTPS_PROXY": PROXY}, PROXY, id="upper case"),
        pytest.param("https://a.example", {"https_proxy": PROXY}, PROXY, id="lower case"),
        pytest.param("https://a.example", {"ALL_PROXY": PROXY}, PROXY, id="for all"),
        pytest.param("https://a.example", {"HTTP_PROXY": PROXY}, None, id="for http only"),
        pytest.param("http://a.example", {"HTTP_PROXY": PROXY}, PROXY, id="for http"),
        pytest.param(
            "https://a.example", {"https_proxy": "proxy.example:3128"}, PROXY, id="without a scheme"
        ),
        pytest.param("https://a.example", {"HTTPS_PROXY": ""}, None, id="empty"),
    ],
)
def test_the_environment_names_the_proxy(
    origin: str, environment: dict[str, str], expected: str | None
) -> None:
    assert proxy_from_environment(origin, environment) == expected


@pytest.mark.parametrize(
    ("origin", "exceptions", "is_direct"),
    [
        ("https://a.example", "*", True),
        ("https://a.example", "a.example", True),
        ("https://a.example", "b.example, A.EXAMPLE", True),
        ("https://x.a.example", "a.example", True),
        ("https://x.a.example", ".a.example", True),
        ("https://x.a.example", "*.a.example", True),
        ("https://xa.example", "a.example", False),
        ("https://a.example:5000", "a.example:5000", True),
        ("https://a.example:5001", "a.example:5000", False),
        ("https://a.example:5000", "a.example", True),
        ("https://a.example", "a.example:443", True),
        ("http://a.example", "a.example:80", True),
        ("http://a.example", "a.example:443", False),
        ("https://10.1.2.3:5000", "10.0.0.0/8", True),
        ("https://11.1.2.3:5000", "10.0.0.0/8", False),
        ("https://10.1.2.3", "10.1.2.3", True),
        ("https://[fd00::1]:5000", "fd00::/8", True),
        ("https://[fd00::1]", "[fd00::1]", True),
        ("https://[fd00::1]", "[fd00::1]:443", True),
        ("https://a.example", "", False),
        ("https://a.example", ",,", False),
    ],
)
def test_no_proxy_names_the_exceptions(origin: str, exceptions: str, is_direct: bool) -> None:
    found = proxy_from_environment(origin, {"ALL_PROXY": PROXY, "NO_PROXY": exceptions})
    assert (found is None) == is_direct
