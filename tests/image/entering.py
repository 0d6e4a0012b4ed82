"""Makes of this process what a container engine makes of one: `python -m tests.image.entering SPEC`
within new namespaces of mounts and processes. SPEC is JSON: root, mounts, user, directory, words.

The root file system is read-only but for the mounts that are said to be writable, there is no
program but Python in it, and the user is a number without any capability.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

NO_NEW_PRIVILEGES = 38


def mount(*words: str | Path) -> None:
    subprocess.run(["/bin/mount", *words], check=True)


def enter(spec: dict[str, Any]) -> None:
    root = Path(spec["root"])
    mount("--bind", root, root)
    mount("-t", "tmpfs", "-o", "ro", "tmpfs", root / "bin")  # neither a shell nor anything else
    mount("-t", "proc", "proc", root / "proc")
    mount("--rbind", "/dev", root / "dev")
    for each in spec["mounts"]:
        place = f"{root}{each['at']}"
        mount("--bind", each["directory"], place)
        if not each["writable"]:
            mount("-o", "remount,bind,ro", place)
    if spec["read_only"]:
        mount("-o", "remount,bind,ro", root)
    os.chroot(root)
    os.chdir(spec["directory"])


def become(user: int) -> None:
    ctypes.CDLL(None).prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)


def main() -> None:
    spec = json.loads(sys.argv[1])
    enter(spec)
    become(spec["user"])
    os.execvpe(spec["words"][0], spec["words"], spec["environment"])


if __name__ == "__main__":
    main()
