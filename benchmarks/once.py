"""`watcher run --once` with nothing new, beside a loop of `skopeo list-tags`, as a cron job has it.

Both against the same docker-registry with TLS and htpasswd, in turns, start-up included.
"""

from __future__ import annotations

import shutil
import statistics
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measuring import Command, Goal, cpu_seconds, environment, spread, table
from benchmarks.scene import PASSWORD, USER, once, write_config
from tests.servers import RealRegistry, docker_registry

ROUNDS = {10: 15, 100: 7}
LIMITS = {10: 1.5, 100: 0.2}
TAGS = 20


def run() -> list[Goal]:
    """Print the table; the goals with their figures."""
    with TemporaryDirectory() as name:
        directory = Path(name)
        with docker_registry(
            directory, users={USER: PASSWORD}, tls=True, access_log=True
        ) as registry:
            names = _fill(registry, max(LIMITS))
            certificates = directory / "certificates"
            certificates.mkdir()
            assert registry.ca_file is not None
            shutil.copy(registry.ca_file, certificates / "ca.crt")
            return [
                goal for count in LIMITS for goal in _compare(registry, certificates, names[:count])
            ]


def _fill(registry: RealRegistry, count: int) -> list[str]:
    """Push one repository as a user would, and copy it in the registry's own storage."""
    names = [f"lab/app-{number:03}" for number in range(count)]
    for tag in range(TAGS):
        registry.push(names[0], f"1.{tag}.0")
    stored = registry.directory / "data/docker/registry/v2/repositories"
    for name in names[1:]:
        shutil.copytree(stored / names[0], stored / name)
    return names


def _compare(registry: RealRegistry, certificates: Path, names: list[str]) -> list[Goal]:
    count = len(names)
    directory = registry.directory / f"once-{count}"
    directory.mkdir()
    assert registry.ca_file is not None
    ours: list[Command] = [once(write_config(directory, registry.address, registry.ca_file, names))]
    peer = [_skopeo(registry, certificates, name) for name in names]
    given = environment()
    cpu_seconds(ours, given)  # the baseline
    listings, others = _requests(registry, ours, names)
    cpu_seconds(peer[:3], given)
    ours_cpu, peer_cpu = [], []
    for _ in range(ROUNDS[count]):
        ours_cpu.append(cpu_seconds(ours, given))
        peer_cpu.append(cpu_seconds(peer, given))
    ratio = statistics.median(ours_cpu) / statistics.median(peer_cpu)
    print(f"\n{count} repositories x {TAGS} tags, docker-registry, TLS, Basic; nothing new")
    print(
        table(
            [
                ("", "CPU s, median of " + str(ROUNDS[count]), "requests"),
                ("watcher run --once", spread(ours_cpu), f"{listings} tags/list, {others} other"),
                (f"{count} x skopeo list-tags", spread(peer_cpu), ""),
            ]
        )
    )
    return [
        Goal(words=f"CPU against {count} x skopeo", value=ratio, limit=LIMITS[count]),
        Goal(words="tags/list per repository", value=listings / count, limit=1),
    ]


def _skopeo(registry: RealRegistry, certificates: Path, name: str) -> Command:
    return [
        "skopeo", "list-tags", "--cert-dir", str(certificates),
        "--creds", f"{USER}:{PASSWORD}", f"docker://{registry.address}/{name}",
    ]  # fmt: skip


def _requests(registry: RealRegistry, ours: list[Command], names: list[str]) -> tuple[int, int]:
    """What the registry's access log gained by one pass: answered listings, and all else."""
    before = len(registry.access_log())
    cpu_seconds(ours, environment())
    lines = registry.access_log()[before:]
    listings = sum("/tags/list" in line and '" 200 ' in line for line in lines)
    return listings, len(lines) - listings
