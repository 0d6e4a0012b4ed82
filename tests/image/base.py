"""A base image made of this machine's own Python, for building the Dockerfile where no registry can
be reached: the interpreter with its library, the programs that the build stage calls, and the
shared libraries of them all. Nothing else is in it, so the image is shown to need no more.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
PROGRAMS = ("sh", "mkdir")
LEFT_OUT = ("__pycache__", "site-packages", "test", "tests", "config-*", "idlelib", "tkinter")
OF_WHEELS = r"lib(?:stdc\+\+|gcc_s)\.so\.\d"


def make_root(root: Path) -> None:
    """Fill the directory; Python is in /usr/local, as in the base that the Dockerfile names."""
    _copy_python(root)
    (root / "bin").mkdir()
    for program in PROGRAMS:
        shutil.copy(str(shutil.which(program)), root / "bin" / program)
    shutil.copytree("/etc/ssl/certs", root / "etc" / "ssl" / "certs")
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    (root / "var" / "lib").mkdir(parents=True)
    _copy_libraries(root)


def _copy_python(root: Path) -> None:
    prefix, place = Path(sys.base_prefix), root / "usr" / "local"
    library = place / "lib" / PYTHON
    shutil.copytree(
        sysconfig.get_path("stdlib", vars={"installed_base": str(prefix)}),
        library,
        ignore=shutil.ignore_patterns(*LEFT_OUT),
    )
    (place / "bin").mkdir()
    shutil.copy(prefix / "bin" / PYTHON, place / "bin" / PYTHON)
    (place / "bin" / "python3").symlink_to(PYTHON)
    for shared in (prefix / "lib").glob("libpython*.so.*"):
        shutil.copy(shared, place / "lib" / shared.name)


def _copy_libraries(root: Path) -> None:
    binaries = [*root.glob("bin/*"), *root.glob(f"usr/local/lib/{PYTHON}/lib-dynload/*.so")]
    binaries.append(root / "usr" / "local" / "bin" / PYTHON)
    needed = re.findall(r"(/\S+) \(0x", _said("ldd", *binaries))
    needed += re.findall(rf"{OF_WHEELS} .*=> (\S+)", _said("ldconfig", "-p"))
    for library in dict.fromkeys(needed):
        if not library.startswith((str(root), sys.base_prefix + "/lib/libpython")):
            target = root / library.removeprefix("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, target)
    (root / "etc" / "ld.so.conf").write_text("/usr/local/lib\n")
    _said("ldconfig", "-r", root)


def _said(program: str, *words: str | Path) -> str:
    found = shutil.which(program, path="/usr/bin:/bin:/usr/sbin:/sbin")
    assert found is not None, program
    done = subprocess.run([found, *words], capture_output=True, text=True, check=False)
    return done.stdout
