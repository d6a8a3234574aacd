"""
Celery: a task runs as the user whose request queued it, with the variants that user had met.

Install nothing but celery; call `install()` once, where the Celery app is made, in web processes and workers alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from progflags.contrib._carry import HEADER, begin_task, end_task, pack
from progflags.errors import missing
from progflags.flags import Client, given

try:
    from celery.signals import before_task_publish, task_postrun, task_prerun
except ImportError as error:
    raise missing(error, "celery", "celery", "celery") from error

__all__ = ["Tasks", "install"]


def install(flags: Client | None = None, *, attributes: Sequence[str] = ()) -> Tasks:
    """
    Carry the targeting key and assignments in the headers of every task queued from now on, and bind them where it runs.

    `attributes` names the context's attributes that travel too; none by default. The returned handle's `close()` ends it.

        from celery import Celery

        app = Celery("shop", broker="memory://")
        carrying = install(flags, attributes=("plan",))         # in web processes and workers alike
    """
    return Tasks(flags, attributes)


class Tasks:
    """
    The signal receivers of one `install`.

        carrying = install(flags)
        carrying.close()                                # in a test, or before another install
    """

    def __init__(self, flags: Client | None, attributes: Sequence[str]) -> None:
        self._flags = flags
        self._attributes = tuple(attributes)
        before_task_publish.connect(self._publish, weak=False)
        task_prerun.connect(self._begin, weak=False)
        task_postrun.connect(self._end, weak=False)

    def close(self) -> None:
        """Carry nothing from now on. Idempotent."""
        before_task_publish.disconnect(self._publish)
        task_prerun.disconnect(self._begin)
        task_postrun.disconnect(self._end)

    def _publish(self, headers: dict[str, Any] | None = None, **_: Any) -> None:
        if headers is not None and HEADER not in headers:
            header = pack(self._attributes)
            if header is not None:
                headers[HEADER] = header

    def _begin(self, task_id: str = "", task: Any = None, **_: Any) -> None:
        begin_task(task_id, getattr(task.request, HEADER, None), given(self._flags))

    def _end(self, task_id: str = "", **_: Any) -> None:
        end_task(task_id)
