"""Texts: what a comparison has found of the texts it has met, so that those who come again cost one look-up."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from progflags.flags.conditions._unfit import Heard, unheard
from progflags.flags.conditions._values import items_of, plain

__all__ = ["Texts"]

_REMEMBERED = 1024  # strings per comparison
_LONGEST = 256  # longer ones are computed each time, so that memory stays bounded


class Texts:
    """
    The texts that pass a comparison, as a set that may learn.

    Where only texts can pass, `value in yes or learn(value)` answers, and the first half answers nearly always: 15 ns. A
    version or an address is parsed once per text, in a bounded memory; a fixed list has nothing to learn. With `items` a list passes
    where one of its items does.
    """

    __slots__ = ("_heard", "_items", "_no", "_remembers", "_test", "yes")

    def __init__(
        self,
        test: Callable[[str], bool],
        known: Iterable[str] = (),
        *,
        remembers: bool = False,
        items: bool = False,
        heard: Heard = unheard,
    ) -> None:
        self.yes: set[Any] = set(known)
        self._no: set[str] = set()
        self._test = test
        self._remembers = remembers
        self._items = items
        self._heard = heard

    def learn(self, value: Any) -> bool:
        """Whether a value that is not in `yes` passes after all. Runs none of the value's own code but hashing."""
        text = plain(value)
        if type(text) is not str:
            return self._several(value)
        if text in self._no:
            return False
        answer = self._test(text)
        if self._remembers:
            self._remember(text, answer)
        return answer

    def _remember(self, text: str, answer: bool) -> None:
        if not answer:
            self._heard(text)
        if len(text) <= _LONGEST:
            known = self.yes if answer else self._no
            if len(known) >= _REMEMBERED:
                known.clear()
            known.add(text)

    def despite(self, error: Exception, value: Any) -> bool:
        """
        Whether a value passes that could not be looked up: None where it is missing, a list or a table that can't be hashed.

        A text of another class than str counts by its plain value, whatever its own `__hash__` or `__eq__` raised.

        Raises:
            Exception: `error`, where the value is neither: its own code failed, and nobody knows what it is.
        """
        if value is None or isinstance(error, TypeError) or issubclass(type(value), str):
            return self.passes(value)
        raise error

    def passes(self, value: Any) -> bool:
        """Whether a value passes, hashable or not. Runs none of the value's own code."""
        text = plain(value)
        if type(text) is str:
            return text in self.yes or self.learn(text)
        return self._several(value)

    def _several(self, value: Any) -> bool:
        """Whether an item of a list passes, where one is enough."""
        items = items_of(value) if self._items else None
        if items is not None and any(type(text := plain(item)) is str and (text in self.yes or self.learn(text)) for item in items):
            return True
        self._heard(value)
        return False
