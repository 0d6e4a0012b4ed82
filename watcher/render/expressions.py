"""`${ ... }`: sandboxed Jinja expressions in texts and in plain data (SPEC 4).

`render` and `holds` evaluate, `facts_needed` says what must be asked of a registry before, and
`check_*` find at config time what can be found then. Everything raises RenderError, with the
expression in the message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from jinja2 import nodes
from jinja2.environment import TemplateExpression
from jinja2.exceptions import TemplateError, TemplateSyntaxError
from jinja2.meta import find_undeclared_variables
from jinja2.parser import Parser

from watcher.core.pipeline import Json
from watcher.errors import RenderError
from watcher.render.sandbox import Sandbox, as_text, settled
from watcher.render.scanner import LITERAL, Expression, split
from watcher.render.scope import (
    EXECUTION_NAMES,
    IMAGE_DIGEST_NAMES,
    IMAGE_NAMES,
    SCOPE_NAMES,
    TRIGGER_NAMES,
    Fact,
)

EVALUATION_ERRORS = (
    TemplateError,
    TypeError,
    ValueError,
    ArithmeticError,
    LookupError,
    AttributeError,
    NameError,
    RecursionError,
)
"""Whatever an expression can end in."""

_FALSE_WORDS = frozenset({"", "false", "no", "off", "0"})
_CLOSED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "trigger": TRIGGER_NAMES,
        "execution": EXECUTION_NAMES,
        "image": IMAGE_NAMES + IMAGE_DIGEST_NAMES,
    }
)
_MAPPING_METHODS = ("get", "items", "keys", "values")

Guard = Callable[[Expression, str], None]


def render(tree: Json, scope: Mapping[str, Json], *, guard: Guard | None = None) -> Json:
    """Plain data with every expression in its strings and keys replaced.

    A string that is exactly one expression becomes that expression's value, of its own type.
    `guard` is shown each value that goes into a text, and may raise RenderError.
    """
    if isinstance(tree, str):
        return render_text(tree, scope, guard=guard)
    if isinstance(tree, Mapping):
        return _render_mapping(tree, scope, guard)
    if isinstance(tree, list | tuple):
        return [_placed(f"[{index}]", item, scope, guard=guard) for index, item in enumerate(tree)]
    return tree


def _render_mapping(
    tree: Mapping[str, Json], scope: Mapping[str, Json], guard: Guard | None
) -> Json:
    rendered = {}
    for key, item in tree.items():
        name = render_text(key, scope, guard=guard) if isinstance(key, str) else key
        if name in rendered:
            raise RenderError(f"{key}: the key {name!r} comes out twice")
        rendered[name] = _placed(str(key), item, scope, guard=guard)
    return rendered


def _placed(place: str, item: Json, scope: Mapping[str, Json], *, guard: Guard | None) -> Json:
    """`render`, whose error says where in the tree it happened."""
    try:
        return render(item, scope, guard=guard)
    except RenderError as error:
        separator = "" if error.message.startswith("[") else ": "
        if isinstance(item, Mapping):
            separator = "."
        raise RenderError(f"{place}{separator}{error.message}", hint=error.hint) from error


def render_text(text: str, scope: Mapping[str, Json], *, guard: Guard | None = None) -> Json:
    """One string; see `render`."""
    parts = split(text)
    if len(parts) == 1 and isinstance(parts[0], Expression):
        value = evaluate(parts[0], scope)
        if guard is not None:
            guard(parts[0], _inner_text(parts[0], value))
        return value
    return "".join(
        part if isinstance(part, str) else _guarded_text(part, scope, guard) for part in parts
    )


def _guarded_text(expression: Expression, scope: Mapping[str, Json], guard: Guard | None) -> str:
    text = _inner_text(expression, evaluate(expression, scope))
    if guard is not None:
        guard(expression, text)
    return text


def _inner_text(expression: Expression, value: Json) -> str:
    try:
        return as_text(value)
    except TemplateError as error:
        raise RenderError(f"`{expression}`: {error}") from error


def evaluate(expression: Expression, scope: Mapping[str, Json]) -> Json:
    """The value of one expression, as plain data."""
    sandbox = Sandbox()
    try:
        tree = _parse(sandbox, expression)
        template = sandbox.from_string(tree)
        return settled(TemplateExpression(template, undefined_to_none=False)(scope))
    except EVALUATION_ERRORS as error:
        raise RenderError(f"`{expression}`: {reason(error)}") from error


def holds(condition: str, scope: Mapping[str, Json]) -> bool:
    """Whether an `if` is true; it may stand with or without `${ }`.

    The words false, no, off, 0 and the empty text are false, since parameters given on the
    command line are texts; everything else counts as in Python.
    """
    value = evaluate(_condition(condition), scope)
    if isinstance(value, str):
        return value.strip().lower() not in _FALSE_WORDS
    return bool(value)


def _condition(text: str) -> Expression:
    parts = split(text.strip())
    if len(parts) == 1 and isinstance(parts[0], Expression):
        return parts[0]
    if any(isinstance(part, Expression) for part in parts) or not parts:
        raise RenderError(
            f"`{text}`: a condition is one expression; put all of it into one `${{}}`"
        )
    return Expression(text.strip())


def facts_needed(tree: Json) -> frozenset[Fact]:
    """What must be asked of a registry before `render(tree)`; faults are left to `render`."""
    return frozenset(
        fact for text in _texts(tree) for part in _parts(text) for fact in _facts_of(part)
    )


def condition_facts(condition: str) -> frozenset[Fact]:
    """What must be asked of a registry before `holds(condition)`."""
    try:
        return frozenset(_facts_of(_condition(condition)))
    except RenderError:
        return frozenset()


def check_text(text: str) -> str | None:
    """The first fault of `text` that shows without values, with what to do: a sentence, or None."""
    try:
        for part in split(text):
            if isinstance(part, Expression):
                _check(part)
    except RenderError as error:
        return "; ".join(filter(None, (error.message, error.hint)))
    return None


def check_condition(condition: str) -> str | None:
    """As `check_text`, for an `if`."""
    try:
        _check(_condition(condition))
    except RenderError as error:
        return error.message
    return None


def check_tree(tree: Json, path: str = "") -> Iterator[tuple[str, str]]:
    """Every fault in the texts of plain data, with its path such as `headers.X-Tag` or `[0]`."""
    if isinstance(tree, str) and (fault := check_text(tree)):
        yield path, fault
    elif isinstance(tree, Mapping):
        for key, item in tree.items():
            if fault := check_text(str(key)):
                yield path, fault
            yield from check_tree(item, f"{path}.{key}" if path else str(key))
    elif isinstance(tree, list | tuple):
        for index, item in enumerate(tree):
            yield from check_tree(item, f"{path}[{index}]")


def names_fault(tree: nodes.Template) -> str | None:
    """A name, or a part of a name with a closed set of parts, that does not exist."""
    for name in sorted(find_undeclared_variables(tree) - {"range", "dict", "namespace"}):
        if name not in SCOPE_NAMES:
            return _unknown(name, SCOPE_NAMES)
    for owner, part in _members(tree):
        known = _CLOSED.get(owner, ())
        if known and part is not None and part not in known + _MAPPING_METHODS:
            return _unknown(part, known, of=owner)
    return None


def facts_of_tree(tree: nodes.Node) -> Iterator[Fact]:
    """What a parsed template needs; rather too much than too little."""
    for owner, part in _members(tree):
        if owner == "labels":
            yield Fact.LABELS
        if (owner == "image" and part not in IMAGE_NAMES) or (owner, part) == ("trigger", "digest"):
            yield Fact.DIGEST


def _members(tree: nodes.Node) -> Iterator[tuple[str, Any]]:
    """(`trigger`, `tag`) for each `trigger.tag` and `trigger['tag']`; (`trigger`, None) where the
    part can't be told or the whole is used."""
    told = set()
    for node in tree.find_all(nodes.Node):
        if isinstance(node, nodes.Getattr | nodes.Getitem) and isinstance(node.node, nodes.Name):
            told.add(id(node.node))
            yield node.node.name, _part(node)
    for name in tree.find_all(nodes.Name):
        if id(name) not in told:
            yield name.name, None


def _part(node: nodes.Getattr | nodes.Getitem) -> Any:
    if isinstance(node, nodes.Getattr):
        return node.attr
    return node.arg.value if isinstance(node.arg, nodes.Const) else None


def _unknown(name: str, known: tuple[str, ...], of: str = "") -> str:
    close = get_close_matches(str(name), known, n=1)
    every = f"known are: {', '.join(known)}"
    advice = f"did you mean {close[0]!r}?" if close else every if of else f"{LITERAL}; {every}"
    whole = f"{of}.{name}" if of else name
    return f"{whole!r} is an unknown name; {advice}"


def _parse(sandbox: Sandbox, expression: Expression) -> nodes.Template:
    """The template `result = <expression>`, as Jinja's own compile_expression makes it."""
    parser = Parser(sandbox, expression.source, state="variable")
    parsed = parser.parse_expression()
    if not parser.stream.eos:
        token = parser.stream.current
        raise TemplateSyntaxError(f"unexpected {token.value!r}", token.lineno)
    assignment = nodes.Assign(nodes.Name("result", "store"), parsed, lineno=1)
    tree = nodes.Template([assignment], lineno=1)
    sandbox.guarded(tree)
    return tree


def _check(expression: Expression) -> None:
    sandbox = Sandbox()
    try:
        tree = _parse(sandbox, expression)
    except EVALUATION_ERRORS as error:
        raise RenderError(f"`{expression}`: {reason(error)}", hint=LITERAL) from error
    try:
        sandbox.compile(tree)
    except EVALUATION_ERRORS as error:
        raise RenderError(f"`{expression}`: {reason(error)}") from error
    if fault := names_fault(tree):
        raise RenderError(f"`{expression}`: {fault}")


def _facts_of(part: str | Expression) -> Iterator[Fact]:
    if isinstance(part, str):
        return
    try:
        tree = _parse(Sandbox(), part)
    except EVALUATION_ERRORS:
        return
    yield from facts_of_tree(tree)


def _parts(text: str) -> tuple[str | Expression, ...]:
    try:
        return split(text)
    except RenderError:
        return ()


def _texts(tree: Json) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, Mapping):
        for key, item in tree.items():
            yield from _texts(key)
            yield from _texts(item)
    elif isinstance(tree, list | tuple):
        for item in tree:
            yield from _texts(item)


def reason(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, TemplateError):
        return (error.message or type(error).__name__).rstrip(".")
    return f"{type(error).__name__}: {error}"
