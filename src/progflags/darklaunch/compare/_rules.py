"""
What may differ: ignore, tolerance, within, opaque, unordered, by_key, normalize, subset.

Rules are compiled into one automaton over paths (a trie with wildcards, made deterministic as it is walked), so that a
document is walked once whatever the number of rules, and parts no rule speaks of cost nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from progflags._printed import quoted
from progflags.darklaunch.compare._paths import ANY, DEEP, INDEX, parse

__all__ = [
    "Near",
    "Rule",
    "State",
    "by_key",
    "compile_rules",
    "ignore",
    "normalize",
    "opaque",
    "subset",
    "tolerance",
    "unordered",
    "within",
]


@dataclass(frozen=True, slots=True)
class Rule:
    """
    One allowance at one path. Build them with the functions below; `str()` is how a report names it.

        rules = [pf.ignore("$.served_at"), pf.tolerance("$.total", abs=0.01)]
        print(*rules)
    """

    path: str
    kind: str
    value: Any = None

    def __str__(self) -> str:
        return f"{self.kind}({self.path!r})" if self.value is None else f"{self.kind}({self.path!r}, {_spelled(self.value)})"


def _spelled(value: Any) -> str:
    return getattr(value, "__qualname__", None) or repr(value)


def ignore(path: str) -> Rule:
    """
    Whatever is at `path`, and below it, is not compared.

        @pf.dark_launch("pricing-v2", candidate=price_v2, rules=[pf.ignore("$.served_at")])
        def price(cart): ...
    """
    return _made(path, "ignore")


def tolerance(path: str, *, abs: float | str | Decimal = 0.0, rel: float = 0.0) -> Rule:
    """
    Numbers at `path`, and below it, may differ by `abs`, or by the share `rel` of the larger one.

    Inside a tolerance int, float and Decimal are compared by value; a bool is no number. `abs` may be written as text
    ("0.01") to be exact for Decimals. NaN equals NaN, an infinity only itself.

        pf.tolerance("$.total", abs=0.01)

    Raises:
        ValueError: neither is given, or one is negative or not finite.
    """
    absolute, relative = Decimal(str(abs)), float(rel)
    if not (absolute.is_finite() and absolute >= 0 and math.isfinite(relative) and relative >= 0 and (absolute or relative)):
        raise ValueError(f"tolerance({quoted(path)}) needs abs= or rel= of zero or more, not abs={quoted(abs)}, rel={quoted(rel)}")
    return _made(path, "tolerance", (absolute, relative))


def within(path: str, seconds: float) -> Rule:
    """
    Times at `path`, and below it, may lie `seconds` apart: datetimes, ISO 8601 texts, Unix times, timedeltas.

        pf.within("$.expires", 2.0)
    """
    if not seconds > 0:
        raise ValueError(f"within({quoted(path)}) needs a positive number of seconds, not {quoted(seconds)}")
    return _made(path, "within", float(seconds))


def opaque(path: str) -> Rule:
    """
    Values at `path`, and below it, need only be of the same shape: two UUIDs, two ULIDs, two hexadecimal tokens of one length.

        pf.opaque("$.id")
    """
    return _made(path, "opaque")


def unordered(path: str) -> Rule:
    """
    The list at `path` is a bag: its elements may come in any order.

        pf.unordered("$.tags")
    """
    return _made(path, "unordered")


def by_key(path: str, *keys: str) -> Rule:
    """
    The elements of the list at `path` are paired by their field `keys` (several make one key) instead of by position.

    Below it elements are still `[*]`: `by_key("$.items", "sku")` goes with `tolerance("$.items[*].price", abs=0.01)`.

        pf.by_key("$.lines", "sku")
    """
    if not keys or not all(isinstance(key, str) for key in keys):
        raise ValueError(f"by_key({quoted(path)}) needs the name of the field that tells elements apart")
    return _made(path, "by_key", keys)


def normalize(path: str, function: Callable[[Any], Any]) -> Rule:
    """
    Both sides' value at `path` goes through `function` before it is compared (with any other rule at that path).

        pf.normalize("$.name", str.casefold)
    """
    if not callable(function):
        raise TypeError(f"normalize({quoted(path)}) needs a function of one value, not {quoted(function)}")
    return _made(path, "normalize", function)


def subset(path: str) -> Rule:
    """
    The candidate's mapping or set at `path` may have more in it than the control's.

        pf.subset("$.features")
    """
    return _made(path, "subset")


def _made(path: str, kind: str, value: Any = None) -> Rule:
    parse(path)
    return Rule(path, kind, value)


# These go on applying below the path they are written at; the nearest one wins.
_INHERITED: Final = frozenset({"tolerance", "within", "opaque"})

#: A tolerance ready for two floats: absolute, relative, the rule's text.
Near = tuple[float, float, str]


class _Node:
    __slots__ = ("children", "deep", "rules")

    def __init__(self) -> None:
        self.children: dict[Hashable, _Node] = {}
        self.rules: list[Rule] = []
        self.deep = False  # reached by `..`: stays alive at every depth


class State:
    """Which rules speak at this path, and where a further step leads. None instead of a State: no rule here or below."""

    __slots__ = ("_made", "_named", "_nodes", "_steps", "_without", "indexed", "near", "rules")

    def __init__(self, nodes: tuple[_Node, ...], inherited: dict[str, Rule], made: dict[Hashable, State] | None = None) -> None:
        #: Every state of the automaton: rules that say the same are one state, however deep, so that a cycle comes back to it.
        self._made = {} if made is None else made
        self._nodes = nodes
        self._without: dict[str, State] = {}
        self.rules: dict[str, Rule] = {**inherited, **{rule.kind: rule for node in nodes for rule in node.rules}}
        self._steps: dict[Hashable, State | None] = {}
        #: The tolerance that applies here, where nothing but a tolerance does.
        self.near: Near | None = None
        if self.rules.keys() & {"tolerance", "ignore", "normalize"} == {"tolerance"}:
            rule = self.rules["tolerance"]
            self.near = (float(rule.value[0]), rule.value[1], str(rule))
        self._named = frozenset(key for node in nodes for key in node.children)
        self.indexed = any(isinstance(key, int) for key in self._named)

    def step(self, key: Hashable) -> State | None:
        """The state below `key`: a mapping's key, a list's position, or INDEX for any position. Keys no rule names share one."""
        if key not in self._named:
            key = INDEX if isinstance(key, int) else ANY
        try:
            return self._steps[key]
        except KeyError:
            found = self._steps[key] = self._step(key)
            return found

    def _step(self, key: Hashable) -> State | None:
        nodes: dict[int, _Node] = {}
        wild = (ANY, INDEX) if isinstance(key, int) else (ANY,)
        # What is written more narrowly comes later, and so wins: `..price`, then `.*.price`, then `.book.price`.
        reached = [node for node in self._nodes if node.deep]
        for name in (*wild, key):
            reached += [node.children[name] for node in self._nodes if name in node.children]
        for one in reached:
            for each in _closure(one):
                nodes.setdefault(id(each), each)
        inherited = {kind: rule for kind, rule in self.rules.items() if kind in _INHERITED}
        if not nodes and not inherited:
            return None
        same = (tuple(nodes), tuple(sorted((kind, id(rule)) for kind, rule in inherited.items())))
        if same not in self._made:
            self._made[same] = State(tuple(nodes.values()), inherited, self._made)
        return self._made[same]

    def without(self, kind: str) -> State:
        """This state, one rule taken as done."""
        if kind not in self._without:
            rest = State(self._nodes, {}, self._made)
            rest.rules = {name: rule for name, rule in self.rules.items() if name != kind}
            self._without[kind] = rest
        return self._without[kind]


def _closure(node: _Node) -> Iterable[_Node]:
    yield node
    if DEEP in node.children:
        yield node.children[DEEP]


def compile_rules(rules: Iterable[Rule]) -> State | None:
    """
    One automaton for all `rules`; None when there are none.

    Raises:
        TypeError: something in it is no Rule.
    """
    root = _Node()
    for rule in rules:
        if not isinstance(rule, Rule):
            raise TypeError(f"a rule is made by pf.ignore, pf.tolerance, pf.by_key …, not {quoted(rule)}")
        node = root
        for step in parse(rule.path):
            node = node.children.setdefault(step, _Node())
            node.deep = node.deep or step is DEEP
        node.rules.append(rule)
    return State(tuple(_closure(root)), {}) if root.children or root.rules else None
