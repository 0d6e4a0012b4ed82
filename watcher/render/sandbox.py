"""The Jinja environment in which expressions run: no way out, no way to change, no runaway.

On top of Jinja's own sandbox: methods are an allow-list, `a['x']` and `a.x` mean the same, sizes
and rounds are bounded, an unknown name says what is known. Made anew for each rendering, since it
counts the rounds. Used by `expressions` only.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from types import BuiltinMethodType, MappingProxyType
from typing import Any

from jinja2 import StrictUndefined, nodes
from jinja2.exceptions import SecurityError, UndefinedError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing, object_type_repr

from watcher.core.pipeline import Json
from watcher.render.filters import FILTERS
from watcher.render.limits import (
    STEPS,
    check_format,
    check_join,
    check_power,
    check_product,
    check_replace,
    check_size,
    check_width,
    measure,
)
from watcher.render.scope import SCOPE_NAMES

_PADDING = frozenset({"center", "ljust", "rjust", "zfill"})
_LOOKING = frozenset(
    {"count", "endswith", "find", "index", "rfind", "rindex", "startswith"}
    | {"isalnum", "isalpha", "isascii", "isdecimal", "isdigit", "islower", "isnumeric"}
    | {"isspace", "istitle", "isupper"}
)
_CUTTING = frozenset(
    {"partition", "removeprefix", "removesuffix", "rpartition", "rsplit", "split", "splitlines"}
    | {"lstrip", "rstrip", "strip"}
)
_CHANGING = frozenset({"capitalize", "casefold", "lower", "swapcase", "title", "upper"})
_TEXT_METHODS = _PADDING | _LOOKING | _CUTTING | _CHANGING | {"join", "replace"}
_METHODS: Mapping[type, frozenset[str]] = MappingProxyType(
    {
        str: _TEXT_METHODS,
        dict: frozenset({"get", "items", "keys", "values"}),
        list: frozenset({"count", "index"}),
        tuple: frozenset({"count", "index"}),
    }
)
_ROUNDS = "_rounds"


class Unknown(StrictUndefined):
    """An unknown name, which says what it could have been."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        name = self._undefined_name
        if self._undefined_hint:
            return self._undefined_hint
        if self._undefined_obj is missing:
            return f"{name!r} is an unknown name; known are: {', '.join(SCOPE_NAMES)}"
        if not isinstance(self._undefined_obj, Mapping):
            return f"{object_type_repr(self._undefined_obj)} has no {name!r}"
        known = sorted(str(key) for key in self._undefined_obj)
        close = get_close_matches(str(name), known, n=1)
        advice = f"did you mean {close[0]!r}?" if close else f"known are: {', '.join(known[:20])}"
        return f"{name!r} is not there; " + (advice if known else "nothing is")


class Printed(str):
    """Text that a template wrote, as against a value that goes into it."""

    __slots__ = ()


class Sandbox(ImmutableSandboxedEnvironment):
    """See the module. One instance renders one text."""

    intercepted_binops = frozenset({"*", "**", "+", "%"})

    def __init__(self) -> None:
        super().__init__(
            undefined=Unknown,
            finalize=_as_template_text,
            autoescape=False,
            optimized=False,
            keep_trailing_newline=True,
            trim_blocks=True,
            lstrip_blocks=True,
            cache_size=0,
        )
        self.steps = STEPS
        self.filters = {**FILTERS, _ROUNDS: self._rounds}
        wanted = ("range", "dict", "namespace")
        self.globals = {name: self.globals[name] for name in wanted}

    def guarded(self, tree: nodes.Node) -> None:
        """Make loops counted and `~` measured, in the parsed template itself."""
        for loop in tree.find_all(nodes.For):
            loop.iter = self._filter(loop.iter, _ROUNDS)
        for parent in reversed([tree, *tree.find_all(nodes.Node)]):
            for field, value in list(parent.iter_fields()):
                setattr(parent, field, self._without_concat(value))
        tree.set_environment(self)

    def _without_concat(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._without_concat(item) for item in value]
        if isinstance(value, nodes.Concat):
            return self._filter(nodes.List(value.nodes, lineno=value.lineno), "join")
        return value

    @staticmethod
    def _filter(node: nodes.Node, name: str) -> nodes.Filter:
        return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)

    def _rounds(self, items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            self._step()
            yield item

    def _step(self) -> None:
        self.steps -= 1
        if self.steps < 0:
            raise SecurityError(f"it takes more than {STEPS} rounds")

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`a.x` is `a['x']` where there is such a key, even when it is called `items`."""
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """`a['items']` is never a method."""
        if isinstance(obj, Mapping) and isinstance(argument, str):
            if argument in obj:
                return obj[argument]
            return self.undefined(obj=obj, name=argument)
        return super().getitem(obj, argument)

    def wrap_str_format(self, value: Any) -> None:
        """Nothing is wrapped: `format` is not among the methods that may be called."""

    def is_safe_callable(self, obj: Any) -> bool:
        owner = getattr(obj, "__self__", None) if isinstance(obj, BuiltinMethodType) else None
        for kind, methods in _METHODS.items():
            if isinstance(owner, kind):
                return obj.__name__ in methods
        return not isinstance(owner, int | float | bytes) and super().is_safe_callable(obj)

    def call(
        __self,  # noqa: N805 - as in Jinja: a keyword argument may be called `self`
        __context: Context,
        __callable: Any,
        *arguments: Any,
        **options: Any,
    ) -> Any:
        __self._step()
        if not isinstance(__callable, StrictUndefined) and not __self.is_safe_callable(__callable):
            name = getattr(__callable, "__name__", "this")
            raise SecurityError(f"{name!r} may not be called")
        if isinstance(__callable, BuiltinMethodType):
            _check_method(__callable, arguments)
        return super().call(__context, __callable, *arguments, **options)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "*":
            check_product(left, right)
        elif operator == "**":
            check_power(left, right)
        elif operator == "%":
            check_format(left)
        elif not isinstance(left, int | float):
            check_size(measure(left) + measure(right))
        return super().call_binop(context, operator, left, right)

    @staticmethod
    def concat(pieces: Iterable[str]) -> str:
        """How Jinja puts together what blocks, macros and templates write. A `$` and the `{` of
        its neighbour would become an expression, or undo one, that nobody wrote."""
        collected, size, last = [], 0, ""
        for piece in pieces:
            if last == "$" and piece.startswith(("{", "${")):
                raise SecurityError("a `$` and its neighbour would make `${`; part them")
            last = piece[-1:] or last
            size += len(piece)
            check_size(size)
            collected.append(piece)
        return Printed("".join(collected))


def _check_method(method: BuiltinMethodType, arguments: tuple[Any, ...]) -> None:
    owner, name = method.__self__, method.__name__
    if not isinstance(owner, str):
        return
    if name in _PADDING and arguments:
        check_width(arguments[0])
    elif name == "replace" and len(arguments) > 1:
        check_replace(owner, str(arguments[0]), str(arguments[1]))
    elif name == "join" and arguments:
        check_join(owner, arguments[0])


def settled(value: Any) -> Json:
    """The value as plain data. Raises for unknown names, methods and what is no data."""
    measure(value)
    return _plain(value)


def _plain(value: Any) -> Json:
    if isinstance(value, StrictUndefined):
        raise UndefinedError(value._undefined_message)
    if isinstance(value, float) and not math.isfinite(value):
        raise SecurityError(f"{value} is no number that YAML and JSON share")
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Mapping):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Iterable):
        return [_plain(item) for item in value]
    raise SecurityError(f"its value is no data but {object_type_repr(value)}")


def as_text(value: Json) -> str:
    """A value inside a longer text: numbers and booleans as YAML writes them, lists and objects
    as JSON. A null there is nobody's wish, so it raises."""
    if value is None:
        raise SecurityError("it is null; say what to write instead: `| default('', true)`")
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _as_template_text(value: Any) -> str:
    """What `{{ }}` writes. A value can't bring a `${` that is evaluated later."""
    if isinstance(value, Printed):
        return value
    return as_text(settled(value)).replace("${", "$${")
