"""What both doors put around an admitted request: eyes on the bytes that pass, and exactly one end."""

from __future__ import annotations

from time import perf_counter

from progflags._trouble import swallow
from progflags.darklaunch._call import Call
from progflags.darklaunch.compare import Heard
from progflags.darklaunch.record import Outcome, Shed

__all__ = ["Request", "Tee"]


class _Passing:
    """Bytes that pass: all of them kept up to `most`, none beyond. (Defaults live on the class: most requests need no other.)"""

    size = 0
    too_large = False

    def __init__(self, most: int) -> None:
        self.most = most
        self.chunks: list[bytes] = []

    def keep(self, data: bytes) -> None:
        self.size += len(data)
        if self.size > self.most:
            self.too_large = True
            self.chunks.clear()
        else:
            self.chunks.append(data)


class Request(_Passing):
    """A request's body, as far as the application reads it; `complete` when that was all of it."""

    complete = False


class Tee(_Passing):
    """A response on its way out. `ended` or `broke` is the end of the call; the first one counts."""

    reason: Shed | Outcome | None = None  # why it can't be compared
    handed = False

    def __init__(self, call: Call, request: Request) -> None:
        self.call = call
        self.request = request
        self.most = request.most  # of the response as of the request
        self.chunks = []
        self.began = perf_counter()

    def ended(self, answer: Heard | None, route: object = None) -> None:
        """
        The response has ended: hand the shadow over. None: it broke off before its end.

        `route` is the template of the endpoint, where a router has left one; never the path, which holds data.
        """
        if self.handed:
            return
        self.handed = True
        call, request = self.call, self.request
        experiment = call.experiment
        seconds = perf_counter() - self.began
        try:
            experiment.timed(seconds)
            if answer is None or self.reason is not None or self.too_large or request.too_large or not request.complete:
                self._left_out()
                return
            if isinstance(route, str):
                call.endpoint = route
            call.size = self.size + request.size
            call.answer, call.seconds = answer, seconds
            experiment.dispatch(call)
        except Exception as error:
            if experiment.is_ours(error):
                raise
            swallow(f"dark launch {experiment.flag}", error)
            experiment.drop(call, Shed.HOOK)

    def _left_out(self) -> None:
        call = self.call
        experiment = call.experiment
        if self.request.too_large:
            experiment.drop(call, Shed.REQUEST_BODY)
        elif self.too_large:
            experiment.drop(call, Shed.RESPONSE_BODY)
        elif isinstance(self.reason, Shed):
            experiment.drop(call, self.reason)
        else:
            experiment.conclude(call, Outcome.INCOMPLETE)

    def broke(self, error: BaseException, *, answered: bool) -> None:
        """The application raised. Before it answered, that is its answer; afterwards it has given half of one."""
        if self.handed:
            return
        self.handed = True
        if not answered and self.reason is None and self.request.complete and not self.request.too_large:
            self.call.raised(error, perf_counter() - self.began)
        else:
            self.call.experiment.conclude(self.call, Outcome.INCOMPLETE)
