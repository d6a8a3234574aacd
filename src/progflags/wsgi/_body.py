"""Body: an application's iterable as the server gets it, where somebody watches it to its end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

__all__ = ["Body", "Sized"]


class Body(Iterator[bytes]):
    """
    The application's iterable, in the server's eyes: equal to what it was, and with a length only where that had one.

    Servers know a response they need not send by its being equal to a constant of theirs.
    Who watches is told by `_met` of each piece, by `_ran_out` of the end, by `_broke` of what the application raises instead.
    """

    __slots__ = ("_inner", "_iterator")

    _inner: Iterable[bytes]  # set by who watches: a call of ours to set them would cost each request 0.2 µs
    _iterator: Iterator[bytes] | None

    def __next__(self) -> bytes:
        try:
            if self._iterator is None:
                self._iterator = iter(self._inner)
            piece = next(self._iterator)
            self._met(piece)
        except StopIteration:
            self._ran_out()
            raise
        except BaseException as error:
            self._broke(error)
            raise
        return piece

    def _met(self, piece: bytes) -> None:
        raise NotImplementedError

    def _ran_out(self) -> None:
        raise NotImplementedError

    def _broke(self, error: BaseException) -> None:
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        return self is other or bool(self._inner == other)

    __hash__ = object.__hash__

    def _close_inner(self) -> None:
        close = getattr(self._inner, "close", None)
        if close is not None:
            close()


class Sized(Body):
    """
    One whose length is the inner one's, which servers take for the Content-Length of a single piece.

    A class of its own, because servers ask whether there is a length before they take it: waitress fails a request whose
    iterable has `__len__` and raises from it.
    """

    __slots__ = ()

    def __len__(self) -> int:
        return len(self._inner)  # type: ignore[arg-type] # it has one

    def __bool__(self) -> bool:
        return True  # an empty list is still a response
