"""What the documents say is there is there, and what is there stands in the documents."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from watcher.cli.app import COMMANDS
from watcher.core.verdict import Verdict
from watcher.stages import STAGES
from watcher.telemetry.events import Event

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_stands_in_the_readme(command: str) -> None:
    assert re.search(rf"watcher [a-z|]*\b{command}\b", README)


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_every_stage_stands_in_the_readme(stage: str) -> None:
    assert f"`{stage}`" in README


@pytest.mark.parametrize("word", [*Event, *Verdict], ids=lambda word: word.value)
def test_every_event_and_verdict_stands_in_the_architecture_page(word: Event | Verdict) -> None:
    assert f"`{word.value}`" in ARCHITECTURE


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_every_link_between_documents_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text()):
        if "://" not in target:
            assert (document.parent / target).exists(), target


def test_every_module_named_in_the_architecture_page_exists() -> None:
    for name in re.findall(r"`([a-z_]+/[a-z_]+\.py)`", ARCHITECTURE):
        assert (ROOT / "watcher" / name).exists() or (ROOT / name).exists(), name


def test_no_document_or_module_names_a_path_of_a_machine() -> None:
    strays = [
        path.name
        for path in [*DOCUMENTS, *ROOT.glob("watcher/**/*.py")]
        if re.search(r"/(?:home|root|work)/\w", path.read_text())
    ]
    assert strays == []
