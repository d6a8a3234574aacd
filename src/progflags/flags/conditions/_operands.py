"""What an expression compares: attributes, what is worked out of them, and literals."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from progflags.flags._hours import zone
from progflags.flags._problems import Wrong, suggest
from progflags.flags.conditions._compare import KEY
from progflags.flags.conditions._fit import from_now, moment, network, version
from progflags.flags.conditions._literals import FromNow, Literal, Moment, SemVer
from progflags.flags.conditions._terms import Alphabetical, Hour, Length, Remainder, Term, Weekday
from progflags.flags.conditions._text_operators import TEXT_OPERATORS
from progflags.flags.conditions._tokens import Attribute, Quoted, Reader, wrong

__all__ = ["NULLS", "QUESTIONS", "WORDS", "is_null", "operand", "text"]

WORDS: Final = ("contains", "overlaps", "in", *TEXT_OPERATORS)
QUESTIONS: Final = ("segment", "exists", "any")
"""Calls that are conditions by themselves."""
_TERMS: Final[Mapping[str, Callable[[tuple[str, ...]], Term]]] = {"length": Length, "alphabetical": Alphabetical}
_TIMED: Final[Mapping[str, Callable[[tuple[str, ...] | None, str], Term]]] = {"hour": Hour, "weekday": Weekday}
_CALLS: Final = ("attr", "semver", "date", "cidr", *_TERMS, *_TIMED)
_RESERVED: Final = {"and", "or", "not", "true", "false", *WORDS}
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}
NULLS: Final = ("null", "NULL", "Null", "none", "None", "nil", "undefined")


def is_null(found: Attribute | Term | Literal) -> bool:
    """Whether a bare name is meant for no value: there is no such literal, because nothing compares with what is missing."""
    return isinstance(found, Attribute) and len(found) == 1 and found[0] in NULLS


def operand(reader: Reader, *, right: bool = False) -> Attribute | Term | Literal:
    """What stands on one side of a comparison; on the `right` side `now` is the clock, on the left an attribute may be called so."""
    kind, word, column = reader.tokens[reader.at]
    if kind == "number":
        reader.take()
        return _number(word, column)
    if kind == "text":
        reader.take()
        return _unquote(word)
    if reader.ahead("["):
        return _list(reader)
    if kind != "name":
        raise reader.wrong("expected an attribute or a value")
    if word in ("true", "True", "false", "False"):
        reader.take()
        return word in ("true", "True")
    if word in _RESERVED:
        raise reader.wrong("expected an attribute or a value")
    beyond = reader.tokens[reader.at + 1][1]
    if beyond == "(":
        return _call(reader)
    reader.take()
    if word == "now" and (beyond in ("+", "-") or (right and beyond != ".")):
        return _now(reader)
    path = _dots(reader, Attribute((word,)))
    return _remainder(reader, path) if reader.ahead("%") else path


def _now(reader: Reader) -> FromNow:
    if not reader.ahead("+", "-"):
        return FromNow(0)
    sign, column = reader.take(), reader.tokens[reader.at][2]
    try:
        return from_now(sign, text(reader, 'a duration in quotes, as in now - "7d"'))
    except Wrong as refused:
        raise wrong(refused.message, column, refused.hint) from None


def _remainder(reader: Reader, path: Attribute) -> Remainder:
    reader.expect("%")
    by = reader.next
    if reader.kind != "number" or not by.isdecimal() or not int(by):
        raise reader.wrong("expected a whole number to divide by", "write user_number % 10 == 3")
    reader.take()
    return Remainder(tuple(path), int(by))


def _dots(reader: Reader, path: Attribute) -> Attribute:
    while reader.ahead("."):
        reader.take()
        if reader.kind != "name":
            raise reader.wrong("expected a name after the dot")
        path = type(path)((*path, reader.take()))
    if path[0] == KEY and len(path) > 1:
        raise reader.wrong(f"{KEY} has no parts")
    return path


def _call(reader: Reader) -> Attribute | Term | Literal:
    column = reader.tokens[reader.at][2]
    call = reader.take()
    if call not in _CALLS:
        raise wrong(f"unknown function {call!r}", column, suggest(call, (*_CALLS, *QUESTIONS)))
    reader.expect("(")
    if call in _TERMS or call in _TIMED:
        return _term(reader, call)
    texts = [text(reader, "a text in quotes")]
    while call == "cidr" and reader.ahead(","):
        reader.take()
        texts.append(text(reader, "a text in quotes"))
    reader.expect(")")
    if call == "attr":
        return _dots(reader, Quoted((texts[0],)))
    try:
        return network(*texts) if call == "cidr" else version(texts[0]) if call == "semver" else moment(texts[0])
    except Wrong as refused:
        raise wrong(refused.message, column, refused.hint) from None


def _term(reader: Reader, call: str) -> Term:
    """`length(tags)`, `hour(now, "Europe/Berlin")`, the parenthesis being open."""
    timed = call in _TIMED
    path = None if timed and reader.ahead("now") else operand(reader)
    if path is None:
        reader.take()
    elif not isinstance(path, Attribute):
        raise reader.wrong(f"{call}() wants an attribute", f"write {call}({'now' if timed else 'name'})")
    if not timed:
        reader.expect(")")
        return _TERMS[call](tuple(path or ()))
    name = "UTC"
    if reader.ahead(","):
        reader.take()
        column = reader.tokens[reader.at][2]
        name = text(reader, 'a time zone in quotes, as in "Europe/Berlin"')
        try:
            zone(name)
        except ValueError as error:
            raise wrong(str(error), column) from None
    reader.expect(")")
    return _TIMED[call](None if path is None else tuple(path), name)


def _list(reader: Reader) -> Literal:
    reader.expect("[")
    items: list[Literal] = []
    while not reader.ahead("]"):
        item = operand(reader)
        if not isinstance(item, (str, int, float, SemVer, Moment)):
            quote = f'put quotes around a text: "{".".join(item)}"' if isinstance(item, Attribute) else ""
            raise reader.wrong("a list has plain values", "ask not exists(…) beside it" if is_null(item) else quote)
        items.append(item)
        if not reader.ahead("]"):
            reader.expect(",")
    reader.expect("]")
    return tuple(items)


def text(reader: Reader, what: str) -> str:
    if reader.kind != "text":
        raise reader.wrong(f"expected {what}")
    return _unquote(reader.take())


def _unquote(word: str) -> str:
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), word[1:-1], flags=re.DOTALL)


def _number(word: str, column: int) -> int | float:
    try:
        number = float(word) if any(mark in word for mark in ".eE") else int(word)
    except ValueError:
        raise wrong(f"can't read the number {word[:20]!r}", column) from None
    if number in (float("inf"), float("-inf")):
        raise wrong(f"the number {word[:20]} is too large", column)
    return number
