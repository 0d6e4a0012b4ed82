"""What is wrong with an object by the description that an API server serves at /openapi/v2: fields
that its kind does not have, values of another type, fields that are missing. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]
_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
}


class Description:
    """The definitions of one server."""

    def __init__(self, served: Schema) -> None:
        self._definitions = served["definitions"]
        self._kinds = {
            (f"{kind['group']}/{kind['version']}".removeprefix("/"), kind["kind"]): name
            for name, schema in self._definitions.items()
            for kind in schema.get("x-kubernetes-group-version-kind", ())
        }

    def problems(self, found: Mapping[str, Any]) -> list[str]:
        """A line for each problem, with the field's path."""
        name = self._kinds.get((found["apiVersion"], found["kind"]))
        if name is None:
            return [f"{found['kind']}: the server has no such kind"]
        return list(self._object(found, self._definitions[name], found["kind"]))

    def _value(self, value: Any, schema: Schema, path: str) -> Iterator[str]:
        reference = schema.get("$ref", "").removeprefix("#/definitions/")
        schema = self._definitions[reference] if reference else schema
        takes_numbers = schema.get("format") == "int-or-string" or reference == _QUANTITY
        kind = schema.get("type", "object")
        if not _is_of(value, "number" if takes_numbers and not isinstance(value, str) else kind):
            yield f"{path}: {value!r} is not of type {kind}"
        elif kind == "array":
            for number, item in enumerate(value):
                yield from self._value(item, schema["items"], f"{path}[{number}]")
        elif kind == "object":
            yield from self._object(value, schema, path)

    def _object(self, value: Mapping[str, Any], schema: Schema, path: str) -> Iterator[str]:
        properties, others = schema.get("properties"), schema.get("additionalProperties")
        for key in schema.get("required", ()):
            if key not in value:
                yield f"{path}.{key}: is missing"
        for key, item in value.items():
            if properties is not None and key in properties:
                yield from self._value(item, properties[key], f"{path}.{key}")
            elif others is not None:
                yield from self._value(item, others, f"{path}.{key}")
            elif properties is not None:
                yield f"{path}.{key}: there is no such field"


def _is_of(value: Any, kind: str) -> bool:
    """A boolean is no number here."""
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))
