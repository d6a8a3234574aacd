"""Dark launches: each with its verdict, over all processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from progflags._console._view import Query, View, plain

if TYPE_CHECKING:
    from progflags._connect import Flags
    from progflags.darklaunch import ShadowSummary

__all__ = ["of_launch", "shadows"]


def shadows(flags: Flags, query: Query) -> View:  # noqa: ARG001
    """
    Every dark launch.

    Raises:
        StoreError: the store is out of reach.
    """
    every = [of_launch(one) for one in flags.rollouts.dark_launches()]
    worst = sorted(every, key=lambda one: ("UNSAFE", "UNDECIDED", "SAFE").index(one["verdict"]))
    return View("Dark launches", "shadows.html", {"launches": worst}, live="dark-launches")


def of_launch(one: ShadowSummary) -> dict[str, Any]:
    """What is known of one, over all processes that told of it."""
    return dict(plain(one.to_dict(one.verdict())))
