"""Prerequisites as a graph: the circles in it, how deep it goes, and how many evaluations one answer costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

__all__ = ["circles", "circular", "weigh"]

_SPELLED: Final = 10  # flags of a circle that its message spells out
_MANY: Final = 1_000_000

Graph = Mapping[str, Sequence[str]]
"""Flag → the flags it requires; those without any may be left out."""


def circles(graph: Graph) -> list[tuple[str, ...]]:
    """Every circle of prerequisites, once, as the path that closes it. Iterative: a chain may be long."""
    done: set[str] = set()
    found: list[tuple[str, ...]] = []
    for start in graph:
        trail: dict[str, None] = {}  # ordered, and asked about every step
        stack = [(start, False)]
        while stack:
            key, leaving = stack.pop()
            if leaving:
                trail.popitem()
                done.add(key)
            elif key in trail:
                path = [*trail]
                found.append((*path[path.index(key) :], key))
            elif key not in done and key in graph:
                trail[key] = None
                stack.append((key, True))
                stack.extend((required, False) for required in graph[key])
    return found


def circular(circle: Sequence[str]) -> str:
    """A circle as people read it, from a flag back to that flag; in a long one the middle is counted."""
    left_out = len(circle) - 1 - _SPELLED
    said = circle if left_out <= 0 else (*circle[:_SPELLED], f"… ({left_out:,} more)", circle[-1])
    return " → ".join(said)


def weigh(graph: Graph) -> dict[str, tuple[int, int]]:
    """
    Flag → (the longest chain below it, the evaluations that one answer may cost), of a graph without circles.

    A flag that two others require is evaluated for each of them, so the second may grow as a power of the first; it is counted
    up to a million.
    """
    weights: dict[str, tuple[int, int]] = {}
    for key in _children_first(graph):
        below = [weights.get(required, (0, 1)) for required in graph[key]]
        weights[key] = (1 + max((depth for depth, _ in below), default=-1), min(_MANY, 1 + sum(cost for _, cost in below)))
    return weights


def _children_first(graph: Graph) -> Iterator[str]:
    done: set[str] = set()
    for start in graph:
        stack = [(start, False)]
        while stack:
            key, ready = stack.pop()
            if key in done or key not in graph:
                continue
            if ready:
                done.add(key)
                yield key
            else:
                stack.append((key, True))
                stack.extend((required, False) for required in graph[key])
