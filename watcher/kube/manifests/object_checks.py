"""What is wrong with one object before any server sees it, and the little that is put right.

Checked is what a server would answer with a text that nobody understands (a 500 for a number in a
label), or what could change the request itself (a name with a slash). Messages name paths, never
values. Pure; imported by `bundle`.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from watcher.errors import ClusterError
from watcher.kube.objects import LAST_APPLIED, Object, check_name, check_namespace
from watcher.render.paths import Pattern, child
from watcher.render.pod_templates import (
    CONTAINER_LISTS,
    below,
    group_and_kind,
    pod_template_path,
)

Json = Any

_API_VERSION = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[a-z]([-a-z0-9]*[a-z0-9])?")
_KIND = re.compile(r"[A-Za-z]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LOWER_CASE_GROUPS = frozenset({"", "apps", "autoscaling", "batch", "extensions", "policy"})
"""Groups whose objects are all named by RFC 1123; roles, for one, may be called `system:node`."""

_SERVER_FIELDS = (
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "managedFields",
    "selfLink",
)
_STRING_MAPS: dict[tuple[str, str], tuple[str, ...]] = {
    ("", "ConfigMap"): ("data", "binaryData"),
    ("", "Secret"): ("data", "stringData"),
    ("", "Service"): ("spec.selector",),
    ("", "ReplicationController"): ("spec.selector",),
    **{
        ("apps", kind): ("spec.selector.matchLabels",)
        for kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")
    },
}
_BASE64: dict[tuple[str, str], str] = {
    ("", "ConfigMap"): "binaryData",
    ("", "Secret"): "data",
}
_QUOTE = "put it in quotes"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong at a path of an object, and what to do."""

    path: str
    message: str
    hint: str | None = None


def faults_of(item: Object) -> list[Fault]:
    """Everything that is wrong with the object; what it lacks hides what else is wrong."""
    return list(_identity_faults(item)) or [
        *_name_faults(item),
        *_text_faults(item),
        *_variable_faults(item),
        *_base64_faults(item),
    ]


def cleaned(item: Object) -> tuple[Object, list[str]]:
    """The object as it is applied, and the paths of what was left out of it.

    What only a server writes is left out; it is named when it held anything. So is kubectl's copy
    of its own last manifest, which in a Secret holds its values in an annotation. A Secret's
    `stringData` becomes `data`: as such, a key that is removed later goes away in the cluster too.
    """
    metadata: Mapping[str, Json] = item["metadata"]
    left_out = [child("metadata", key) for key in _SERVER_FIELDS if metadata.get(key)]
    if item.get("status"):
        left_out.append("status")
    made = {key: value for key, value in item.items() if key != "status"}
    kept = {key: value for key, value in metadata.items() if key not in _SERVER_FIELDS}
    if LAST_APPLIED in (annotations := metadata.get("annotations") or {}):
        left_out.append(child("metadata.annotations", LAST_APPLIED))
        kept["annotations"] = {k: v for k, v in annotations.items() if k != LAST_APPLIED}
    made["metadata"] = kept
    if group_and_kind(item) == ("", "Secret") and "stringData" in made:
        encoded = _encoded(made.pop("stringData") or {})
        if encoded:
            made["data"] = {**(item.get("data") or {}), **encoded}
    return made, left_out


def _identity_faults(item: Object) -> Iterator[Fault]:
    for key, pattern, example in (
        ("apiVersion", _API_VERSION, "apps/v1"),
        ("kind", _KIND, "Deployment"),
    ):
        value = item.get(key)
        if value is None or value == "":
            yield Fault(key, "is missing", f"write it as in `{key}: {example}`")
        elif not isinstance(value, str) or pattern.fullmatch(value) is None:
            yield Fault(key, f"is no {key}", f"write it as in `{key}: {example}`")
    metadata = item.get("metadata")
    if not isinstance(metadata, dict):
        missing = metadata is None
        yield Fault("metadata", "is missing" if missing else "must be a mapping")
    else:
        yield from _metadata_faults(metadata)


def _metadata_faults(metadata: Mapping[str, Json]) -> Iterator[Fault]:
    name, namespace = metadata.get("name"), metadata.get("namespace")
    if metadata.get("generateName"):
        yield Fault(
            "metadata.generateName",
            "can't be applied: each run would make another object",
            "give it a name, which may hold `${execution.id}`",
        )
    elif name is None or name == "":
        yield Fault("metadata.name", "is missing")
    elif not isinstance(name, str):
        yield _not_a_string("metadata.name", name)
    if namespace is not None and not isinstance(namespace, str):
        yield _not_a_string("metadata.namespace", namespace)


def _name_faults(item: Object) -> Iterator[Fault]:
    group, kind = group_and_kind(item)
    name, namespace = item["metadata"]["name"], item["metadata"].get("namespace")
    try:
        check_name(name, kind)
        if (group, kind) == ("", "Namespace"):
            check_namespace(name)
        elif group in _LOWER_CASE_GROUPS and (len(name) > 253 or not _SUBDOMAIN.fullmatch(name)):
            yield Fault(
                "metadata.name",
                f"{name!r} can't be the name of a {kind}",
                "a name has small letters, digits, `-` and `.`",
            )
    except ClusterError as error:
        yield Fault("metadata.name", error.message)
    try:
        check_namespace(namespace or "default")
    except ClusterError as error:
        yield Fault("metadata.namespace", error.message)


def _text_faults(item: Object) -> Iterator[Fault]:
    template = pod_template_path(item)
    paths = {
        "metadata.labels": None,
        "metadata.annotations": None,
        **dict.fromkeys(_STRING_MAPS.get(group_and_kind(item), ())),
    }
    if template is not None:
        for rest in ("metadata.labels", "metadata.annotations", "spec.nodeSelector"):
            paths[below(template, rest)] = None
    for path in paths:
        for slot in Pattern.parse(path).find(item):
            yield from _string_map_faults(slot.path, slot.value)


def _string_map_faults(path: str, value: Json) -> Iterator[Fault]:
    if value is None:
        return
    if not isinstance(value, dict):
        yield Fault(path, f"must be a mapping, not {_sort_of(value)}")
        return
    for key, each in value.items():
        if not isinstance(each, str):
            yield _not_a_string(child(path, key), each)


def _variable_faults(item: Object) -> Iterator[Fault]:
    template = pod_template_path(item)
    for each in CONTAINER_LISTS if template is not None else ():
        pattern = Pattern.parse(below(template or "", f"spec.{each}[*].env[*].value"))
        for slot in pattern.find(item):
            if slot.value is not None and not isinstance(slot.value, str):
                yield _not_a_string(slot.path, slot.value)


def _base64_faults(item: Object) -> Iterator[Fault]:
    field = _BASE64.get(group_and_kind(item))
    values = item.get(field) if field else None
    if field is None or not isinstance(values, dict):
        return
    for key, value in values.items():
        if isinstance(value, str) and not _is_base64(value):
            other = "stringData" if field == "data" else "data"
            yield Fault(child(field, key), "is not base64", f"plain text belongs under `{other}`")


def _is_base64(text: str) -> bool:
    """As Go decodes it: line ends do not count, spaces and missing padding do."""
    try:
        b64decode(text.replace("\n", "").replace("\r", ""), validate=True)
    except ValueError:
        return False
    return True


def _encoded(values: Mapping[str, str]) -> dict[str, str]:
    return {key: b64encode(value.encode()).decode() for key, value in values.items()}


def _not_a_string(path: str, value: Json) -> Fault:
    hint = None if isinstance(value, dict | list) else _QUOTE
    return Fault(path, f"must be a string, not {_sort_of(value)}", hint)


def _sort_of(value: Json) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "a list" if isinstance(value, list) else "a mapping"
