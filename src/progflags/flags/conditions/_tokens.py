"""The words of an expression, one after another, and what is wrong where one is none."""

from __future__ import annotations

import re
from typing import Final

from progflags.flags._problems import Wrong

__all__ = ["LONGEST", "Attribute", "Quoted", "Reader", "wrong"]

LONGEST: Final = 10_000  # characters
_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<number>-?(?:\d[\d_]*\.\d+|\d[\d_]*)(?:[eE][+-]?\d+)?(?![\w.]))
      | (?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
      | (?P<op>==|!=|<=|>=|<|>)
      | (?P<name>[^\W\d]\w*)
      | (?P<sign>[()\[\],.%+-])
    )""",
    re.VERBOSE,
)


class Attribute(tuple[str, ...]):
    """A path, told apart from a literal list."""

    __slots__ = ()


class Quoted(Attribute):
    """A path that was written as attr("…"): on the right side of a comparison it is another attribute, and no text without quotes."""

    __slots__ = ()


class Reader:
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
                raise wrong(f"can't read {text[start : start + 12]!r}", start, _hint(text[start]))
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
        return wrong(f"{message} {'at the end' if kind == 'end' else f'before {word!r}'}", column, hint)


def wrong(message: str, column: int, hint: str = "") -> Wrong:
    return Wrong(f"{message}, column {column + 1}", hint)


def _hint(character: str) -> str:
    return {"=": "write == to compare", "&": "write `and`", "|": "write `or`", "!": "write `not` or `!=`", '"': "close the quote"}.get(
        character, ""
    )
