"""A real credential helper: Debian's docker-credential-pass on a password store of its own.

The key has no passphrase and lives in a short directory of its own, for gpg-agent's socket has to
fit into 108 characters. The agent is ended by name of that directory, nobody else's is touched.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.servers import need

PROGRAMS = ("docker-credential-pass", "pass", "gpg", "gpgconf")
_KEY = "Registry Watcher <test@example.com>"


class PassStore:
    """The store, and a helper `counted` that counts how often the real one is asked."""

    def __init__(self, keys: Path, directory: Path) -> None:
        self._keys = keys
        self.directory = directory
        self._script("counted", f'echo x >>{directory}/runs; exec docker-credential-pass "$@"')
        self._script("stuck", "exec sleep 1000")
        gpg = ("gpg", "--batch", "--quiet", "--passphrase", "")
        self._run(*gpg, "--quick-generate-key", _KEY, "future-default", "default", "never")
        self._run("pass", "init", "test@example.com")

    @property
    def environment(self) -> Mapping[str, str]:
        """What a process that asks the helper needs in its environment."""
        return {
            "PATH": f"{self.directory}:{os.environ['PATH']}",
            "GNUPGHOME": str(self._keys),
            "PASSWORD_STORE_DIR": str(self.directory / "store"),
        }

    @property
    def runs(self) -> int:
        file = self.directory / "runs"
        return len(file.read_text().splitlines()) if file.exists() else 0

    def store(self, server: str, username: str, secret: str) -> None:
        """Store a password, as `docker login` does; in place of the one that is there."""
        entry = {"ServerURL": server, "Username": username, "Secret": secret}
        self._run("docker-credential-pass", "store", stdin=json.dumps(entry))

    def lose_keys(self) -> None:
        """The store can't be read any more."""
        (self._keys / "private-keys-v1.d").rename(self._keys / "lost")
        self.end_agent()

    def end_agent(self) -> None:
        self._run("gpgconf", "--kill", "all")

    def docker_config(self, helpers: Mapping[str, str]) -> Path:
        """docker's config.json with these helpers by server."""
        path = self.directory / "config.json"
        path.write_text(json.dumps({"credHelpers": dict(helpers)}))
        return path

    def _script(self, name: str, line: str) -> None:
        path = self.directory / f"docker-credential-{name}"
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)

    def _run(self, *command: str, stdin: str = "") -> None:
        done = subprocess.run(
            command,
            input=stdin,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done


@contextmanager
def pass_store(directory: Path) -> Iterator[PassStore]:
    """A store with a key, until the block ends."""
    need(*PROGRAMS)
    directory.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="gpg-", dir="/tmp") as keys:
        store = PassStore(Path(keys), directory)
        try:
            yield store
        finally:
            store.end_agent()
