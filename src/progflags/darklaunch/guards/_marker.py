"""
How others are told that a request is a shadow's: a header, and W3C baggage where OpenTelemetry is in use.

    progflags-shadow: <flag>;<id>
    baggage: progflags.shadow=1

A server that sees the marker may suppress its own writes, so a stranger must not be able to send it: middleware strips it
from requests unless told to trust the peer.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, Final

from progflags.darklaunch.shadow import Shadow, current

__all__ = ["HEADER", "around_shadows", "baggage", "header"]

HEADER: Final = "progflags-shadow"
BAGGAGE: Final = "progflags.shadow"


def header() -> dict[str, str]:
    """The marker for an outgoing request made here: one header in a shadow, none outside."""
    here = current()
    return {} if here is None else {HEADER: mark(here)}


def mark(shadow: Shadow) -> str:
    """The header's value. Only characters a header may have: a flag's key can hold others."""
    flag = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in shadow.flag)
    return f"{flag};{shadow.id}"


Around = Callable[[Shadow, Any], AbstractContextManager[Any]]
_around: tuple[Around, ...] = ()


def around_shadows(enter: Around) -> Callable[[], None]:
    """
    Run every shadow inside `enter(shadow, span_context)` from now on; the returned function ends that.

    For telemetry: it is entered after the request's span has been taken off, whose context it is given. It must not raise.
    """
    global _around  # noqa: PLW0603 - one tuple, swapped whole
    _around = (*_around, enter)

    def leave() -> None:
        global _around  # noqa: PLW0603
        _around = tuple(other for other in _around if other is not enter)

    return leave


@contextmanager
def baggage(shadow: Shadow) -> Iterator[None]:
    """
    An OpenTelemetry context without the request's span and with the marker in its baggage.

    The request's span has ended, or will have, before the shadow does; as its child the shadow would count as traffic.
    """
    if "opentelemetry.context" not in sys.modules:
        yield
        return
    from opentelemetry import baggage as bags
    from opentelemetry import context, trace

    live = trace.get_current_span().get_span_context()
    here = trace.set_span_in_context(trace.INVALID_SPAN, bags.set_baggage(BAGGAGE, "1"))
    token = context.attach(here)
    try:
        with ExitStack() as stack:
            for enter in _around:
                stack.enter_context(enter(shadow, live))
            yield
    finally:
        context.detach(token)
