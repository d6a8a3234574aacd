"""
YAML, the part of it that means what it says.

Built from the parser's events, because that is where positions, aliases and doubled keys can be seen. Only `true` and
`false` are booleans and only decimal numbers are numbers (YAML 1.2's core), so a variant `on`, the country `NO` and the
version `1.10`, quoted, stay what they are. No aliases, no tags, no merge keys: a flag file has no use for what they cost
(304 bytes of aliases have been seen to unfold into 25 MB).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

from progflags.errors import DefinitionError, Problem, missing
from progflags.flags import Lines, dotted, plain_text

__all__ = ["decode_yaml", "need_yaml"]

Path = tuple[str | int, ...]
_DEEPEST = 40  # levels built before giving up; the loader's own limit, 32, is the one people meet

_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)\Z")
_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[1-9][0-9]*(?=[eE]))([eE][-+]?[0-9]+)?\Z")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_CONSTANTS: dict[str, Any] = {"": None, "~": None, "null": None, "true": True, "false": False}


def need_yaml() -> Any:
    """
    The yaml module.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import yaml
    except ImportError as error:
        raise missing(error, "yaml", "PyYAML", "yaml") from error
    return yaml


def decode_yaml(text: bytes | str, file: str) -> tuple[dict[str, Any], Lines]:
    """
    The document in `text`, and the lines of its parts.

    Raises:
        DefinitionError: not YAML, more than one document, an alias, a tag, a key that is no text or is written twice.
        MissingExtraError: PyYAML is not installed.
    """
    yaml = need_yaml()
    source = plain_text(text, file)
    reader = _Reader(yaml, file)
    try:
        document = reader.document(_events(yaml, source))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else source.count("\n", 0, getattr(error, "position", 0)) + 1
        message = getattr(error, "problem", None) or getattr(error, "reason", None) or "unreadable"
        raise DefinitionError([Problem(file, line, "", f"not YAML: {message}")]) from None
    if document is None and not reader.lines:
        document = {}
    if not isinstance(document, dict):
        raise DefinitionError([Problem(file, 1, "", "the document is no table", "write flags: and the flags below it")])
    return document, lambda path: reader.lines.get(tuple(path))


def _events(yaml: Any, source: str) -> Iterator[Any]:
    return iter(yaml.parse(source, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


class _Reader:
    """Turns events into values, noting lines, and refusing what a flag file has no use for."""

    def __init__(self, yaml: Any, file: str) -> None:
        self.yaml = yaml
        self.file = file
        self.lines: dict[Path, int] = {}

    def document(self, events: Iterator[Any]) -> Any:
        yaml = self.yaml
        result: Any = None
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self.refuse(event, (), "a second document begins here", "keep one file per document")
            elif not isinstance(event, (yaml.StreamStartEvent, yaml.StreamEndEvent, yaml.DocumentEndEvent)):
                result = self.value(event, events, ())
        return result

    def value(self, event: Any, events: Iterator[Any], path: Path) -> Any:
        yaml = self.yaml
        if isinstance(event, yaml.AliasEvent):
            self.refuse(event, path, f"an alias (*{event.anchor})", "write the value out")
        self.lines[path] = event.start_mark.line + 1
        if len(path) > _DEEPEST:
            self.refuse(event, path[:4], "nested deeper than 32 levels")
        if event.tag and event.tag != "!":
            self.refuse(event, path, f"a tag ({event.tag})", "write the plain value")
        if isinstance(event, yaml.SequenceStartEvent):
            items = enumerate(iter(lambda: next(events), None))
            return [self.value(item, events, (*path, at)) for at, item in _until(items, yaml.SequenceEndEvent)]
        if isinstance(event, yaml.MappingStartEvent):
            return self.table(events, path)
        return event.value if event.style or event.tag else _scalar(event)

    def table(self, events: Iterator[Any], path: Path) -> dict[str, Any]:
        table: dict[str, Any] = {}
        starts: dict[str, int] = {}
        while not isinstance(event := next(events), self.yaml.MappingEndEvent):
            key, line = self.key(event, path), event.start_mark.line + 1
            if key in table:
                twice = f"written twice: first on line {starts[key]}, again on line {line}"
                self.refuse(event, (*path, key), twice, "keep one of the two")
            starts[key] = line
            table[key] = self.value(next(events), events, (*path, key))
            self.lines[(*path, key)] = line
        return table

    def key(self, event: Any, path: Path) -> str:
        if not isinstance(event, self.yaml.ScalarEvent):
            self.refuse(event, path, "a key that is no text", "keys are plain words")
        if event.tag and event.tag != "!":
            self.refuse(event, path, f"a tag ({event.tag})", "write the plain value")
        if not event.style and event.value == "<<":
            self.refuse(event, path, "a merge key (<<)", "write the keys out")
        return str(event.value)

    def refuse(self, event: Any, path: Path, message: str, hint: str = "") -> Any:
        raise DefinitionError([Problem(self.file, event.start_mark.line + 1, dotted(path), message, hint)])


def _until(items: Iterator[tuple[int, Any]], end: type) -> Iterator[tuple[int, Any]]:
    for at, event in items:
        if isinstance(event, end):
            return
        yield at, event


def _scalar(event: Any) -> Any:
    """A plain scalar by YAML 1.2's core, plus dates as TOML has them; anything else is text."""
    text: str = event.value
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    convert: Callable[[str], Any]
    for pattern, convert in ((_INT, int), (_FLOAT, float), (_DATE, date.fromisoformat)):
        if pattern.match(text):
            try:
                return convert(text)
            except ValueError:  # 2026-02-31, or thousands of digits: text, and the format says what it wanted
                return text
    return text
