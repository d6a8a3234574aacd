"""Where in a call's arguments, or in its answer, the thing is that could not be copied. Asked once per class of thing."""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

__all__ = ["argument_path", "result_path"]

_LOOKED_AT: Final = 10_000  # objects
_DEEPEST: Final = 32


def argument_path(function: Callable[..., Any] | None, args: tuple[Any, ...], kwargs: Mapping[str, Any], kind: str) -> str:
    """`session.bind.logger`: by the parameter's name. Empty where nothing of class `kind` ("module.Class") is found."""
    try:
        names = list(inspect.signature(function).parameters) if function is not None else []
    except (ValueError, TypeError):  # written in C: it has no signature
        names = []
    given = {(names[at] if at < len(names) else f"args[{at}]"): value for at, value in enumerate(args)}
    return _search([(name, value) for name, value in (given | dict(kwargs)).items()], kind)


def result_path(value: Any, kind: str) -> str:
    """`$.rows[*].session`, likewise."""
    return _search([("$", value)], kind)


def _search(roots: list[tuple[str, Any]], kind: str) -> str:
    waiting = deque((path, value, 0) for path, value in roots)
    met: set[int] = set()
    while waiting and len(met) < _LOOKED_AT:
        path, value, depth = waiting.popleft()
        if id(value) in met:
            continue
        met.add(id(value))
        if f"{type(value).__module__}.{type(value).__qualname__}" == kind:
            return path
        if depth < _DEEPEST:
            waiting.extend((path + step, each, depth + 1) for step, each in _inside(value))
    return ""


def _inside(value: Any) -> Iterator[tuple[str, Any]]:
    """What the copier would copy: items, fields, attributes. Nothing of the value's own runs."""
    if isinstance(value, dict):
        yield from ((f".{key}" if isinstance(key, str) and key.isidentifier() else "[…]", each) for key, each in value.items())
    elif isinstance(value, (list, tuple, set, frozenset, deque)):
        yield from (("[*]", each) for each in value)
    elif hasattr(value, "__dict__") and not isinstance(value, type):
        yield from ((f".{name}", each) for name, each in vars(value).items())
