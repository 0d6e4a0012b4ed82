"""One manifest's text to plain data as kubectl reads it, with everything that is wrong with it.

No key twice, no bombs of aliases, bounded depth. Messages name no value, for any value may be a
secret. Pure; imported by `bundle`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import yaml

from watcher.config.yaml_nodes import Event, YamlError, events
from watcher.kube.manifests.yaml_scalars import ScalarError, plain_scalar, tagged_scalar

Json = Any

MAXIMUM_DEPTH = 100
MAXIMUM_ALIASES = 1000
MAXIMUM_ALIASED = 100_000
_MERGE = "<<"
_MERGE_TAGS = (None, "tag:yaml.org,2002:merge")
_SEQUENCE_TAGS = (None, "!", "tag:yaml.org,2002:seq")
_MAPPING_TAGS = (None, "!", "tag:yaml.org,2002:map")
_OPEN = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadDocument:
    """One document: `number` counts from 1 with the empty ones, `line` is where it begins."""

    number: int
    line: int
    data: Json = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadProblem:
    """What is wrong, in which document; `line` is 0 where it is not known."""

    number: int
    line: int
    message: str
    hint: str | None = None


@dataclass(slots=True)
class ReadText:
    """Every document that could be read, and every problem that was met."""

    documents: list[ReadDocument] = field(default_factory=list)
    problems: list[ReadProblem] = field(default_factory=list)


def read_yaml(text: str) -> ReadText:
    """All documents of a YAML text; what follows a syntax error is not read."""
    result = ReadText()
    reader = _Reader(events(text.removeprefix("\ufeff")))
    try:
        result.documents.extend(reader.documents())
    except YamlError as error:
        reader.complain(error)
    result.problems = reader.problems
    return result


def read_json(text: str) -> ReadText:
    """The one document of a JSON text."""
    result = ReadText()
    try:
        data = json.loads(
            text.removeprefix("\ufeff"),
            object_pairs_hook=partial(_json_mapping, result.problems),
            parse_int=_json_number,
            parse_float=_json_number,
            parse_constant=_json_number,
        )
        if _depth(data) > MAXIMUM_DEPTH:
            raise RecursionError
        json.dumps(data, ensure_ascii=False).encode()
        result.documents.append(ReadDocument(number=1, line=1, data=data))
    except json.JSONDecodeError as error:
        result.problems.append(_json_problem(f"not valid JSON: {error.msg}", error.lineno))
    except ScalarError as error:
        result.problems.append(_json_problem(str(error)))
    except UnicodeEncodeError:
        result.problems.append(_json_problem("a text holds half of a surrogate pair"))
    except RecursionError:
        result.problems.append(_json_problem(f"nested deeper than {MAXIMUM_DEPTH} levels"))
    return result


@dataclass(slots=True)
class _Reader:
    """Builds data bottom up. An alias becomes a copy, so that nothing is shared; what is copied
    in all is bounded, so that no few lines of aliases grow to billions of values."""

    events: Iterator[Event]
    number: int = 0
    problems: list[ReadProblem] = field(default_factory=list)
    anchors: dict[str, Json] = field(default_factory=dict)
    aliases: int = 0
    aliased: int = 0

    def documents(self) -> Iterator[ReadDocument]:
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                self.number += 1
                self.anchors, self.aliases = {}, 0
                root = next(self.events)
                data = self.node(root, 1)
                yield ReadDocument(number=self.number, line=_line(root), data=data)

    def complain(self, error: YamlError) -> None:
        self.problems.append(
            ReadProblem(
                number=max(self.number, 1),
                line=error.line,
                message=error.message,
                hint=error.hint,
            )
        )

    def node(self, event: Event, depth: int) -> Json:
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event, depth)
        if event.anchor is None:
            return self.value(event, depth)
        self.anchors[event.anchor] = _OPEN
        self.anchors[event.anchor] = value = self.value(event, depth)
        return value

    def value(self, event: Event, depth: int) -> Json:
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event)
        _check_depth(event, depth)
        if isinstance(event, yaml.SequenceStartEvent):
            _check_tag(event, _SEQUENCE_TAGS)
            return list(self.items(depth))
        _check_tag(event, _MAPPING_TAGS)
        return self.mapping(depth)

    def items(self, depth: int) -> Iterator[Json]:
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            yield self.node(event, depth + 1)

    def mapping(self, depth: int) -> dict[str, Json]:
        """Keys count in the order of the file, merged ones too: a later one wins, as in kubectl."""
        made: dict[str, Json] = {}
        written: set[tuple[bool, str]] = set()
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            merge = _is_merge(event)
            key = _MERGE if merge else self.key(event)
            value = self.node(next(self.events), depth + 1)
            if (merge, key) in written:
                self.complain(YamlError(_line(event), _twice(key)))
            written.add((merge, key))
            made.update(_merged(event, value) if merge else {key: value})
        return made

    def key(self, event: Event) -> str:
        if not isinstance(event, yaml.ScalarEvent | yaml.AliasEvent):
            raise YamlError(_line(event), "a key must be text, not a list or a mapping")
        value = self.node(event, 0)
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, str | int):
            return str(value)
        raise YamlError(
            _line(event), "a key must be text", "a number or `null` as a key must be quoted"
        )

    def alias(self, event: Event, depth: int) -> Json:
        if event.anchor not in self.anchors:
            raise YamlError(
                _line(event),
                "an alias (*) without its anchor (&)",
                "a text that begins with * must be quoted",
            )
        value = self.anchors[event.anchor]
        if value is _OPEN:
            raise YamlError(_line(event), "an alias (*) inside its own anchor (&)")
        self.aliases += 1
        if self.aliases > MAXIMUM_ALIASES:
            raise YamlError(_line(event), f"more than {MAXIMUM_ALIASES} aliases (*)")
        return self.copy(value, event, depth)

    def copy(self, value: Json, event: Event, depth: int) -> Json:
        self.aliased += 1
        if self.aliased > MAXIMUM_ALIASED:
            raise YamlError(_line(event), f"aliases stand for more than {MAXIMUM_ALIASED} values")
        if not isinstance(value, dict | list):
            return value
        _check_depth(event, depth)
        if isinstance(value, list):
            return [self.copy(item, event, depth + 1) for item in value]
        return {key: self.copy(item, event, depth + 1) for key, item in value.items()}


def _is_merge(event: Event) -> bool:
    return (
        isinstance(event, yaml.ScalarEvent)
        and event.value == _MERGE
        and event.tag in _MERGE_TAGS
        and bool(event.implicit[0] or event.tag)
        and not event.style
    )


def _merged(event: Event, value: Json) -> dict[str, Json]:
    """Of several mappings the first one wins."""
    sources = value if isinstance(value, list) else [value]
    if not all(isinstance(source, dict) for source in sources):
        raise YamlError(_line(event), "the merge key `<<` takes a mapping or a list of mappings")
    return {key: item for source in reversed(sources) for key, item in source.items()}


def _scalar(event: Event) -> Json:
    try:
        if event.tag is not None:
            return tagged_scalar(event.tag, event.value)
        if event.style or not event.implicit[0]:
            return event.value
        return plain_scalar(event.value)
    except ScalarError as error:
        raise YamlError(_line(event), str(error), "quote it where a text is meant") from error


def _check_tag(event: Event, allowed: tuple[str | None, ...]) -> None:
    if event.tag not in allowed:
        raise YamlError(_line(event), "this tag (!) means nothing to Kubernetes")


def _check_depth(event: Event, depth: int) -> None:
    if depth > MAXIMUM_DEPTH:
        raise YamlError(_line(event), f"nested deeper than {MAXIMUM_DEPTH} levels")


def _line(event: Event) -> int:
    return int(event.start_mark.line) + 1


def _twice(key: str) -> str:
    return f"the key {json.dumps(key[:100], ensure_ascii=False)} stands twice in one mapping"


def _json_problem(message: str, line: int = 0) -> ReadProblem:
    return ReadProblem(number=1, line=line, message=message)


def _json_mapping(problems: list[ReadProblem], pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    made: dict[str, Json] = {}
    for key, value in pairs:
        if key in made:
            problems.append(_json_problem(_twice(key)))
        made[key] = value
    return made


def _json_number(text: str) -> int | float:
    value = plain_scalar(text) if text[-1].isdigit() else None
    if not isinstance(value, int | float):
        raise ScalarError("a number that JSON does not know, or that is too large")
    return value


def _depth(data: Json) -> int:
    """How many lists and mappings lie in each other at the deepest place."""
    deepest, rest = 0, [(data, 1)]
    while rest:
        value, depth = rest.pop()
        if isinstance(value, dict | list):
            deepest = max(deepest, depth)
            children = value.values() if isinstance(value, dict) else value
            rest += [(child, depth + 1) for child in children]
    return deepest
