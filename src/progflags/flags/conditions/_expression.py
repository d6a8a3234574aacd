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
from progflags.flags.conditions._conditions import KEY, Compare, Every, Literal, Named, Never, Node, Some, literal, moment, network, version
from progflags.flags.conditions._operators import OPERATORS

__all__ = ["expression"]

_LONGEST: Final = 10_000  # characters
_DEEPEST: Final = 32  # parentheses and nots

_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<number>-?(?:\d[\d_]*\.\d+|\d[\d_]*)(?:[eE][+-]?\d+)?(?![\w.]))
      | (?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
      | (?P<op>==|!=|<=|>=|<|>)
      | (?P<name>[^\W\d]\w*)
      | (?P<sign>[()\[\],.])
    )""",
    re.VERBOSE,
)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}
_FLIPPED: Final = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_WORDS: Final = ("startswith", "endswith", "contains", "overlaps", "matches", "in")
_CALLS: Final = ("segment", "exists", "attr", "semver", "date", "cidr")
_RESERVED: Final = {"and", "or", "not", "true", "false", *_WORDS}

_Path = tuple[str, ...]


class _Attribute(tuple[str, ...]):
    """A path, told apart from a literal list."""

    __slots__ = ()


class _Reader:
    """Tokens with their columns, and a finger on the next one."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[tuple[str, str, int]] = []
        self.at = 0
        self.depth = 0
        place, end = 0, len(text.rstrip())
        while place < end:
            match = _TOKEN.match(text, place)
            if match is None:
                start = place + len(text[place:]) - len(text[place:].lstrip())
                raise _wrong(f"can't read {text[start : start + 12]!r}", start, _hint(text[start]))
            kind = str(match.lastgroup)
            self.tokens.append((kind, match[kind], match.start(kind)))
            place = match.end()
        self.tokens.append(("end", "", len(text)))

    @property
    def next(self) -> str:
        return self.tokens[self.at][1]

    @property
    def kind(self) -> str:
        return self.tokens[self.at][0]

    def take(self) -> str:
        self.at += 1
        return self.tokens[self.at - 1][1]

    def ahead(self, *words: str) -> bool:
        kind, word, _ = self.tokens[self.at]
        return kind != "text" and word in words

    def expect(self, sign: str) -> None:
        if not self.ahead(sign):
            raise self.wrong(f"expected {sign!r}")
        self.take()

    def wrong(self, message: str, hint: str = "") -> Wrong:
        kind, word, column = self.tokens[self.at]
        return _wrong(f"{message} {'at the end' if kind == 'end' else f'before {word!r}'}", column, hint)


def _wrong(message: str, column: int, hint: str = "") -> Wrong:
    return Wrong(f"{message}, column {column + 1}", hint)


def _hint(character: str) -> str:
    return {"=": "write == to compare", "&": "write `and`", "|": "write `or`", "!": "write `not` or `!=`", '"': "close the quote"}.get(
        character, ""
    )


@lru_cache(maxsize=4096)  # nodes are immutable, and the same condition stands on many rules
def expression(text: str) -> Node:
    """
    The condition that `text` says.

    Raises:
        Wrong: it is no expression; the message has the column and the hint says what to write.
    """
    if len(text) > _LONGEST:
        raise Wrong(f"an expression has at most {_LONGEST:,} characters, this one {len(text):,}", "name parts as segments")
    reader = _Reader(text)
    if reader.kind == "end":
        raise Wrong("an empty condition", "leave `when` out to match everybody")
    node = _or(reader)
    if reader.kind != "end":
        raise reader.wrong("expected `and` or `or`", _missing_word(reader))
    return node


def _missing_word(reader: _Reader) -> str:
    return suggest(reader.next, ("and", "or", *OPERATORS)) if reader.kind == "name" else ""


def _or(reader: _Reader) -> Node:
    parts = [_and(reader)]
    while reader.ahead("or"):
        reader.take()
        parts.append(_and(reader))
    return parts[0] if len(parts) == 1 else Some(tuple(parts))


def _and(reader: _Reader) -> Node:
    parts = [_not(reader)]
    while reader.ahead("and"):
        reader.take()
        parts.append(_not(reader))
    return parts[0] if len(parts) == 1 else Every(tuple(parts))


def _not(reader: _Reader) -> Node:
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


def _comparison(reader: _Reader) -> Node:
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
    if isinstance(left, _Attribute):
        if reader.kind == "name" and not reader.ahead("and", "or"):
            raise reader.wrong("expected an operator", _after_is(reader, left) or suggest(reader.next, OPERATORS))
        return Compare(tuple(left), "==", True)
    raise _wrong("a value alone is no condition", column, "compare an attribute with it")


def _after_is(reader: _Reader, left: _Attribute) -> str:
    """`plan is null` and `plan is not null`, as other languages ask; else nothing."""
    if not reader.ahead("is"):
        return ""
    negated = reader.tokens[reader.at + 1][1] == "not"
    word = reader.tokens[min(reader.at + 1 + negated, len(reader.tokens) - 1)][1]
    return _asking(left, "!=" if negated else "==") if word in _NULLS else "write == to compare"


_NULLS: Final = ("null", "NULL", "Null", "none", "None", "nil", "undefined")


def _null(operand: _Attribute | Literal) -> bool:
    """Whether a bare name is meant for no value: there is no such literal, because nothing compares with what is missing."""
    return isinstance(operand, _Attribute) and len(operand) == 1 and operand[0] in _NULLS


def _asking(attribute: tuple[str, ...], op: str) -> str:
    return f"write {Compare(tuple(attribute), 'exists', op == '!=')}"


def _question(reader: _Reader) -> Node:
    call = reader.take()
    reader.expect("(")
    if call == "segment":
        node: Node = Named(_text(reader, "a segment's name in quotes"))
    else:
        path = _operand(reader)
        if not isinstance(path, _Attribute):
            raise reader.wrong("exists() asks about an attribute", "write exists(plan)")
        node = Compare(tuple(path), "exists", True)
    reader.expect(")")
    return node


def _operator(reader: _Reader) -> str | None:
    if reader.kind == "op":
        return reader.take()
    if reader.ahead(*_WORDS):
        return reader.take()
    if reader.ahead("not") and reader.tokens[reader.at + 1][1] == "in":
        reader.at += 2
        return "not in"
    return None


def _compare(left: _Attribute | Literal, op: str, right: _Attribute | Literal, column: int) -> Node:
    try:
        return _join(left, op, right)
    except Wrong as wrong:
        raise _wrong(wrong.message, column, wrong.hint) from None


def _join(left: _Attribute | Literal, op: str, right: _Attribute | Literal) -> Node:
    if isinstance(left, _Attribute):
        if isinstance(right, _Attribute):
            if _null(right) or _null(left):
                raise Wrong("compares with null, and a missing value matches nothing", _asking(right if _null(left) else left, op))
            raise Wrong("compares two attributes", f'put quotes around a text: "{".".join(right)}"')
        return Compare(tuple(left), op, literal(op, right))
    if not isinstance(right, _Attribute):
        raise Wrong("compares two values", "name an attribute on one side")
    if op in ("in", "not in"):
        has = Compare(tuple(right), "contains", literal("contains", left))
        return has if op == "in" else Every((Compare(tuple(right), "exists", True), Never(has)))
    if op not in _FLIPPED:
        raise Wrong(f"{op!r} wants the attribute on its left side")
    return Compare(tuple(right), _FLIPPED[op], literal(_FLIPPED[op], left))


def _operand(reader: _Reader) -> _Attribute | Literal:
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
    return _dots(reader, _Attribute((word,)))


def _dots(reader: _Reader, path: _Attribute) -> _Attribute:
    while reader.ahead("."):
        reader.take()
        if reader.kind != "name":
            raise reader.wrong("expected a name after the dot")
        path = _Attribute((*path, reader.take()))
    if path[0] == KEY and len(path) > 1:
        raise reader.wrong(f"{KEY} has no parts")
    return path


def _call(reader: _Reader) -> _Attribute | Literal:
    column = reader.tokens[reader.at][2]
    call = reader.take()
    if call not in _CALLS or call in ("segment", "exists"):
        raise _wrong(f"unknown function {call!r}", column, suggest(call, _CALLS))
    reader.expect("(")
    texts = [_text(reader, "a text in quotes")]
    while call == "cidr" and reader.ahead(","):
        reader.take()
        texts.append(_text(reader, "a text in quotes"))
    reader.expect(")")
    if call == "attr":
        return _dots(reader, _Attribute((texts[0],)))
    try:
        return network(*texts) if call == "cidr" else version(texts[0]) if call == "semver" else moment(texts[0])
    except Wrong as wrong:
        raise _wrong(wrong.message, column, wrong.hint) from None


def _list(reader: _Reader) -> Literal:
    reader.expect("[")
    items: list[Literal] = []
    while not reader.ahead("]"):
        item = _operand(reader)
        if isinstance(item, (_Attribute, tuple)) or (not isinstance(item, (str, int, float, bool)) and str(item).startswith("cidr")):
            quote = f'put quotes around a text: "{".".join(item)}"' if isinstance(item, _Attribute) else ""
            raise reader.wrong("a list has plain values", "ask not exists(…) beside it" if _null(item) else quote)
        items.append(item)
        if not reader.ahead("]"):
            reader.expect(",")
    reader.expect("]")
    return tuple(items)


def _text(reader: _Reader, what: str) -> str:
    if reader.kind != "text":
        raise reader.wrong(f"expected {what}")
    return _unquote(reader.take())


def _unquote(word: str) -> str:
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), word[1:-1], flags=re.DOTALL)


def _number(word: str, column: int) -> int | float:
    try:
        number = float(word) if any(mark in word for mark in ".eE") else int(word)
    except ValueError:
        raise _wrong(f"can't read the number {word[:20]!r}", column) from None
    if number in (float("inf"), float("-inf")):
        raise _wrong(f"the number {word[:20]} is too large", column)
    return number
