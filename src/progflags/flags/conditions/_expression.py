"""
Condition expressions: the language a person writes in `when`.

    plan in ["pro", "team"] and country != "PL" and app >= semver("2.1.0")
    (email endswith "@example.com" or segment("staff")) and not exists(blocked)
    18 <= age < 65        beta        "admin" in roles        ip in cidr("10.0.0.0/8")        user.plan == "pro"
    since > now - "7d"    hour(now, "Europe/Berlin") >= 9    any(orders, total > 100)    billing != attr("shipping")

A small grammar with its own words (`endswith` is no Python operator), read by recursive descent, so that every mistake is
named with its column. Names are attributes, `a.b` a path into nested ones, `attr("odd name")` one that is no word, and
`targeting_key` the context's key. A name alone means `== true`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from progflags.flags._problems import Wrong, suggest
from progflags.flags.conditions._compare import Compare, asked
from progflags.flags.conditions._conditions import Among, Every, Named, Never, Node, Some
from progflags.flags.conditions._fit import derived, literal, pair
from progflags.flags.conditions._literals import Literal
from progflags.flags.conditions._operands import NULLS, QUESTIONS, WORDS, is_null, operand, text
from progflags.flags.conditions._operators import OPERATORS
from progflags.flags.conditions._terms import Term
from progflags.flags.conditions._tokens import LONGEST, Attribute, Quoted, Reader, wrong

__all__ = ["expression"]

_DEEPEST: Final = 32  # parentheses and nots
_FLIPPED: Final = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


@lru_cache(maxsize=4096)  # nodes are immutable, and the same condition stands on many rules
def expression(written: str) -> Node:
    """
    The condition that `written` says.

    Raises:
        Wrong: it is no expression; the message has the column and the hint says what to write.
    """
    if len(written) > LONGEST:
        raise Wrong(f"an expression has at most {LONGEST:,} characters, this one {len(written):,}", "name parts as segments")
    reader = Reader(written)
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
    if reader.ahead(*QUESTIONS) and reader.tokens[reader.at + 1][1] == "(":
        return _question(reader)
    column = reader.tokens[reader.at][2]
    left = operand(reader)
    parts: list[Node] = []
    while (op := _operator(reader)) is not None:
        place = reader.tokens[reader.at][2]
        right = operand(reader, right=True)
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
    return _asking(left, "!=" if negated else "==") if word in NULLS else "write == to compare"


def _asking(attribute: tuple[str, ...], op: str) -> str:
    return f"write {Compare(tuple(attribute), 'exists', op == '!=')}"


def _question(reader: Reader) -> Node:
    call = reader.take()
    reader.expect("(")
    if call == "segment":
        node: Node = Named(text(reader, "a segment's name in quotes"))
    else:
        path = operand(reader)
        if not isinstance(path, Attribute):
            raise reader.wrong(f"{call}() asks about an attribute", "write exists(plan), or any(orders, total > 100)")
        node = asked(tuple(path))
        if call == "any":
            reader.expect(",")
            node = Among(tuple(path), _or(reader))
    reader.expect(")")
    return node


def _operator(reader: Reader) -> str | None:
    if reader.kind == "op":
        return reader.take()
    if reader.ahead(*WORDS):
        return reader.take()
    if reader.ahead("not") and reader.tokens[reader.at + 1][1] == "in":
        reader.at += 2
        return "not in"
    return None


Operand = Attribute | Term | Literal


def _compare(left: Operand, op: str, right: Operand, column: int) -> Node:
    try:
        return _join(left, op, right)
    except Wrong as refused:
        raise wrong(refused.message, column, refused.hint) from None


def _join(left: Operand, op: str, right: Operand) -> Node:
    if isinstance(left, Attribute):
        return _of_attribute(left, op, right)
    if isinstance(left, Term):
        if not isinstance(right, (Attribute, Term)):
            value: Any = right
            return derived(left, op, value)
        raise Wrong(f"{left} is compared with a value", 'put quotes around a text, as in weekday(now) == "mon"')
    if not isinstance(right, (Attribute, Term)):
        raise Wrong("compares two values", "name an attribute on one side")
    if op in ("in", "not in") and isinstance(right, Attribute):
        has = Compare(tuple(right), "contains", literal("contains", left))
        return has if op == "in" else Every((asked(tuple(right)), Never(has)))
    if op not in _FLIPPED:
        raise Wrong(f"{op!r} wants the attribute on its left side")
    return _join(right, _FLIPPED[op], left)


def _of_attribute(left: Attribute, op: str, right: Operand) -> Node:
    if isinstance(right, Quoted):
        return pair(tuple(left), op, tuple(right))
    if isinstance(right, Attribute):
        if is_null(right) or is_null(left):
            raise Wrong("compares with null, and a missing value matches nothing", _asking(right if is_null(left) else left, op))
        name = ".".join(right)
        raise Wrong("compares two attributes", f'put quotes around a text: "{name}"; another attribute is attr("{name}")')
    if isinstance(right, Term):
        raise Wrong(f"{right} is compared with a value, not with an attribute")
    return Compare(tuple(left), op, literal(op, right))
