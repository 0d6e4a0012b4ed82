"""The `http` section of the config (SPEC 3, 9)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.config.loading import ACCOUNT, load_text, problems
from watcher.core.serving import HttpSettings


def test_without_the_section_nothing_listens(tmp_path: Path) -> None:
    assert load_text(tmp_path, ACCOUNT).http is None


@pytest.mark.parametrize(
    ("section", "settings"),
    [
        pytest.param("{}", HttpSettings(host="127.0.0.1", port=8484), id="the default is loopback"),
        pytest.param("{listen: '[::1]:80'}", HttpSettings(host="::1", port=80), id="IPv6"),
        pytest.param("{listen: localhost:0}", HttpSettings(host="localhost", port=0), id="by name"),
        pytest.param(
            "{listen: 0.0.0.0:8484, token_file: /t, hook_token_file: /h}",
            HttpSettings(
                host="0.0.0.0", port=8484, token_file=Path("/t"), hook_token_file=Path("/h")
            ),
            id="everywhere with a token",
        ),
    ],
)
def test_where_it_listens(tmp_path: Path, section: str, settings: HttpSettings) -> None:
    assert load_text(tmp_path, f"http: {section}\n{ACCOUNT}").http == settings


@pytest.mark.parametrize(
    ("listen", "problem"),
    [
        pytest.param(
            "0.0.0.0:8484",
            "1: http.listen: 0.0.0.0 can be reached from elsewhere, and no token is demanded "
            "(add `token_file`, or listen on 127.0.0.1)",
            id="no token",
        ),
        pytest.param(
            "127.0.0.1:70000",
            "1: http.listen: there is no port 70000 (0 to 65535)",
            id="port",
        ),
        pytest.param(
            "999.1.1.1:80", "1: http.listen: '999.1.1.1' is not an IP address", id="address"
        ),
        pytest.param(
            "8484",
            "1: http.listen: '8484' is not ADDRESS:PORT; an IPv6 address in [brackets]",
            id="no address",
        ),
    ],
)
def test_an_address_that_may_not_be(tmp_path: Path, listen: str, problem: str) -> None:
    assert problems(tmp_path, f"http: {{listen: '{listen}'}}\n{ACCOUNT}") == [problem]
