"""AWS on loopback: the real `aws` command line, and a moto server that it asks.

Both live in an environment of their own, .venv/aws (tests/logins/aws-tools.in says why); where it
is missing the test is skipped, and says how to make it. Nobody's keys; nothing leaves loopback.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers import free_port, stop, wait_until_open

TOOLS = Path(sys.prefix) / "aws" / "bin"
FIRST_ACCOUNT = "111122223333"
SECOND_ACCOUNT = "444455556666"
_KEYS = "[default]\naws_access_key_id = testing\naws_secret_access_key = not-a-key\n"
_REGION = "[default]\nregion = eu-west-1\n"


def need_aws() -> None:
    """Skip the test where the programs are missing; fail where TESTS_REQUIRE_REGISTRY is set."""
    if (TOOLS / "aws").exists() and (TOOLS / "moto_server").exists():
        return
    reason = f"aws and moto_server are not in {TOOLS} (`make aws-tools` puts them there)"
    if os.environ.get("TESTS_REQUIRE_REGISTRY"):
        pytest.fail(reason)
    pytest.skip(reason)


class Aws:
    """What `aws` on the PATH is asked with, and the server that answers."""

    def __init__(self, directory: Path) -> None:
        need_aws()
        self.directory = directory
        self.port = free_port()
        self._server: subprocess.Popen[bytes] | None = None
        (directory / "bin").mkdir(parents=True)
        (directory / "bin" / "aws").symlink_to(TOOLS / "aws")
        (directory / "credentials").write_text(_KEYS)
        (directory / "config").write_text(_REGION)

    @property
    def environment(self) -> Mapping[str, str]:
        """What a process that runs `aws` needs in its environment, beside what is there."""
        return {
            "PATH": f"{self.directory / 'bin'}:{os.environ['PATH']}",
            "HOME": str(self.directory),
            "AWS_CONFIG_FILE": str(self.directory / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(self.directory / "credentials"),
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",
            "NO_PROXY": "127.0.0.1",
        }

    @property
    def command(self) -> str:
        """The command line that prints the password for ECR."""
        return f"aws --endpoint-url http://127.0.0.1:{self.port} ecr get-login-password"

    @property
    def counted_command(self) -> str:
        """The same, and its runs are counted."""
        return f"echo run >>{self.directory / 'runs'}; {self.command}"

    @property
    def runs(self) -> int:
        """How often `counted_command` was run."""
        file = self.directory / "runs"
        return len(file.read_text().splitlines()) if file.exists() else 0

    def password(self) -> str:
        """The password that AWS gives now, as `aws` prints it."""
        done = subprocess.run(
            ["sh", "-c", self.command],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout.strip()

    def start(self, account: str) -> None:
        """Play AWS for that account, whose number is part of the password."""
        log = self.directory / "moto.log"
        with log.open("ab") as stream:
            self._server = subprocess.Popen(
                [TOOLS / "moto_server", "-H", "127.0.0.1", "-p", str(self.port)],
                env={**os.environ, **self.environment, "MOTO_ACCOUNT_ID": account},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
            )
        wait_until_open(self._server, self.port, log)

    def stop(self) -> None:
        if self._server is not None:
            stop(self._server)
            self._server = None

    def rotate(self) -> None:
        """From now on AWS gives another password."""
        self.stop()
        self.start(SECOND_ACCOUNT)


@contextmanager
def aws_on_loopback(directory: Path) -> Iterator[Aws]:
    """Runs until the block ends."""
    aws = Aws(directory)
    try:
        aws.start(FIRST_ACCOUNT)
        yield aws
    finally:
        aws.stop()
