"""What the ASGI and the WSGI door have in common: an experiment, which requests it is about, and who answers in its shadow."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Generic, TypeVar, Unpack

from progflags._printed import quoted
from progflags.darklaunch._experiment import Experiment
from progflags.darklaunch._options import Options
from progflags.darklaunch.compare import MAX_BODY, METHODS, Reader, rooted
from progflags.darklaunch.http._remote import Remote
from progflags.flags import Forced

__all__ = ["Door"]

App = TypeVar("App")


class Door(Generic[App]):
    """
    The part of a DarkLaunchMiddleware that no protocol touches. `app` is the control; see DoorOptions for the rest.

    Of the three kinds of candidate one is set: `_other` an application, `_forced` a flag to force, `_remote` an origin.

    Raises:
        TypeError: the candidate is none of these, or an option is unknown. ValueError: an option can't be right.
    """

    def __init__(
        self,
        app: App,
        flag: str,
        candidate: App | Forced | str,
        *,
        methods: Iterable[str] = METHODS,
        max_body: int = MAX_BODY,
        headers: Iterable[str] = (),
        trust_marker: bool = False,
        forward: Iterable[str] = (),
        **options: Unpack[Options],
    ) -> None:
        if not (isinstance(candidate, (Forced, str)) or callable(candidate)):
            raise TypeError(f"the candidate is an application, an origin or pf.force(…), not {quoted(candidate)}")
        options["rules"] = rooted(options.get("rules", ()))
        reduce = options.get("reduce")
        self.app = app
        self.dark_launch = Experiment(flag, **options)
        # Both sides are bytes until they are compared: what there is to reduce is known only then.
        self.dark_launch.reduce = None
        self.dark_launch.comparer.read = Reader(headers, reduce)
        self._forced = candidate if isinstance(candidate, Forced) else None
        self._remote = Remote(candidate, forward, self._charge) if isinstance(candidate, str) else None
        self._other: App | None = None if isinstance(candidate, (Forced, str)) else candidate
        self._methods = frozenset(method.upper() for method in methods)
        self._max_body = max_body
        self._trusts = trust_marker
        self._passes = self.dark_launch.gate.passes

    def _charge(self, seconds: float) -> None:
        self.dark_launch.engine.cpu.spend(seconds)

    def _forcing(self, forced: Forced) -> AbstractContextManager[None]:
        """A block in which the control's application sees the flag forced."""
        client = self.dark_launch.gate.client
        if client is None:
            raise LookupError(f"no client to force {quoted(forced.flag)} on")
        return forced.over(client)
