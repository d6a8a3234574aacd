"""
Comparisons of text: with its parts, with patterns, and with the case folded away.

Those that only a text can pass are Texts, which remember what they found. Those that look for a part of a text look into a list as
well: one item is enough.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from sys import intern
from typing import Any, Final

from progflags.flags._problems import Wrong
from progflags.flags.conditions._literals import LONGEST, ORDER, Network, SemVer, fitting
from progflags.flags.conditions._texts import Texts
from progflags.flags.conditions._unfit import Heard, unheard
from progflags.flags.conditions._values import items_of, plain

__all__ = ["TEXT_OPERATORS", "affix", "regex", "texts"]

TEXT_OPERATORS: Final[Mapping[str, str]] = {
    "startswith": "a text, or an item of a list, begins with one of",
    "endswith": "a text, or an item of a list, ends with one of",
    "matches": "a text, or an item of a list, fits one of the patterns; * is any run of characters, ? is one",
    "regex": "a text, or an item of a list, has a part that one of the regular expressions describes (RE2; needs progflags[re2])",
    "ieq": "equal to a text, whatever the case",
    "iin": "one of a list of texts, whatever the case",
    "icontains": "as contains, whatever the case",
    "istartswith": "as startswith, whatever the case",
    "iendswith": "as endswith, whatever the case",
}


def affix(op: str, wanted: Any, heard: Heard) -> Callable[[Any], bool]:
    """Whether a text, or one item of a list, begins (or ends) with one of `wanted`."""
    test = str.startswith if op.endswith("startswith") else str.endswith
    if op[0] == "i":
        ends = tuple(text.casefold() for text in (wanted if isinstance(wanted, tuple) else (wanted,)))
        return _of_text(lambda text: test(text.casefold(), ends), heard)
    return _of_text(lambda text: test(text, wanted), heard)


def _of_text(test: Callable[[str], bool], heard: Heard) -> Callable[[Any], bool]:
    def check(value: Any) -> bool:
        text = value if type(value) is str else plain(value)
        if type(text) is str:
            return test(text)
        items = items_of(value)
        if items is not None and any(type(part := plain(item)) is str and test(part) for item in items):
            return True
        heard(value)
        return False

    return check


def texts(op: str, wanted: Any, heard: Heard = unheard) -> Texts | None:
    """The texts that pass a comparison which only texts can pass; None for any other."""
    if isinstance(wanted, Network):
        if op == "not in":
            return Texts(lambda text: Network.is_address(text) and not wanted.holds(text), remembers=True, heard=heard)
        return Texts(wanted.holds, remembers=True, heard=heard)
    if isinstance(wanted, SemVer):
        return Texts(_version(op, wanted), remembers=True, heard=heard)
    make = _MADE.get(op)
    return None if make is None else make(wanted, heard)


def _equal(wanted: Any, heard: Heard) -> Texts | None:
    return Texts(wanted.__eq__, (intern(wanted),), heard=heard) if type(wanted) is str else None


def _member(wanted: Any, heard: Heard) -> Texts | None:
    if type(wanted) is not tuple or not all(type(item) is str for item in wanted):
        return None
    return Texts(frozenset(wanted).__contains__, map(intern, wanted), heard=heard)


def _folded(wanted: Any, heard: Heard) -> Texts:
    known = frozenset(text.casefold() for text in (wanted if isinstance(wanted, tuple) else (wanted,)))
    return Texts(lambda text: text.casefold() in known, remembers=True, heard=heard)


def _pattern(wanted: Any, heard: Heard) -> Texts:
    patterns = [fitting(pattern) for pattern in (wanted if isinstance(wanted, tuple) else (wanted,))]
    return Texts(lambda text: any(fits(text) for fits in patterns), remembers=True, items=True, heard=heard)


def _regex(wanted: Any, heard: Heard) -> Texts:
    found = [regex(pattern) for pattern in (wanted if isinstance(wanted, tuple) else (wanted,))]
    return Texts(lambda text: len(text) <= LONGEST and any(one(text) is not None for one in found), remembers=True, items=True, heard=heard)


_MADE: Final[Mapping[str, Callable[[Any, Heard], Texts | None]]] = {
    "==": _equal,
    "in": _member,
    "ieq": _folded,
    "iin": _folded,
    "matches": _pattern,
    "regex": _regex,
}


def _version(op: str, wanted: SemVer) -> Callable[[str], bool]:
    compare = ORDER[op]
    return lambda text: (version := SemVer.read(text)) is not None and compare(version.order, wanted.order)


def regex(pattern: str) -> Callable[[str], object | None]:
    """
    A search for what `pattern` describes, in time that grows with the text alone: RE2 does not backtrack.

    Raises:
        Wrong: it is none, or google-re2 is not installed.
    """
    try:
        import re2
    except ImportError as error:
        raise Wrong(f"a regular expression needs google-re2 ({error})", "pip install 'progflags[re2]', or use `matches`") from None
    options = re2.Options()
    options.log_errors = False
    try:
        search: Callable[[str], object | None] = re2.compile(pattern, options).search
    except re2.error as error:
        said = error.args[0] if error.args else error
        why = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        raise Wrong(f"{pattern[:80]!r} is no regular expression of RE2: {why}") from None
    return search
