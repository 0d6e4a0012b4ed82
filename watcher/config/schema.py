"""The JSON Schema of the config file, for editors and checkers (`watcher schema`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from watcher.config.document import document
from watcher.config.fields import Kind

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema(stages: Mapping[str, Kind]) -> dict[str, Any]:
    """JSON Schema 2020-12; `stages` maps each stage type to the kind of its options."""
    return {"$schema": DIALECT, "title": "registry-watcher", **document(stages).schema()}
