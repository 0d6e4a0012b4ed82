"""Adds an item to a list of a YAML file as text, so that every other byte stays as it was.

ruamel.yaml says where the list ends and writes the item (YAML 1.2's scalars); dumping the whole
document instead would move the comments that stand behind the list.
"""

from __future__ import annotations

import io
from typing import Any

INDENT = 2


def dump(value: object) -> str:
    """YAML in block style and in the order given."""
    from ruamel.yaml import YAML

    writer = YAML()
    writer.indent(mapping=INDENT, sequence=2 * INDENT, offset=INDENT)
    writer.width = 10_000
    stream = io.StringIO()
    writer.dump(value, stream)
    return stream.getvalue()


def append(text: str, key: str, item: dict[str, Any]) -> str:
    """The text with `item` as the last one of the top-level list `key`.

    Raises ValueError with a sentence where the text is no mapping or `key` is no list.
    """
    found = _entry(text, key)
    if found is None:
        return _append_key(text, key, item)
    name, node = found
    if node.id == "scalar" and node.tag == "tag:yaml.org,2002:null":
        return _fill_in(text, name, node, item)
    if node.id != "sequence":
        raise ValueError(f"`{key}` is not a list")
    if not node.flow_style:
        return _append_block(text, node, item)
    return _append_flow(text, node, item) if node.value else _fill_in(text, name, node, item)


def _entry(text: str, key: str) -> tuple[Any, Any] | None:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        root = YAML(typ="safe", pure=True).compose(text)
    except YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
    if root is None:
        return None
    if root.id != "mapping":
        raise ValueError("the file holds no mapping")
    return next((entry for entry in root.value if entry[0].value == key), None)


def _append_key(text: str, key: str, item: dict[str, Any]) -> str:
    gap = "" if not text or text.endswith("\n") else "\n"
    blank = "\n" if text.strip() else ""
    return text + gap + blank + dump({key: [item]})


def _fill_in(text: str, name: Any, node: Any, item: dict[str, Any]) -> str:
    """Behind `accounts:` stands nothing, `null` or `[]`; what follows on the line is a comment."""
    start, end = node.start_mark.index, node.end_mark.index
    if start == end:  # nothing: the parser's marks are past the comment
        start = end = text.index(":", name.end_mark.index) + 1
    line_end = text.find("\n", end)
    if line_end < 0:
        line_end = len(text)
    head = text[:start].rstrip(" ") + text[end:line_end].rstrip()
    return head + "\n" + _block(item, INDENT) + text[line_end + 1 :]


def _append_flow(text: str, node: Any, item: dict[str, Any]) -> str:
    last = _last_index(node.value[-1])
    return text[:last] + ", " + _flow(item) + text[last:]


def _append_block(text: str, node: Any, item: dict[str, Any]) -> str:
    """Right behind the last line that holds something of the list, before comments that follow."""
    last = _last_index(node.value[-1])
    while last > 0 and text[last - 1] in "\n \t":
        last -= 1
    column = node.start_mark.column
    end = text.find("\n", last)
    if end < 0:
        return text + "\n" + _block(item, column)
    end = _past_own_comments(text, end + 1, column)
    gap = "" if text[end - 1] == "\n" else "\n"
    return text[:end] + gap + _block(item, column) + text[end:]


def _past_own_comments(text: str, start: int, column: int) -> int:
    """Comments right behind an item that are indented more than its dash belong to it."""
    end = start
    for line in text[start:].splitlines(keepends=True):
        bare = line.lstrip(" ")
        if not bare.startswith("#") or len(line) - len(bare) <= column:
            break
        end += len(line)
    return end


def _last_index(node: Any) -> int:
    """Where the node's last character stands; a block's own end mark is past the comments."""
    if node.id == "scalar" or node.flow_style or not node.value:
        return int(node.end_mark.index)
    last = node.value[-1]
    return _last_index(last[1] if node.id == "mapping" else last)


def _block(item: dict[str, Any], column: int) -> str:
    lines = dump(item).splitlines()
    first, rest = lines[0], lines[1:]
    indented = [f"{' ' * column}- {first}", *(f"{' ' * (column + 2)}{line}" for line in rest)]
    return "\n".join(indented) + "\n"


def _flow(item: dict[str, Any]) -> str:
    from ruamel.yaml import YAML

    writer: Any = YAML(typ="safe", pure=True)
    writer.default_flow_style = True
    writer.sort_base_mapping_type_on_output = False
    writer.width = 1_000_000
    stream = io.StringIO()
    writer.dump(item, stream)
    return stream.getvalue().strip()
