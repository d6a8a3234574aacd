"""
How close two answers are, as a number: for `score=` of a dark launch, where "equal" is too much to ask.

Each function here makes a score: a function of (control, candidate) that gives 1.0 where the two are the same and 0.0 where
they have nothing in common. Any function of two values that gives a number will do in its place.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from difflib import SequenceMatcher
from itertools import islice
from typing import Any, Final

from progflags._printed import quoted
from progflags.darklaunch.compare import Freezer

__all__ = ["Score", "jaccard", "ndcg", "overlap", "relative_error", "text_similarity"]

#: (control, candidate) → how close they are; larger is closer.
Score = Callable[[Any, Any], float]
Key = Callable[[Any], Any] | str | None

_WORDS: Final = re.compile(r"\w+|[^\w\s]")
_COMPARED: Final = 2_000  # words a side whose order counts; beyond it the time would grow with their square


def overlap(k: int, *, key: Key = None) -> Score:
    """
    How many of the first `k` results the two lists share, as a share of the longer one: 1.0 in whatever order, 0.0 with none.

    `key`: the field or function that tells results apart; otherwise their whole value. Two empty lists score 1.0.

        pf.score.overlap(2)(["a", "b"], ["b", "c"])             # 0.5
        pf.score.overlap(10, key="id")([{"id": 1, "at": 3}], [{"id": 1, "at": 4}])      # 1.0

    Raises:
        ValueError: `k` is not a positive whole number.
    """
    first = _first(k, key)

    def score(control: Any, candidate: Any) -> float:
        a, b = Counter(first(control)), Counter(first(candidate))
        longer = max(a.total(), b.total())
        return (a & b).total() / longer if longer else 1.0

    return score


def ndcg(k: int, *, key: Key = None) -> Score:
    """
    How well the candidate ranks what the control ranks, in its first `k` results: 1.0 for the same order, less the higher up
    they disagree, 0.0 with nothing in common.

    The control's order is the truth: its first result is worth k, its second k − 1, and so on; what it does not list is worth
    nothing. Two empty lists score 1.0. Source: Järvelin & Kekäläinen (2002), discounted cumulated gain, normalised by the
    control's own.

        pf.score.ndcg(3)(["a", "b", "c"], ["a", "b", "c"])      # 1.0
        pf.score.ndcg(3)(["a", "b", "c"], ["x", "y", "z"])      # 0.0

        near = pf.score.ndcg(10, key="id")

        @pf.dark_launch("search-v2", candidate=search_v2, score=near, flags=flags)
        def search(query): ...

    Raises:
        ValueError: `k` is not a positive whole number.
    """
    first = _first(k, key)

    def score(control: Any, candidate: Any) -> float:
        truth = first(control)
        worth: dict[Hashable, int] = {}
        for rank, item in enumerate(truth):
            worth.setdefault(item, k - rank)
        best = _gain(worth.values())
        if not best:
            return 1.0 if not first(candidate) else 0.0
        left = dict(worth)
        return _gain(left.pop(item, 0) for item in first(candidate)) / best

    return score


def _gain(worth: Iterable[int]) -> float:
    return math.fsum(each / math.log2(rank + 2) for rank, each in enumerate(worth))


def jaccard(*, key: Key = None) -> Score:
    """
    What the two collections share, as a share of all that is in either, order and repetition aside. Two empty ones score 1.0.

    Of mappings the items are compared. Source: Jaccard (1901).

        pf.score.jaccard()({"red", "blue"}, {"blue", "red"})    # 1.0
        pf.score.jaccard()([1, 2, 3, 4], [4])                   # 0.25
    """

    def score(control: Any, candidate: Any) -> float:
        a, b = set(_items(control, key)), set(_items(candidate, key))
        return len(a & b) / len(a | b) if a or b else 1.0

    return score


def relative_error() -> Score:
    """
    `1 − |a − b| / max(|a|, |b|)` of two numbers: 0.99 is one percent apart, 1.0 equal, 0.0 of opposite signs or one of them zero.

    NaN equals NaN and nothing else; an infinity equals only itself.

        pf.score.relative_error()(100.0, 99.0)                  # 0.99
    """

    def score(control: Any, candidate: Any) -> float:
        a, b = float(control), float(candidate)
        if a == b or (math.isnan(a) and math.isnan(b)):
            return 1.0
        apart = abs(a - b) / max(abs(a), abs(b))
        return max(0.0, 1.0 - apart) if math.isfinite(apart) else 0.0

    return score


def text_similarity() -> Score:
    """
    How much of two texts is the same, word by word in order: 1.0 for the same words, 0.0 for none. Case and space do not count.

    Beyond 2,000 words a side their order does not count either. Source: Ratcliff & Metzener (1988), as in difflib; the
    share of common words is Dice's coefficient, which is the same number without the order.

        pf.score.text_similarity()("We ship  today", "we ship today")       # 1.0
    """

    def score(control: Any, candidate: Any) -> float:
        a, b = (_WORDS.findall(str(text).casefold()) for text in (control, candidate))
        if a == b:
            return 1.0
        if max(len(a), len(b)) <= _COMPARED:
            return SequenceMatcher(None, a, b, autojunk=False).ratio()
        return 2 * (Counter(a) & Counter(b)).total() / (len(a) + len(b))

    return score


def _first(k: int, key: Key) -> Callable[[Any], list[Hashable]]:
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ValueError(f"k is how many results are looked at, a positive whole number, not {quoted(k)}")
    return lambda results: _items(results, key, k)


def _items(values: Any, key: Key, most: int | None = None) -> list[Hashable]:
    freezer = Freezer(strict=False)
    every = values.items() if isinstance(values, Mapping) else values
    return [freezer.freeze(_told_apart(each, key), None, 0) for each in islice(every, most)]


def _told_apart(value: Any, key: Key) -> Any:
    if key is None:
        return value
    if callable(key):
        return key(value)
    return value[key] if isinstance(value, Mapping) else getattr(value, key)
