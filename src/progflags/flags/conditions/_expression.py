"""
Condition expressions: the language a person writes in `when`.

    plan in ["pro", "team"] and country != "PL" and app >= semver("2.1.0")
    (email endswith "@example.com" or segment("staff")) and not exists(blocked)
    18 <= age < 65        beta        "admin" in roles        ip in cidr("10.0.0.0/8")        user.plan == "pro"

A small grammar with its own words (`endswith` is no Python operator), read by recursive descent, so that every mistake is
named with its column. Names are attributes, `a.b` a path into nested ones, `attr("odd name")` one that is no word, and
`targeting_key` the context's key. A name alone means `== true`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from progflags.flags._problems import Wrong, suggest
from progflags.flags.conditions._conditions import KEY, Compare, Every, Named, Never, Node, Some
from progflags.flags.conditions._fit import literal, moment, network, version
from progflags.flags.conditions._literals import Literal
from progflags.flags.conditions._operators import OPERATORS
from progflags.flags.conditions._tokens import LONGEST, Attribute, Reader, wrong

__all__ = ["expression"]

_DEEPEST: Final = 32  # parentheses and nots
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}
_FLIPPED: Final = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_WORDS: Final = ("startswith", "endswith", "contains", "overlaps", "matches", "in")
_CALLS: Final = ("segment", "exists", "attr", "semver", "date", "cidr")
_RESERVED: Final = {"and", "or", "not", "true", "false", *_WORDS}


@lru_cache(maxsize=4096)  # nodes are immutable, and the same condition stands on many rules
def expression(text: str) -> Node:
    """
    The condition that `text` says.

    Raises:
        Wrong: it is no expression; the message has the column and the hint says what to write.
    """
    if len(text) > LONGEST:
        raise Wrong(f"an expression has at most {LONGEST:,} characters, this one {len(text):,}", "name parts as segments")
    reader = Reader(text)
    if reader.kind == "end":
        raise Wrong("an empty condition", "leave `when` out to match everybody")
    node = _or(reader)
    if reader.kind != "end":
        raise reader.wrong("expected `and` or `or`", _missing_word(reader))
    return node


def _missing_word(reader: Reader) -> str:
    return suggest(reader.next, ("and", "or", *OPERATORS)) if reader.kind == "name" else ""


def _or(reader: Reader) -> Node:
    parts = [_and(reader)]
    while reader.ahead("or"):
        reader.take()
        parts.append(_and(reader))
    return parts[0] if len(parts) == 1 else Some(tuple(parts))


def _and(reader: Reader) -> Node:
    parts = [_not(reader)]
    while reader.ahead("and"):
        reader.take()
        parts.append(_not(reader))
    return parts[0] if len(parts) == 1 else Every(tuple(parts))


def _not(reader: Reader) -> Node:
    reader.depth += 1
    if reader.depth > _DEEPEST:
        raise reader.wrong(f"nested deeper than {_DEEPEST} levels", "name a part as a segment")
    try:
        if reader.ahead("not"):
            reader.take()
            return Never(_not(reader))
        if reader.ahead("("):
            reader.take()
            node = _or(reader)
            reader.expect(")")
            return node
        return _comparison(reader)
    finally:
        reader.depth -= 1


def _comparison(reader: Reader) -> Node:
    if reader.ahead("segment", "exists") and reader.tokens[reader.at + 1][1] == "(":
        return _question(reader)
    column = reader.tokens[reader.at][2]
    left = _operand(reader)
    parts: list[Node] = []
    while (op := _operator(reader)) is not None:
        place = reader.tokens[reader.at][2]
        right = _operand(reader)
        parts.append(_compare(left, op, right, place))
        left = right
    if parts:
        return parts[0] if len(parts) == 1 else Every(tuple(parts))
    if isinstance(left, Attribute):
        if reader.kind == "name" and not reader.ahead("and", "or"):
            raise reader.wrong("expected an operator", _after_is(reader, left) or suggest(reader.next, OPERATORS))
        return Compare(tuple(left), "==", True)
    raise wrong("a value alone is no condition", column, "compare an attribute with it")


def _after_is(reader: Reader, left: Attribute) -> str:
    """`plan is null` and `plan is not null`, as other languages ask; else nothing."""
    if not reader.ahead("is"):
        return ""
    negated = reader.tokens[reader.at + 1][1] == "not"
    word = reader.tokens[min(reader.at + 1 + negated, len(reader.tokens) - 1)][1]
    return _asking(left, "!=" if negated else "==") if word in _NULLS else "write == to compare"


_NULLS: Final = ("null", "NULL", "Null", "none", "None", "nil", "undefined")


def _null(operand: Attribute | Literal) -> bool:
    """Whether a bare name is meant for no value: there is no such literal, because nothing compares with what is missing."""
    return isinstance(operand, Attribute) and len(operand) == 1 and operand[0] in _NULLS


def _asking(attribute: tuple[str, ...], op: str) -> str:
    return f"write {Compare(tuple(attribute), 'exists', op == '!=')}"


def _question(reader: Reader) -> Node:
    call = reader.take()
    reader.expect("(")
    if call == "segment":
        node: Node = Named(_text(reader, "a segment's name in quotes"))
    else:
        path = _operand(reader)
        if not isinstance(path, Attribute):
            raise reader.wrong("exists() asks about an attribute", "write exists(plan)")
        node = Compare(tuple(path), "exists", True)
    reader.expect(")")
    return node


def _operator(reader: Reader) -> str | None:
    if reader.kind == "op":
        return reader.take()
    if reader.ahead(*_WORDS):
        return reader.take()
    if reader.ahead("not") and reader.tokens[reader.at + 1][1] == "in":
        reader.at += 2
        return "not in"
    return None


def _compare(left: Attribute | Literal, op: str, right: Attribute | Literal, column: int) -> Node:
    try:
        return _join(left, op, right)
    except Wrong as refused:
        raise wrong(refused.message, column, refused.hint) from None


def _join(left: Attribute | Literal, op: str, right: Attribute | Literal) -> Node:
    if isinstance(left, Attribute):
        if isinstance(right, Attribute):
            if _null(right) or _null(left):
                raise Wrong("compares with null, and a missing value matches nothing", _asking(right if _null(left) else left, op))
            raise Wrong("compares two attributes", f'put quotes around a text: "{".".join(right)}"')
        return Compare(tuple(left), op, literal(op, right))
    if not isinstance(right, Attribute):
        raise Wrong("compares two values", "name an attribute on one side")
    if op in ("in", "not in"):
        has = Compare(tuple(right), "contains", literal("contains", left))
        return has if op == "in" else Every((Compare(tuple(right), "exists", True), Never(has)))
    if op not in _FLIPPED:
        raise Wrong(f"{op!r} wants the attribute on its left side")
    return Compare(tuple(right), _FLIPPED[op], literal(_FLIPPED[op], left))


def _operand(reader: Reader) -> Attribute | Literal:
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
    if reader.tokens[reader.at + 1][1] == "(":
        return _call(reader)
    reader.take()
    return _dots(reader, Attribute((word,)))


def _dots(reader: Reader, path: Attribute) -> Attribute:
    while reader.ahead("."):
        reader.take()
        if reader.kind != "name":
            raise reader.wrong("expected a name after the dot")
        path = Attribute((*path, reader.take()))
    if path[0] == KEY and len(path) > 1:
        raise reader.wrong(f"{KEY} has no parts")
    return path


def _call(reader: Reader) -> Attribute | Literal:
    column = reader.tokens[reader.at][2]
    call = reader.take()
    if call not in _CALLS or call in ("segment", "exists"):
        raise wrong(f"unknown function {call!r}", column, suggest(call, _CALLS))
    reader.expect("(")
    texts = [_text(reader, "a text in quotes")]
    while call == "cidr" and reader.ahead(","):
        reader.take()
        texts.append(_text(reader, "a text in quotes"))
    reader.expect(")")
    if call == "attr":
        return _dots(reader, Attribute((texts[0],)))
    try:
        return network(*texts) if call == "cidr" else version(texts[0]) if call == "semver" else moment(texts[0])
    except Wrong as refused:
        raise wrong(refused.message, column, refused.hint) from None


def _list(reader: Reader) -> Literal:
    reader.expect("[")
    items: list[Literal] = []
    while not reader.ahead("]"):
        item = _operand(reader)
        if isinstance(item, (Attribute, tuple)) or (not isinstance(item, (str, int, float, bool)) and str(item).startswith("cidr")):
            quote = f'put quotes around a text: "{".".join(item)}"' if isinstance(item, Attribute) else ""
            raise reader.wrong("a list has plain values", "ask not exists(…) beside it" if _null(item) else quote)
        items.append(item)
        if not reader.ahead("]"):
            reader.expect(",")
    reader.expect("]")
    return tuple(items)


def _text(reader: Reader, what: str) -> str:
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
