"""The bus: tells listeners what happened; what one of them raises is swallowed, counted and logged once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

from progflags._beside import Beside
from progflags._trouble import ends, swallow
from progflags.events._facts import Called, Compared, Exposed, Served, Tracked

__all__ = ["Bus"]

E = TypeVar("E")
Listener = Callable[[Any], object]


#: What requests are told of, at once; every other kind may happen in a thread that must not wait for anybody.
_OF_REQUESTS: Final = frozenset({Exposed, Served, Called, Tracked, Compared})
_ROOM: Final = 1000  # events that may wait for one listener
_PATIENCE: Final = 2.0  # likewise where nothing runs in the background, so that what is asked is there
_MOMENT: Final = 0.05  # seconds a listener is waited for, so that a quick one has heard when the teller goes on


class Bus:
    """
    Tells listeners, never raises. Telling an event nobody listens to costs one dict look-up.

    `apart`: listeners that are not ours hear of what happens outside requests in a thread of their own each; whoever tells waits
    0.05 s at most. Otherwise everybody hears at once and in the teller's thread.
    """

    __slots__ = ("_listeners", "apart")

    def __init__(self) -> None:
        self._listeners: dict[type, tuple[Listener, ...]] = {}
        self.apart = False

    def listen(self, kind: type[E], listener: Callable[[E], object], *, ours: bool = False) -> Callable[[], None]:
        """
        Call `listener` with every `kind` told from now on; the returned function ends that (once; again does nothing).

        `ours`: it is quick, never waits for anything, and hears at once whatever is told.
        """
        hear: Listener = listener if ours or kind in _OF_REQUESTS else self._beside(kind, listener)
        self._listeners = {**self._listeners, kind: (*self._listeners.get(kind, ()), hear)}

        def unlisten() -> None:
            rest = tuple(other for other in self._listeners.get(kind, ()) if other is not hear)
            self._listeners = {**self._listeners, kind: rest}
            if isinstance(hear, _Apart):
                self._let_go(hear.beside)

        return unlisten

    def _beside(self, kind: type, listener: Listener) -> Listener:
        owner = getattr(listener, "__self__", listener)  # methods of one object hear in order, whatever they hear of
        beside = next((other.beside for other in self._apart() if other.owner is owner), None)
        if beside is None:
            beside = Beside(f"listener {getattr(listener, '__qualname__', kind.__name__)}", room=_ROOM)
        return _Apart(self, beside, listener, owner)

    def _apart(self) -> list[_Apart]:
        return [other for there in self._listeners.values() for other in there if isinstance(other, _Apart)]

    def _let_go(self, beside: Beside) -> None:
        if all(other.beside is not beside for other in self._apart()):
            beside.close()

    @property
    def patience(self) -> float:
        """Seconds that somebody may wait for a function of the application's: a moment in the background, else until it is done."""
        return _MOMENT if self.apart else _PATIENCE

    def hears(self, kind: type) -> bool:
        """Whether anybody listens, so that a teller can skip building an event."""
        return bool(self._listeners.get(kind))

    def tell(self, event: object) -> None:
        """Hand `event` to the listeners of its type, in the order they came."""
        for listener in self._listeners.get(event.__class__, ()):
            try:
                listener(event)
            except BaseException as error:
                if ends(error):
                    raise
                swallow(f"listener of {event.__class__.__name__}", error)

    def health(self) -> dict[str, str]:
        """How the threads of listeners are, by what they listen to."""
        return {each.beside.name: each.beside.health() for each in self._apart()} if self.apart else {}

    def close(self) -> None:
        """End the listeners' threads once they have heard what waits."""
        for each in self._apart():
            each.beside.close()


class _Apart:
    """A listener that is called beside where its bus says so."""

    __slots__ = ("_bus", "_listener", "beside", "owner")

    def __init__(self, bus: Bus, beside: Beside, listener: Listener, owner: object) -> None:
        self._bus, self.beside, self._listener, self.owner = bus, beside, listener, owner

    def __call__(self, event: object) -> None:
        if self._bus.apart:
            self.beside.do(partial(self._listener, event), wait=_MOMENT)
        else:
            self._listener(event)
