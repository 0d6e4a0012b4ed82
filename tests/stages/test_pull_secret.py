"""`pull_secret` on the real API server, and the form of what it writes."""

from __future__ import annotations

import base64
import json

import pytest

from tests.stages.deploying import ACCOUNT, Deploying
from watcher.core.account import Credential
from watcher.core.pipeline import ExecutionStatus, Json
from watcher.core.reference import Registry
from watcher.stages.pull_secret import docker_config

SUCCEEDED, FAILED = ExecutionStatus.SUCCEEDED, ExecutionStatus.FAILED
STAGE = {"pull_secret": {"name": "regcred", "account": "hub"}}
PASSWORD = ACCOUNT["password"]


def written(deploying: Deploying) -> Json:
    data = deploying.get("Secret", "regcred")["data"][".dockerconfigjson"]
    return json.loads(base64.b64decode(data))


async def test_the_credential_of_an_account_becomes_a_secret_on_each_run(
    deploying: Deploying,
) -> None:
    deploying.configure(STAGE)
    run = await deploying.deploy("1")
    assert run.status is SUCCEEDED, run.reason
    assert deploying.get("Secret", "regcred")["type"] == "kubernetes.io/dockerconfigjson"
    auth = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
    entry = {"username": "me", "password": PASSWORD, "auth": auth}
    assert written(deploying) == {"auths": {"https://index.docker.io/v1/": entry}}
    assert PASSWORD not in run.stages[0].log + str(run.stages[0].outputs)
    deploying.configure(STAGE, account={**ACCOUNT, "password": "renewed"})
    assert (await deploying.deploy("1")).status is SUCCEEDED
    assert written(deploying)["auths"]["https://index.docker.io/v1/"]["password"] == "renewed"


async def test_one_that_kubectl_made_is_refreshed(deploying: Deploying) -> None:
    deploying.kubectl(
        "create",
        "secret",
        "docker-registry",
        "regcred",
        "--docker-username=a",
        "--docker-password=b",
    )
    deploying.configure(STAGE)
    run = await deploying.deploy("1")
    assert run.status is SUCCEEDED, run.reason
    assert written(deploying)["auths"]["https://index.docker.io/v1/"]["username"] == "me"


async def test_an_anonymous_account_has_nothing_to_hand_on(deploying: Deploying) -> None:
    deploying.configure(STAGE, account={"name": "hub", "address": "index.docker.io"})
    run = await deploying.deploy("1")
    assert run.status is FAILED
    assert "the account 'hub' is anonymous" in str(run.reason)


async def test_a_secret_of_another_type_is_not_overwritten(deploying: Deploying) -> None:
    deploying.kubectl("create", "secret", "generic", "regcred", "--from-literal=a=b")
    deploying.configure(STAGE)
    run = await deploying.deploy("1")
    assert run.status is FAILED
    assert PASSWORD not in str(run.reason)
    assert deploying.get("Secret", "regcred")["data"] == {"a": "Yg=="}


async def test_a_dry_run_writes_nothing(deploying: Deploying) -> None:
    deploying.configure(STAGE, dry_run=True)
    run = await deploying.deploy("1")
    assert run.status is SUCCEEDED, run.reason
    assert not deploying.exists("Secret", "regcred")
    assert "would be created for hub" in run.stages[0].log


async def test_a_dry_run_says_whether_the_credential_has_changed(deploying: Deploying) -> None:
    deploying.configure(STAGE)
    await deploying.deploy("1")
    deploying.configure(STAGE, dry_run=True)
    same = await deploying.deploy("1")
    assert "would be unchanged for hub" in same.stages[0].log
    assert same.stages[0].outputs["result"] == "unchanged"
    deploying.configure(STAGE, account={**ACCOUNT, "password": "renewed"}, dry_run=True)
    assert "would be applied for hub" in (await deploying.deploy("1")).stages[0].log


async def test_a_dry_run_needs_no_right_to_read_secrets(deploying: Deploying) -> None:
    rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["patch", "create"]}
    account = deploying.cluster.service_account(deploying.namespace, [rule])
    clusters = [deploying.settings(kubeconfig=str(account))]
    deploying.configure(STAGE, dry_run=True, clusters=clusters)
    run = await deploying.deploy("1")
    assert run.status is SUCCEEDED, run.reason


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("docker.io", "https://index.docker.io/v1/"),
        ("ghcr.io", "ghcr.io"),
        ("https://registry.example:5000/v2", "registry.example:5000"),
    ],
)
def test_the_registry_is_named_as_kubelets_look_for_it(address: str, key: str) -> None:
    config = json.loads(docker_config(Registry.parse(address), Credential("me", "secret")))
    assert list(config["auths"]) == [key]


def test_an_identity_token_is_the_password_of_the_null_user() -> None:
    credential = Credential(identity_token="token-1")
    config = json.loads(docker_config(Registry.parse("acme.azurecr.io"), credential))
    user = "00000000-0000-0000-0000-000000000000"
    assert config["auths"]["acme.azurecr.io"] == {
        "username": user,
        "password": "token-1",
        "auth": base64.b64encode(f"{user}:token-1".encode()).decode(),
        "identitytoken": "token-1",
    }
