"""Which files are read, how they merge, and how changes of them are seen (SPEC 3, 8)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.config.loading import ACCOUNT, PIPELINE, STAGES, load_text, problems
from watcher.config.load import Config, load
from watcher.errors import ConfigError

NOWHERE = Path("/nowhere/config.yaml")


def load_from(path: Path | None, environment: dict[str, str], system: Path = NOWHERE) -> Config:
    return load(path, stages=STAGES, environment=environment, system_file=system)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory that we stand in."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return here


def write(path: Path, name: str) -> Path:
    path.write_text(f"accounts: [{{name: {name}, address: registry.example.com}}]")
    return path


def test_the_file_is_searched_in_the_order_of_the_contract(folder: Path) -> None:
    system = write(folder.parent / "system.yaml", "system")
    assert load_from(None, {}, system).accounts[0].name == "system"
    write(folder / "config.yaml", "local")
    assert load_from(None, {}, system).accounts[0].name == "local"
    named = write(folder.parent / "named.yaml", "named")
    environment = {"WATCHER_CONFIG": str(named)}
    assert load_from(None, environment, system).accounts[0].name == "named"
    given = write(folder.parent / "given.yaml", "given")
    assert load_from(given, environment, system).accounts[0].name == "given"


def test_an_empty_variable_names_no_file(folder: Path) -> None:
    write(folder / "config.yaml", "local")
    assert load_from(None, {"WATCHER_CONFIG": ""}).accounts[0].name == "local"


@pytest.mark.parametrize(
    ("path", "environment", "message"),
    [
        pytest.param(
            None,
            {},
            "config.yaml: there is no config file: neither ./config.yaml nor "
            "/nowhere/config.yaml (name one with -c or $WATCHER_CONFIG; `watcher init` writes one)",
            id="nothing anywhere",
        ),
        pytest.param(
            Path("other.yaml"),
            {},
            "other.yaml: there is no such file or directory",
            id="-c names nothing",
        ),
        pytest.param(
            None,
            {"WATCHER_CONFIG": "other.yaml"},
            "other.yaml: there is no such file or directory ($WATCHER_CONFIG names it)",
            id="the variable names nothing",
        ),
    ],
)
@pytest.mark.usefixtures("folder")
def test_without_a_file_the_error_says_where_it_was_searched(
    path: Path | None, environment: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_from(path, environment)
    assert str(caught.value) == message


def test_the_yaml_files_of_a_directory_merge_by_list(folder: Path) -> None:
    write(folder / "b.yaml", "second")
    write(folder / "a.yaml", "first")
    (folder / "c.yaml").write_text(PIPELINE + "state: ../state.db\n")
    (folder / "empty.yaml").write_text("# nothing yet\n")
    (folder / ".hidden.yaml").write_text("broken: [")
    (folder / "notes.txt").write_text("broken: [")
    (folder / "sub.yaml").mkdir()
    config = load_from(folder, {})
    assert [account.name for account in config.accounts] == ["first", "second"]
    assert [pipeline.name for pipeline in config.pipelines] == ["tell"]
    assert config.state == folder.parent / "state.db"
    assert [file.name for file in config.files] == ["a.yaml", "b.yaml", "c.yaml", "empty.yaml"]


def test_problems_of_a_directory_name_their_files(folder: Path) -> None:
    write(folder / "a.yaml", "hub")
    (folder / "b.yaml").write_text("state: x\nacounts: []\n")
    (folder / "c.yaml").write_text("state: y\na: [\n")
    (folder / "d.yaml").write_text(
        "state: y\naccounts:\n  - {name: hub, address: registry.example.com}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_from(Path(), {})
    assert str(caught.value).splitlines() == [
        "b.yaml:2: acounts: unknown key 'acounts' (did you mean 'accounts'?)",
        "c.yaml:3: not valid YAML: did not find expected node content",
        "d.yaml:1: state: the key 'state' is given twice (first at b.yaml:1)",
        "d.yaml:3: accounts[0].name: the name 'hub' is taken (by accounts[0] at a.yaml:1)",
    ]


def test_a_directory_without_yaml_files_is_an_error(folder: Path) -> None:
    (folder / "config.yml").write_text(ACCOUNT)
    with pytest.raises(ConfigError, match=r"there is no \*\.yaml in this directory"):
        load_from(folder, {})


@pytest.mark.parametrize("text", ["", "# nothing\n", "triggers: []\n"])
def test_a_config_without_accounts_is_an_error(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, text) == [" accounts: there is no account in it"]


@pytest.mark.parametrize(
    ("text", "environment", "state"),
    [
        pytest.param("", {}, "{folder}/watcher.db", id="beside the config"),
        pytest.param("", {"STATE_DIRECTORY": "/var/lib/w"}, "/var/lib/w/watcher.db", id="systemd"),
        pytest.param("", {"STATE_DIRECTORY": "/var/lib/w:/b"}, "/var/lib/w/watcher.db",
                     id="systemd with two"),
        pytest.param("state: data/x.db", {"STATE_DIRECTORY": "/var/lib/w"}, "{folder}/data/x.db",
                     id="relative to the file"),
        pytest.param("state: $DATA/x.db", {"DATA": "/data"}, "/data/x.db", id="with a variable"),
    ],
)  # fmt: skip
def test_the_state_file_is_where_the_contract_says(
    tmp_path: Path, text: str, environment: dict[str, str], state: str
) -> None:
    config = load_text(tmp_path, f"{ACCOUNT}\n{text}\n", environment)
    assert str(config.state) == state.format(folder=tmp_path)


def test_relative_paths_are_relative_to_the_file_that_names_them(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "config.yaml").write_text(f"{ACCOUNT}    password_file: secrets/hub\n")
    config = load_from(Path("../conf/config.yaml"), {})
    found = config.accounts[0].credential.password_file
    assert found is not None
    assert found.resolve() == tmp_path / "conf" / "secrets" / "hub"
    assert os.path.isabs(found)


def test_a_config_that_comes_through_a_pipe_is_relative_to_where_we_stand(folder: Path) -> None:
    reader, writer = os.pipe()
    os.write(writer, ACCOUNT.encode())
    os.close(writer)
    config = load_from(Path(f"/dev/fd/{reader}"), {})
    os.close(reader)
    assert config.state == folder / "watcher.db"


def touch(folder: Path) -> None:
    os.utime(folder / "a.yaml", ns=(1, 1))


def replace(folder: Path) -> None:
    write(folder / "new", "other").rename(folder / "a.yaml")


def add(folder: Path) -> None:
    write(folder / "b.yaml", "other")


def remove(folder: Path) -> None:
    (folder / "a.yaml").unlink()


@pytest.mark.parametrize("change", [touch, replace, add, remove])
def test_a_change_of_the_files_changes_the_signature(folder: Path, change: object) -> None:
    write(folder / "a.yaml", "hub")
    config = load_from(folder, {})
    assert config.signature() == config.loaded
    assert callable(change)
    change(folder)
    assert config.signature() != config.loaded


def test_every_problem_is_reported_at_once_in_the_order_of_lines(tmp_path: Path) -> None:
    text = """\
accounts:
  - name: dockerhub
    address: index.docker.io
    pasword_file: /run/secrets/dockerhub
    repositories: [library/nginx, acme/Foo]
    poll: {every: 60}
  - name: gcr
    address: ftp://eu.gcr.io
    password: 1234
    password_env: X
triggers:
  - name: web-release
    account: dockerhb
    repository: acme/demoapp
    tag: 1.10
    pipeline: deploy-wb
pipelines:
  - name: deploy-web
    stages:
      - aply: {manifests: [deploy/web.yaml]}
      - command: [echo]
        timeout: 5
      - pipeline: {name: deploy-wep}
"""
    assert problems(tmp_path, text) == [
        "4: accounts[0].pasword_file: unknown key 'pasword_file' (did you mean 'password_file'?)",
        "5: accounts[0].repositories[1]: 'acme/Foo' is not a repository name "
        "(names are in lower case)",
        "6: accounts[0].poll.every: a bare number is no duration, the unit is missing "
        "(write 60s, 60m or 60h)",
        "8: accounts[1].address: 'ftp://eu.gcr.io' starts with ftp://, not with http:// or https://",
        "9: accounts[1].password: must be text, is a number (put it in quotes)",
        "10: accounts[1].password_env: more than one password source: password, password_env "
        "(keep one)",
        "13: triggers[0].account: no account is named 'dockerhb' (did you mean 'dockerhub'?)",
        "15: triggers[0].tag: must be a regular expression (RE2) or a mapping, is a number "
        "(quote it: '1.10')",
        "16: triggers[0].pipeline: no pipeline is named 'deploy-wb' (did you mean 'deploy-web'?)",
        "20: pipelines[0].stages[0].aply: unknown stage type 'aply' "
        "(there are: command, render, pipeline)",
        "22: pipelines[0].stages[1].timeout: a bare number is no duration, the unit is missing "
        "(write 5s, 5m or 5h)",
        "23: pipelines[0].stages[2].pipeline.name: no pipeline is named 'deploy-wep' "
        "(did you mean 'deploy-web'?)",
    ]
