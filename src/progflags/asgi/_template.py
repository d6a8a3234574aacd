"""The whole template of the endpoint that answered: what routers and mounts before it took of the path belongs to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from progflags._route import LABEL, masked

__all__ = ["template"]


def template(scope: Mapping[str, Any]) -> str | None:
    """
    `/users/{id}` for a route `/{id}` of a router under `/users`; None where no router left its route.

    A router knows its own part of the path only. The rest is the path's beginning, in which the values of parameters are
    their names again: a template never holds data, so where a value can't be found there, the beginning is `/{*}`.
    """
    label = scope.get(LABEL)
    if label is not None:
        return str(label)
    route = scope.get("route")
    own = getattr(route, "path", None)
    if not isinstance(own, str):
        return None
    path, pattern = scope["path"], getattr(route, "path_regex", None)
    if pattern is None:
        return own
    starts = (at for at in range(len(path)) if path[at] == "/" and pattern.match(path[at:]))
    before = path[: next(starts, 0)]
    if not before:
        return own
    known = pattern.groupindex
    outer = {name: str(value) for name, value in (scope.get("path_params") or {}).items() if name not in known}
    return masked(before, outer) + own
