"""
Dramatiq: a message is processed as the user whose request sent it, with the variants that user had met.

`broker.add_middleware(FlagsMiddleware())`, in web processes and workers alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from progflags.contrib._carry import HEADER, pack, unpack
from progflags.errors import MissingExtraError
from progflags.flags import Client, given

try:
    from dramatiq.middleware import Middleware
except ImportError as error:
    raise MissingExtraError("dramatiq", "dramatiq") from error

__all__ = ["FlagsMiddleware"]


class FlagsMiddleware(Middleware):
    """
    Carries the targeting key and assignments in a message's options, and binds them where it is processed.

    `attributes` names the context's attributes that travel too; none by default.
    """

    def __init__(self, flags: Client | None = None, *, attributes: Sequence[str] = ()) -> None:
        self._flags = flags
        self._attributes = tuple(attributes)
        self._running: dict[str, AbstractContextManager[None]] = {}

    def before_enqueue(self, broker: Any, message: Any, delay: Any) -> None:  # noqa: ARG002 - dramatiq's signature
        if HEADER not in message.options:
            header = pack(self._attributes)
            if header is not None:
                message.options[HEADER] = header

    def before_process_message(self, broker: Any, message: Any) -> None:  # noqa: ARG002
        header = message.options.get(HEADER)
        if header is not None:
            running = unpack(header, given(self._flags))
            running.__enter__()
            self._running[message.message_id] = running

    def after_process_message(self, broker: Any, message: Any, *, result: Any = None, exception: Any = None) -> None:  # noqa: ARG002
        running = self._running.pop(message.message_id, None)
        if running is not None:
            running.__exit__(None, None, None)

    def after_skip_message(self, broker: Any, message: Any) -> None:
        self.after_process_message(broker, message)
