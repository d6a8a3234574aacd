"""
Dramatiq: a message is processed as the user whose request sent it, with the variants that user had met.

`broker.add_middleware(FlagsMiddleware())`, in web processes and workers alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from progflags.contrib._carry import HEADER, begin_task, end_task, pack
from progflags.errors import missing
from progflags.flags import Client, given

try:
    from dramatiq.middleware import Middleware
except ImportError as error:
    raise missing(error, "dramatiq", "dramatiq", "dramatiq") from error

__all__ = ["FlagsMiddleware"]


class FlagsMiddleware(Middleware):
    """
    Carries the targeting key and assignments in a message's options, and binds them where it is processed.

    `attributes` names the context's attributes that travel too; none by default.

        from dramatiq.brokers.stub import StubBroker

        broker = StubBroker()                                   # or any other
        broker.add_middleware(FlagsMiddleware(flags, attributes=("plan",)))
    """

    def __init__(self, flags: Client | None = None, *, attributes: Sequence[str] = ()) -> None:
        self._flags = flags
        self._attributes = tuple(attributes)

    def before_enqueue(self, broker: Any, message: Any, delay: Any) -> None:  # noqa: ARG002 - dramatiq's signature
        if HEADER not in message.options:
            header = pack(self._attributes)
            if header is not None:
                message.options[HEADER] = header

    def before_process_message(self, broker: Any, message: Any) -> None:  # noqa: ARG002
        begin_task(message.message_id, message.options.get(HEADER), given(self._flags))

    # Not `after_process_message`: pipelines, callbacks and groups queue what comes next there, and that is the user's, too. Every
    # message processed is acknowledged or rejected, by the thread that processed it.

    def before_ack(self, broker: Any, message: Any) -> None:  # noqa: ARG002
        end_task(message.message_id)

    def before_nack(self, broker: Any, message: Any) -> None:  # noqa: ARG002
        end_task(message.message_id)
