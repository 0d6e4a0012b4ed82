"""The Dockerfile as it is written: rules that hold without building it. tests/image/test_image.py
builds and runs it, where that can be done.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "Dockerfile"
USER = "65532:65532"
ANNOTATIONS = "org.opencontainers.image."


class Instruction(NamedTuple):
    """One instruction: its word in capitals, and the rest on one line."""

    word: str
    rest: str


def instructions() -> list[Instruction]:
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [Instruction(*line.split(maxsplit=1)) for line in lines if line.strip()]


ALL = instructions()
SECOND_STAGE = [n for n, each in enumerate(ALL) if each.word == "FROM"][1]
FINAL = ALL[SECOND_STAGE:]


def rests(word: str, among: list[Instruction] = ALL) -> list[str]:
    return [each.rest for each in among if each.word == word]


def is_exec_form(rest: str) -> bool:
    try:
        words = json.loads(rest.partition("CMD ")[2] or rest)
    except ValueError:
        return False
    return isinstance(words, list) and all(isinstance(word, str) for word in words)


def installs() -> list[str]:
    """Each command of pip that may fetch something."""
    commands = [part for rest in rests("RUN") for part in rest.split("&&")]
    return [each for each in commands if "-m pip" in each and "--no-index" not in each]


RULES: dict[str, Callable[[], bool]] = {
    "there are two stages": lambda: len(rests("FROM")) == 2,
    "both stages are of the base that the builder names": lambda: all(
        rest.split()[0] == "${BASE}" for rest in rests("FROM")
    ),
    "the base has a tag, and not latest (DL3006, DL3007)": lambda: bool(
        re.fullmatch(r"BASE=[\w./-]+:(?!latest)[\w.-]+(@sha256:[0-9a-f]{64})?", ALL[0].rest)
    ),
    "nothing is added from a URL or unpacked on the way (DL3020)": lambda: not rests("ADD"),
    "work directories are absolute (DL3000)": lambda: all(
        rest.startswith("/") for rest in rests("WORKDIR")
    ),
    "no package of a distribution is installed (DL3008, DL3009)": lambda: (
        "apt" not in " ".join(rests("RUN"))
    ),
    "all that is installed is named by its hash (DL3013)": lambda: all(
        "--require-hashes" in each for each in installs()
    ),
    "no source distribution is built, which fetches without hashes": lambda: all(
        "--only-binary :all:" in each for each in installs()
    ),
    "pip leaves no cache (DL3042)": lambda: all(
        "--no-cache-dir" in part
        for rest in rests("RUN")
        for part in rest.split("&&")
        if "-m pip" in part
    ),
    "no package index is named": lambda: (
        not re.search(r"index-url|https?://|find-links", DOCKERFILE.read_text())
    ),
    "no step is for one architecture alone": lambda: (
        not re.search(r"amd64|x86_64|arm64|aarch64|TARGET|--platform", DOCKERFILE.read_text())
    ),
    "the last user is one, and a number, with its group (DL3002)": lambda: (
        rests("USER", FINAL) == [USER]
    ),
    "nothing is copied for a user but by number": lambda: all(
        owner == USER for owner in re.findall(r"--chown=(\S+)", DOCKERFILE.read_text())
    ),
    "the last stage needs no shell (DL3025)": lambda: all(
        is_exec_form(each.rest)
        for each in FINAL
        if each.word in {"RUN", "CMD", "ENTRYPOINT", "HEALTHCHECK"}
    ),
    "there is one entry point, one command, one health check (DL3012)": lambda: all(
        len(rests(word)) == 1 for word in ("ENTRYPOINT", "CMD", "HEALTHCHECK")
    ),
    "it is stopped as the daemon wants it": lambda: rests("STOPSIGNAL") == ["SIGTERM"],
    "what has to outlive it is a volume": lambda: (
        rests("VOLUME") == ['["/var/lib/registry-watcher"]']
    ),
    "the labels say what it is": lambda: all(
        f"{ANNOTATIONS}{name}=" in rests("LABEL")[0]
        for name in ("title", "description", "licenses", "version", "revision", "base.name")
    ),
    "no secret is an argument or a variable": lambda: (
        not re.search(r"(?i)(password|token|secret)\w*=", " ".join(rests("ARG") + rests("ENV")))
    ),
}


@pytest.mark.parametrize("rule", RULES)
def test_the_dockerfile_keeps_the_rule(rule: str) -> None:
    assert RULES[rule]()


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [hadolint, "--no-color", DOCKERFILE], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_what_is_copied_into_the_build_is_let_through_and_nothing_else() -> None:
    ignored, *lines = [
        line
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    let_through = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = {name for rest in rests("COPY", ALL[:SECOND_STAGE]) for name in rest.split()[:-1]}
    assert ignored == "*"
    assert let_through == copied
    assert all((ROOT / name).exists() for name in copied)


def setuptools_in(lock: Path) -> str:
    found = re.search(r"^setuptools==\S+ \\\n(?:    --hash=\S+(?: \\)?\n)+", lock.read_text(), re.M)
    assert found is not None
    return found[0]


def test_the_wheel_is_built_with_what_the_tests_build_it_with() -> None:
    build, tests = ROOT / "requirements-build.lock", ROOT / "tests" / "requirements.lock"
    assert setuptools_in(build) == setuptools_in(tests)
