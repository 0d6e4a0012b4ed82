"""From rendered texts to the objects that are applied: read, flattened, checked, cleaned.

Everything that is wrong is said at once, a line each, before any request is sent. No line shows a
value of a manifest other than names. Pure; for every stage that takes manifests.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from watcher.errors import ClusterError, StageError
from watcher.kube.manifests.object_checks import cleaned, faults_of
from watcher.kube.manifests.yaml_documents import ReadProblem, ReadText, read_json, read_yaml
from watcher.kube.objects import Object, ObjectKey, check_name

Json = Any

MAXIMUM_BYTES = 5 * 1024 * 1024
MAXIMUM_OBJECTS = 2000
MAXIMUM_LINES = 100
_TEMPLATE_SUFFIX = ".j2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One object and where it came from. `number` is 0 where that is no file of documents, `part`
    its place inside a List (`items[2]`)."""

    object: Object = field(repr=False)
    source: str
    number: int
    part: str = ""

    @property
    def place(self) -> str:
        """`deploy/web.yaml, document 2`"""
        return _place(self.source, self.number, self.part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Documents:
    """The objects in the order in which they stand, and what is worth a word in the log."""

    documents: tuple[Document, ...]
    warnings: tuple[str, ...]

    @property
    def objects(self) -> tuple[Object, ...]:
        return tuple(document.object for document in self.documents)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One line of an error: place, object, path and fault, and what to do about it."""

    text: str
    hint: str | None = None

    def __str__(self) -> str:
        return f"{self.text} ({self.hint})" if self.hint else self.text


def read_documents(texts: Iterable[tuple[str, str]]) -> Documents:
    """The objects of rendered texts, given as (source name, text); `*.json` is read as JSON.

    Raises StageError with a line for every problem.
    """
    bundle = _Bundle()
    for source, text in texts:
        bundle.take(source, text)
    refuse([*bundle.refusals, *duplicates(bundle.documents)])
    return Documents(documents=tuple(bundle.documents), warnings=tuple(bundle.warnings))


def duplicates(documents: Iterable[Document]) -> list[Refusal]:
    """A line for each object that stands a second time, in whatever version."""
    first: dict[ObjectKey, Document] = {}
    refusals = []
    for document in documents:
        key = ObjectKey.of(document.object)
        earlier = first.setdefault(key, document)
        if earlier is not document:
            refusals.append(Refusal(text=f"{document.place}: {key} stands in {earlier.place} too"))
    return refusals


def refuse(refusals: Iterable[Refusal]) -> None:
    """Raises StageError with a line each, if there are any."""
    lines = list(refusals)
    if len(lines) == 1:
        raise StageError(lines[0].text, hint=lines[0].hint)
    if lines:
        shown = [str(line) for line in lines[:MAXIMUM_LINES]]
        if len(lines) > MAXIMUM_LINES:
            shown.append(f"and {len(lines) - MAXIMUM_LINES} more")
        raise StageError("\n".join(shown))


@dataclass(slots=True)
class _Bundle:
    """What has been read so far."""

    documents: list[Document] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    size: int = 0
    count: int = 0

    def take(self, source: str, text: str) -> None:
        try:
            self.size += len(text.encode())
        except UnicodeEncodeError:
            self.refusals.append(Refusal(text=f"{source}: this is no Unicode text"))
            return
        if self.size > MAXIMUM_BYTES:
            raise _too_much(source, f"are larger than {MAXIMUM_BYTES // 1024**2} MiB")
        self.take_documents(source, _read(source, text))

    def take_documents(self, source: str, read: ReadText) -> None:
        self.refusals += [_unreadable(source, problem) for problem in read.problems]
        for document in read.documents:
            if document.data is None:
                continue
            if not isinstance(document.data, dict):
                place = _place(source, document.number)
                text = f"{place}: line {document.line}: this is no object"
                self.refusals.append(Refusal(text=text, hint="an object is a mapping"))
                continue
            for part, item in _flattened(document.data):
                self.add(source, document.number, part, item)

    def add(self, source: str, number: int, part: str, item: Json) -> None:
        self.count += 1
        if self.count > MAXIMUM_OBJECTS:
            raise _too_much(source, f"hold more than {MAXIMUM_OBJECTS} objects")
        place = _place(source, number, part)
        if not isinstance(item, dict):
            self.refusals.append(Refusal(text=f"{place}: this is no object"))
            return
        about = f"{place}: {called(item)}"
        if faults := faults_of(item):
            self.refusals += [
                Refusal(text=f"{about}: {fault.path}: {fault.message}", hint=fault.hint)
                for fault in faults
            ]
            return
        made, left_out = cleaned(item)
        self.warnings += [
            f"{about}: {path} is not for manifests and was left out" for path in left_out
        ]
        self.documents.append(Document(object=made, source=source, number=number, part=part))


def called(item: Object) -> str:
    """How an error names an object that may lack anything: `deployment.apps/web`."""
    kind = item.get("kind")
    try:
        key = ObjectKey.of(item)
        check_name(key.name, key.kind)
        if str(key).isprintable():
            return str(key)
    except (AttributeError, ClusterError, KeyError, TypeError):
        pass
    return f"the {kind}" if isinstance(kind, str) and kind.isalnum() else "the object"


def _flattened(item: Json, part: str = "") -> Iterator[tuple[str, Json]]:
    """The object, or the items of a List, of a list of one kind, or of lists in lists."""
    kind = item.get("kind") if isinstance(item, dict) else None
    if not isinstance(kind, str) or not kind.endswith("List") or not _is_list(item):
        yield part, item
        return
    for index, each in enumerate(item.get("items") or []):
        place = f"{part}.items[{index}]".removeprefix(".")
        yield from _flattened(_typed(each, item), place)


def _is_list(item: Object) -> bool:
    """A kind of one's own may be called `AllowList` and be no list at all."""
    return item["kind"] == "List" or isinstance(item.get("items"), list)


def _typed(item: Json, of: Object) -> Json:
    """An item of a `ConfigMapList` need not say that it is a ConfigMap."""
    if of["kind"] == "List" or not isinstance(item, dict) or item.get("kind"):
        return item
    kind = of["kind"].removesuffix("List")
    return {**item, "apiVersion": item.get("apiVersion") or of.get("apiVersion"), "kind": kind}


def _read(source: str, text: str) -> ReadText:
    is_json = source.removesuffix(_TEMPLATE_SUFFIX).endswith(".json")
    return read_json(text) if is_json else read_yaml(text)


def _too_much(source: str, what: str) -> StageError:
    return StageError(f"{source}: the manifests {what}", hint="apply them in several stages")


def _unreadable(source: str, problem: ReadProblem) -> Refusal:
    line = f"line {problem.line}: " if problem.line else ""
    text = f"{_place(source, problem.number)}: {line}{problem.message}"
    return Refusal(text=text, hint=problem.hint)


def _place(source: str, number: int, part: str = "") -> str:
    parts = [source, f"document {number}" if number else "", part]
    return ", ".join(filter(None, parts))
