"""docs/configuration.md, written from the same declarations that the config is read by."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping

from watcher.config.document import document
from watcher.config.fields import Either, Field, Kind, ListOf, MapOf, Section
from watcher.config.pipelines import STAGE_KEYS, StageKind

_INTRODUCTION = """\
# Configuration

<!-- Generated from the declarations in watcher/config and watcher/stages by `make docs`. -->

One YAML file: `-c FILE`, else `$WATCHER_CONFIG`, else `./config.yaml`, else
`/etc/registry-watcher/config.yaml`. A directory loads every `*.yaml` in it, and the lists of all
files count as one. `watcher validate` shows everything that is wrong with it, `watcher schema`
prints its JSON Schema for editors. `config.example.yaml` has every key once.

- YAML 1.2: only `true` and `false` are booleans, a key given twice is an error. Text that looks
  like a number must be quoted: `tag: '1.10'`.
- Durations have a unit: `30s`, `5m`, `6h`, `1h30m`, `2d`, `1w`.
- Relative paths are relative to the file that names them. `~` and `$NAME` are expanded in paths,
  and nowhere else.
- Regular expressions are RE2's and must match the whole of what they look at.
- `${ }` in stages is an expression that is evaluated for each run.
"""


def reference(stages: Mapping[str, Kind]) -> str:
    """The whole page; `stages` maps each stage type to the kind of its options."""
    parts = [_INTRODUCTION, _table(document(stages).fields.items())]
    for key, field in document(stages).fields.items():
        parts += _chapters(key, field.kind, depth=2, doc=field.doc)
    return "\n".join(parts)


def _chapters(path: str, kind: Kind, *, depth: int, doc: str = "") -> Iterator[str]:
    """A heading and a table for each mapping below a key, however it is wrapped."""
    match kind:
        case Section():
            yield _heading(path, depth, kind.doc or doc)
            yield _table(kind.fields.items())
            for key, field in kind.fields.items():
                yield from _chapters(f"{path}.{key}", field.kind, depth=3, doc=field.doc)
        case StageKind():
            yield from _stage_chapters(path, kind)
        case ListOf():
            yield from _chapters(f"{path}[]", kind.kind, depth=depth, doc=doc)
        case MapOf():
            yield from _chapters(f"{path}.NAME", kind.kind, depth=depth, doc=doc)
        case Either():
            for choice in kind.kinds:
                yield from _chapters(path, choice, depth=depth, doc=doc)


def _stage_chapters(path: str, kind: StageKind) -> Iterator[str]:
    yield _heading(path, 2, "Exactly one stage type, and beside it any of these keys.")
    yield _table(STAGE_KEYS.items())
    yield from _chapters(f"{path}.retry", STAGE_KEYS["retry"].kind, depth=3)
    for name, options in kind.types.items():
        yield _heading(name, 3, f"Stage. Its value is {options.describe()}.")
        yield from _chapters(name, options, depth=4)


def _heading(path: str, depth: int, doc: str) -> str:
    heading = f"{'#' * depth} `{path}`\n"
    return f"{heading}\n{doc}\n" if doc else heading


def _table(fields: Iterable[tuple[str, Field]]) -> str:
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    rows += [
        f"| `{key}` | {_cell(field.kind.describe())} | {_cell(_default(field))} "
        f"| {_cell(_meaning(field))} |"
        for key, field in fields
    ]
    return "\n".join(rows) + "\n"


def _default(field: Field) -> str:
    if field.required:
        return "required"
    if field.default is not None:
        return f"`{_written(field.default)}`"
    return field.default_doc or "none"


def _meaning(field: Field) -> str:
    if field.example is None:
        return field.doc
    return f"{field.doc} Example: `{_written(field.example)}`"


def _written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
