"""`render`: everything is rendered before anything is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stages.conftest import DIGEST, ContextMaker, FakeImage
from watcher.core.pipeline import Done
from watcher.errors import RenderError, StageError
from watcher.stages.render import RenderStage

JOB = '{% for n in [1, 2] %}\n- "{{ trigger.tag }}"\n{% endfor %}'


@pytest.fixture
def deploy(tmp_path: Path) -> Path:
    directory = tmp_path / "deploy"
    directory.mkdir()
    (directory / "web.yaml").write_text("image: ${image.reference}\n")
    (directory / "job.yml.j2").write_text(JOB)
    (directory / "README.md").write_text("${no manifest}")
    (directory / ".web.yaml.swp").write_text("${no manifest}")
    return directory


def files(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in directory.iterdir()}


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("deploy", ["job.yml", "web.yaml"]),
        ("deploy/*.yaml", ["web.yaml"]),
        ("deploy/job.yml.j2", ["job.yml"]),
        ("**/*.j2", ["job.yml"]),
    ],
    ids=["directory", "glob", "file", "deep glob"],
)
async def test_manifests_are_found_and_keep_their_names(
    pattern: str, names: list[str], deploy: Path, tmp_path: Path, make_context: ContextMaker
) -> None:
    out = tmp_path / "out" / "of"
    options = {"manifests": [str(tmp_path / pattern)], "to": str(out)}
    outcome = await RenderStage().run(options, make_context())
    assert outcome == Done({"directory": str(out), "files": [str(out / name) for name in names]})
    assert sorted(files(out)) == names


async def test_the_texts_are_rendered(
    deploy: Path, tmp_path: Path, make_context: ContextMaker
) -> None:
    context = make_context()
    options = {"manifests": [str(deploy)], "to": str(tmp_path / "${trigger.account}")}
    await RenderStage().run(options, context)
    assert files(tmp_path / "dockerhub") == {
        "web.yaml": "image: index.docker.io/acme/demoapp:1.10\n",
        "job.yml": '- "1.10"\n- "1.10"\n',
    }
    assert context.log.text.count("wrote ") == 2


async def test_a_second_run_writes_the_same_and_leaves_other_files(
    deploy: Path, tmp_path: Path, make_context: ContextMaker
) -> None:
    options = {"manifests": [str(deploy)], "to": str(tmp_path / "out")}
    await RenderStage().run(options, make_context())
    (tmp_path / "out" / "other").write_text("mine")
    before = files(tmp_path / "out")
    await RenderStage().run(options, make_context())
    assert files(tmp_path / "out") == before


async def test_the_digest_is_asked_for_once(
    deploy: Path, tmp_path: Path, make_context: ContextMaker
) -> None:
    for number in range(3):
        (deploy / f"{number}.yaml").write_text("image: ${image.by_digest}\n")
    image = FakeImage()
    options = {"manifests": [str(deploy)], "to": str(tmp_path / "out")}
    await RenderStage().run(options, make_context(image=image))
    assert image.asked == ["digest"]
    assert DIGEST in (tmp_path / "out" / "0.yaml").read_text()


async def test_one_fault_and_nothing_is_written(
    deploy: Path, tmp_path: Path, make_context: ContextMaker
) -> None:
    (deploy / "zzz.yaml").write_text("a:\n- b: ${triger.tag}\n")
    options = {"manifests": [str(deploy)], "to": str(tmp_path / "out")}
    with pytest.raises(RenderError, match=r"zzz\.yaml, document 1, a\[0\]\.b: `\$\{triger\.tag\}`"):
        await RenderStage().run(options, make_context())
    assert not (tmp_path / "out").exists()


async def test_a_file_that_can_not_be_written_leaves_no_rests(
    deploy: Path, tmp_path: Path, make_context: ContextMaker
) -> None:
    (tmp_path / "out" / "web.yaml").mkdir(parents=True)
    options = {"manifests": [str(deploy / "web.yaml")], "to": str(tmp_path / "out")}
    with pytest.raises(StageError, match=r"out/web\.yaml: Is a directory"):
        await RenderStage().run(options, make_context())
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["web.yaml"]


async def test_a_link_in_the_directory_is_replaced_not_followed(
    deploy: Path, tmp_path: Path, make_context: ContextMaker
) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "web.yaml").symlink_to(tmp_path / "precious")
    options = {"manifests": [str(deploy / "web.yaml")], "to": str(tmp_path / "out")}
    await RenderStage().run(options, make_context())
    assert (tmp_path / "precious").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("missing.yaml", "missing.yaml can't be read: No such file"),
        ("*.nothing", "no file matches"),
        ("empty", "holds no manifests"),
        ("latin.yaml", "is not in UTF-8"),
    ],
)
async def test_what_can_not_be_read_is_told(
    name: str, complaint: str, tmp_path: Path, make_context: ContextMaker
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "latin.yaml").write_bytes(b"a: \xfc")
    options = {"manifests": [str(tmp_path / name)], "to": str(tmp_path / "out")}
    with pytest.raises(StageError, match=complaint.replace("*", r"\*")):
        await RenderStage().run(options, make_context())


async def test_two_files_of_one_name_are_refused(
    deploy: Path, tmp_path: Path, make_context: ContextMaker
) -> None:
    (deploy / "web.yaml.j2").write_text("a: 1")
    options = {"manifests": [str(deploy)], "to": str(tmp_path / "out")}
    with pytest.raises(StageError, match=r"would both be written as web\.yaml"):
        await RenderStage().run(options, make_context())


@pytest.mark.parametrize("value", ["../../etc", "/etc", "..", "", "a*"])
async def test_a_value_can_not_lead_a_path_elsewhere(
    value: str, deploy: Path, tmp_path: Path, make_context: ContextMaker
) -> None:
    context = make_context(image=FakeImage(known_labels={"team": value}))
    options = {"manifests": [str(deploy)], "to": str(tmp_path / "out") + "/${labels.team}"}
    with pytest.raises(RenderError, match="can't be part of a path"):
        await RenderStage().run(options, context)


@pytest.mark.parametrize("place", ["${labels.dot}${labels.dot}", ".${labels.dot}", "a${labels.up}"])
async def test_labels_can_not_lead_out_of_the_directory_together(
    place: str, deploy: Path, tmp_path: Path, make_context: ContextMaker
) -> None:
    image = FakeImage(known_labels={"dot": ".", "up": "/../.."})
    options = {"manifests": [str(deploy)], "to": f"{tmp_path}/out/{place}"}
    with pytest.raises(RenderError, match=r"leads upwards|part of a path"):
        await RenderStage().run(options, make_context(image=image))
    with pytest.raises(RenderError, match=r"leads upwards|part of a path"):
        await RenderStage().run(
            {"manifests": [f"{deploy}/{place}"], "to": str(tmp_path)}, make_context(image=image)
        )


@pytest.mark.parametrize("value", ["a\nb", "\x1b[2J", "a\u202eb"])
async def test_a_path_gets_no_control_characters(
    value: str, deploy: Path, tmp_path: Path, make_context: ContextMaker
) -> None:
    context = make_context(image=FakeImage(known_labels={"team": value}))
    options = {"manifests": [str(deploy)], "to": f"{tmp_path}/${{labels.team}}"}
    with pytest.raises(RenderError, match="can't be part of a path"):
        await RenderStage().run(options, context)
