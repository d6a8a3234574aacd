"""
What travels with a task from the request that queued it: the targeting key, and the variants already met.

So a task serves its user what the page did, even if the rollout moved a stage meanwhile. It never outlives an emergency: where
this process says the flag is killed, rolled back or braked by now, that answer stands.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import islice
from typing import Any, Final

from progflags._printed import quoted
from progflags._trouble import swallow
from progflags.context import Context, bind, scope
from progflags.flags import Client, Reason

__all__ = ["HEADER", "begin_task", "end_task", "pack", "unpack"]

HEADER: Final = "progflags"
_FLAGS: Final = 64  # assignments carried: a header is no place for more
_PLAIN: Final = (str, int, float, bool, type(None))
_WIDEST: Final = 2**63  # an integer in an AMQP header has 64 bits, and a wider one fails the sending


def pack(attributes: Sequence[str] = ()) -> dict[str, Any] | None:
    """
    The header for a task queued here, as plain JSON values; None outside a request.

    Of the context's attributes only those named travel: a queue keeps what it is given, and people read it.
    """
    here = scope()
    if here is None or here.silent:
        return None
    given = here.context.attributes
    carried = {name: value for name in attributes if (value := given.get(name)) is not None and _travels(value)}
    # What this task was told itself (and pinned, so that it is no exposure) travels on to the tasks it queues.
    met = {exposure.flag: exposure.variant for exposure in tuple(here.exposures.values())}
    flags = dict(islice({**here.extras.get(HEADER, {}), **met}.items(), _FLAGS))
    header: dict[str, Any] = {"v": 1}
    if here.context._kb is not None:  # what is no targeting key here is none there, and may be nothing a broker can write
        key = here.context.key
        header["key"] = key if type(key) in {str, int} and _travels(key) else here.context._kb.decode()
    if carried:
        header["attributes"] = carried
    if flags:
        header["flags"] = flags
    return header if len(header) > 1 else None


def _travels(value: object) -> bool:
    """Whether any serializer and any broker can write it down."""
    return isinstance(value, _PLAIN) and not (isinstance(value, int) and not -_WIDEST <= value < _WIDEST)


@contextmanager
def unpack(header: object, client: Client | None) -> Iterator[None]:
    """Run a task as the one its header names. A header that can't be read is counted, and the task runs as nobody."""
    with ExitStack() as stack:
        try:
            _enter(stack, header, client)
        except Exception as error:
            swallow("task header", error)
        yield


def _enter(stack: ExitStack, header: object, client: Client | None) -> None:
    if not isinstance(header, Mapping):
        return
    if header.get("v") != 1:
        raise ValueError(f"a header of version {quoted(header.get('v'))}; this progflags reads version 1")
    context = Context(header.get("key"), header.get("attributes") or {})
    here = stack.enter_context(bind(context, fresh=True))
    stack.callback(here.end)  # what the task started and left running is nobody's from then on, as after a request
    if client is None:
        return
    kept = {flag: variant for flag, variant in dict(header.get("flags") or {}).items() if _stands(client, flag, variant, context)}
    here.extras[HEADER] = kept
    if kept:
        stack.enter_context(client.override(kept))


def _stands(client: Client, flag: str, variant: Any, context: Context) -> bool:
    """
    Whether an earlier assignment still may be served: not once an emergency has answered, nor where the rollout is at zero, or
    is of another variant by now, nor where flag or variant are gone. (A task that waited through a rollback may wake up in the
    climb of what came after.)
    """
    model = None if client.definitions is None else client.definitions.flags.get(flag)
    if model is None or not isinstance(variant, str) or variant not in model.variants:
        return False
    with bind(context, fresh=True, silent=True):
        evaluation = client.evaluate(flag, None, context)
    if evaluation.reason in (Reason.PINNED, Reason.DISABLED, Reason.ERROR):
        return False
    live = client.live(flag)
    if live.edit is not None:
        return evaluation.variant == variant  # whose definition it was of nobody wrote down
    return live.share is None or (live.share > 0 and (variant == model.default or live.about(variant)))


#: The tasks being run, by thread and id (a broker that delivers one twice has it run in two threads at once): for which client,
#: and what ends it; innermost last.
_running: Final[dict[tuple[int, str], list[tuple[Client | None, AbstractContextManager[None]]]]] = {}


def begin_task(number: str, header: object, client: Client | None) -> None:
    """Run what follows in this thread as the task's user, until `end_task`; once per client, however often it was installed."""
    here = (threading.get_ident(), number)
    if header is None or any(known is client for known, _ in _running.get(here, ())):
        return
    task = unpack(header, client)
    task.__enter__()
    _running.setdefault(here, []).append((client, task))


def end_task(number: str) -> None:
    """
    Take back the latest `begin_task` of this task in this thread; nothing if there was none.

    Whoever asks: with two clients installed, the bindings must end in the reverse order, or one of them would stay.
    """
    here = (threading.get_ident(), number)
    tasks = _running.get(here)
    if tasks:
        _, task = tasks.pop()
        if not tasks:
            del _running[here]
        task.__exit__(None, None, None)
