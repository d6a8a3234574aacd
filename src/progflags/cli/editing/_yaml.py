"""
YAML, by ruamel.yaml: it knows where every node begins and ends, and how a value is written. Every other line stays to the letter.

Written back as a whole by any library, a file's indentation, wide spaces and line ends would be made alike, and a comment above a key
would belong to the key before it.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, time
from typing import Any, Final

from progflags.cli.editing import _blocks as blocks
from progflags.cli.editing._edit import Edit, Insert, Move, Path, Put, Take
from progflags.cli.editing._flow import Writing
from progflags.cli.editing._flow import edited as flow_edited
from progflags.errors import ProgflagsError, missing

__all__ = ["edited", "notes", "said"]

_KEY: Final = re.compile(r"""("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^:]+?)\s*:\s*""", re.DOTALL)
_BEHIND: Final = re.compile(r"\s*:\s*(?:[|>][-+0-9]*)?\s*(#.*)?\Z")
_QUOTED: Final = re.compile(r"""[\[\]{},'"#]|:(?: |\Z)""")


def edited(text: str, edit: Edit) -> str:
    """
    `text` after `edit`.

    Raises:
        MissingExtraError: ruamel.yaml is not installed.
        ProgflagsError: there is no such place.
    """
    return _Text(text).edited(edit)


def notes(text: str, path: Path) -> tuple[str, ...]:
    """The comment above the key at `path`."""
    found = _Text(text)
    way, rest = found.way(path)
    if rest or not way:
        return ()
    top, _ = found.span(way[-1])
    return tuple(line.strip() for line in found.lines[top : way[-1].line])


def said(value: Any) -> Any:
    """A value as YAML's core can say it: days stay days, other times are text."""
    if isinstance(value, Mapping):
        return {key: said(item) for key, item in value.items()}
    if isinstance(value, list):
        return [said(item) for item in value]
    return value.isoformat() if isinstance(value, time) or type(value) is datetime else value


def _ruamel() -> Any:
    try:
        from ruamel.yaml import YAML
    except ImportError as error:
        raise missing(error, "ruamel.yaml", "ruamel.yaml", "edit") from error
    yaml = YAML()
    yaml.width = 1_000_000
    return yaml


class _Step:
    """One part of a path: the node that holds it, its place in there, and its own node."""

    def __init__(self, holder: Any, place: int, lines: list[str]) -> None:
        self.holder = holder
        self.place = place
        entry = holder.value[place]
        self.key, self.node = entry if isinstance(entry, tuple) else (None, entry)
        mark = (self.key or self.node).start_mark
        self.line: int = mark.line
        self.column: int = mark.column if self.key is not None else holder.start_mark.column
        while self.key is None and self.line and lines[self.line][self.column : self.column + 1] != "-":
            self.line -= 1  # the dash stands on a line of its own
        self.dash = lines[self.line][: mark.column].strip() != "" and self.key is not None  # the first key of a list's item


class _Text:
    """A YAML text and its nodes."""

    def __init__(self, text: str) -> None:
        _ruamel()
        from ruamel.yaml.error import YAMLError

        self.text = text
        self.lines = text.split("\n")
        try:
            self.root = _ruamel().compose(text)
        except YAMLError as error:
            raise ProgflagsError(f"ruamel.yaml can't read it ({error}); change it by hand") from error

    # ── where things are ──

    def way(self, path: Path) -> tuple[list[_Step], Path]:
        """The steps of `path` as far as it is written in block style, and what is left of it."""
        node, steps = self.root, list[_Step]()
        for depth, part in enumerate(path):
            place = None if node is None or node.id == "scalar" or node.flow_style else _place(node, part)
            if place is None:
                return steps, path[depth:]
            steps.append(_Step(node, place, self.lines))
            node = steps[-1].node
        return steps, ()

    def span(self, step: _Step) -> tuple[int, int]:
        """The lines of an entry or an item, its comment included."""
        return blocks.lead(self.lines, step.line, column=step.column), max(step.line + 1, self._end(step.node))

    def _end(self, node: Any) -> int:
        """The line behind the last one that a node says something on."""
        if node.id == "scalar" and node.style in ("|", ">"):
            end = node.end_mark.line
            while end > node.start_mark.line + 1 and not self.lines[end - 1].strip():
                end -= 1
            return int(end)
        if node.id == "scalar" or node.flow_style:
            return 0 if node.start_mark.index == node.end_mark.index else int(node.end_mark.line) + 1
        parts = [part for entry in node.value for part in (entry if isinstance(entry, tuple) else (entry,))]
        return max(map(self._end, parts), default=int(node.start_mark.line) + 1)

    # ── the edits ──

    def edited(self, edit: Edit) -> str:
        steps, rest = self.way(edit.path)
        holder = steps[-1].node if steps else self.root
        if holder is None:  # nothing is said yet
            return self._absent(None, edit, rest)
        flows = holder.id != "scalar" and holder.flow_style
        if rest:
            return self._flow(holder, edit, rest) if flows else self._absent(holder, edit, rest)
        match edit:
            case Put(_, value):
                return self._replaced(steps[-1], value)
            case Take():
                return self._taken(steps)
            case Insert() | Move():
                if flows:
                    return self._flow(holder, edit, ())
                return "\n".join(self._listed(holder, edit))

    def _flow(self, node: Any, edit: Edit, rest: Path) -> str:
        start, end = node.start_mark.index, node.end_mark.index
        line = self.lines[node.start_mark.line]
        writing = Writing(lambda value, _: flow(value), lambda key: _scalar(key, flow=True), _split, ": ")
        indent = line[: len(line) - len(line.lstrip())]
        return self.text[:start] + flow_edited(self.text[start:end], replace(edit, path=rest), writing, indent=indent) + self.text[end:]

    def _absent(self, holder: Any, edit: Edit, rest: Path) -> str:
        """With a key more, below the last one of its table."""
        written = holder is None or holder.id == "mapping"
        if isinstance(edit, (Take, Move)) or not written or not all(isinstance(one, str) for one in rest):
            where = ".".join(map(str, edit.path))
            raise ProgflagsError(f"{where}: can't be found where it is written; change it by hand")
        value: Any = [edit.value] if isinstance(edit, Insert) else edit.value
        for part in reversed(rest[1:]):
            value = {part: value}
        if holder is None:  # nothing but comments, if those
            return "\n".join([*self.lines[:-1], *self._entry("", str(rest[0]), value), ""])
        last = _Step(holder, len(holder.value) - 1, self.lines)
        said_ = self._entry(" " * last.column, str(rest[0]), value, edit.notes if isinstance(edit, Insert) else ())
        spans = [self.span(_Step(holder, place, self.lines)) for place in range(len(holder.value))]
        if len(said_) == 1:
            end = spans[-1][1]
            return "\n".join([*self.lines[:end], *said_, *self.lines[end:]])
        return "\n".join(blocks.insert(self.lines, spans, len(spans), said_))

    def _replaced(self, step: _Step, value: Any) -> str:
        node = step.node
        tall = not _short(value)
        if not tall and node.start_mark.index != node.end_mark.index and _within_lines(node):
            inside = step.holder.flow_style
            return self.text[: node.start_mark.index] + (flow(value) if inside else _line(value)) + self.text[node.end_mark.index :]
        top = step.line
        end = max(top + 1, self._end(node))
        if step.key is None:
            block = self._item(" " * step.column, value)
        else:
            before = self.lines[top][: step.key.end_mark.column]
            behind = _BEHIND.match(self.lines[top][step.key.end_mark.column :])
            comment = f"  {behind[1]}" if behind and behind[1] else ""
            block = [f"{before}:{comment}", *self._below(" " * step.column, value)] if tall else [f"{before}: {_line(value)}{comment}"]
        return "\n".join([*self.lines[:top], *block, *self.lines[end:]])

    def _taken(self, steps: list[_Step]) -> str:
        step = steps[-1]
        entries = step.holder.value
        if len(entries) == 1 and len(steps) > 1:
            return self._replaced(steps[-2], {} if step.key is not None else [])
        if step.dash:  # the dash stays, before the next key
            following = _Step(step.holder, 1, self.lines)
            prefix = self.lines[step.line][: step.column]
            kept = prefix + self.lines[following.line][step.column :]
            between = self.lines[max(step.line + 1, self._end(step.node)) : following.line]
            return "\n".join([*self.lines[: step.line], *between, kept, *self.lines[following.line + 1 :]])
        return "\n".join(blocks.take(self.lines, [self.span(step)], 0))

    def _listed(self, node: Any, edit: Insert | Move) -> list[str]:
        if node.id != "sequence":
            raise ProgflagsError(f"{'.'.join(map(str, edit.path))}: this is no list")
        spans = [self.span(_Step(node, place, self.lines)) for place in range(len(node.value))]
        if isinstance(edit, Move):
            return blocks.move(self.lines, spans, edit.source, edit.target)
        indent = " " * node.start_mark.column
        block = [*(f"{indent}{note}" for note in edit.notes), *self._item(indent, edit.value)]
        return blocks.insert(self.lines, spans, edit.place, block)

    # ── new lines ──

    def _entry(self, indent: str, key: str, value: Any, above: tuple[str, ...] = ()) -> list[str]:
        if _short(value) and not above:
            return [f"{indent}{_scalar(key)}: {_line(value)}"]
        return [f"{indent}{_scalar(key)}:", *self._below(indent, value, above)]

    def _below(self, indent: str, value: Any, above: tuple[str, ...] = ()) -> list[str]:
        """A table's or a list's lines, below a key at `indent`."""
        if isinstance(value, Mapping):
            inner = indent + " " * self._unit
            return [line for key, item in value.items() for line in self._entry(inner, str(key), item)]
        inner = indent + " " * self._offset
        return [*(f"{inner}{note}" for note in above), *(line for item in value for line in self._item(inner, item))]

    def _item(self, indent: str, value: Any) -> list[str]:
        if not isinstance(value, Mapping) or not value:
            return [f"{indent}- {_line(value)}"]
        said_ = [line for key, item in value.items() for line in self._entry(f"{indent}  ", str(key), item)]
        return [f"{indent}- {said_[0].lstrip()}", *said_[1:]]

    @property
    def _unit(self) -> int:
        """How far a table is to the right of its key, in this file."""
        return self._apart("mapping") or 2

    @property
    def _offset(self) -> int:
        """Likewise a list."""
        apart = self._apart("sequence")
        return self._unit if apart is None else apart

    def _apart(self, kind: str) -> int | None:
        nodes = [self.root]
        while nodes:
            node = nodes.pop(0)
            if node is None or node.id == "scalar" or node.flow_style:
                continue
            for entry in node.value:
                if isinstance(entry, tuple) and entry[1].id == kind and not entry[1].flow_style:
                    return int(entry[1].start_mark.column - entry[0].start_mark.column)
            nodes += [entry[1] if isinstance(entry, tuple) else entry for entry in node.value]
        return None


def _within_lines(node: Any) -> bool:
    """Whether a node is written between two places of lines: no table, no list and no text of lines of its own."""
    return bool(node.style not in ("|", ">") if node.id == "scalar" else node.flow_style)


def _place(node: Any, part: str | int) -> int | None:
    if node.id == "sequence":
        return part if isinstance(part, int) and 0 <= part < len(node.value) else None
    return next((place for place, (key, _) in enumerate(node.value) if key.value == part), None)


# ── values ─────────────────────────────────────────────────────────────────


def _short(value: Any) -> bool:
    """Whether a value stands in one line: anything but a table and a list of tables."""
    if isinstance(value, Mapping):
        return not value
    return not isinstance(value, list) or not any(isinstance(item, Mapping) for item in value)


def _line(value: Any) -> str:
    return flow(value) if isinstance(value, (list, Mapping)) else _scalar(value)


def flow(value: Any) -> str:
    """A value between brackets, or one that may stand there."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_scalar(str(key), flow=True)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    return _scalar(value, flow=True)


def _scalar(value: Any, *, flow: bool = False) -> str:
    out = io.StringIO()
    _ruamel().dump({"k": said(value)}, out)
    text = out.getvalue().removeprefix("k:").strip()
    if not isinstance(value, str) or ("\n" not in text and not (text == value and flow and _QUOTED.search(text))):
        return text
    # A block of lines, or what would end between brackets.
    return f"'{value}'" if value.isprintable() and "'" not in value else json.dumps(value)


def _split(row: str) -> tuple[tuple[str, ...], int]:
    found = _KEY.match(row)
    if found is None:
        return (), 0
    key = found[1]
    if key[0] == '"':
        return (str(json.loads(key)),), found.end()
    return (key[1:-1].replace("''", "'") if key[0] == "'" else key,), found.end()
