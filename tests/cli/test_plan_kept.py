"""What plan predicts is what the registry gets: half a day of looks at each kind of registry."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.registry.accounts import Clock, Passwords, account_for
from tests.registry.clients import connect
from tests.registry.looks import WEB, Follower
from watcher.cli.prediction import predict
from watcher.core.account import Credential, CredentialSource, DialectName, Limits, PollSchedule
from watcher.core.host import Recognition
from watcher.core.poll import RepositoryStatus
from watcher.core.trigger import Trigger
from watcher.testing.profiles import PROFILES
from watcher.testing.registry import FakeRegistry

NOW = 1_800_000_000.0
INTERVAL = 600.0
HOURS = 12
TAGS = 250
TOLERANCE = 0.06
USER, PASSWORD = "acme", "ghp_s3cret"
LOGIN = CredentialSource(username=USER, password=PASSWORD)
TRIGGER = Trigger(name="t", account="test", pipeline="p", repositories=(WEB,))


async def counted(kind: str, dialect: DialectName, passwords: Passwords, limits: Limits) -> int:
    """Requests in twelve hours of looks, after the first two."""
    clock = Clock()
    users = {USER: PASSWORD}
    async with FakeRegistry(profile=PROFILES[kind], users=users, clock=clock) as registry:
        registry.seed([WEB], [f"1.{number}" for number in range(TAGS)])
        async with connect(
            registry, passwords, clock=clock, dialect=dialect, limits=limits
        ) as client:
            client.expect([WEB])
            follower = Follower(client=client, clock=clock, interval=INTERVAL, wants_digests=False)
            follower.digests = dict.fromkeys(registry.tags(WEB) or (), "")
            for number in range(2 + int(HOURS * 3600 / INTERVAL)):
                if number == 2:
                    registry.reset_log()
                await follower.look()
                clock.now += INTERVAL
            return len(registry.requests)


@pytest.mark.parametrize(
    ("kind", "dialect"),
    [
        pytest.param("docker-hub", DialectName.DOCKER_HUB, id="docker-hub"),
        pytest.param("gcr", DialectName.GCR, id="gcr"),
        pytest.param("ecr", DialectName.ECR, id="ecr"),
        pytest.param("quay", DialectName.QUAY, id="quay"),
        pytest.param("ghcr", DialectName.GHCR, id="ghcr"),
        pytest.param("acr", DialectName.ACR, id="acr"),
        pytest.param("harbor", DialectName.HARBOR, id="harbor"),
        pytest.param("gitlab", DialectName.GITLAB, id="gitlab"),
        pytest.param("artifactory", DialectName.ARTIFACTORY, id="artifactory"),
        pytest.param("distribution-3", DialectName.DISTRIBUTION, id="distribution"),
    ],
)
async def test_the_prediction_is_kept(kind: str, dialect: DialectName) -> None:
    limits = Limits(page_size=100)
    account = account_for(
        "127.0.0.1:1",
        credential=LOGIN,
        dialect=dialect,
        limits=limits,
        poll=PollSchedule(every=timedelta(seconds=INTERVAL)),
    )
    status = RepositoryStatus(account="test", repository=WEB, tags=TAGS, known=True)
    known = Recognition(dialect, "v2.15.2-ab1c2d3e", NOW)  # as after the first look
    predicted = predict(account, [TRIGGER], [status], None, known, NOW)
    requests = await counted(kind, dialect, Passwords(Credential(USER, PASSWORD)), limits)
    assert requests == pytest.approx(predicted.cost.total * HOURS, rel=TOLERANCE)
