"""import spinnaker: what Spinnaker's files said, as a config that loads, and notes."""

from __future__ import annotations

import json
import stat
from typing import Any

import pytest
import yaml

from tests.cli.conftest import Bench

ACCOUNT = {"name": "hub", "address": "https://index.docker.io", "repositories": ["armory/demoapp"]}
TRIGGER = {
    "type": "docker",
    "enabled": True,
    "account": "hub",
    "organization": "armory",
    "registry": "index.docker.io",
    "repository": "armory/demoapp",
    "tag": "master-.*",
}
HALYARD = {
    "deploymentConfigurations": [
        {"name": "default", "providers": {"dockerRegistry": {"accounts": [ACCOUNT]}}}
    ]
}


def imported(bench: Bench, *documents: object) -> dict[str, Any]:
    """What the command makes of the documents: `config` and `notes`."""
    files = []
    for number, document in enumerate(documents):
        name = f"{number}.json"
        bench.write(name, json.dumps(document))
        files.append(name)
    result: dict[str, Any] = bench.json("import", "spinnaker", *files)
    return result


def account_of(bench: Bench, **keys: object) -> dict[str, Any]:
    account: dict[str, Any] = imported(bench, [{**ACCOUNT, **keys}])["config"]["accounts"][0]
    return account


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(HALYARD, id="Halyard's config"),
        pytest.param(
            {"dockerRegistry": {"enabled": True, "accounts": [ACCOUNT]}}, id="clouddriver"
        ),
        pytest.param({"accounts": [ACCOUNT]}, id="accounts"),
        pytest.param([ACCOUNT], id="a bare list"),
        pytest.param(ACCOUNT, id="one account"),
    ],
)
def test_accounts_are_found_wherever_they_stand(bench: Bench, document: object) -> None:
    assert imported(bench, document)["config"]["accounts"] == [
        {"name": "hub", "address": "index.docker.io", "repositories": ["armory/demoapp"]}
    ]


@pytest.mark.parametrize(
    ("given", "made"),
    [
        pytest.param({"username": "u"}, {"username": "u"}, id="username"),
        pytest.param({"passwordFile": "/p"}, {"password_file": "/p"}, id="passwordFile"),
        pytest.param(
            {"passwordCommand": "aws ecr"}, {"password_command": "aws ecr"}, id="passwordCommand"
        ),
        pytest.param({"dockerconfigFile": "/d"}, {"docker_config": "/d"}, id="dockerconfigFile"),
        pytest.param({"cacheIntervalSeconds": 600}, {"poll": "600s"}, id="cacheIntervalSeconds"),
        pytest.param({"cacheIntervalSeconds": 0}, {}, id="cacheIntervalSeconds 0 is the default"),
        pytest.param(
            {"clientTimeoutMillis": 1500}, {"timeouts": {"read": "2s"}}, id="clientTimeoutMillis"
        ),
        pytest.param({"paginateSize": 50}, {"limits": {"page_size": 50}}, id="paginateSize"),
        pytest.param(
            {"insecureRegistry": True},
            {"tls": {"insecure_skip_verify": True}},
            id="insecureRegistry",
        ),
        pytest.param({"itemUpperThreshold": 10}, {"hold_above": 10}, id="itemUpperThreshold"),
        pytest.param(
            {"address": "http://r:5000/v2/"},
            {"address": "http://r:5000", "plain_http": True},
            id="plain http",
        ),
    ],
)
def test_account_keys_have_their_counterpart(
    bench: Bench, given: dict[str, object], made: dict[str, object]
) -> None:
    plain = {"name": "hub", "address": "index.docker.io", "repositories": ["armory/demoapp"]}
    assert account_of(bench, **given) == {**plain, **made}


@pytest.mark.parametrize(
    ("given", "catalog"),
    [
        pytest.param({}, True, id="no repositories"),
        pytest.param({"repositoriesRegex": "a/.*"}, {"include": "a/.*"}, id="repositoriesRegex"),
        pytest.param({"skip": ["a/b"]}, {"skip": ["a/b"]}, id="skip"),
        pytest.param({"catalogFile": "/c.json"}, {"file": "/c.json"}, id="catalogFile"),
    ],
)
def test_an_account_without_repositories_reads_the_catalog(
    bench: Bench, given: dict[str, object], catalog: object
) -> None:
    assert account_of(bench, repositories=[], **given)["catalog"] == catalog


@pytest.mark.parametrize(
    "key",
    [
        "email",
        "cacheThreads",
        "sortTagsByDate",
        "inspectDigests",
        "environment",
        "permissions",
        "requiredGroupMembership",
        "helmOciRepositories",
        "somethingNew",
    ],
)
def test_what_is_not_carried_over_is_said(bench: Bench, key: str) -> None:
    notes = imported(bench, [{**ACCOUNT, key: ["x"]}])["notes"]
    assert [note for note in notes if key in note]


def test_a_trigger_becomes_a_trigger_and_a_pipeline(bench: Bench) -> None:
    config = imported(bench, [ACCOUNT], TRIGGER)["config"]
    assert config["triggers"] == [
        {
            "name": "armory-demoapp",
            "account": "hub",
            "repository": "armory/demoapp",
            "tag": "master-.*",
            "pipeline": "armory-demoapp",
        }
    ]


def test_digest_tracking_becomes_moved_tags(bench: Bench) -> None:
    config = imported(bench, [{**ACCOUNT, "trackDigests": True}], TRIGGER)["config"]
    assert config["triggers"][0]["changes"] == ["new", "moved"]


@pytest.mark.parametrize(
    ("pipeline", "made"),
    [
        pytest.param(
            {"limitConcurrent": True},
            {"concurrency": {"max": 1, "policy": "newest"}},
            id="waiting runs are canceled",
        ),
        pytest.param(
            {"limitConcurrent": True, "keepWaitingPipelines": True},
            {"concurrency": {"max": 1, "policy": "queue"}},
            id="waiting runs are kept",
        ),
        pytest.param(
            {"maxConcurrentExecutions": 3}, {"concurrency": {"max": 3}}, id="several at once"
        ),
        pytest.param(
            {"parameterConfig": [{"name": "n", "default": "2"}, {"name": "m", "required": True}]},
            {"parameters": {"n": {"default": "2"}, "m": {"required": True}}},
            id="parameters",
        ),
    ],
)
def test_a_pipeline_keeps_how_it_runs(
    bench: Bench, pipeline: dict[str, object], made: dict[str, object]
) -> None:
    document = {"name": "Deploy Web", "triggers": [TRIGGER], **pipeline}
    (result,) = imported(bench, [ACCOUNT], document)["config"]["pipelines"]
    assert result["name"] == "deploy-web"
    assert {key: result[key] for key in made} == made


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"disabled": True}, id="pipeline"),
        pytest.param({"triggers": [{**TRIGGER, "enabled": False}]}, id="trigger"),
    ],
)
def test_what_was_disabled_stays_disabled(bench: Bench, change: dict[str, object]) -> None:
    document = {"name": "p", "triggers": [TRIGGER], **change}
    assert imported(bench, [ACCOUNT], document)["config"]["triggers"][0]["enabled"] is False


@pytest.mark.parametrize(
    ("documents", "said"),
    [
        pytest.param(
            ([ACCOUNT], {**TRIGGER, "tag": "a(?=b)"}), "RE2 can't take", id="Java's regex"
        ),
        pytest.param((TRIGGER,), "hub was in no file", id="account missing"),
        pytest.param(
            ([{**ACCOUNT, "repositories": ["x/y"]}], TRIGGER), "was not among", id="not listed"
        ),
        pytest.param(([{**ACCOUNT, "name": "My_Hub"}],), "'my-hub'", id="name"),
        pytest.param(
            ([ACCOUNT], {"name": "p", "triggers": [TRIGGER, {"type": "git"}]}), "git", id="git"
        ),
        pytest.param(([ACCOUNT], TRIGGER), "stages are not imported", id="stages"),
        pytest.param(
            ([{**ACCOUNT, "password": "s3cret", "passwordFile": "/p"}],),
            "password given",
            id="two sources",
        ),
    ],
)
def test_what_a_person_must_look_at_is_noted(
    bench: Bench, documents: tuple[object, ...], said: str
) -> None:
    assert said in "\n".join(imported(bench, *documents)["notes"])


def notes_on_notification(bench: Bench, **keys: object) -> str:
    pipeline = {"name": "p", "triggers": [TRIGGER], "notifications": [keys]}
    return "\n".join(imported(bench, [ACCOUNT], pipeline)["notes"])


@pytest.mark.parametrize(
    ("notification", "said"),
    [
        pytest.param(
            {"type": "slack", "address": "#ops", "when": ["pipeline.failed", "pipeline.complete"]},
            "by slack to #ops is not carried over; add one to `notifiers` and "
            "`notify: [{notifier: NAME, on: [FAILED, SUCCEEDED]}]` to the pipeline",
            id="failed and complete",
        ),
        pytest.param(
            {"type": "email", "address": "ops@example.org", "when": ["pipeline.starting"]},
            "by email to ops@example.org is not carried over; pipeline.starting is not told here",
            id="starting",
        ),
        pytest.param({"type": "sms"}, "by sms is not carried over", id="nothing but a type"),
    ],
)
def test_a_notification_is_noted_with_what_stands_for_it_here(
    bench: Bench, notification: dict[str, object], said: str
) -> None:
    assert said in notes_on_notification(bench, **notification)


def test_the_address_of_a_chat_is_a_secret_and_not_shown(bench: Bench) -> None:
    notes = notes_on_notification(
        bench, type="googlechat", address="https://chat.example.org/v1/spaces/niemand"
    )
    assert "by googlechat is not carried over" in notes
    assert "niemand" not in notes


def test_the_result_is_a_valid_config(bench: Bench) -> None:
    bench.write("a.json", json.dumps([{**ACCOUNT, "username": "u", "passwordCommand": "echo x"}]))
    bench.write("t.json", json.dumps({"name": "P", "triggers": [TRIGGER, TRIGGER]}))
    bench.run("import", "spinnaker", "a.json", "t.json", "-o", "config.yaml")
    assert bench.json("validate")["ok"]
    text = (bench.directory / "config.yaml").read_text()
    assert "# note: pipeline p: stages are not imported" in text


def test_without_output_the_yaml_is_printed_and_notes_go_to_stderr(bench: Bench) -> None:
    bench.write("a.yaml", yaml.safe_dump([{**ACCOUNT, "email": "a@b.c"}]))
    result = bench.run("import", "spinnaker", "a.yaml")
    assert yaml.safe_load(result.stdout)["accounts"][0]["name"] == "hub"
    assert "email" in result.stderr


def test_a_password_is_never_shown_and_copied_only_into_a_closed_file(bench: Bench) -> None:
    bench.write("a.json", json.dumps([{**ACCOUNT, "username": "u", "password": "s3cret"}]))
    shown = bench.run("import", "spinnaker", "a.json")
    as_json = bench.run("import", "spinnaker", "a.json", "--json")
    written = bench.run("import", "spinnaker", "a.json", "-o", "config.yaml")
    assert "s3cret" not in shown.output + as_json.output + written.output
    assert "password_env: HUB_PASSWORD" in shown.stdout
    path = bench.directory / "config.yaml"
    assert yaml.safe_load(path.read_text())["accounts"][0]["password"] == "s3cret"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("{}", "no dockerRegistry account", id="nothing in it"),
        pytest.param("a: [", "neither YAML nor JSON", id="no YAML"),
        pytest.param("42", "no dockerRegistry account", id="a number"),
    ],
)
def test_a_file_without_anything_is_refused(bench: Bench, text: str, said: str) -> None:
    bench.write("a.json", text)
    assert said in bench.run("import", "spinnaker", "a.json", code=2).stderr


def test_an_existing_file_is_not_overwritten(bench: Bench) -> None:
    bench.write("a.json", json.dumps([ACCOUNT]))
    mine = bench.write("config.yaml", "# mine\n")
    bench.run("import", "spinnaker", "a.json", "-o", "config.yaml", code=2)
    assert mine.read_text() == "# mine\n"
