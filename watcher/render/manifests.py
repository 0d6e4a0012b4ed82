"""Manifests: YAML parsed first, then rendered scalar by scalar (SPEC 4).

What holds no expression is written as it was read (`defaultMode: 0644` means to kubectl what it
always meant); what an expression put there is quoted wherever a reader of YAML 1.1 or 1.2 would
take it for a number, a boolean, a date or nothing. So no tag can change a type or the structure.
A file named `*.j2` is a Jinja text first, `*.json` is read and written as JSON.
"""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import yaml
from jinja2 import nodes as jinja_nodes
from jinja2.exceptions import TemplateSyntaxError

from watcher.core.pipeline import Json
from watcher.errors import RenderError
from watcher.render.expressions import (
    EVALUATION_ERRORS,
    check_text,
    check_tree,
    facts_needed,
    facts_of_tree,
    names_fault,
    reason,
    render,
    render_text,
)
from watcher.render.foreign import Skeleton, check_labels, structure
from watcher.render.sandbox import Sandbox
from watcher.render.scope import Fact

TEMPLATE_SUFFIX = ".j2"

_STRING = "tag:yaml.org,2002:str"
_AMBIGUOUS = re.compile(
    r"[-+]?\.?[\d_]|[-+]?\.(?:inf|nan)$|(?:y|n|yes|no|on|off|true|false|null|~|=|<<|)$",
    re.IGNORECASE,
)
"""Plain scalars that some reader takes for something else than a string; rather too many."""

_NOT_IN_BLOCKS = re.compile(r"[^\S\n ]|[ \t]+$", re.MULTILINE)
_NOT_ON_A_LINE = re.compile(r"[^\S ]")


@dataclass(frozen=True, slots=True)
class Manifest:
    """The text of one file. `name` is shown in errors; its suffix says how the text is read."""

    name: str
    text: str

    @property
    def is_template(self) -> bool:
        return self.name.endswith(TEMPLATE_SUFFIX)

    @property
    def is_json(self) -> bool:
        return self.name.removesuffix(TEMPLATE_SUFFIX).endswith(".json")

    def facts_needed(self) -> frozenset[Fact]:
        """What must be asked of a registry before `render`; faults are left to that."""
        if self.is_template:
            return _template_facts(self.text) | facts_needed(_expressions_in(self.text))
        try:
            return facts_needed(self._json() if self.is_json else list(self._texts()))
        except RenderError:
            return frozenset()

    def fault(self) -> str | None:
        """The first fault that shows without values, or None."""
        try:
            if self.is_template:
                return _template_fault(self.name, self.text)
            if self.is_json:
                return next(
                    (f"{self.name}: {at}: {it}" for at, it in check_tree(self._json())), None
                )
            return next(
                filter(None, (_Document(*each).fault() for each in self._documents())), None
            )
        except RenderError as error:
            return error.message

    def render(self, scope: Mapping[str, Json]) -> str:
        """The finished text. Raises RenderError with file, document, path and expression."""
        if self.is_template:
            check_labels(self.name, scope, lambda each: self._filled_in(each)._shape())
            return self._filled_in(scope)._rendered(scope)
        return self._rendered(scope)

    def _rendered(self, scope: Mapping[str, Json]) -> str:
        if self.is_json:
            try:
                return json.dumps(render(self._json(), scope), indent=2, ensure_ascii=False) + "\n"
            except RenderError as error:
                raise RenderError(f"{self.name}: {error.message}", hint=error.hint) from error
        return _written([_Document(*each).render(scope) for each in self._documents()])

    def _filled_in(self, scope: Mapping[str, Json]) -> Manifest:
        text = _render_template(self.name, self.text, scope)
        return Manifest(self.name.removesuffix(TEMPLATE_SUFFIX), text)

    def _shape(self) -> list[Skeleton]:
        """Its structure. What is JSON is YAML too, once its tabs are gone."""
        text = json.dumps(self._json()) if self.is_json else self.text
        try:
            return structure(root for _, _, root in Manifest(self.name, text)._documents())
        except RecursionError as error:
            raise RenderError(f"{self.name}: it is nested too deeply") from error

    def _texts(self) -> Iterator[str]:
        for _, _, root in self._documents():
            for _, node in _walk(root):
                if isinstance(node, yaml.ScalarNode):
                    yield node.value

    def _json(self) -> Json:
        try:
            return json.loads(self.text, object_pairs_hook=_without_repeats)
        except (ValueError, RecursionError) as error:
            raise RenderError(f"{self.name}: this is no JSON: {error}") from error

    def _documents(self) -> Iterator[tuple[str, int, yaml.Node]]:
        """File name, number from 1, and root of each document that is not empty."""
        try:
            roots = list(yaml.compose_all(self.text.removeprefix("\ufeff"), yaml.SafeLoader))
        except (yaml.YAMLError, RecursionError) as error:
            raise RenderError(
                f"{self.name}: {_yaml_reason(error)}",
                hint="an expression with `: `, ` #` or inside [ ] must stand in quotes",
            ) from error
        for number, root in enumerate(roots, start=1):
            if not _is_empty(root):
                yield self.name, number, root


def text_of(documents: Sequence[Json]) -> str:
    """Plain data as YAML documents, in which every reader takes each string for a string."""
    return _written([_data(document) for document in documents])


def _without_repeats(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    made: dict[str, Json] = {}
    for key, value in pairs:
        if key in made:
            raise ValueError(f"the key {json.dumps(key[:100])} stands twice in one mapping")
        made[key] = value
    return made


@dataclass(slots=True)
class _Document:
    """One document while it is rendered; an alias is rendered once, where its anchor stands."""

    name: str
    number: int
    root: yaml.Node
    done: dict[int, yaml.Node] = field(default_factory=dict)

    def render(self, scope: Mapping[str, Json]) -> yaml.Node:
        try:
            return self._rendered(self.root, "", scope)
        except RecursionError as error:
            raise RenderError(f"{self._place('')}: it is nested too deeply") from error

    def fault(self) -> str | None:
        for path, node in _walk(self.root):
            if isinstance(node, yaml.ScalarNode) and (fault := check_text(node.value)):
                return f"{self._place(path)}: {fault}"
        return None

    def _rendered(self, node: yaml.Node, path: str, scope: Mapping[str, Json]) -> yaml.Node:
        if id(node) not in self.done:
            self.done[id(node)] = node
            self.done[id(node)] = self._made(node, path, scope)
        return self.done[id(node)]

    def _made(self, node: yaml.Node, path: str, scope: Mapping[str, Json]) -> yaml.Node:
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path, scope)
        if isinstance(node, yaml.SequenceNode):
            node.value = [
                self._rendered(item, f"{path}[{index}]", scope)
                for index, item in enumerate(node.value)
            ]
        elif isinstance(node, yaml.MappingNode):
            node.value = list(self._pairs(node, path, scope))
        return node

    def _pairs(
        self, node: yaml.MappingNode, path: str, scope: Mapping[str, Json]
    ) -> Iterator[tuple[yaml.Node, yaml.Node]]:
        seen: set[str] = set()
        for key, value in node.value:
            place = _join(path, key)
            made = self._rendered(key, place, scope)
            if isinstance(made, yaml.ScalarNode):
                if made.value in seen:
                    line = key.start_mark.line + 1
                    raise RenderError(
                        f"{self._place(place)}: this key stands here twice (again in line {line})"
                    )
                seen.add(made.value)
            yield made, self._rendered(value, place, scope)

    def _scalar(self, node: yaml.ScalarNode, path: str, scope: Mapping[str, Json]) -> yaml.Node:
        if "${" not in node.value:
            return node
        try:
            value = render_text(node.value, scope)
        except RenderError as error:
            raise RenderError(f"{self._place(path)}: {error.message}", hint=error.hint) from error
        return _string(value, node.style) if isinstance(value, str) else _data(value)

    def _place(self, path: str) -> str:
        return ", ".join(filter(None, (self.name, f"document {self.number}", path)))


def _string(text: str, style: str | None) -> yaml.ScalarNode:
    """A string that every reader takes for one, in the style in which its template stood."""
    if style is None and _AMBIGUOUS.match(text):
        style = "'"
    unfit = _NOT_IN_BLOCKS if style in ("|", ">") else _NOT_ON_A_LINE
    return yaml.ScalarNode(_STRING, text, style='"' if unfit.search(text) else style)


def _data(value: Json) -> yaml.Node:
    """A value of another type, whose own strings are quoted."""
    if isinstance(value, Mapping):
        pairs = [(_data(key), _data(item)) for key, item in value.items()]
        return yaml.MappingNode("tag:yaml.org,2002:map", pairs)
    if isinstance(value, list):
        return yaml.SequenceNode("tag:yaml.org,2002:seq", [_data(item) for item in value])
    if isinstance(value, str):
        return _string(value, "|" if "\n" in value else None)
    kind = {bool: "bool", int: "int", float: "float", type(None): "null"}[type(value)]
    return yaml.ScalarNode(f"tag:yaml.org,2002:{kind}", _number(value))


def _number(value: float | None) -> str:
    """Numbers so that YAML 1.1 and 1.2 agree: a float always has a dot (`1.0e+20`)."""
    text = json.dumps(value)
    if isinstance(value, float) and "." not in text:
        mantissa, _, exponent = text.partition("e")
        return f"{mantissa}.0e{exponent}"
    return text


def _written(roots: list[yaml.Node]) -> str:
    text: str = yaml.serialize_all(
        roots,
        Dumper=yaml.SafeDumper,
        explicit_start=len(roots) > 1,
        allow_unicode=True,
        width=2**31,
    )
    return text.removesuffix("...\n")


def _is_empty(root: yaml.Node) -> bool:
    return isinstance(root, yaml.ScalarNode) and not root.value and root.style is None


def _walk(root: yaml.Node) -> Iterator[tuple[str, yaml.Node]]:
    """Every node once, with its path; keys have the path of their value."""
    seen: set[int] = set()
    rest = [("", root)]
    while rest:
        path, node = rest.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield path, node
        if isinstance(node, yaml.SequenceNode):
            rest += [(f"{path}[{index}]", item) for index, item in enumerate(node.value)][::-1]
        elif isinstance(node, yaml.MappingNode):
            for key, value in reversed(node.value):
                rest += [(_join(path, key), value), (_join(path, key), key)]


def _join(path: str, key: yaml.Node) -> str:
    name = key.value if isinstance(key, yaml.ScalarNode) else "?"
    return f"{path}.{name}" if path else str(name)


def _yaml_reason(error: BaseException) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1}: {error.problem or error.context}"
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)


def _render_template(name: str, text: str, scope: Mapping[str, Json]) -> str:
    sandbox = Sandbox()
    try:
        tree = _parsed(sandbox, text)
        return sandbox.concat(sandbox.from_string(tree).generate(scope))
    except EVALUATION_ERRORS as error:
        raise RenderError(f"{name}: {_line(error, text)}{reason(error)}") from error


def _parsed(sandbox: Sandbox, text: str) -> jinja_nodes.Template:
    tree = sandbox.parse(text)
    unwanted = (jinja_nodes.Extends, jinja_nodes.Include, jinja_nodes.Import)
    for node in tree.find_all((*unwanted, jinja_nodes.FromImport)):
        raise TemplateSyntaxError("a manifest can't include or import another file", node.lineno)
    sandbox.guarded(tree)
    return tree


def _template_facts(text: str) -> frozenset[Fact]:
    try:
        return frozenset(facts_of_tree(_parsed(Sandbox(), text)))
    except EVALUATION_ERRORS:
        return frozenset()


def _template_fault(name: str, text: str) -> str | None:
    sandbox = Sandbox()
    try:
        tree = _parsed(sandbox, text)
        sandbox.compile(tree)
    except EVALUATION_ERRORS as error:
        return f"{name}: {_line(error, text)}{reason(error)}"
    fault = names_fault(tree)
    return f"{name}: {fault}" if fault else None


def _expressions_in(text: str) -> list[str]:
    """Every `${...}` of a text that is no YAML yet, up to the line's end at worst."""
    return [line[line.index("${") :] for line in text.splitlines() if "${" in line]


def _line(error: BaseException, text: str) -> str:
    """Where in a template it happened, with the line: `line 3, `image: {{ triger.tag }}`: `."""
    number = error.lineno if isinstance(error, TemplateSyntaxError) else None
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename == "<template>":
            number = frame.lineno
    lines = text.splitlines()
    if number is None or not 1 <= number <= len(lines):
        return ""
    return f"line {number}, `{lines[number - 1].strip()}`: "
