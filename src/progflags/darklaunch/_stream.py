"""Generators: the control's items pass through untouched and are noted; the candidate's are drawn by the shadow, as many as were."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterable
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any, Final

from progflags.darklaunch._call import Call
from progflags.darklaunch._interrupt import is_delivered
from progflags.darklaunch.compare import TEXT, NotIsolated
from progflags.darklaunch.record import Outcome, Shed, mute

__all__ = ["async_stream", "stream"]

ITEMS: Final = 1000


class _Noted:
    """What a control's generator has yielded so far, as far as it can be compared."""

    __slots__ = ("_began", "_call", "_conversed", "_items", "_refused", "_seconds", "_size")

    def __init__(self, call: Call) -> None:
        self._call = call
        self._items: list[Any] = []
        self._size = 0
        self._began = self._seconds = 0.0
        self._refused: tuple[Shed, str] | None = None
        self._conversed = False

    def asked(self) -> None:
        """The control is about to be asked for its next item."""
        self._began = perf_counter()

    def _answered(self) -> None:
        self._seconds += perf_counter() - self._began

    def item(self, value: Any) -> None:
        self._answered()
        if self._refused is None:
            self._items.append(self._kept(value))
            if len(self._items) > ITEMS:
                self._refused = Shed.RESULT_ISOLATION, "too many items"
            if self._refused is not None:
                self._items.clear()

    def _kept(self, value: Any) -> Any:
        experiment = self._call.experiment
        try:
            kept, size = experiment.keep_item(value)
        except NotIsolated as refusal:
            self._refused = Shed.RESULT_ISOLATION, str(refusal)
        except BaseException as error:  # a hook of the user's; the consumer of the control's items must not meet it
            if is_delivered(error):
                raise
            mute(f"dark launch {experiment.flag}", error)
            self._refused = Shed.HOOK, ""
        else:
            self._size += size
            if self._size > TEXT:
                self._refused = Shed.RESULT_ISOLATION, "too much text"
            return kept
        return None

    def heard(self, sent: Any, thrown: BaseException | None) -> None:
        """What the caller answers the control; that can't be repeated for the candidate."""
        self._conversed = self._conversed or sent is not None or thrown is not None

    def ended(self, returned: Any, drawn: Callable[[Any, int], Any], *, early: bool = False) -> None:
        """The caller has what it wanted: all of it, or only the first items (`early`)."""
        call = self._call
        if not early:
            self._answered()
        if self._conversed:
            call.experiment.conclude(call, Outcome.INCOMPLETE)
            return
        if returned is not None:
            returned = self._kept(returned)
        if self._refused is not None:
            call.experiment.drop(call, *self._refused)
        else:
            wanted = len(self._items) if early else ITEMS + 1
            self._will_draw(drawn, wanted)
            call.size += self._size
            call.returned(self._items if early else _whole(self._items, returned), self._seconds, isolated=True)

    def failed(self, error: BaseException, drawn: Callable[[Any, int], Any]) -> None:
        self._answered()
        self._will_draw(drawn, ITEMS + 1)
        self._call.raised(error, self._seconds)

    def _will_draw(self, drawn: Callable[[Any, int], Any], wanted: int) -> None:
        call = self._call
        call.take = lambda made: drawn(made, wanted)
        if call.reduce is not None:
            call.reduce = partial(_each, call.reduce)

    async def finish(self) -> None:
        if self._call.experiment.inline:
            await self._call.finish()


class _Deaf(_Noted):
    """Nobody is comparing. There is no `yield from` for async generators, so their loop runs all the same."""

    def __init__(self) -> None: ...

    def asked(self) -> None: ...

    def item(self, value: Any) -> None: ...

    def heard(self, sent: Any, thrown: BaseException | None) -> None: ...

    def ended(self, returned: Any, drawn: Callable[[Any, int], Any], *, early: bool = False) -> None: ...

    def failed(self, error: BaseException, drawn: Callable[[Any, int], Any]) -> None: ...

    async def finish(self) -> None: ...


def stream(control: Generator[Any, Any, Any], begin: Callable[[], Call | None]) -> Generator[Any, Any, Any]:
    """
    `control`, item by item. The call is taken in when the first item is asked for: before that nothing has run.

    What the caller sends or throws in reaches the control; it can't be repeated for the candidate, so such a call is
    counted as incomplete.
    """
    call = begin()
    if call is None:
        return (yield from control)
    noted = _Noted(call)
    sent: Any = None
    thrown: BaseException | None = None
    while True:
        noted.asked()
        try:
            item = control.send(sent) if thrown is None else control.throw(thrown)
        except StopIteration as end:
            noted.ended(end.value, _drawn)
            return end.value
        except BaseException as error:
            noted.failed(error, _drawn)
            raise
        noted.item(item)
        sent, thrown = None, None
        try:
            sent = yield item
        except GeneratorExit:
            try:
                control.close()
            finally:
                noted.ended(None, _drawn, early=True)
            raise
        except BaseException as error:
            thrown = error
        noted.heard(sent, thrown)


async def async_stream(control: AsyncGenerator[Any, Any], begin: Callable[[], Call | None]) -> AsyncGenerator[Any, Any]:
    """As `stream`, for async generators."""
    call = begin()
    noted = _Deaf() if call is None else _Noted(call)
    sent: Any = None
    thrown: BaseException | None = None
    while True:
        noted.asked()
        try:
            item = await (control.asend(sent) if thrown is None else control.athrow(thrown))
        except StopAsyncIteration:
            noted.ended(None, _drawn_async)
            await noted.finish()
            return
        except BaseException as error:
            noted.failed(error, _drawn_async)
            await noted.finish()
            raise
        noted.item(item)
        sent, thrown = None, None
        try:
            sent = yield item
        except GeneratorExit:
            try:
                await control.aclose()
            finally:
                noted.ended(None, _drawn_async, early=True)
            raise
        except BaseException as error:
            thrown = error
        noted.heard(sent, thrown)


@dataclass(frozen=True, slots=True)
class Returned:
    """What a generator returned, as one more item of what it yielded."""

    value: Any


def _each(reduce: Callable[[Any], Any], items: list[Any]) -> list[Any]:
    return [Returned(reduce(item.value)) if isinstance(item, Returned) else reduce(item) for item in items]


def _whole(items: list[Any], returned: Any) -> list[Any]:
    return items if returned is None else [*items, Returned(returned)]


def _drawn(made: Iterable[Any], wanted: int) -> list[Any]:
    """The candidate's first `wanted` items, and its return value if it came so far."""
    iterator = iter(made)
    items: list[Any] = []
    while len(items) < wanted:
        try:
            items.append(next(iterator))
        except StopIteration as end:
            return _whole(items, end.value)
    close = getattr(made, "close", None)
    if close is not None:
        close()
    return items


async def _drawn_async(made: AsyncIterator[Any], wanted: int) -> list[Any]:
    items: list[Any] = []
    iterator = aiter(made)
    while len(items) < wanted:
        try:
            items.append(await anext(iterator))
        except StopAsyncIteration:
            return items
    close = getattr(made, "aclose", None)
    if close is not None:
        await close()
    return items
