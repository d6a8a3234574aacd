"""
What travels with a task from the request that queued it: the targeting key, and the variants already met.

So a task serves its user what the page did, even if the rollout moved a stage meanwhile. It never outlives an emergency: where
this process says the flag is killed, rolled back or braked by now, that answer stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import Any, Final
from uuid import UUID

from progflags._trouble import swallow
from progflags.context import Context, bind, scope
from progflags.flags import Client, Reason

__all__ = ["HEADER", "pack", "unpack"]

HEADER: Final = "progflags"
_FLAGS: Final = 64  # assignments carried: a header is no place for more
_PLAIN: Final = (str, int, float, bool, type(None))


def pack(attributes: Sequence[str] = ()) -> dict[str, Any] | None:
    """
    The header for a task queued here, as plain JSON values; None outside a request.

    Of the context's attributes only those named travel: a queue keeps what it is given, and people read it.
    """
    here = scope()
    if here is None or here.silent:
        return None
    key = here.context.key
    carried = {name: value for name in attributes if isinstance(value := here.context.attributes.get(name), _PLAIN) and value is not None}
    # What this task was told itself (and pinned, so that it is no exposure) travels on to the tasks it queues.
    met = {exposure.flag: exposure.variant for exposure in tuple(here.exposures.values())}
    flags = dict(islice({**here.extras.get(HEADER, {}), **met}.items(), _FLAGS))
    header: dict[str, Any] = {"v": 1}
    if key is not None:
        header["key"] = str(key) if isinstance(key, UUID) else key
    if carried:
        header["attributes"] = carried
    if flags:
        header["flags"] = flags
    return header if len(header) > 1 else None


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
        raise ValueError(f"a header of version {header.get('v')!r}; this progflags reads version 1")
    context = Context(header.get("key"), header.get("attributes") or {})
    here = stack.enter_context(bind(context, fresh=True))
    if client is None:
        return
    kept = {flag: variant for flag, variant in dict(header.get("flags") or {}).items() if _stands(client, flag, variant, context)}
    here.extras[HEADER] = kept
    if kept:
        stack.enter_context(client.override(kept))


def _stands(client: Client, flag: str, variant: Any, context: Context) -> bool:
    """
    Whether an earlier assignment still may be served: not once an emergency has answered, nor where the rollout is at zero, or
    is of another variant by now. (A task that waited through a rollback may wake up in the climb of what came after.)
    """
    with bind(context, fresh=True, silent=True):
        evaluation = client.evaluate(flag, None, context)
    if evaluation.reason in (Reason.PINNED, Reason.DISABLED, Reason.ERROR):
        return False
    live = client.live(flag)
    if live.share is None:
        return True
    model = client.definitions.flags.get(flag) if client.definitions is not None else None
    return live.share > 0 and (model is None or variant == model.default or live.about(variant))
